/* The prefix cache: computed pages by the tokens that led to them, shared by all sequences that begin alike.
 *
 * A radix tree whose edges are pages. A node is a page of SPAN tokens behind its parent's, or, as a leaf, of fewer: the end of
 * a sequence. Nodes live at the number of their page, so that there are never more of them than pages and nothing is
 * allocated. Children are found by a hash of their tokens and all before them, and hold the tokens to be compared; roots
 * differ by salt, so that a request never meets, and cannot time, what another salt computed.
 *
 *     salt 0 ── [64 tokens] ─┬─ [64] ── [64] ── [17]
 *                            └─ [64]
 *     salt 7 ── [64 tokens] ── [3]
 *
 * A node holds its page once, every sequence on the path once more. What only the tree holds is idle: it is evicted, leaves
 * first, when pages are needed, by GreedyDual (Young 1994): rank = clock at the last use + cost to recompute, the least goes
 * and becomes the clock. A page costs more the further back in its sequence, since its queries meet more keys. */
#ifndef LATHE_ENGINE_PREFIX_H
#define LATHE_ENGINE_PREFIX_H
#include "engine/pages.h"

struct prefix_node {
    uint64_t key, salt;
    int32_t parent, first_child, next, before; /* pages, -1: none; next and before: siblings */
    int32_t next_in_bucket;
    int32_t heap_at; /* -1: not in the heap */
    int32_t n_token; /* 0: no node */
    int32_t depth;
    double rank;
    int32_t tokens[SPAN];
};

struct prefix {
    struct pages *pages;
    struct prefix_node *nodes; /* [n_page] */
    int32_t *buckets, *heap;   /* heap: idle leaves, least rank first */
    int32_t first_root;
    uint32_t bucket_mask;
    int n_heap, n_node, n_idle;
    double clock, position_cost; /* of a token at position p: 1 + p * position_cost */
    uint64_t n_evicted;
    bool off; /* nothing enters */
};

/* Of the tree for each page: a node, its place in the heap, up to four buckets. */
enum { PREFIX_PAGE_BYTES = sizeof(struct prefix_node) + 5 * sizeof(int32_t) };

/* What a sequence can take over. */
struct prefix_match {
    int n_page;   /* whole pages */
    int32_t more; /* -1, or a page whose first n_more tokens agree further */
    int n_more;
};

int prefix_init(struct prefix *t, struct pages *pages, double position_cost, bool off, struct lathe_err *err);
void prefix_free(struct prefix *t);
/* The longest computed beginning of tokens[n]. Holds its whole pages, which go to pages[], and `more`. */
struct prefix_match prefix_match(struct prefix *t, uint64_t salt, const int32_t *tokens, int n,
                                 int32_t *pages);
/* The page behind `parent` (-1: first) that has these SPAN tokens; -1 if there is none. */
int32_t prefix_child(const struct prefix *t, uint64_t salt, int32_t parent, const int32_t *tokens);
/* Enters a page with its n tokens behind `parent`. Returns the page that its holder has from now on: the same, or an equal
 * one that was there already, and then the given one is dropped. */
int32_t prefix_insert(struct prefix *t, uint64_t salt, int32_t parent, const int32_t *tokens, int n,
                      int32_t page);
/* A sequence's hold on a page, in the tree or not. */
void prefix_hold(struct prefix *t, int32_t page);
void prefix_drop(struct prefix *t, int32_t page);
/* Pages that are free or can be made so. */
static inline int prefix_n_available(const struct prefix *t)
{
    return t->pages->n_free + t->n_idle;
}
/* Takes pages as pages_take does, for which idle ones are evicted; n <= prefix_n_available. */
void prefix_take(struct prefix *t, int32_t after, int n, int32_t *out);
#endif
