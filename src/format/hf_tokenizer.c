/* Tokenizer and chat template of a Hugging Face folder. tokenizer.json is handed on as it is, under
 * tokenizer.huggingface.json; what the files beside it say becomes GGUF's keys. */
#include "format/hf.h"
#include <inttypes.h>

enum { MAX_JSON = 16 << 20 };

/* ---- ids with a meaning ---- */

/* The first id of a key, which may be a list: "eos_token_id": [1, 106]. -1 if there is none. */
static int64_t first_id(const json_t *object, const char *key)
{
    const json_t *v = hf_get(object, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    return json_is_integer(v) ? json_integer_value(v) : -1;
}

static int put_id(struct hf *h, const json_t *generation, const char *key, const char *to)
{
    int64_t id = first_id(h->config, key);
    if (id < 0)
        id = first_id(generation, key);
    if (id < 0)
        return 0;
    if (id > INT32_MAX)
        return err_set(h->err, LATHE_E_FILE, "%sconfig.json: %s is %" PRId64 ", which is no token", h->path,
                       key, id);
    meta_put_u32(h->f, to, (uint64_t)id);
    return 0;
}

/* All ids that end an answer. */
static void put_ends(struct hf *h, const json_t *generation)
{
    int32_t ids[64];
    uint64_t n = 0;
    const json_t *from[] = {hf_get(h->config, "eos_token_id"), hf_get(generation, "eos_token_id")};
    for (int i = 0; i < 2; i++)
        for (size_t k = 0; k < (json_is_array(from[i]) ? json_array_size(from[i]) : 1); k++) {
            const json_t *v = json_is_array(from[i]) ? json_array_get(from[i], k) : from[i];
            bool fits =
                json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= INT32_MAX;
            for (uint64_t j = 0; fits && j < n; j++)
                fits = ids[j] != json_integer_value(v);
            if (fits && n < sizeof ids / sizeof *ids)
                ids[n++] = (int32_t)json_integer_value(v);
        }
    if (n > 1)
        meta_put_array(h->f, "tokenizer.ggml.eog_token_ids", MF_I32, n, ids, n * sizeof *ids);
}

/* ---- the chat template ---- */

/* A file of its own, or the string, or the one named "default" of the list in tokenizer_config.json. */
static int put_template(struct hf *h, const json_t *tokenizer)
{
    struct str text;
    TRY(hf_bytes(h, "chat_template.jinja", &text));
    if (text.p) {
        meta_put_text(h->f, "tokenizer.chat_template", text);
        return 0;
    }
    const json_t *v = hf_get(tokenizer, "chat_template"), *found = v;
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (i == 0 || (name && strcmp(name, "default") == 0))
            found = json_object_get(one, "template");
    }
    if (!v)
        return 0;
    if (!json_is_string(found))
        return err_set(h->err, LATHE_E_FILE, "%stokenizer_config.json: chat_template is no text", h->path);
    meta_put_str(h->f, "tokenizer.chat_template",
                 (struct str){json_string_value(found), json_string_length(found)});
    return 0;
}

/* How the vectors of a sentence become one: sentence-transformers keeps it in a folder of its own. */
static int put_pooling(struct hf *h)
{
    static const struct {
        const char *key;
        uint32_t type; /* of GGUF */
    } kinds[] = {
        {"pooling_mode_mean_tokens", 1}, {"pooling_mode_cls_token", 2}, {"pooling_mode_lasttoken", 3}};
    json_t *pooling;
    uint32_t type = 0;
    char key[80];
    if (h->class->set & HF_BERTCLS)
        type = 4;
    TRY(hf_json(h, "1_Pooling/config.json", MAX_JSON, false, &pooling));
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (json_is_true(json_object_get(pooling, kinds[i].key)))
            type = kinds[i].type;
    bool known = !pooling || type;
    json_decref(pooling);
    if (!known)
        return err_set(h->err, LATHE_E_UNSUPPORTED,
                       "%s1_Pooling/config.json: pooling by other than mean, first or last token "
                       "cannot run",
                       h->path);
    if (type)
        meta_put_u32(h->f, hf_key(h, "%.pooling_type", key), type);
    return 0;
}

/* ---- all of it ---- */

static void put_flag(struct hf *h, const json_t *object, const char *key, const char *to)
{
    const json_t *v = hf_get(object, key);
    if (json_is_boolean(v))
        meta_put_bool(h->f, to, json_is_true(v));
}

int hf_tokenizer(struct hf *h)
{
    json_t *generation = NULL, *tokenizer = NULL;
    struct str text;
    int rc;
    TRY_GOTO(hf_json(h, "generation_config.json", MAX_JSON, false, &generation));
    TRY_GOTO(hf_json(h, "tokenizer_config.json", MAX_JSON, false, &tokenizer));
    TRY_GOTO(put_id(h, generation, "bos_token_id", "tokenizer.ggml.bos_token_id"));
    TRY_GOTO(put_id(h, generation, "eos_token_id", "tokenizer.ggml.eos_token_id"));
    TRY_GOTO(put_id(h, generation, "pad_token_id", "tokenizer.ggml.padding_token_id"));
    put_ends(h, generation);
    put_flag(h, tokenizer, "add_bos_token", "tokenizer.ggml.add_bos_token");
    put_flag(h, tokenizer, "add_eos_token", "tokenizer.ggml.add_eos_token");
    TRY_GOTO(put_template(h, tokenizer));
    TRY_GOTO(hf_bytes(h, "tokenizer.json", &text));
    if (text.p)
        meta_put_text(h->f, "tokenizer.huggingface.json", text);
    if (h->class->set & HF_ENCODER)
        TRY_GOTO(put_pooling(h));
done:
    json_decref(generation);
    json_decref(tokenizer);
    return rc;
}
