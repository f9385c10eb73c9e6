/* config.json of a Hugging Face folder as GGUF's metadata, by the rows of hf_config.inc. */
#include "format/hf_quant.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const struct hf_class classes[] = {
    {"LlamaForCausalLM", "llama", HF_LLAMA, 10000, 0, false},
    {"MistralForCausalLM", "llama", HF_MISTRAL, 10000, 0, false},
    {"MixtralForCausalLM", "llama", HF_MIXTRAL, 1e6, 0, false},
    {"Qwen2ForCausalLM", "qwen2", HF_QWEN2, 10000, 0, false},
    {"Qwen3ForCausalLM", "qwen3", HF_QWEN3, 10000, 128, false},
    {"Qwen2VLTextModel", "qwen2", HF_QWEN2VL, 1e6, 0, false},
    {"Qwen3VLTextModel", "qwen3", HF_QWEN3, 5e6, 128, false},
    {"Qwen3MoeForCausalLM", "qwen3moe", HF_QWEN3MOE, 10000, 0, false},
    {"Gemma2ForCausalLM", "gemma2", HF_GEMMA2, 10000, 256, true},
    {"Gemma3ForCausalLM", "gemma3", HF_GEMMA3, 1e6, 256, true},
    {"Phi3ForCausalLM", "phi3", HF_PHI3, 10000, 0, false},
    {"GptOssForCausalLM", "gpt-oss", HF_GPTOSS, 150000, 64, false},
    {"BertModel", "bert", HF_BERT, 0, 0, true},
    {"BertForSequenceClassification", "bert", HF_BERTCLS, 0, 0, true},
};

enum kind { NUMBER, REAL, BOOL, IS, OWN, UNUSED };

static const struct key_row {
    uint32_t set;
    const char *key;
    enum kind kind;
    const char *to, *value;
} rows[] = {
#define KEY(set, key, kind, to, value) {set, key, kind, to, value},
#include "format/hf_config.inc"
#undef KEY
};
enum { N_ROW = sizeof rows / sizeof *rows };

/* ---- reading ---- */

json_t *hf_get(const json_t *object, const char *key)
{
    json_t *v = json_object_get(object, key);
    return json_is_null(v) ? NULL : v;
}

/* A value as text of at most n bytes, for errors and comparisons. */
static void spell(const json_t *v, char *out, size_t n)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(out, n, "%s", text ? text : "?");
    free(text);
}

static int wrong(struct hf *h, const char *key, const json_t *v, const char *want)
{
    char text[80];
    spell(v, text, sizeof text);
    return err_set(h->err, LATHE_E_FILE, "%sconfig.json: %.60s is %s; it must be %s", h->path, key, text,
                   want);
}

int hf_number(struct hf *h, const json_t *object, const char *key, double fallback, double min, double max,
              double *out)
{
    char want[80];
    const json_t *v = hf_get(object, key);
    *out = fallback;
    if (!v)
        return 0;
    snprintf(want, sizeof want, "a number from %g to %g", min, max);
    if (!json_is_number(v))
        return wrong(h, key, v, want);
    *out = json_number_value(v);
    return *out >= min && *out <= max ? 0 : wrong(h, key, v, want);
}

const char *hf_key(const struct hf *h, const char *pattern, char out[80])
{
    snprintf(out, 80, "%s%s", *pattern == '%' ? h->class->arch : "", *pattern == '%' ? pattern + 1 : pattern);
    return out;
}

/* ---- rows ---- */

bool hf_is_one_of(const json_t *v, const char *values)
{
    char text[80];
    spell(v, text, sizeof text);
    size_t len = strlen(text);
    for (const char *p = values; p; p = strchr(p, '|'), p = p ? p + 1 : NULL)
        if (strncmp(p, text, len) == 0 && (p[len] == '|' || !p[len]))
            return true;
    return false;
}

static int put_number(struct hf *h, const struct key_row *r, const char *key, const json_t *v)
{
    double x = json_is_number(v) ? json_number_value(v) : -1;
    if (x != floor(x) || x < 1 || x > UINT32_MAX)
        return wrong(h, r->key, v, "a whole number from 1 to 4294967295");
    meta_put_u32(h->f, key, (uint64_t)x);
    return 0;
}

