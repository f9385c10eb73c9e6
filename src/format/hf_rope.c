/* Rotary positions of config.json in GGUF's terms. The frequencies' own factors (Llama 3, longrope) are tensors there.
 *
 * transformers 5 writes `rope_parameters`, with the base in it, and for gemma3 one for each type of layer; older ones
 * write `rope_scaling` beside `rope_theta`. */
#include "format/hf.h"
#include <math.h>
#include "base/detmath.h"

#define PI 3.14159265358979323846
enum { MAX_PAIR = 1024 };

struct rope {
    struct hf *h;
    const json_t *scaling; /* NULL: plain */
    double theta, ctx, ctx_original, n_rot, factor;
};

static void put_f32(struct rope *r, const char *pattern, double v)
{
    char key[80];
    meta_put_f32(r->h->f, hf_key(r->h, pattern, key), (float)v);
}

static void put_type(struct rope *r, struct str type)
{
    char key[80];
    meta_put_str(r->h->f, hf_key(r->h, "%.rope.scaling.type", key), type);
}

static void put_original(struct rope *r)
{
    char key[80];
    meta_put_u32(r->h->f, hf_key(r->h, "%.rope.scaling.original_context_length", key),
                 (uint64_t)r->ctx_original);
}

static int number(struct rope *r, const char *key, double fallback, double min, double max, double *out)
{
    return hf_number(r->h, r->scaling, key, fallback, min, max, out);
}

static int need_factor(struct rope *r)
{
    TRY(number(r, "factor", 0, 1e-3, 1e6, &r->factor));
    if (r->factor == 0)
        return err_set(r->h->err, LATHE_E_FILE, "%sconfig.json: the rotary scaling has no factor",
                       r->h->path);
    return 0;
}

/* ---- one function for each type ---- */

static int put_plain(struct rope *r)
{
    return 0;
}

static int put_linear(struct rope *r)
{
    TRY(need_factor(r));
    put_type(r, STR("linear"));
    put_f32(r, "%.rope.scaling.factor", r->factor);
    return 0;
}

static double yarn_scale(double factor, double m)
{
    return factor > 1 ? 0.1 * m * det_log(factor) + 1 : 1;
}

/* GGUF writes the factor of attention divided by YaRN's own. */
static int put_yarn(struct rope *r)
{
    double fast, slow, attention, m, m_all;
    char key[80];
    TRY(need_factor(r));
    TRY(number(r, "beta_fast", 32, 1e-3, 1e6, &fast));
    TRY(number(r, "beta_slow", 1, 1e-3, 1e6, &slow));
    TRY(number(r, "mscale", 0, 0, 1e3, &m));
    TRY(number(r, "mscale_all_dim", 0, 0, 1e3, &m_all));
    double own = m > 0 && m_all > 0 ? yarn_scale(r->factor, m) / yarn_scale(r->factor, m_all)
                                    : yarn_scale(r->factor, 1);
    TRY(number(r, "attention_factor", own, 1e-3, 1e3, &attention));
    put_type(r, STR("yarn"));
    put_f32(r, "%.rope.scaling.factor", r->factor);
    put_original(r);
    put_f32(r, "%.rope.scaling.yarn_beta_fast", fast);
    put_f32(r, "%.rope.scaling.yarn_beta_slow", slow);
    if (attention != yarn_scale(r->factor, 1))
        put_f32(r, "%.rope.scaling.attn_factor", attention / yarn_scale(r->factor, 1));
    if (json_is_false(hf_get(r->scaling, "truncate")))
        meta_put_bool(r->h->f, hf_key(r->h, "%.rope.scaling.truncate", key), false);
    return 0;
}

/* Frequencies of long waves are divided by the factor, those of short ones stay, between them it is mixed (Llama 3.1). */
static int put_llama3(struct rope *r)
{
    double low, high;
    float factors[MAX_PAIR];
    TRY(need_factor(r));
    TRY(number(r, "low_freq_factor", 1, 1e-6, 1e6, &low));
    TRY(number(r, "high_freq_factor", 4, 1e-6, 1e6, &high));
    if (high <= low)
        return err_set(r->h->err, LATHE_E_FILE,
                       "%sconfig.json: high_freq_factor %g is not above low_freq_factor %g", r->h->path, high,
                       low);
    int n = (int)r->n_rot / 2;
    for (int i = 0; i < n; i++) {
        double wave = 2 * PI * det_pow(r->theta, 2.0 * i / r->n_rot),
               smooth = (r->ctx_original / wave - low) / (high - low);
        factors[i] = (float)(wave < r->ctx_original / high  ? 1
                             : wave > r->ctx_original / low ? r->factor
                                                            : 1 / ((1 - smooth) / r->factor + smooth));
    }
    hf_add_vector(r->h, "rope_freqs.weight", factors, (uint64_t)n);
    return 0;
}

static int put_factors(struct rope *r, const char *key, const char *name)
{
    const json_t *list = hf_get(r->scaling, key);
    float factors[MAX_PAIR];
    size_t n = json_array_size(list);
    if (n != (size_t)r->n_rot / 2)
        return err_set(r->h->err, LATHE_E_FILE, "%sconfig.json: %s has %zu factors, but %d frequencies",
                       r->h->path, key, n, (int)r->n_rot / 2);
    for (size_t i = 0; i < n; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i));
        if (!(factors[i] > 0))
            return err_set(r->h->err, LATHE_E_FILE, "%sconfig.json: factor %zu of %s is no number above 0",
                           r->h->path, i, key);
    }
    hf_add_vector(r->h, name, factors, n);
    return 0;
}

