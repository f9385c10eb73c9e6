/* Special tokens: found in the text before anything else cuts it.
 *
 * Their ids are sorted by their bytes. At a position of the text the range of candidates narrows byte by
 * byte, so a place costs at most length times logarithm, whatever the vocabulary holds (some have thousands
 * that begin with '<'). */
#include "base/mem.h"
#include "text/trie.h"
#include "text/vocab_impl.h"
#include <stdlib.h>

static bool is_special(const vocab *v, int32_t id)
{
    int t = v->type[id];
    return (t == TOKEN_CONTROL || t == TOKEN_USER || t == TOKEN_UNKNOWN) && v->off[id + 1] > v->off[id];
}

int special_load(vocab *v, struct lathe_err *err)
{
    int n = 0;
    for (int32_t i = 0; i < v->n; i++)
        n += is_special(v, i);
    struct trie_entry *e;
    void *p;
    TRY(mem_try((size_t)n, sizeof *e, "special tokens", &p, err));
    e = p;
    int rc = mem_try((size_t)n, sizeof *v->special, "special tokens", &p, err);
    if (rc)
        goto done;
    v->special = p;
    for (int32_t i = 0, k = 0; i < v->n; i++)
        if (is_special(v, i))
            e[k++] = (struct trie_entry){vocab_raw(v, i), i};
    qsort(e, (size_t)n, sizeof *e, trie_entry_order);
    int first = 0;
    for (int i = 0; i < n; i++) {
        v->special[i] = e[i].id;
        for (; first <= (unsigned char)e[i].s.p[0]; first++)
            v->special_first[first] = (uint32_t)i;
    }
    for (; first <= 256; first++)
        v->special_first[first] = (uint32_t)n;
    v->n_special = n;
done:
    free(e);
    return rc;
}

/* First entry in [lo, hi), all equal up to byte d and longer than d, whose byte d is at least c. */
static uint32_t lower(const vocab *v, uint32_t lo, uint32_t hi, size_t d, unsigned c)
{
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        struct str s = vocab_raw(v, v->special[mid]);
        if (d >= s.n || (unsigned char)s.p[d] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

int32_t special_match(const vocab *v, const char *p, size_t n, bool control, size_t *len)
{
    unsigned char c = (unsigned char)p[0];
    uint32_t lo = v->special_first[c], hi = v->special_first[c + 1];
    int32_t best = -1;
    for (size_t d = 1; lo < hi; d++) {
        int32_t found = -1;
        for (; lo < hi && vocab_raw(v, v->special[lo]).n == d; lo++) /* the ones that end here sort first */
            if (found < 0 && (control || v->type[v->special[lo]] == TOKEN_USER))
                found = v->special[lo];
        if (found >= 0) {
            best = found;
            *len = d;
        }
        if (d == n)
            break;
        c = (unsigned char)p[d];
        lo = lower(v, lo, hi, d, c);
        hi = lower(v, lo, hi, d, c + 1u);
    }
    return best;
}
