/* Merging of neighbours, lowest rank first and leftmost among equals: the heart of both kinds of byte-pair
 * encoding.
 *
 * Short sequences scan for the best pair. Long ones (a megabyte without a space is one word) keep a 4-ary
 * heap of (rank, index) in one 64-bit key each. An entry is stale when the pair at its index has another rank
 * by now; a pair that changes is pushed again, so every live pair has an entry; a merge takes one and adds at
 * most two, so 2 n are enough for n symbols. */
#include "base/mem.h"
#include "text/vocab_impl.h"
#include <stdlib.h>

#define SHORT 32

/* Joins s[i] with its right neighbour and ranks the two pairs that changed. */
static void join(const vocab *v, const char *text, struct sym *s, uint32_t i, merge_rank *rank)
{
    struct sym *a = &s[i], *b = &s[a->next];
    a->id = a->merged;
    a->len += b->len;
    a->next = b->next;
    b->rank = UINT32_MAX;
    if (a->next != SYM_END) {
        s[a->next].prev = i;
        rank(v, text, a, &s[a->next]);
    } else {
        a->rank = UINT32_MAX;
    }
    if (a->prev != SYM_END)
        rank(v, text, &s[a->prev], a);
}

static void merge_short(const vocab *v, const char *text, struct sym *s, merge_rank *rank)
{
    for (;;) {
        uint32_t best = UINT32_MAX, at = 0;
        for (uint32_t i = 0; i != SYM_END; i = s[i].next)
            if (s[i].rank < best) {
                best = s[i].rank;
                at = i;
            }
        if (best == UINT32_MAX)
            return;
        join(v, text, s, at, rank);
    }
}

struct heap {
    uint64_t *key;
    size_t n;
};

static void heap_down(struct heap *h, size_t i)
{
    uint64_t key = h->key[i];
    for (;;) {
        size_t child = 4 * i + 1, end = child + 4 < h->n ? child + 4 : h->n;
        if (child >= h->n)
            break;
        size_t least = child;
        for (size_t c = child + 1; c < end; c++)
            if (h->key[c] < h->key[least])
                least = c;
        if (h->key[least] >= key)
            break;
        h->key[i] = h->key[least];
        i = least;
    }
    h->key[i] = key;
}

static void heap_push(struct heap *h, uint64_t key)
{
    size_t i = h->n++;
    while (i && h->key[(i - 1) / 4] > key) {
        h->key[i] = h->key[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    h->key[i] = key;
}

static uint64_t heap_pop(struct heap *h)
{
    uint64_t key = h->key[0];
    h->key[0] = h->key[--h->n];
    if (h->n)
        heap_down(h, 0);
    return key;
}

static void push_pair(struct heap *h, const struct sym *s, uint32_t i)
{
    if (s[i].rank != UINT32_MAX)
        heap_push(h, (uint64_t)s[i].rank << 32 | i);
}

static int merge_long(const vocab *v, const char *text, struct sym *s, uint32_t n, merge_rank *rank,
                      struct lathe_err *err)
{
    struct heap h = {0};
    void *p;
    TRY(mem_try((size_t)n * 2, sizeof *h.key, "merging of a long word", &p, err));
    h.key = p;
    for (uint32_t i = 0; i < n; i++)
        if (s[i].rank != UINT32_MAX)
            h.key[h.n++] = (uint64_t)s[i].rank << 32 | i;
    for (size_t i = h.n / 4 + 1; i-- > 0;)
        if (i < h.n)
            heap_down(&h, i);
    while (h.n) {
        uint64_t key = heap_pop(&h);
        uint32_t i = (uint32_t)key;
        if (s[i].rank != key >> 32)
            continue;
        join(v, text, s, i, rank);
        push_pair(&h, s, i);
        if (s[i].prev != SYM_END)
            push_pair(&h, s, s[i].prev);
    }
    free(h.key);
    return 0;
}

int merge_all(const vocab *v, const char *text, struct sym *s, uint32_t n, merge_rank *rank,
              struct lathe_err *err)
{
    for (uint32_t i = 0; i + 1 < n; i++)
        rank(v, text, &s[i], &s[i + 1]);
    s[n - 1].rank = UINT32_MAX;
    if (n > SHORT)
        return merge_long(v, text, s, n, rank, err);
    merge_short(v, text, s, rank);
    return 0;
}
