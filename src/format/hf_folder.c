/* Hugging Face folders: which files they have, and the view over them.
 *
 *     config.json                     what the model is (part 0 of the view)
 *     model.safetensors               its tensors, or
 *     model.safetensors.index.json    which of model-0000I-of-0000N.safetensors has which tensor
 *     tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja
 *
 * All of them are parts of the view: caches that are keyed by its parts are made anew when one changes. The index has to
 * agree with the files tensor by tensor; its total_size is not looked at, since every byte of each file is accounted for
 * and published totals are often those of another type. */
#include "format/hf_quant.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX_SUFFIX ".safetensors.index.json"
enum { MAX_INDEX = 64 << 20, MAX_CONFIG = 1 << 20, SYNTHESIZED = 4, MORE_FILES = 12 };

struct shard {
    const char *name;
    struct st_tensor *t;
    uint64_t n;
    struct mf_part *part;
};

struct shards {
    struct shard *v;
    int n;
};

/* ---- files ---- */

static void path_of(const struct hf *h, const char *name, char out[4200])
{
    snprintf(out, 4200, "%s%s", h->folder, name);
}

static bool is_there(const struct hf *h, const char *name)
{
    char path[4200];
    path_of(h, name, path);
    return access(path, F_OK) == 0;
}

/* One more part of the view. */
static int add_part(struct hf *h, const char *name, struct mf_part **out)
{
    char path[4200];
    struct model_file *f = h->f, *one = mf_new();
    path_of(h, name, path);
    f->more[f->n_more++] = one;
    *out = &one->part;
    return mf_part_open(&one->part, path, h->err);
}

int hf_bytes(struct hf *h, const char *name, struct str *out)
{
    struct mf_part *part;
    *out = (struct str){NULL, 0};
    if (!is_there(h, name))
        return 0;
    TRY(add_part(h, name, &part));
    *out = (struct str){(const char *)part->p, part->n};
    return 0;
}

static int parse_json(struct hf *h, const char *name, struct str text, uint64_t max, json_t **out)
{
    json_error_t why;
    if (text.n > max)
        return err_set(h->err, LATHE_E_FILE, "%s%s has %zu bytes; at most %" PRIu64 " are read", h->path,
                       name, text.n, max);
    *out = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &why);
    if (json_is_object(*out))
        return 0;
    bool other = *out != NULL;
    json_decref(*out);
    *out = NULL;
    return err_set(h->err, LATHE_E_FILE, "%s%s is no JSON object: %s (line %d)", h->path, name,
                   other ? "it is another value" : why.text, other ? 1 : why.line);
}

int hf_json(struct hf *h, const char *name, uint64_t max, bool required, json_t **out)
{
    struct str text;
    *out = NULL;
    TRY(hf_bytes(h, name, &text));
    if (!text.p)
        return required ? err_set(h->err, LATHE_E_FILE, "%s has no %s, which a Hugging Face folder needs",
                                  h->path, name)
                        : 0;
    return parse_json(h, name, text, max, out);
}

bool hf_is_index(const char *path)
{
    size_t n = strlen(path), suffix = strlen(INDEX_SUFFIX);
    return n > suffix && strcmp(path + n - suffix, INDEX_SUFFIX) == 0;
}

/* ---- which files have the tensors ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct shard *)a)->name, ((const struct shard *)b)->name);
}

static int add_shard(struct hf *h, struct shards *s, const char *name)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->v[i].name, name) == 0)
            return 0;
    if (!name[0] || strchr(name, '/') || strcmp(name, "..") == 0)
        return err_set(h->err, LATHE_E_FILE,
                       "%s: the index names the file '%.100s', which is not one of this folder", h->path,
                       name);
    if (s->n == MF_MAX_PART)
        return err_set(h->err, LATHE_E_FILE, "%s: the index names more than %d files", h->path, MF_MAX_PART);
    s->v = mem_grow(s->v, (size_t)(s->n + 1) * sizeof *s->v);
    s->v[s->n++] = (struct shard){.name = arena_dup(&h->f->arena, name, strlen(name))};
    return 0;
}

static int read_index(struct hf *h, const json_t *index, struct shards *s)
{
    const char *name;
    json_t *file, *map = json_object_get(index, "weight_map");
    if (!json_is_object(map) || json_object_size(map) == 0)
        return err_set(h->err, LATHE_E_FILE, "%s: the index has no weight_map; download it again", h->path);
    json_object_foreach(map, name, file)
    {
        if (!json_is_string(file))
            return err_set(h->err, LATHE_E_FILE, "%s: the index gives %.100s no file; download it again",
                           h->path, name);
        TRY(add_shard(h, s, json_string_value(file)));
    }
    qsort(s->v, (size_t)s->n, sizeof *s->v, by_name);
    return 0;
}

/* The index and the files say the same. What is found is taken out of the index: what is left is in no file. */
static int check_index(struct hf *h, json_t *index, const struct shards *s)
{
    json_t *map = json_object_get(index, "weight_map"), *file;
    const char *name;
    for (int i = 0; i < s->n; i++)
        for (uint64_t k = 0; k < s->v[i].n; k++) {
            const char *tensor = s->v[i].t[k].name, *place = json_string_value(json_object_get(map, tensor));
            if (!place || strcmp(place, s->v[i].name) != 0)
                return err_set(
                    h->err, LATHE_E_FILE,
                    "%s: %.60s has tensor %.100s, which the index has %s%.60s; a file is of another model",
                    h->path, s->v[i].name, tensor, place ? "in " : "not", place ? place : "");
            json_object_del(map, tensor);
        }
    json_object_foreach(map, name, file)
    {
        return err_set(h->err, LATHE_E_FILE,
                       "%s: the index has tensor %.100s in %.60s, which has it not; download it again",
                       h->path, name, json_string_value(file));
    }
    return 0;
}

