/* Rotary frequencies: plain, by factors of a tensor (Llama 3), linear, YaRN. The angle of a position is one
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

void rope_init(struct lathe_model *m, const float *factors)
{
    const struct model_config *c = &m->config;
    int n = c->n_rot / 2;
    m->rope_freq = arena_alloc(&m->arena, (size_t)n * sizeof *m->rope_freq);
    m->rope_mscale = 1;
    double low = 0, high = 0;
    if (c->rope_scaling == ROPE_YARN) {
        low = floor(yarn_dim(c, c->yarn_beta_fast));
        high = ceil(yarn_dim(c, c->yarn_beta_slow));
        low = low < 0 ? 0 : low;
        high = high > c->n_rot - 1 ? c->n_rot - 1 : high;
        /* GGUF writes the model's attention factor divided by YaRN's own */
        m->rope_mscale =
            (float)(c->yarn_attn_factor * (c->rope_factor > 1 ? 0.1 * det_log(c->rope_factor) + 1 : 1));
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
        m->rope_freq[i] = f;
    }
}

void rope_position(const struct lathe_model *m, int position, float *cs)
{
    for (int i = 0; i < m->config.n_rot / 2; i++) {
        double s, c;
        det_sincos(position * m->rope_freq[i], &s, &c);
        cs[2 * i] = (float)(c * m->rope_mscale);
        cs[2 * i + 1] = (float)(s * m->rope_mscale);
    }
}
