/* Rows of logits as distributions. */
#include "base/logits.h"
#include "base/cpu.h"
#include "base/detmath.h"

static const struct logits_loops *loops(void)
{
#ifdef __x86_64__
    if (cpu_has(CPU_AVX512VNNI))
        return &logits_loops_avx512vnni;
    if (cpu_has(CPU_AVX2))
        return &logits_loops_avx2;
#endif
    return &logits_loops_c;
}

static bool begin(const float *x, int n, struct logits_norm *out)
{
    struct logits_norm norm = {.top = 0};
    if (!loops()->max(x, n, &norm.max))
        return false;
    while (x[norm.top] < norm.max)
        norm.top++;
    *out = norm;
    return true;
}

bool logits_normalize(const float *x, int n, struct logits_norm *out)
{
    if (!begin(x, n, out))
        return false;
    out->log_sum = det_log(loops()->sum(x, n, out->max));
    return true;
}

bool logits_divergence(const float *x, const float *y, int n, struct logits_norm *p, struct logits_norm *q,
                       double *out)
{
    double sum[3];
    if (!begin(x, n, p) || !begin(y, n, q))
        return false;
    loops()->pair(x, p->max, y, q->max, n, sum);
    p->log_sum = det_log(sum[0]);
    q->log_sum = det_log(sum[1]);
    *out = sum[2] / sum[0] - (p->log_sum - q->log_sum);
    return true;
}

void logits_exp(const float *x, int n, float max, float *share)
{
    loops()->exp(x, n, max, share);
}