static int put_value(struct hf *h, const struct key_row *r, const json_t *v)
{
    char key[80];
    hf_key(h, r->to, key);
    for (uint64_t i = 0; i < h->f->n_meta; i++)
        if (str_is(h->f->meta[i].key, key))
            return 0;
    if (r->kind == NUMBER)
        return put_number(h, r, key, v);
    if (r->kind == REAL) {
        double x = json_is_number(v) ? json_number_value(v) : NAN;
        if (!isfinite((float)x))
            return wrong(h, r->key, v, "a number");
        meta_put_f32(h->f, key, (float)x);
    } else {
        if (!json_is_boolean(v))
            return wrong(h, r->key, v, "true or false");
        meta_put_bool(h->f, key, json_is_true(v));
    }
    return 0;
}

static int put_row(struct hf *h, const struct key_row *r)
{
    json_t *v = hf_get(h->config, r->key), *fallback = NULL;
    if (r->kind == OWN || r->kind == UNUSED)
        return 0;
    if (r->kind == IS)
        return !v || hf_is_one_of(v, r->value)
                   ? 0
                   : err_set(h->err, LATHE_E_UNSUPPORTED,
                             "%sconfig.json: %.60s is something other than %s, which cannot run", h->path,
                             r->key, r->value);
    if (!v && *r->value == '!')
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json has no %s", h->path, r->key);
    if (!v && *r->value)
        v = fallback = json_loads(r->value, JSON_DECODE_ANY, NULL);
    int rc = v ? put_value(h, r, v) : 0;
    json_decref(fallback);
    return rc;
}

/* Every key of the object is one of these classes'. */
static int check_keys(struct hf *h, json_t *object, uint32_t set)
{
    const char *key;
    json_t *v;
    json_object_foreach(object, key, v)
    {
        bool known = key[0] == '_' || json_is_null(v) || json_is_false(v);
        for (int i = 0; !known && i < N_ROW; i++)
            known = rows[i].set & set && strcmp(rows[i].key, key) == 0;
        if (!known)
            return err_set(
                h->err, LATHE_E_UNSUPPORTED,
                "%sconfig.json: '%.60s' is not known: the model may need something that this program has not",
                h->path, key);
    }
    return 0;
}

/* ---- the class, and what is more than a row ---- */

static int find_class(struct hf *h)
{
    const json_t *list = hf_get(h->whole, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    if (!name)
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json names no architecture", h->path);
    TRY(hf_outer(h, &name));
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (strcmp(classes[i].name, name) == 0) {
            h->class = &classes[i];
            return 0;
        }
    return err_set(h->err, LATHE_E_UNSUPPORTED, "%sconfig.json: architecture %.80s cannot run", h->path,
                   name);
}

static int count(struct hf *h, const char *key, uint64_t max, uint64_t *out)
{
    uint32_t v = 0;
    char name[80];
    TRY(mf_u32(h->f, hf_key(h, key, name), &v, NULL, h->err));
    if (v > max)
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json: %s is %u; at most %" PRIu64 " are read", h->path,
                       name, v, max);
    *out = v;
    return 0;
}

static int put_heads(struct hf *h)
{
    char key[80];
    double dim;
    TRY(count(h, "%.block_count", 4096, &h->n_layer));
    TRY(count(h, "%.embedding_length", 1 << 20, &h->n_embd));
    TRY(count(h, "%.attention.head_count", 1 << 16, &h->n_head));
    TRY(count(h, "%.expert_count", 4096, &h->n_expert));
    if (h->class->set & HF_MOE && !h->n_expert)
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json has no number of experts", h->path);
    double plain = h->class->head_dim ? h->class->head_dim : (double)(h->n_embd / h->n_head);
    TRY(hf_number(h, h->config, "head_dim", plain, 1, 65536, &dim));
    h->head_dim = (uint64_t)dim;
    if (h->class->set & HF_ENCODER)
        return 0;
    meta_put_u32(h->f, hf_key(h, "%.attention.key_length", key), h->head_dim);
    meta_put_u32(h->f, hf_key(h, "%.attention.value_length", key), h->head_dim);
    return 0;
}

