/* What an encoder reads: one text or two, with the ids that go around them, cut to a length. */
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "text/pipe.h"

/* The ids around a text. */
struct around {
    const int32_t *before, *after;
    size_t n_before, n_after;
    bool pairs;
};

static struct around around_of(const vocab *v)
{
    if (v->model == VOCAB_PIPE && v->pipe->post.present) {
        const struct post *p = &v->pipe->post;
        return (struct around){p->before, p->after, (size_t)p->n_before, (size_t)p->n_after, p->pairs};
    }
    bool begins = v->add_bos && v->bos >= 0, ends = v->add_eos && v->eos >= 0;
    return (struct around){&v->bos, &v->eos, begins, ends, begins && ends};
}

/* Lengths of both texts that are at most n together: the longer one is cut first ("longest_first"). */
static void cut_longest(size_t n, size_t *n_a, size_t *n_b)
{
    size_t *shorter = *n_a <= *n_b ? n_a : n_b, *longer = shorter == n_a ? n_b : n_a;
    if (*n_a + *n_b <= n)
        return;
    *longer = *shorter > n ? *shorter : *shorter > n - *shorter ? *shorter : n - *shorter;
    if (*shorter + *longer > n) {
        *shorter = n / 2;
        *longer = n - n / 2;
    }
}

struct parts {
    int32_t *a, *b;
    size_t n_a, n_b;
};

static int encode_parts(const vocab *v, struct str a, struct str b, struct parts *p, struct lathe_err *err)
{
    TRY(vocab_encode(v, a.p, a.n, 0, &p->a, &p->n_a, err));
    return b.p ? vocab_encode(v, b.p, b.n, 0, &p->b, &p->n_b, err) : 0;
}

static size_t put(int32_t *to, size_t at, const int32_t *from, size_t n)
{
    if (n)
        memcpy(to + at, from, n * sizeof *to);
    return at + n;
}

int vocab_encode_pair(const vocab *v, struct str a, struct str b, size_t n_most, int32_t **ids, size_t *n_ids,
                      int *second_at, struct lathe_err *err)
{
    struct around x = around_of(v);
    struct parts p = {0};
    size_t n_around = x.n_before + x.n_after * (b.p ? 2 : 1), n = 0;
    int rc;
    *ids = NULL;
    *n_ids = 0;
    *second_at = 0;
    if (b.p && !x.pairs)
        return err_set(err, LATHE_E_UNSUPPORTED, "this tokenizer cannot put two texts into one input");
    if (n_most && n_most < n_around)
        return err_set(err, LATHE_E_USAGE, "at most %zu tokens are wanted, the %zu around a text are more",
                       n_most, n_around);
    TRY_GOTO(encode_parts(v, a, b, &p, err));
    if (n_most)
        cut_longest(n_most - n_around, &p.n_a, &p.n_b);
    *ids = mem_new((n_around + p.n_a + p.n_b + 1) * sizeof **ids);
    n = put(*ids, n, x.before, x.n_before);
    n = put(*ids, n, p.a, p.n_a);
    n = put(*ids, n, x.after, x.n_after);
    if (b.p) {
        *second_at = (int)n;
        n = put(*ids, n, p.b, p.n_b);
        n = put(*ids, n, x.after, x.n_after);
    }
    *n_ids = n;
done:
    free(p.a);
    free(p.b);
    return rc;
}
