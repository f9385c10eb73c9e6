/* A chat as the model reads it: its template rendered, the text tokenized. */
#include <jansson.h>
#include <lathe.h>
#include <stdlib.h>
#include <string.h>
#include "base/json_text.h"
#include "model/model.h"
#include "text/vocab.h"

static void set_spelling(json_t *vars, const char *name, const lathe_vocab *v, int id)
{
    struct str text = vocab_spelling(v, id);
    if (!json_object_get(vars, name))
        json_object_set_new(vars, name, json_text(text.p, text.n));
}

int lathe_chat_render(const lathe_model *m, const char *vars_json, size_t n_vars, const char *date,
                      char **out, size_t *n_out, struct lathe_err *err)
{
    json_error_t why;
    *out = NULL;
    *n_out = 0;
    if (!m->chat_template)
        return err_set(err, LATHE_E_TEMPLATE, "the model has no chat template: it can only continue a text");
    json_t *vars = json_loadb(vars_json, n_vars, 0, &why);
    if (!json_is_object(vars)) {
        json_decref(vars);
        return err_set(err, LATHE_E_USAGE, "the chat's variables are no JSON object");
    }
    set_spelling(vars, "bos_token", m->vocab, lathe_vocab_bos(m->vocab));
    set_spelling(vars, "eos_token", m->vocab, lathe_vocab_eos(m->vocab));
    char *text = json_dumps(vars, JSON_PRESERVE_ORDER);
    json_decref(vars);
    int rc = lathe_template_render(m->chat_template, strlen(m->chat_template), text, strlen(text), date, out,
                                   n_out, err);
    free(text);
    return rc;
}

/* Whether the rendered text already begins with the beginning-of-sequence token: most templates write it. */
static bool begins_with_bos(const lathe_vocab *v, const char *text, size_t n)
{
    struct str bos = vocab_spelling(v, lathe_vocab_bos(v));
    return bos.n > 0 && n >= bos.n && memcmp(text, bos.p, bos.n) == 0;
}

int chat_tokenize_flags(const lathe_vocab *v, const char *text, size_t n)
{
    return LATHE_TOK_SPECIAL | (begins_with_bos(v, text, n) ? 0 : LATHE_TOK_BOS);
}

int lathe_chat_tokenize(const lathe_vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                        struct lathe_err *err)
{
    return lathe_tokenize(v, text, n, chat_tokenize_flags(v, text, n), ids, n_ids, err);
}
