/* Statistics of a candidate beside a reference. */
#include "measure/compare.h"
#include <math.h>
#include <stdlib.h>
#include "base/mem.h"

#define FIRST_OCTAVE 32

int compare_init(struct compare *c, int n_chunk, int n_position, struct lathe_err *err)
{
    void *v;
    *c = (struct compare){.n_chunk = n_chunk, .n_position = n_position};
    TRY(mem_try((size_t)n_chunk * (size_t)n_position, sizeof *c->v, "a record of each token", &v, err));
    c->v = v;
    return 0;
}

void compare_free(struct compare *c)
{
    free(c->v);
    c->v = NULL;
}

bool compare_octave(int i, int n_position, int *from, int *to)
{
    if (i > 25)
        return false;
    *from = i ? FIRST_OCTAVE << (i - 1) : 0;
    *to = (FIRST_OCTAVE << i) - 1;
    *to = *to < n_position ? *to : n_position - 1;
    return *from < n_position;
}

/* What is summed over the positions of each chunk. */
enum { N, NLL, REF_NLL, NLL_MORE, KL, SAME, DP, DP_SQUARE, N_SUM };

static void add_position(double *sums, int n_chunk, int chunk, const struct compare_position *p)
{
    double dp = exp(-(double)p->nll) - exp(-(double)p->ref_nll);
    const double terms[N_SUM] = {[N] = 1,
                                 [NLL] = (double)p->nll,
                                 [REF_NLL] = (double)p->ref_nll,
                                 [NLL_MORE] = (double)p->nll - (double)p->ref_nll,
                                 [KL] = (double)p->kl,
                                 [SAME] = p->is_same_top,
                                 [DP] = dp,
                                 [DP_SQUARE] = dp * dp};
    for (int k = 0; k < N_SUM; k++)
        sums[k * n_chunk + chunk] += terms[k];
}

/* The divergences of the positions, sorted, and what is read from them. */
static void summarize_order(const struct compare *c, const struct draws *d, struct compare_summary *s)
{
    struct block_value *v = mem_new(sizeof *v * (size_t)s->n);
    size_t n = 0;
    s->kl_max = -INFINITY;
    for (int chunk = 0; chunk < c->n_chunk; chunk++)
        for (int i = s->from; i <= s->to; i++) {
            float kl = c->v[(size_t)chunk * (size_t)c->n_position + (size_t)i].kl;
            v[n++] = (struct block_value){kl, chunk};
            if ((double)kl > s->kl_max) {
                s->kl_max = (double)kl;
                s->kl_max_chunk = chunk;
                s->kl_max_position = i;
            }
        }
    block_values_sort(v, n);
    s->kl_50 = interval_quantile(d, v, n, 0.5);
    s->kl_99 = interval_quantile(d, v, n, 0.99);
    s->kl_999 = interval_quantile(d, v, n, 0.999);
    free(v);
}

struct compare_summary compare_summarize(const struct compare *c, const struct draws *d, int from, int to)
{
    struct compare_summary s = {.from = from, .to = to, .n = (long)c->n_chunk * (to - from + 1)};
    double *sums = mem_new(sizeof *sums * N_SUM * (size_t)c->n_chunk), *n = sums + N * c->n_chunk;
    for (int chunk = 0; chunk < c->n_chunk; chunk++)
        for (int i = from; i <= to; i++)
            add_position(sums, c->n_chunk, chunk, &c->v[(size_t)chunk * (size_t)c->n_position + (size_t)i]);
    s.ppl = interval_ratio(d, sums + NLL * c->n_chunk, n, exp);
    if (c->has_reference) {
        s.ref_ppl = interval_ratio(d, sums + REF_NLL * c->n_chunk, n, exp);
        s.ppl_ratio = interval_ratio(d, sums + NLL_MORE * c->n_chunk, n, exp);
        s.kl_mean = interval_ratio(d, sums + KL * c->n_chunk, n, NULL);
        s.same_top = interval_ratio(d, sums + SAME * c->n_chunk, n, NULL);
        s.dp_mean = interval_ratio(d, sums + DP * c->n_chunk, n, NULL);
        s.dp_rms = interval_ratio(d, sums + DP_SQUARE * c->n_chunk, n, sqrt);
        summarize_order(c, d, &s);
    }
    free(sums);
    return s;
}