static int read_shards(struct hf *h, struct shards *s, uint64_t *n)
{
    *n = 0;
    for (int i = 0; i < s->n; i++) {
        TRY(add_part(h, s->v[i].name, &s->v[i].part));
        if (!safetensors_looks_like(s->v[i].part->p, s->v[i].part->n)) {
            const char *what = mf_sniff(s->v[i].part->p, s->v[i].part->n);
            return err_set(h->err, LATHE_E_FILE, "%s%.100s is no safetensors file%s%s", h->path, s->v[i].name,
                           what ? ": " : "; download it again", what ? what : "");
        }
        TRY(safetensors_read(s->v[i].part, &h->f->arena, &s->v[i].t, &s->v[i].n, h->err));
        *n += s->v[i].n;
    }
    if (*n > MF_MAX_TENSOR)
        return err_set(h->err, LATHE_E_FILE, "%s has %" PRIu64 " tensors; %d are allowed", h->path, *n,
                       MF_MAX_TENSOR);
    return 0;
}

static int add_tensors(struct hf *h, const struct shards *s, uint64_t n)
{
    void *table;
    TRY(mem_try(n + SYNTHESIZED + HF_FUSED_MORE * h->n_layer, sizeof *h->f->tensor,
                "tensor table of the model file", &table, h->err));
    h->f->tensor = table;
    for (int i = 0; i < s->n; i++)
        TRY(hf_tensors(h, s->v[i].part, s->v[i].t, s->v[i].n));
    return hf_tensors_end(h);
}

static bool index_has(const json_t *index, const char *file)
{
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(index, "weight_map"), name, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), file) == 0)
            return true;
    }
    return false;
}

/* The index that applies: the one that was named, or that of the folder if there is no single file; a shard that was
 * named stands for all when the index has it. */
static int find_index(struct hf *h, const char *file, json_t **index)
{
    bool named = file && hf_is_index(file);
    *index = NULL;
    if (!file && is_there(h, "model.safetensors"))
        return 0;
    TRY(hf_json(h, named ? file : "model" INDEX_SUFFIX, MAX_INDEX, named, index));
    if (!file && !*index)
        return err_set(
            h->err, LATHE_E_FILE,
            "%s has neither model.safetensors nor model.safetensors.index.json; name the model file",
            h->path);
    if (file && !named && *index && !index_has(*index, file)) {
        json_decref(*index);
        *index = NULL;
    }
    return 0;
}

/* `file` is NULL, or the one that was named. */
static int open_tensors(struct hf *h, const char *file)
{
    struct shards s = {0};
    json_t *index;
    uint64_t n;
    int rc;
    TRY(find_index(h, file, &index));
    TRY_GOTO(index ? read_index(h, index, &s) : add_shard(h, &s, file ? file : "model.safetensors"));
    h->f->more = mem_grow(h->f->more, (size_t)(h->f->n_more + s.n + MORE_FILES) * sizeof *h->f->more);
    TRY_GOTO(read_shards(h, &s, &n));
    if (index)
        TRY_GOTO(check_index(h, index, &s));
    TRY_GOTO(add_tensors(h, &s, n));
done:
    for (int i = 0; i < s.n; i++)
        free(s.v[i].t);
    free(s.v);
    json_decref(index);
    return rc;
}

/* ---- the view ---- */

static int read_folder(struct hf *h, const char *file)
{
    char path[4200];
    h->f->more = mem_new(MORE_FILES * sizeof *h->f->more);
    path_of(h, "config.json", path);
    if (access(path, F_OK))
        return err_set(h->err, LATHE_E_FILE,
                       "%s has no config.json, which a model in safetensors needs; get the whole folder",
                       h->path);
    TRY(mf_part_open(&h->f->part, path, h->err));
    TRY(parse_json(h, "config.json", (struct str){(const char *)h->f->part.p, h->f->part.n}, MAX_CONFIG,
                   &h->whole));
    h->config = h->whole;
    TRY(hf_config(h));
    TRY(open_tensors(h, file));
    TRY(hf_rope(h));
    TRY(hf_tokenizer(h));
    TRY(mf_index_tensors(h->f, h->err));
    return mf_index_meta(h->f, h->err);
}

int hf_open(const char *path, bool file, struct model_file **out, struct lathe_err *err)
{
    const char *slash = strrchr(path, '/'), *named = file ? (slash ? slash + 1 : path) : NULL;
    size_t n = file ? (size_t)(slash ? slash + 1 - path : 0) : strlen(path);
    while (!file && n > 1 && path[n - 1] == '/')
        n--;
    struct hf h = {.err = err};
    *out = NULL;
    if (n + 2 > sizeof h.folder)
        return err_set(err, LATHE_E_FILE, "%s is too long a path", mf_path_tail(path));
    snprintf(h.folder, sizeof h.folder, "%.*s%s", (int)n, n ? path : "./", file ? "" : "/");
    if (n == 0)
        snprintf(h.folder, sizeof h.folder, "./");
    h.path = mf_path_tail(h.folder);
    h.f = mf_new();
    int rc = read_folder(&h, named);
    json_decref(h.whole);
    hf_quant_free(&h);
    if (!rc && model_file_damaged(h.f))
        rc = err_set(err, LATHE_E_FILE,
                     "%s: a file became shorter while it was read; wait until it is written, then try "
                     "again",
                     h.path);
    if (rc) {
        model_file_free(h.f);
        return rc;
    }
    *out = h.f;
    return 0;
}
