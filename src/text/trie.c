/* Building a trie: tokens sorted by their bytes, a node is a range of them that agree up to its depth. */
#include "text/trie.h"
#include <stdlib.h>
#include "base/mem.h"

int trie_entry_order(const void *pa, const void *pb)
{
    const struct trie_entry *a = pa, *b = pb;
    size_t n = a->s.n < b->s.n ? a->s.n : b->s.n;
    int c = memcmp(a->s.p, b->s.p, n);
    if (c)
        return c;
    if (a->s.n != b->s.n)
        return a->s.n < b->s.n ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

struct range {
    uint32_t lo, hi, depth;
};

/* Nodes that a trie of the sorted entries has. */
static uint64_t count_nodes(const struct trie_entry *e, size_t n)
{
    uint64_t sum = 1;
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        while (i && same < e[i].s.n && same < e[i - 1].s.n && e[i].s.p[same] == e[i - 1].s.p[same])
            same++;
        sum += e[i].s.n - same;
    }
    return sum;
}

static void fill(struct trie *t, const struct trie_entry *e, struct range *node)
{
    uint32_t n = 1;
    for (uint32_t i = 0; i < t->n; i++) {
        struct range r = node[i];
        t->id[i] = -1;
        t->first[i] = n;
        for (; r.lo < r.hi && e[r.lo].s.n == r.depth; r.lo++)
            t->id[i] = e[r.lo].id;
        while (r.lo < r.hi) {
            char byte = e[r.lo].s.p[r.depth];
            uint32_t from = r.lo;
            while (r.lo < r.hi && e[r.lo].s.p[r.depth] == byte)
                r.lo++;
            t->label[n] = (uint8_t)byte;
            node[n++] = (struct range){from, r.lo, r.depth + 1};
        }
    }
    t->first[t->n] = n;
}

int trie_build(struct trie *t, const struct str *token, int n, struct lathe_err *err)
{
    void *entries = NULL, *nodes = NULL, *p;
    size_t n_entry = 0;
    int rc;
    TRY_GOTO(mem_try((size_t)n, sizeof(struct trie_entry), "sorting of tokens", &entries, err));
    struct trie_entry *e = entries;
    for (int32_t i = 0; i < n; i++)
        if (token[i].n)
            e[n_entry++] = (struct trie_entry){token[i], i};
    qsort(e, n_entry, sizeof *e, trie_entry_order);
    uint64_t n_node = count_nodes(e, n_entry);
    if (n_node > INT32_MAX) {
        rc = err_set(err, LATHE_E_LIMIT, "the tokens have %llu bytes of text", (unsigned long long)n_node);
        goto done;
    }
    t->n = (uint32_t)n_node;
    TRY_GOTO(mem_try(n_node, sizeof(struct range), "trie of tokens", &nodes, err));
    TRY_GOTO(mem_try(n_node + 1, sizeof *t->first, "trie of tokens", &p, err));
    t->first = p;
    TRY_GOTO(mem_try(n_node, sizeof *t->id, "trie of tokens", &p, err));
    t->id = p;
    TRY_GOTO(mem_try(n_node, 1, "trie of tokens", &p, err));
    t->label = p;
    ((struct range *)nodes)[0] = (struct range){0, (uint32_t)n_entry, 0};
    fill(t, e, nodes);
done:
    free(entries);
    free(nodes);
    return rc;
}