static int put_longrope(struct rope *r)
{
    double scale = r->ctx / r->ctx_original, attention;
    TRY(number(r, "factor", scale, 1e-3, 1e6, &scale));
    TRY(number(r, "attention_factor", scale > 1 ? sqrt(1 + det_log(scale) / det_log(r->ctx_original)) : 1,
               1e-3, 1e3, &attention));
    put_original(r);
    put_f32(r, "%.rope.scaling.attn_factor", attention);
    TRY(put_factors(r, "long_factor", "rope_factors_long.weight"));
    return put_factors(r, "short_factor", "rope_factors_short.weight");
}

static const struct {
    const char *type;
    int (*put)(struct rope *r);
    const char *keys; /* that it has, between blanks */
} types[] = {
    /* of models that see: a token has three positions, which are one in text */
    {"default", put_plain, " factor mrope_section mrope_interleaved "},
    {"mrope", put_plain, " mrope_section "},
    {"linear", put_linear, " factor "},
    {"yarn", put_yarn,
     " factor beta_fast beta_slow mscale mscale_all_dim attention_factor truncate "
     "original_max_position_embeddings "},
    {"llama3", put_llama3, " factor low_freq_factor high_freq_factor original_max_position_embeddings "},
    {"longrope", put_longrope,
     " factor attention_factor long_factor short_factor original_max_position_embeddings "},
    {"su", put_longrope,
     " factor attention_factor long_factor short_factor original_max_position_embeddings "},
};
#define EVERY_TYPE " type rope_type rope_theta partial_rotary_factor "

static bool has_word(const char *words, const char *word)
{
    const char *at = words;
    size_t n = strlen(word);
    if (n == 0 || strchr(word, ' '))
        return false;
    while ((at = strstr(at, word)) && !(at > words && at[-1] == ' ' && at[n] == ' '))
        at++;
    return at != NULL;
}

static int put_scaling(struct rope *r)
{
    const char *type = json_string_value(hf_get(r->scaling, "rope_type")), *key;
    json_t *v;
    if (!type)
        type = json_string_value(hf_get(r->scaling, "type"));
    for (size_t i = 0; r->scaling && i < sizeof types / sizeof *types; i++) {
        if (strcmp(type ? type : "default", types[i].type) != 0)
            continue;
        json_object_foreach((json_t *)r->scaling, key, v)
        {
            if (!json_is_null(v) && !has_word(EVERY_TYPE, key) && !has_word(types[i].keys, key))
                return err_set(r->h->err, LATHE_E_UNSUPPORTED,
                               "%sconfig.json: rotary scaling %s has '%.60s', which is not known", r->h->path,
                               types[i].type, key);
        }
        return types[i].put(r);
    }
    if (!r->scaling)
        return 0;
    return err_set(r->h->err, LATHE_E_UNSUPPORTED,
                   "%sconfig.json: rotary scaling '%.40s' cannot run; known: linear yarn llama3 longrope",
                   r->h->path, type);
}

/* Of gemma3's two, that of the layers that see everything; the other one has a base only. */
static int read_local(struct rope *r, const json_t *parameters, const json_t **full)
{
    double local;
    char key[80];
    const json_t *sliding = hf_get(parameters, "sliding_attention");
    *full = hf_get(parameters, "full_attention");
    if (!*full)
        *full = parameters;
    if (!(r->h->class->set & HF_GEMMA3))
        return 0;
    const char *type = json_string_value(hf_get(sliding, "rope_type"));
    if (type && strcmp(type, "default") != 0)
        return err_set(r->h->err, LATHE_E_UNSUPPORTED,
                       "%sconfig.json: rotary scaling '%.40s' of windows cannot run", r->h->path, type);
    TRY(hf_number(r->h, r->h->config, "rope_local_base_freq", 10000, 1, 1e12, &local));
    TRY(hf_number(r->h, sliding, "rope_theta", local, 1, 1e12, &local));
    meta_put_f32(r->h->f, hf_key(r->h, "%.rope.freq_base_swa", key), (float)local);
    return 0;
}

int hf_rope(struct hf *h)
{
    struct rope r = {.h = h};
    uint32_t ctx = 0;
    double share;
    char key[80];
    if (!(h->class->set & HF_DECODER))
        return 0;
    const json_t *parameters = hf_get(h->config, "rope_parameters");
    r.scaling = parameters ? parameters : hf_get(h->config, "rope_scaling");
    if (r.scaling && !json_is_object(r.scaling))
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json: rope_scaling is no object", h->path);
    TRY(read_local(&r, r.scaling, &r.scaling));
    TRY(hf_number(h, h->config, "rope_theta", h->class->rope_theta, 1, 1e12, &r.theta));
    TRY(number(&r, "rope_theta", r.theta, 1, 1e12, &r.theta));
    TRY(hf_number(h, h->config, "partial_rotary_factor", 1, 1e-3, 1, &share));
    TRY(number(&r, "partial_rotary_factor", share, 1e-3, 1, &share));
    TRY(mf_u32(h->f, hf_key(h, "%.context_length", key), &ctx, NULL, h->err));
    r.ctx = ctx;
    TRY(hf_number(h, h->config, "original_max_position_embeddings", r.ctx, 1, 1 << 30, &r.ctx_original));
    TRY(number(&r, "original_max_position_embeddings", r.ctx_original, 1, 1 << 30, &r.ctx_original));
    r.n_rot = floor((double)h->head_dim * share / 2) * 2;
    if (r.n_rot < 2 || r.n_rot > 2 * MAX_PAIR)
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json: %g of heads of %g are rotated; 2 to %d can be",
                       h->path, r.n_rot, (double)h->head_dim, 2 * MAX_PAIR);
    meta_put_u32(h->f, hf_key(h, "%.rope.dimension_count", key), (uint64_t)r.n_rot);
    put_f32(&r, "%.rope.freq_base", r.theta);
    return put_scaling(&r);
}
