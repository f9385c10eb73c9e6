/* Tokenizer and chat template of a Hugging Face folder. tokenizer.json is handed on as it is, under
 * tokenizer.huggingface.json; what the files beside it say becomes GGUF's keys. */
#include "format/hf.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

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
        id = first_id(h->whole, key);
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
    const json_t *from[] = {hf_get(h->config, "eos_token_id"), hf_get(h->whole, "eos_token_id"),
                            hf_get(generation, "eos_token_id")};
    for (size_t i = 0; i < sizeof from / sizeof *from; i++)
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

/* The string, or the one named "default" of a list. */
static int put_template_of(struct hf *h, const char *file, const json_t *object)
{
    const json_t *v = hf_get(object, "chat_template"), *found = v;
    for (size_t i = 0; json_is_array(v) && i < json_array_size(v); i++) {
        const json_t *one = json_array_get(v, i);
        const char *name = json_string_value(json_object_get(one, "name"));
        if (i == 0 || (name && strcmp(name, "default") == 0))
            found = json_object_get(one, "template");
    }
    if (!v)
        return 0;
    if (!json_is_string(found))
        return err_set(h->err, LATHE_E_FILE, "%s%s: chat_template is no text", h->path, file);
    meta_put_str(h->f, "tokenizer.chat_template",
                 (struct str){json_string_value(found), json_string_length(found)});
    return 0;
}

/* A file of its own, or in the tokenizer's, or where models that see have it. */
static int put_template(struct hf *h, const json_t *tokenizer)
{
    struct str text;
    json_t *processor;
    TRY(hf_bytes(h, "chat_template.jinja", &text));
    if (text.p) {
        meta_put_text(h->f, "tokenizer.chat_template", text);
        return 0;
    }
    if (hf_get(tokenizer, "chat_template"))
        return put_template_of(h, "tokenizer_config.json", tokenizer);
    TRY(hf_json(h, "chat_template.json", MAX_JSON, false, &processor));
    int rc = put_template_of(h, "chat_template.json", processor);
    json_decref(processor);
    return rc;
}

/* How the vectors of a sentence become one: sentence-transformers has it in a folder of its own. The number of GGUF, or -1 for what
 * cannot run. */
static int pooling_type(const json_t *pooling)
{
    static const struct {
        const char *flag, *mode;
        int type;
    } kinds[] = {{"pooling_mode_mean_tokens", "mean", 1},
                 {"pooling_mode_cls_token", "cls", 2},
                 {"pooling_mode_lasttoken", "lasttoken", 3}};
    const char *mode = json_string_value(json_object_get(pooling, "pooling_mode")), *key;
    json_t *value;
    int type = 0;
    json_object_foreach((json_t *)pooling, key, value)
    {
        if (!json_is_true(value) || strncmp(key, "pooling_mode_", 13) != 0)
            continue;
        int one = -1;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            one = strcmp(kinds[i].flag, key) == 0 ? kinds[i].type : one;
        type = type ? -1 : one; /* two at once would be side by side */
    }
    for (size_t i = 0; mode && i < sizeof kinds / sizeof *kinds; i++)
        type = strcmp(kinds[i].mode, mode) == 0 ? kinds[i].type : type;
    return type ? type : -1;
}

static int put_pooling(struct hf *h)
{
    json_t *pooling;
    char key[80];
    int type = h->class->set & HF_BERTCLS ? 4 : 0;
    TRY(hf_json(h, "1_Pooling/config.json", MAX_JSON, false, &pooling));
    if (pooling)
        type = pooling_type(pooling);
    json_decref(pooling);
    if (type < 0)
        return err_set(h->err, LATHE_E_UNSUPPORTED,
                       "%s1_Pooling/config.json: pooling by other than mean, first or last token "
                       "cannot run",
                       h->path);
    if (type)
        meta_put_u32(h->f, hf_key(h, "%.pooling_type", key), (uint64_t)type);
    return 0;
}

/* What sentence-transformers puts behind the encoder. Vectors can be normalized or not, whatever the folder says. */
static int check_modules(struct hf *h)
{
    static const char *const known[] = {"Transformer", "Pooling", "Normalize"};
    struct str text;
    json_error_t why;
    json_t *list;
    int rc = 0;
    TRY(hf_bytes(h, "modules.json", &text));
    if (!text.p)
        return 0;
    list = text.n <= MAX_JSON ? json_loadb(text.p, text.n, 0, &why) : NULL;
    if (!json_is_array(list))
        rc = err_set(h->err, LATHE_E_FILE, "%smodules.json is no list of modules", h->path);
    for (size_t i = 0; !rc && i < json_array_size(list); i++) {
        const char *type = json_string_value(json_object_get(json_array_get(list, i), "type"));
        const char *dot = type ? strrchr(type, '.') : NULL, *name = dot ? dot + 1 : type ? type : "";
        bool is_known = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            is_known |= strcmp(known[k], name) == 0;
        if (!is_known)
            rc = err_set(h->err, LATHE_E_UNSUPPORTED,
                         "%smodules.json: module '%.60s' cannot run; known: Transformer Pooling Normalize",
                         h->path, name);
    }
    json_decref(list);
    return rc;
}

/* The longest text: what sentence-transformers cuts at, else what the tokenizer was made for, which is a huge number where nothing is
 * known. */
static int put_length(struct hf *h, const json_t *tokenizer)
{
    json_t *sentence;
    double n = 0;
    char key[80];
    TRY(hf_json(h, "sentence_bert_config.json", MAX_JSON, false, &sentence));
    int rc = hf_number(h, sentence, "max_seq_length", 0, 1, 1 << 30, &n);
    json_decref(sentence);
    if (!rc && n == 0)
        rc = hf_number(h, tokenizer, "model_max_length", 0, 1, 1e40, &n);
    if (!rc && n >= 1 && n <= 1 << 30)
        meta_put_u32(h->f, hf_key(h, "%.max_sequence_length", key), (uint64_t)n);
    return rc;
}

static int put_encoder(struct hf *h, const json_t *tokenizer)
{
    TRY(check_modules(h));
    TRY(put_pooling(h));
    return put_length(h, tokenizer);
}

/* ---- all of it ---- */

static void put_flag(struct hf *h, const json_t *object, const char *key, const char *to)
{
    const json_t *v = hf_get(object, key);
    if (json_is_boolean(v))
        meta_put_bool(h->f, to, json_is_true(v));
}

/* Without tokenizer.json: what the folder has instead, which transformers makes one from. */
static int refuse_others(struct hf *h)
{
    static const char *const others[] = {"tokenizer.model", "spiece.model",  "sentencepiece.bpe.model",
                                         "tekken.json",     "qwen.tiktoken", "vocab.json",
                                         "vocab.txt"};
    char path[4200];
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, "%s%s", h->folder, others[i]);
        if (access(path, F_OK) == 0)
            return err_set(h->err, LATHE_E_UNSUPPORTED,
                           "%s%s cannot be read, and there is no tokenizer.json; transformers makes one: "
                           "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
                           h->path, others[i]);
    }
    return err_set(h->err, LATHE_E_FILE, "%s has no tokenizer.json; get the whole folder", h->path);
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
    if (!text.p)
        TRY_GOTO(refuse_others(h));
    meta_put_text(h->f, "tokenizer.huggingface.json", text);
    if (h->class->set & HF_ENCODER)
        TRY_GOTO(put_encoder(h, tokenizer));
done:
    json_decref(generation);
    json_decref(tokenizer);
    return rc;
}
