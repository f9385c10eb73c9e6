/* A tokenizer.json as tokenizer.ggml.*: what its steps are, what goes around a text (ggml has one token in front and one behind), and
 * which tokenizer of ggml that is; each of those has a function that says so, or why not (ggml_vocab.h). */
#include "format/ggml_vocab.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/utf8.h"

#define JSON_KEY "tokenizer.huggingface.json"

/* What was cut to a length may be cut inside of a character. */
static void whole_characters(char *text)
{
    char *to = text;
    uint32_t c;
    for (size_t i = 0, n = strlen(text); i < n;) {
        int step = utf8_get(text + i, n - i, &c);
        memmove(to, text + i, (size_t)step);
        to += step;
        i += step ? (size_t)step : 1;
    }
    *to = 0;
}

/* The first reason counts. */
static void say_once(char *to, size_t n, const char *fmt, va_list ap)
{
    if (to[0])
        return;
    vsnprintf(to, n, fmt, ap);
    whole_characters(to);
}

bool gv_cannot(struct gv *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_once(g->why, sizeof g->why, fmt, ap);
    va_end(ap);
    return false;
}

void gv_differs(struct gv *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say_once(g->differs, sizeof g->differs, fmt, ap);
    va_end(ap);
}

const char *gv_text(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return text ? text : "";
}

const char *gv_step_type(const json_t *step)
{
    return gv_text(step, "type");
}

const char *gv_pattern(const json_t *step, const char *kind)
{
    return gv_text(json_object_get(step, "pattern"), kind);
}

int gv_wrong(struct gv *g, const char *what)
{
    return err_set(g->err, LATHE_E_FILE, "tokenizer.json: %s", what);
}

/* ---- steps ---- */

static int take_steps(struct gv *g, const json_t *j, const char *list, struct gv_steps *out, int depth)
{
    if (!j || json_is_null(j))
        return 0;
    if (!gv_step_type(j)[0])
        return gv_wrong(g, "a step is no object with a 'type'");
    if (strcmp(gv_step_type(j), "Sequence") != 0) {
        if (out->n == GV_MAX_STEP)
            return err_set(g->err, LATHE_E_LIMIT, "tokenizer.json has more than %d %s", GV_MAX_STEP, list);
        out->v[out->n++] = j;
        return 0;
    }
    const json_t *steps = json_object_get(j, list);
    if (depth == GV_MAX_STEP)
        return gv_wrong(g, "sequences of steps are nested too deeply");
    for (size_t i = 0; i < json_array_size(steps); i++)
        TRY(take_steps(g, json_array_get(steps, i), list, out, depth + 1));
    return 0;
}

/* ---- what goes around a text ---- */

static int64_t id_of(const json_t *j)
{
    return json_is_integer(j) ? json_integer_value(j) : -1;
}

static bool put_around(struct gv *g, int64_t id, bool behind)
{
    int64_t *to = behind ? &g->eos : &g->bos;
    int *add = behind ? &g->add_eos : &g->add_bos;
    if (id < 0 || (uint64_t)id >= g->n)
        return gv_cannot(g, "its post-processor names a token that is not there");
    if (*add == 1)
        return gv_cannot(g, "it puts more than one token %s a text", behind ? "behind" : "in front of");
    *to = id;
    *add = 1;
    return true;
}

static bool around_template(struct gv *g, const json_t *j)
{
    const json_t *single = json_object_get(j, "single"), *specials = json_object_get(j, "special_tokens");
    bool behind = false;
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *special = json_object_get(json_array_get(single, i), "SpecialToken");
        const json_t *ids = json_object_get(json_object_get(specials, gv_text(special, "id")), "ids");
        behind |= !special;
        for (size_t k = 0; special && k < json_array_size(ids); k++)
            if (!put_around(g, id_of(json_array_get(ids, k)), behind))
                return false;
    }
    return true;
}

