/* The public view of a model file (lathe_file_*): what it holds, whether lathe can run it or not. */
#include "format/view.h"
#include "quant/format.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lathe_file {
    struct model_file *f;
    char (*unknown)[16]; /* "type 42" for each tensor of a type without a row */
};

int lathe_file_open(const char *path, lathe_file **out, struct lathe_err *err)
{
    void *unknown;
    struct model_file *f;
    *out = NULL;
    TRY(model_file_open(path, &f, err));
    int rc = mem_try(f->n_tensor, 16, "names of tensor types", &unknown, err);
    if (rc) {
        model_file_free(f);
        return rc;
    }
    lathe_file *file = mem_new(sizeof *file);
    file->f = f;
    file->unknown = unknown;
    for (uint64_t i = 0; i < f->n_tensor; i++)
        snprintf(file->unknown[i], 16, "type %" PRIu32, f->tensor[i].type);
    *out = file;
    return 0;
}

void lathe_file_free(lathe_file *file)
{
    if (!file)
        return;
    model_file_free(file->f);
    free(file->unknown);
    free(file);
}

const char *lathe_file_left_out(const lathe_file *file)
{
    return model_file_left_out(file->f);
}

uint64_t lathe_file_n_meta(const lathe_file *file)
{
    return file->f->n_meta;
}

const char *lathe_file_str(const lathe_file *file, const char *key, size_t *n_bytes)
{
    struct str value = {NULL, 0};
    if (mf_str(file->f, key, &value, NULL, NULL))
        value = (struct str){NULL, 0};
    *n_bytes = value.n;
    return value.p;
}

uint64_t lathe_file_n_tensor(const lathe_file *file)
{
    return file->f->n_tensor;
}

int lathe_file_tensor_at(const lathe_file *file, uint64_t i, struct lathe_file_tensor *out)
{
    const struct mf_tensor *t = model_file_tensor(file->f, i);
    if (!t)
        return LATHE_E_USAGE;
    const struct format *fmt = format_by_id(t->type);
    *out = (struct lathe_file_tensor){.name = t->name,
                                      .type = fmt ? fmt->name : file->unknown[i],
                                      .runnable = fmt && fmt->runs,
                                      .n_dim = t->n_dim,
                                      .n_bytes = t->n_bytes};
    memcpy(out->dim, t->dim, sizeof out->dim);
    return 0;
}

/* ---- values as text ---- */

enum { MAX_SHOWN = 8, MAX_ELEM = 40 }; /* array elements shown, bytes of a string among them */

/* Bytes of the whole UTF-8 characters in the first n of p. */
static size_t whole_chars(const char *p, size_t n)
{
    size_t i = n;
    while (i > 0 && n - i < 4 && ((unsigned char)p[i - 1] & 0xc0) == 0x80)
        i--;
    if (i == 0 || (unsigned char)p[i - 1] < 0xc0)
        return n;
    unsigned char lead = (unsigned char)p[i - 1];
    size_t len = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    return n - (i - 1) >= len ? n : i - 1;
}

/* A string, control characters as escapes or '?': the text may go to a terminal. Cut with an ellipsis at
 * `max`. */
static void put_text(struct buf *b, struct str s, size_t max)
{
    size_t n = s.n > max ? whole_chars(s.p, max) : s.n;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\n' || c == '\t')
            buf_puts(b, c == '\n' ? "\\n" : "\\t");
        else
            buf_putc(b, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
    if (n < s.n)
        buf_puts(b, "\xe2\x80\xa6");
}

/* Writes the value at p (before `end`) and returns the bytes it has in the file. */
static uint64_t put_value(struct buf *b, enum mf_kind kind, const uint8_t *p, const uint8_t *end, size_t max)
{
    union {
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
        float f32;
        double f64;
    } v;
    if (kind == MF_STR) {
        struct str s = mf_load_str(p, end);
        put_text(b, s, max);
        return (uint64_t)(s.p + s.n - (const char *)p);
    }
    memcpy(&v, p, (size_t)mf_kind_bytes(kind));
    switch (kind) {
    case MF_U8:
        buf_printf(b, "%u", v.u8);
        break;
    case MF_I8:
        buf_printf(b, "%d", v.i8);
        break;
    case MF_U16:
        buf_printf(b, "%u", v.u16);
        break;
    case MF_I16:
        buf_printf(b, "%d", v.i16);
        break;
    case MF_U32:
        buf_printf(b, "%" PRIu32, v.u32);
        break;
    case MF_I32:
        buf_printf(b, "%" PRId32, v.i32);
        break;
    case MF_U64:
        buf_printf(b, "%" PRIu64, v.u64);
        break;
    case MF_I64:
        buf_printf(b, "%" PRId64, v.i64);
        break;
    case MF_F32:
        buf_printf(b, "%.9g", (double)v.f32);
        break;
    case MF_F64:
        buf_printf(b, "%.17g", v.f64);
        break;
    default:
        buf_puts(b, v.u8 ? "true" : "false");
    }
    return (uint64_t)mf_kind_bytes(kind);
}

static void put_array(struct buf *b, const struct mf_meta *m)
{
    buf_printf(b, "[%" PRIu64 "]", m->n);
    if (m->elem == MF_ARRAY) {
        buf_puts(b, " arrays");
        return;
    }
    const uint8_t *p = m->data, *end = p + m->n_bytes;
    for (uint64_t i = 0; i < m->n && i < MAX_SHOWN; i++) {
        buf_puts(b, i ? ", " : " ");
        p += put_value(b, m->elem, p, end, MAX_ELEM);
    }
    if (m->n > MAX_SHOWN)
        buf_puts(b, ", \xe2\x80\xa6");
}

const char *lathe_file_meta(const lathe_file *file, uint64_t i, char *value, size_t n)
{
    const struct mf_meta *m = model_file_meta(file->f, i);
    if (n)
        value[0] = 0;
    if (!m || !n)
        return m ? m->key.p : NULL;
    struct buf b; /* an escape doubles a byte; what is cut below is never more than that */
    buf_init(&b, 2 * n + 1024);
    if (m->kind == MF_ARRAY)
        put_array(&b, m);
    else if (m->kind == MF_STR)
        put_text(&b, mf_meta_str(m), n);
    else
        put_value(&b, m->kind, m->data, (const uint8_t *)m->data + m->n_bytes, n);
    if (b.n >= n) {
        size_t room = n > 4 ? n - 4 : 0, cut = whole_chars(b.p ? b.p : "", room);
        memcpy(value, b.p, cut);
        strcpy(value + cut, n > 4 ? "\xe2\x80\xa6" : "");
    } else if (b.n) {
        memcpy(value, b.p, b.n + 1);
    }
    buf_free(&b);
    return m->key.p;
}
