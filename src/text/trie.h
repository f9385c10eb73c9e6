/* A trie over the bytes of tokens, in flat tables: nodes in the order of a breadth-first walk, so that the children of node i are
 * those from first[i] to first[i + 1], with their bytes side by side. The tables may come from a kept file: a step checks. */
#ifndef LATHE_TEXT_TRIE_H
#define LATHE_TEXT_TRIE_H
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

struct trie {
    uint32_t n;      /* nodes; node 0 is the root */
    uint32_t *first; /* [n + 1] */
    int32_t *id;     /* [n]: the token that ends here, -1: none */
    uint8_t *label;  /* [n]: the byte that leads here */
};

/* A text and its token, and the order by bytes, ids among equal ones, for qsort. */
struct trie_entry {
    struct str s;
    int32_t id;
};
int trie_entry_order(const void *a, const void *b);

/* Of the texts token[i] with i as their ids; empty ones are left out, of equal ones the last counts. */
int trie_build(struct trie *t, const struct str *token, int n, struct lathe_err *err);

/* The child of `node` by `byte`, 0 if there is none. */
static inline uint32_t trie_step(const struct trie *t, uint32_t node, char byte)
{
    uint32_t lo = t->first[node], hi = t->first[node + 1];
    if (lo >= hi || hi > t->n)
        return 0;
    const uint8_t *at = memchr(t->label + lo, (unsigned char)byte, hi - lo);
    return at ? (uint32_t)(at - t->label) : 0;
}
#endif
