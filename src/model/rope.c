/* Rotary frequencies: plain, by factors of a tensor (Llama 3, LongRoPE), linear, YaRN. The angle of a position is one
 * product in double precision, not an accumulated one. */
#include <math.h>
#include "base/detmath.h"
#include "model/model.h"

/* YaRN (Peng et al. 2023, section 3.2): the dimension whose wavelength turns `beta` times within the original
 * context. */
static double yarn_dim(const struct model_config *c, double beta)
{
    double turns = c->rope_ctx_original / (beta * 2 * 3.14159265358979323846);
    return c->n_rot * det_log(turns) / (2 * det_log(c->rope_base));
}

static double yarn_ramp(double low, double high, int i)
{
    double y = (i - low) / (high - low > 0.001 ? high - low : 0.001);
    return y < 0 ? 0 : y > 1 ? 1 : y;
}

static double *global_frequencies(struct lathe_model *m, const float *factors)
{
    const struct model_config *c = &m->config;
    int n = c->n_rot / 2;
    double *freq = arena_alloc(&m->arena, (size_t)n * sizeof *freq);
    double low = 0, high = 0;
    if (c->rope_scaling == ROPE_YARN) {
        low = yarn_dim(c, c->yarn_beta_fast);
        high = yarn_dim(c, c->yarn_beta_slow);
        low = c->yarn_exact ? low : floor(low);
        high = c->yarn_exact ? high : ceil(high);
        low = low < 0 ? 0 : low;
        high = high > c->n_rot - 1 ? c->n_rot - 1 : high;
    }
    for (int i = 0; i < n; i++) {
        double f = det_pow(c->rope_base, -2.0 * i / c->n_rot);
        if (factors)
            f /= factors[i];
        if (c->rope_scaling == ROPE_LINEAR)
            f /= c->rope_factor;
        if (c->rope_scaling == ROPE_YARN) {
            double keep = 1 - yarn_ramp(low, high, i);
            f = f / c->rope_factor * (1 - keep) + f * keep;
        }
        freq[i] = f;
    }
    return freq;
}

void rope_init(struct lathe_model *m, const float *factors, const float *factors_long, float local_base)
{
    const struct model_config *c = &m->config;
    m->rope_mscale = c->rope_attn_factor;
    if (c->rope_scaling == ROPE_YARN &&
        c->rope_factor > 1) /* GGUF has the attention factor divided by YaRN's own */
        m->rope_mscale = (float)(c->rope_attn_factor * (0.1 * det_log(c->rope_factor) + 1));
    m->rope_freq[ROPE_GLOBAL] = global_frequencies(m, factors);
    if (factors_long)
        m->rope_freq_long = global_frequencies(m, factors_long);
    if (local_base <= 0)
        return;
    double *freq = arena_alloc(&m->arena, (size_t)c->n_rot / 2 * sizeof *freq);
    for (int i = 0; i < c->n_rot / 2; i++)
        freq[i] = det_pow(local_base, -2.0 * i / c->n_rot);
    m->rope_freq[ROPE_LOCAL] = freq;
}

void rope_position(const struct lathe_model *m, enum rope_set set, int n_ctx, int position, float *cs)
{
    const double *freq = m->rope_freq[set];
    float scale = set == ROPE_GLOBAL ? m->rope_mscale : 1;
    if (set == ROPE_GLOBAL && m->rope_freq_long && n_ctx > m->config.rope_ctx_original)
        freq = m->rope_freq_long;
    for (int i = 0; i < m->config.n_rot / 2; i++) {
        double s, c;
        det_sincos(position * freq[i], &s, &c);
        cs[2 * i] = (float)(c * scale);
        cs[2 * i + 1] = (float)(s * scale);
    }
}
