/* The public functions over the text room. */
#include <lathe.h>
#include <stdio.h>
#include "base/read_file.h"
#include "text/template.h"
#include "text/vocab_impl.h"

enum { JSON_LIMIT = 512 << 20 };

/* Whether it is JSON: no model file begins like that. */
static bool is_json(const char *path)
{
    char c = 0;
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    while (fread(&c, 1, 1, f) == 1 && strchr(" \t\r\n", c) && c)
        ;
    fclose(f);
    return c == '{';
}

static int open_json(const char *path, lathe_vocab **out, struct lathe_err *err)
{
    struct buf b;
    buf_init(&b, JSON_LIMIT);
    int rc = read_file(path, &b, err);
    if (!rc)
        rc = vocab_load_json((struct str){b.p ? b.p : "", b.n}, out, err);
    buf_free(&b);
    return rc;
}

int lathe_vocab_open(const char *path, lathe_vocab **out, struct lathe_err *err)
{
    struct model_file *f;
    *out = NULL;
    if (is_json(path))
        return open_json(path, out, err);
    TRY(model_file_open(path, &f, err));
    int rc = vocab_load(f, out, err);
    if (rc)
        model_file_free(f);
    else
        (*out)->owned = f;
    return rc;
}

void lathe_vocab_free(lathe_vocab *v)
{
    vocab_free(v);
}

int lathe_vocab_size(const lathe_vocab *v)
{
    return v->n;
}

int lathe_vocab_bos(const lathe_vocab *v)
{
    return v->bos;
}

int lathe_vocab_eos(const lathe_vocab *v)
{
    return v->eos;
}

bool lathe_vocab_is_eog(const lathe_vocab *v, int id)
{
    return vocab_is_eog(v, id);
}

int lathe_tokenize(const lathe_vocab *v, const char *text, size_t n_bytes, int flags, int32_t **ids,
                   size_t *n_ids, struct lathe_err *err)
{
    return vocab_encode(v, text, n_bytes, flags, ids, n_ids, err);
}

int lathe_tokenize_pair(const lathe_vocab *v, const char *first, size_t n_first, const char *second,
                        size_t n_second, int n_most, int32_t **ids, size_t *n_ids, int *second_at,
                        struct lathe_err *err)
{
    return vocab_encode_pair(v, (struct str){first, n_first}, (struct str){second, n_second},
                             n_most > 0 ? (size_t)n_most : 0, ids, n_ids, second_at, err);
}

const char *lathe_token_text(const lathe_vocab *v, int32_t id, bool special, size_t *n_bytes)
{
    struct str s = vocab_piece(v, id, special);
    *n_bytes = s.n;
    return s.p;
}

int lathe_detokenize(const lathe_vocab *v, const int32_t *ids, size_t n_ids, bool special, char **text,
                     size_t *n_bytes, struct lathe_err *err)
{
    return vocab_decode(v, ids, n_ids, special, text, n_bytes, err);
}

#define TEMPLATE_OUT_LIMIT ((size_t)64 << 20)

int lathe_template_render(const char *source, size_t n_source, const char *vars_json, size_t n_vars,
                          const char *date, char **out, size_t *n_out, struct lathe_err *err)
{
    struct buf b;
    *out = NULL;
    *n_out = 0;
    buf_init(&b, TEMPLATE_OUT_LIMIT);
    int rc = template_render((struct str){source, n_source}, (struct str){vars_json, n_vars}, date, &b, err);
    if (!rc)
        *out = buf_take(&b, n_out);
    buf_free(&b);
    return rc;
}
