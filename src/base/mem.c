/* Memory: checked allocation, arenas, bounded buffers. */
#include "base/mem.h"
#include <assert.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void mem_abort(size_t n_bytes)
{
    fprintf(stderr, "lathe: out of memory for %zu bytes\n", n_bytes);
    abort();
}

void *mem_new(size_t n_bytes)
{
    void *p = calloc(1, n_bytes ? n_bytes : 1);
    if (!p)
        mem_abort(n_bytes);
    return p;
}

void *mem_grow(void *p, size_t n_bytes)
{
    void *q = realloc(p, n_bytes ? n_bytes : 1);
    if (!q)
        mem_abort(n_bytes);
    return q;
}

void mem_few_arenas(void)
{
#ifdef __GLIBC__
    /* Left to itself the library has eight heaps a core, and raises the size from which pieces are mapped on their own
     * to that of the largest that was freed: later ones of that size stay in the heaps. */
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallopt(M_TRIM_THRESHOLD, 512 << 10);
#endif
}

size_t mem_live(void)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
#else
    return 0;
#endif
}

char *mem_dup(const char *p, size_t n)
{
    char *q = mem_new(n + 1);
    if (n)
        memcpy(q, p, n);
    return q;
}

int mem_try(size_t n, size_t size, const char *what, void **out, struct lathe_err *err)
{
    uint64_t n_bytes;
    *out = NULL;
    if (!mem_mul(n, size, &n_bytes) || n_bytes > SIZE_MAX - 64)
        return err_set(err, LATHE_E_NOMEM, "%s: %zu x %zu bytes is more than can be addressed", what, n,
                       size);
    size_t rounded = (n_bytes + 64) & ~(size_t)63;
    void *p = aligned_alloc(64, rounded);
    if (!p)
        return err_set(err, LATHE_E_NOMEM, "%s: no memory for %zu bytes", what, (size_t)n_bytes);
    memset(p, 0, rounded);
    *out = p;
    return 0;
}

int mem_map(size_t n_bytes, const char *what, void **out, struct lathe_err *err)
{
    bool huge = n_bytes >= MEM_HUGE_FROM;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), more = huge ? MEM_HUGE_PAGE : 0,
           n = n_bytes ? (n_bytes + page - 1) / page * page : page;
    *out = NULL;
    uint8_t *p = n < n_bytes || n + more < n
                     ? MAP_FAILED
                     : mmap(NULL, n + more, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return err_set(err, LATHE_E_NOMEM, "%s: no memory for %zu bytes", what, n_bytes);
    if (huge) { /* a huge page needs its alignment: the ends of the room go back */
        size_t before = (MEM_HUGE_PAGE - (uintptr_t)p % MEM_HUGE_PAGE) % MEM_HUGE_PAGE;
        if (before)
            munmap(p, before);
        if (more - before)
            munmap(p + before + n, more - before);
        p += before;
        madvise(p, n, MADV_HUGEPAGE);
    }
    *out = p;
    return 0;
}

void mem_unmap(void *p, size_t n_bytes)
{
    if (p)
        munmap(p, n_bytes ? n_bytes : 1);
}

/* ---- arena ---- */

struct arena_block {
    struct arena_block *next;
    _Alignas(16) char bytes[];
};

void *arena_alloc(struct arena *a, size_t n_bytes)
{
    size_t n = (n_bytes + 15) & ~(size_t)15;
    if (!a->head || a->cap - a->used < n) {
        size_t cap = a->head ? (a->cap < (1u << 20) ? a->cap * 2 : a->cap) : 4096;
        if (cap < n)
            cap = n;
        struct arena_block *b = mem_new(sizeof *b + cap);
        b->next = a->head;
        a->head = b;
        a->used = 0;
        a->cap = cap;
    }
    void *p = a->head->bytes + a->used;
    a->used += n;
    a->total += n;
    return p;
}

char *arena_dup(struct arena *a, const char *p, size_t n)
{
    char *q = arena_alloc(a, n + 1);
    if (n)
        memcpy(q, p, n);
    return q;
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    memset(a, 0, sizeof *a);
}

/* ---- buffer ---- */

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_free(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.limit = b->limit};
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->full = false;
    if (b->p)
        b->p[0] = 0;
}

static int buf_room(struct buf *b, size_t n)
{
    assert(b->limit > 0);
    if (n > b->limit || b->n > b->limit - n) {
        b->full = true;
        return LATHE_E_LIMIT;
    }
    if (b->n + n + 1 > b->cap) {
        size_t cap = b->cap ? b->cap * 2 : 64;
        while (cap < b->n + n + 1)
            cap *= 2;
        b->p = mem_grow(b->p, cap);
        b->cap = cap;
    }
    return 0;
}

int buf_put(struct buf *b, const void *p, size_t n)
{
    TRY(buf_room(b, n));
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
    return 0;
}

int buf_putc(struct buf *b, char c)
{
    return buf_put(b, &c, 1);
}

int buf_puts(struct buf *b, const char *s)
{
    return buf_put(b, s, strlen(s));
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    int rc = n < 0 ? LATHE_E_FAILED : buf_room(b, (size_t)n);
    if (!rc) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return rc;
}

char *buf_take(struct buf *b, size_t *n)
{
    if (!b->p)
        b->p = mem_new(1);
    char *p = b->p;
    if (n)
        *n = b->n;
    *b = (struct buf){.limit = b->limit};
    return p;
}
