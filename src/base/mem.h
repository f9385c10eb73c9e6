/* Memory: small allocations abort when the machine has none left; sizes that come from a file or a client are
 * checked and fail with an error; an arena frees many small objects at once; a buffer grows up to a limit
 * fixed at its creation. */
#ifndef LATHE_BASE_MEM_H
#define LATHE_BASE_MEM_H
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"

/* Small allocations (sizes the program itself chose). Zeroed; never NULL. Free with free(). */
void *mem_new(size_t n_bytes);
void *mem_grow(void *p, size_t n_bytes); /* realloc, new bytes undefined */
char *mem_dup(const char *p, size_t n);  /* n bytes and a NUL */

/* n * size bytes, zeroed, 64-byte aligned, for sizes that input decides. NOMEM with `what` and the bytes in
 * the text. Free with free(). */
int mem_try(size_t n, size_t size, const char *what, void **out, struct lathe_err *err);

/* Zeroed memory from mmap, page-aligned; from MEM_HUGE_FROM bytes on aligned to huge pages and asked for them.
 * Free with mem_unmap. */
enum { MEM_HUGE_PAGE = 2 << 20, MEM_HUGE_FROM = 2 * MEM_HUGE_PAGE };
int mem_map(size_t n_bytes, const char *what, void **out, struct lathe_err *err);
void mem_unmap(void *p, size_t n_bytes);

/* For a program that allocates from many threads for a long time: the C library keeps few heaps and gives large pieces
 * back at once, so that what is resident stays near what is in use. Before the first thread. */
void mem_few_arenas(void);
/* Bytes that malloc has given out and not got back, of all threads; 0 where the C library does not tell. */
size_t mem_live(void);

/* Checked arithmetic: false on overflow. */
static inline bool mem_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}
static inline bool mem_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

/* ---- arena: bump allocation, freed as a whole ---- */
struct arena_block;
struct arena {
    struct arena_block *head;
    size_t used, cap; /* of the head block */
    size_t total;     /* bytes handed out */
};
void *arena_alloc(struct arena *a, size_t n_bytes); /* zeroed, 16-byte aligned, never NULL */
char *arena_dup(struct arena *a, const char *p, size_t n);
void arena_free(struct arena *a); /* legal on a zeroed arena; leaves it zeroed */

/* ---- buffer: bytes that grow up to a limit ---- */
struct buf {
    char *p; /* always NUL-terminated once anything was put; NULL before */
    size_t n, cap, limit;
    bool full; /* a put was refused: the content is cut there */
};
void buf_init(struct buf *b, size_t limit);
void buf_free(struct buf *b);
void buf_clear(struct buf *b);
/* LATHE_E_LIMIT past the limit, and then the buffer is unchanged but for `full`. */
int buf_put(struct buf *b, const void *p, size_t n);
int buf_putc(struct buf *b, char c);
int buf_puts(struct buf *b, const char *s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Gives the bytes to the caller (never NULL, NUL-terminated) and empties the buffer. */
char *buf_take(struct buf *b, size_t *n);
#endif
