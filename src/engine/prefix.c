/* The prefix cache. */
#include "engine/prefix.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* A page is copied for the sake of this many tokens at least: fewer cost no more to compute than to copy. */
enum { MIN_MORE = 8 };

int prefix_init(struct prefix *t, struct pages *pages, double position_cost, bool off, struct lathe_err *err)
{
    size_t n = (size_t)pages->n_page, n_bucket = 1;
    *t = (struct prefix){.pages = pages, .position_cost = position_cost, .off = off, .first_root = -1};
    while (n_bucket < 2 * n)
        n_bucket *= 2;
    t->bucket_mask = (uint32_t)(n_bucket - 1);
    TRY(mem_try(n, sizeof *t->nodes, "prefix cache", (void **)&t->nodes, err));
    TRY(mem_try(n, sizeof *t->heap, "prefix cache", (void **)&t->heap, err));
    TRY(mem_try(n_bucket, sizeof *t->buckets, "prefix cache", (void **)&t->buckets, err));
    memset(t->buckets, 0xff, n_bucket * sizeof *t->buckets);
    return 0;
}

void prefix_free(struct prefix *t)
{
    free(t->nodes);
    free(t->heap);
    free(t->buckets);
    *t = (struct prefix){0};
}

/* ---- heap of idle leaves ---- */

static void heap_put(struct prefix *t, int at, int32_t page)
{
    t->heap[at] = page;
    t->nodes[page].heap_at = at;
}

static void heap_settle(struct prefix *t, int at)
{
    int32_t page = t->heap[at];
    double rank = t->nodes[page].rank;
    for (; at > 0 && t->nodes[t->heap[(at - 1) / 2]].rank > rank; at = (at - 1) / 2)
        heap_put(t, at, t->heap[(at - 1) / 2]);
    for (int child; (child = 2 * at + 1) < t->n_heap; at = child) {
        if (child + 1 < t->n_heap && t->nodes[t->heap[child + 1]].rank < t->nodes[t->heap[child]].rank)
            child++;
        if (t->nodes[t->heap[child]].rank >= rank)
            break;
        heap_put(t, at, t->heap[child]);
    }
    heap_put(t, at, page);
}

static void heap_add(struct prefix *t, int32_t page)
{
    heap_put(t, t->n_heap++, page);
    heap_settle(t, t->n_heap - 1);
}

static void heap_remove(struct prefix *t, int32_t page)
{
    int at = t->nodes[page].heap_at;
    if (at < 0)
        return;
    t->nodes[page].heap_at = -1;
    if (at == --t->n_heap)
        return;
    heap_put(t, at, t->heap[t->n_heap]);
    heap_settle(t, at);
}

/* ---- holders ---- */

static bool is_idle(const struct prefix *t, int32_t page)
{
    return t->pages->n_ref[page] == 1;
}

void prefix_hold(struct prefix *t, int32_t page)
{
    if (t->nodes[page].n_token && is_idle(t, page)) {
        t->n_idle--;
        heap_remove(t, page);
    }
    pages_hold(t->pages, page);
}

void prefix_drop(struct prefix *t, int32_t page)
{
    struct prefix_node *n = &t->nodes[page];
    pages_drop(t->pages, page);
    if (!n->n_token || !is_idle(t, page))
        return;
    n->rank = t->clock + 1 + t->position_cost * n->depth * SPAN;
    t->n_idle++;
    if (n->first_child < 0)
        heap_add(t, page);
}

/* ---- the tree ---- */

static uint64_t key_of(const struct prefix *t, uint64_t salt, int32_t parent, const int32_t *tokens, int n)
{
    return XXH3_64bits_withSeed(tokens, (size_t)n * sizeof *tokens, parent < 0 ? salt : t->nodes[parent].key);
}

static int32_t *children_of(struct prefix *t, int32_t parent)
{
    return parent < 0 ? &t->first_root : &t->nodes[parent].first_child;
}

int32_t prefix_child(const struct prefix *t, uint64_t salt, int32_t parent, const int32_t *tokens)
{
    uint64_t key = key_of(t, salt, parent, tokens, SPAN);
    int32_t page = t->buckets[key & t->bucket_mask];
    for (; page >= 0; page = t->nodes[page].next_in_bucket) {
        const struct prefix_node *n = &t->nodes[page];
        if (n->key == key && n->salt == salt && n->parent == parent && n->n_token == SPAN &&
            memcmp(n->tokens, tokens, sizeof n->tokens) == 0)
            return page;
    }
    return -1;
}