static int around(struct gv *g)
{
    struct gv_steps steps = {0};
    TRY(take_steps(g, json_object_get(g->root, "post_processor"), "processors", &steps, 0));
    for (int i = 0; i < steps.n; i++) {
        const char *type = gv_step_type(steps.v[i]);
        bool pair = strcmp(type, "BertProcessing") == 0 || strcmp(type, "RobertaProcessing") == 0;
        if (strcmp(type, "ByteLevel") == 0)
            continue;
        if (!pair && strcmp(type, "TemplateProcessing") != 0) {
            gv_cannot(g, "GGUF has no post-processor %.40s", type);
            continue;
        }
        g->add_bos = g->add_bos < 0 ? 0 : g->add_bos;
        g->add_eos = g->add_eos < 0 ? 0 : g->add_eos;
        if (!pair) {
            around_template(g, steps.v[i]);
            continue;
        }
        put_around(g, id_of(json_array_get(json_object_get(steps.v[i], "cls"), 1)), false);
        put_around(g, id_of(json_array_get(json_object_get(steps.v[i], "sep"), 1)), true);
    }
    return 0;
}

/* ---- all of it ---- */

/* Which tokenizer of ggml it is; false: none. */
static bool find_kind(struct gv *g)
{
    static const struct {
        const char *model;
        bool (*is)(struct gv *g);
    } kinds[] = {{"Unigram", gv_unigram}, {"WordPiece", gv_pieces}};
    const char *type = gv_step_type(g->model);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].model) == 0)
            return kinds[i].is(g);
    if (strcmp(type, "BPE") != 0 && !(type[0] == 0 && json_object_get(g->model, "merges")))
        return gv_cannot(g, "GGUF has no model of words '%.40s'", type);
    for (int i = 0; i < g->pre.n; i++)
        if (strcmp(gv_step_type(g->pre.v[i]), "ByteLevel") == 0)
            return gv_bytes(g);
    return gv_sentences(g);
}

static int translate(struct gv *g)
{
    if (!json_is_object(g->root) || !json_is_object(g->model))
        return gv_wrong(g, "it is no JSON object with a model");
    TRY(take_steps(g, json_object_get(g->root, "normalizer"), "normalizers", &g->norm, 0));
    TRY(take_steps(g, json_object_get(g->root, "pre_tokenizer"), "pretokenizers", &g->pre, 0));
    TRY(take_steps(g, json_object_get(g->root, "decoder"), "decoders", &g->dec, 0));
    TRY(gv_tokens(g));
    TRY(around(g));
    find_kind(g);
    if (g->why[0])
        return 0;
    gv_strips(g);
    TRY(gv_keys(g));
    if (!g->why[0] && !g->differs[0])
        gv_drop(g->f, JSON_KEY);
    return 0;
}

int ggml_vocab(struct model_file *f, char note[400], struct lathe_err *err)
{
    const struct mf_meta *m = model_file_find(f, JSON_KEY);
    struct gv g = {.f = f,
                   .prefix = -1,
                   .pre_name = "default",
                   .bos = -1,
                   .eos = -1,
                   .unk = -1,
                   .add_bos = -1,
                   .add_eos = -1,
                   .err = err};
    note[0] = 0;
    if (!m || m->kind != MF_STR || model_file_find(f, "tokenizer.ggml.model"))
        return 0;
    struct str text = mf_meta_str(m);
    json_t *root = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL);
    g.root = root;
    g.model = json_object_get(root, "model");
    int rc = translate(&g);
    if (!rc)
        rc = mf_index_meta(f, err);
    if (!rc && g.why[0])
        snprintf(note, 400, "other programs cannot read the tokenizer of this file: %s", g.why);
    else if (!rc && g.differs[0])
        snprintf(note, 400, "other programs read a few texts as other tokens than this one: %s", g.differs);
    else if (!rc && g.beyond[0])
        snprintf(note, 400, "tokens that the model has no row for are left out: %s", g.beyond);
    json_decref(root);
    free(g.token);
    free(g.score);
    return rc;
}