/* Which layers attend to a window only. `layer_types` says it for each, older files by a pattern or for all. */
static int put_window(struct hf *h)
{
    char key[80];
    double window, every;
    const uint32_t set = h->class->set;
    const json_t *types = hf_get(h->config, "layer_types");
    uint8_t slides[4096];
    uint64_t n_slide = 0;
    double fallback = set & HF_GEMMA ? 4096 : set & HF_GPTOSS ? 128 : 0;
    if (set & HF_MISTRAL && !json_object_get(h->config, "sliding_window")) /* null is no window */
        fallback = 4096;
    if (set & (HF_QWEN | HF_ENCODER)) /* use_sliding_window has to be false */
        fallback = 0;
    TRY(hf_number(h, h->config, "sliding_window", fallback, 0, 1 << 30, &window));
    TRY(hf_number(h, h->config, "sliding_window_pattern",
                  set & HF_GEMMA3                 ? 6
                  : set & (HF_GEMMA2 | HF_GPTOSS) ? 2
                                                  : 0,
                  1, 4096, &every));
    if (types && (!json_is_array(types) || json_array_size(types) != h->n_layer))
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json: layer_types is no list of %" PRIu64 " types",
                       h->path, h->n_layer);
    for (uint64_t i = 0; i < h->n_layer; i++) {
        const char *type = json_string_value(json_array_get(types, i));
        slides[i] = every > 0 ? (i + 1) % (uint64_t)every != 0 : window > 0 && !(set & HF_QWEN);
        if (set & HF_GPTOSS || (set & HF_GEMMA2))
            slides[i] = i % 2 == 0;
        if (types && type && strcmp(type, "sliding_attention") == 0)
            slides[i] = 1;
        else if (types && type && strcmp(type, "full_attention") == 0)
            slides[i] = 0;
        else if (types)
            return err_set(h->err, LATHE_E_UNSUPPORTED,
                           "%sconfig.json: layer_types has '%.40s', which cannot run", h->path,
                           type ? type : "");
        n_slide += slides[i];
    }
    if (!n_slide)
        return 0;
    if (window < 1)
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json has layers with a window, but no sliding_window",
                       h->path);
    meta_put_u32(h->f, hf_key(h, "%.attention.sliding_window", key), (uint64_t)window);
    if (n_slide < h->n_layer || set & (HF_GEMMA | HF_GPTOSS))
        meta_put_array(h->f, hf_key(h, "%.attention.sliding_window_pattern", key), MF_BOOL, h->n_layer,
                       slides, h->n_layer);
    return 0;
}

static void put_encoder_act(struct hf *h)
{
    char key[80];
    const char *act = json_string_value(hf_get(h->config, "hidden_act"));
    meta_put_bool(h->f, hf_key(h, "%.attention.causal", key), false);
    if (act && strcmp(act, "gelu") != 0)
        meta_put_str(h->f, hf_key(h, "%.hidden_activation", key), str_of(act));
}

/* Around a text model, versions of transformers disagree about whose word counts: there the file's head does. */
static void put_tied(struct hf *h)
{
    const json_t *own = hf_get(h->config, "tie_word_embeddings"),
                 *outer = hf_get(h->whole, "tie_word_embeddings");
    h->tied = own ? json_is_true(own) : outer ? json_is_true(outer) : h->class->tied;
    h->takes_head = own && outer && json_is_true(own) != json_is_true(outer);
    h->tied |= h->takes_head;
}

static int put_own(struct hf *h)
{
    char key[80];
    double scalar;
    put_tied(h);
    if (h->class->set & HF_ENCODER)
        put_encoder_act(h);
    if (h->class->set & HF_GEMMA) {
        TRY(hf_number(h, h->config, "query_pre_attn_scalar", 256, 1e-3, 1e6, &scalar));
        meta_put_f32(h->f, hf_key(h, "%.attention.scale", key), (float)(1 / sqrt(scalar)));
    }
    if (h->class->set & HF_HALVES)
        meta_put_bool(h->f, hf_key(h, "%.rope.halves", key), true);
    return h->class->set & HF_DECODER ? put_window(h) : 0;
}

/* The name of the folder is that of the model. */
static void put_name(struct hf *h)
{
    char *real = realpath(h->folder, NULL);
    const char *slash = real ? strrchr(real, '/') : NULL;
    const char *name = slash && slash[1] ? slash + 1 : "unnamed";
    meta_put_str(h->f, "general.name", str_of(name));
    free(real);
}

int hf_config(struct hf *h)
{
    TRY(find_class(h));
    TRY(hf_quant_config(h));
    const uint32_t set = h->class->set, outer = h->is_outer ? HF_OUTER : 0;
    TRY(check_keys(h, h->config, h->config == h->whole ? set | outer : set));
    if (h->config != h->whole)
        TRY(check_keys(h, h->whole, outer));
    meta_put_str(h->f, "general.architecture", str_of(h->class->arch));
    meta_put_str(h->f, "general.type", STR("model"));
    put_name(h);
    for (int i = 0; i < N_ROW; i++)
        if (rows[i].set & h->class->set)
            TRY(put_row(h, &rows[i]));
    TRY(mf_index_meta(h->f, h->err)); /* what comes now reads what the rows gave */
    TRY(put_heads(h));
    return put_own(h);
}