static int n_common(const int32_t *a, const int32_t *b, int n)
{
    int i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

struct prefix_match prefix_match(struct prefix *t, uint64_t salt, const int32_t *tokens, int n,
                                 int32_t *pages)
{
    struct prefix_match m = {.more = -1};
    int32_t at = -1, next;
    while (n >= SPAN && (next = prefix_child(t, salt, at, tokens)) >= 0) {
        prefix_hold(t, next);
        pages[m.n_page++] = at = next;
        tokens += SPAN;
        n -= SPAN;
    }
    if (t->pages->form.closes) /* the first tokens of a closed span met it open */
        return m;
    for (int32_t c = *children_of(t, at); c >= 0; c = t->nodes[c].next) {
        const struct prefix_node *node = &t->nodes[c];
        int same =
            node->salt != salt ? 0 : n_common(node->tokens, tokens, node->n_token < n ? node->n_token : n);
        if (same >= MIN_MORE && same > m.n_more) {
            m.more = c;
            m.n_more = same;
        }
    }
    if (m.more >= 0)
        prefix_hold(t, m.more);
    return m;
}

static void unlink_node(struct prefix *t, int32_t page)
{
    struct prefix_node *n = &t->nodes[page];
    int32_t *at = &t->buckets[n->key & t->bucket_mask];
    while (*at != page)
        at = &t->nodes[*at].next_in_bucket;
    *at = n->next_in_bucket;
    if (n->before >= 0)
        t->nodes[n->before].next = n->next;
    else
        *children_of(t, n->parent) = n->next;
    if (n->next >= 0)
        t->nodes[n->next].before = n->before;
    n->n_token = 0;
    t->n_node--;
}

/* Takes an idle leaf out; its page is free then. */
static void evict(struct prefix *t, int32_t page)
{
    int32_t parent = t->nodes[page].parent;
    heap_remove(t, page);
    unlink_node(t, page);
    t->n_idle--;
    pages_drop(t->pages, page);
    if (parent >= 0 && t->nodes[parent].first_child < 0 && is_idle(t, parent))
        heap_add(t, parent);
}

/* Whether an entry of these tokens would tell nothing new. Idle ends of sequences that they go on from are evicted. */
static bool is_covered(struct prefix *t, uint64_t salt, int32_t parent, const int32_t *tokens, int n)
{
    for (int32_t c = *children_of(t, parent), next; c >= 0; c = next) {
        const struct prefix_node *node = &t->nodes[c];
        int least = node->n_token < n ? node->n_token : n;
        next = node->next;
        if (node->salt != salt || n_common(node->tokens, tokens, least) < least)
            continue;
        if (node->n_token >= n)
            return true;
        if (node->heap_at >= 0)
            evict(t, c);
    }
    return false;
}

int32_t prefix_insert(struct prefix *t, uint64_t salt, int32_t parent, const int32_t *tokens, int n,
                      int32_t page)
{
    if (t->off)
        return page;
    int32_t there = n == SPAN ? prefix_child(t, salt, parent, tokens) : -1;
    if (there >= 0 && there != page) {
        prefix_hold(t, there);
        prefix_drop(t, page);
        return there;
    }
    if (there == page || is_covered(t, salt, parent, tokens, n))
        return page;
    struct prefix_node *node = &t->nodes[page];
    uint64_t key = key_of(t, salt, parent, tokens, n);
    int32_t *list = children_of(t, parent), *bucket = &t->buckets[key & t->bucket_mask];
    assert(!node->n_token);
    *node = (struct prefix_node){.key = key,
                                 .salt = salt,
                                 .parent = parent,
                                 .first_child = -1,
                                 .next = *list,
                                 .before = -1,
                                 .next_in_bucket = *bucket,
                                 .heap_at = -1,
                                 .n_token = n,
                                 .depth = parent < 0 ? 0 : t->nodes[parent].depth + 1};
    memcpy(node->tokens, tokens, (size_t)n * sizeof *tokens);
    if (*list >= 0)
        t->nodes[*list].before = page;
    *list = *bucket = page;
    if (parent >= 0)
        heap_remove(t, parent);
    pages_hold(t->pages, page);
    t->n_node++;
    return page;
}

void prefix_take(struct prefix *t, int32_t after, int n, int32_t *out)
{
    while (t->pages->n_free < n) {
        int32_t page = t->heap[0];
        assert(t->n_heap > 0);
        t->clock = t->nodes[page].rank;
        evict(t, page);
        t->n_evicted++;
    }
    pages_take(t->pages, after, n, out);
}
