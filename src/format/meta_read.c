/* Typed reads of metadata: the value fits or the error names key and value. */
#include "format/view.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A number of any kind: an integer as sign and magnitude range of i64/u64, or a double. */
struct number {
    enum { INTEGER, NEGATIVE, FLOAT } is;
    uint64_t u; /* INTEGER */
    int64_t i;  /* NEGATIVE */
    double d;   /* FLOAT */
};

#define LOAD(type, name) \
    type name;           \
    memcpy(&name, p, sizeof name)
#define LOAD_SIGNED(type)                                                \
    {                                                                    \
        LOAD(type, v);                                                   \
        return v < 0 ? (struct number){.is = NEGATIVE, .i = v}           \
                     : (struct number){.is = INTEGER, .u = (uint64_t)v}; \
    }
#define LOAD_UNSIGNED(type)                            \
    {                                                  \
        LOAD(type, v);                                 \
        return (struct number){.is = INTEGER, .u = v}; \
    }
#define LOAD_FLOAT(type)                                     \
    {                                                        \
        LOAD(type, v);                                       \
        return (struct number){.is = FLOAT, .d = (double)v}; \
    }

static bool is_number(enum mf_kind kind)
{
    return kind != MF_STR && kind != MF_ARRAY;
}

static struct number load(enum mf_kind kind, const void *p)
{
    switch (kind) {
    case MF_I8:
        LOAD_SIGNED(int8_t)
    case MF_I16:
        LOAD_SIGNED(int16_t)
    case MF_I32:
        LOAD_SIGNED(int32_t)
    case MF_I64:
        LOAD_SIGNED(int64_t)
    case MF_U16:
        LOAD_UNSIGNED(uint16_t)
    case MF_U32:
        LOAD_UNSIGNED(uint32_t)
    case MF_U64:
        LOAD_UNSIGNED(uint64_t)
    case MF_F32:
        LOAD_FLOAT(float)
    case MF_F64:
        LOAD_FLOAT(double)
    default: /* MF_U8, MF_BOOL */
        LOAD_UNSIGNED(uint8_t)
    }
}

static int wrong_kind(const struct model_file *f, const struct mf_meta *m, const char *want,
                      struct lathe_err *err)
{
    return err_set(err, LATHE_E_FILE, "%s: metadata " STR_FMT " is %s%s; it must be %s",
                   mf_path_tail(f->part.path), STR_ARG(m->key),
                   m->kind == MF_ARRAY ? "an array of " : "of type ",
                   mf_kind_name(m->kind == MF_ARRAY ? m->elem : m->kind), want);
}

static int out_of_range(const struct model_file *f, const struct mf_meta *m, struct number v,
                        const char *want, struct lathe_err *err)
{
    char text[40];
    if (v.is == FLOAT)
        snprintf(text, sizeof text, "%g", v.d);
    else if (v.is == NEGATIVE)
        snprintf(text, sizeof text, "%" PRId64, v.i);
    else
        snprintf(text, sizeof text, "%" PRIu64, v.u);
    return err_set(err, LATHE_E_FILE, "%s: metadata " STR_FMT " is %s; it must be %s",
                   mf_path_tail(f->part.path), STR_ARG(m->key), text, want);
}

/* Finds a key; absent is 0 with *m NULL. */
static const struct mf_meta *find(const struct model_file *f, const char *key, bool *has)
{
    const struct mf_meta *m = model_file_find(f, key);
    if (has)
        *has = m != NULL;
    return m;
}

static int read_uint(const struct model_file *f, const char *key, uint64_t max, const char *want,
                     uint64_t *out, bool *has, struct lathe_err *err)
{
    const struct mf_meta *m = find(f, key, has);
    if (!m)
        return 0;
    if (!is_number(m->kind) || m->kind == MF_BOOL || m->kind == MF_F32 || m->kind == MF_F64)
        return wrong_kind(f, m, want, err);
    struct number v = load(m->kind, m->data);
    if (v.is != INTEGER || v.u > max)
        return out_of_range(f, m, v, want, err);
    *out = v.u;
    return 0;
}

int mf_u32(const struct model_file *f, const char *key, uint32_t *out, bool *has, struct lathe_err *err)
{
    uint64_t v = *out;
    TRY(read_uint(f, key, UINT32_MAX, "an integer from 0 to 4294967295", &v, has, err));
    *out = (uint32_t)v;
    return 0;
}

int mf_u64(const struct model_file *f, const char *key, uint64_t *out, bool *has, struct lathe_err *err)
{
    return read_uint(f, key, UINT64_MAX, "an integer that is not negative", out, has, err);
}

int mf_f32(const struct model_file *f, const char *key, float *out, bool *has, struct lathe_err *err)
{
    const struct mf_meta *m = find(f, key, has);
    if (!m)
        return 0;
    if (m->kind != MF_F32 && m->kind != MF_F64)
        return wrong_kind(f, m, "f32 or f64", err);
    struct number v = load(m->kind, m->data);
    if (!isfinite((float)v.d))
        return out_of_range(f, m, v, "finite", err);
    *out = (float)v.d;
    return 0;
}

int mf_bool(const struct model_file *f, const char *key, bool *out, bool *has, struct lathe_err *err)
{
    const struct mf_meta *m = find(f, key, has);
    if (!m)
        return 0;
    if (m->kind != MF_BOOL)
        return wrong_kind(f, m, "a bool", err);
    *out = *(const uint8_t *)m->data != 0;
    return 0;
}

struct str mf_load_str(const uint8_t *p, const uint8_t *end)
{
    uint64_t n;
    if ((size_t)(end - p) < sizeof n)
        return (struct str){(const char *)end, 0};
    memcpy(&n, p, sizeof n);
    if (n > (uint64_t)(end - p) - sizeof n)
        n = (uint64_t)(end - p) - sizeof n;
    return (struct str){(const char *)p + sizeof n, (size_t)n};
}

struct str mf_meta_str(const struct mf_meta *m)
{
    if (m->plain)
        return (struct str){m->data, m->n_bytes};
    return mf_load_str(m->data, (const uint8_t *)m->data + m->n_bytes);
}

int mf_str(const struct model_file *f, const char *key, struct str *out, bool *has, struct lathe_err *err)
{
    const struct mf_meta *m = find(f, key, has);
    if (!m)
        return 0;
    if (m->kind != MF_STR)
        return wrong_kind(f, m, "a string", err);
    *out = mf_meta_str(m);
    return 0;
}

/* ---- arrays ---- */

/* Finds an array of numbers and allocates its converted form; *m is NULL if absent. */
static int array_begin(const struct model_file *f, const char *key, bool floats, size_t size,
                       const struct mf_meta **out, void **v, uint64_t *n, struct lathe_err *err)
{
    const struct mf_meta *m = model_file_find(f, key);
    *v = NULL;
    *n = 0;
    *out = m;
    if (!m)
        return 0;
    if (m->kind != MF_ARRAY || !is_number(m->elem) || (!floats && (m->elem == MF_F32 || m->elem == MF_F64)))
        return wrong_kind(f, m, floats ? "an array of numbers" : "an array of integers", err);
    TRY(mem_try(m->n, size, key, v, err));
    *n = m->n;
    return 0;
}

int mf_i32s(const struct model_file *f, const char *key, int32_t **out, uint64_t *n, struct lathe_err *err)
{
    const struct mf_meta *m;
    void *v;
    *out = NULL;
    TRY(array_begin(f, key, false, sizeof **out, &m, &v, n, err));
    int32_t *to = v;
    for (uint64_t i = 0; i < *n; i++) {
        struct number x = load(m->elem, (const uint8_t *)m->data + i * (uint64_t)mf_kind_bytes(m->elem));
        if (x.is == INTEGER ? x.u > INT32_MAX : x.i < INT32_MIN) {
            free(v);
            *n = 0;
            return out_of_range(f, m, x, "an array of integers of 32 bits", err);
        }
        to[i] = x.is == INTEGER ? (int32_t)x.u : (int32_t)x.i;
    }
    *out = to;
    return 0;
}

int mf_f32s(const struct model_file *f, const char *key, float **out, uint64_t *n, struct lathe_err *err)
{
    const struct mf_meta *m;
    void *v;
    *out = NULL;
    TRY(array_begin(f, key, true, sizeof **out, &m, &v, n, err));
    float *to = v;
    for (uint64_t i = 0; i < *n; i++) {
        struct number x = load(m->elem, (const uint8_t *)m->data + i * (uint64_t)mf_kind_bytes(m->elem));
        to[i] = x.is == FLOAT ? (float)x.d : x.is == INTEGER ? (float)x.u : (float)x.i;
        if (isnan(to[i])) {
            free(v);
            *n = 0;
            return out_of_range(f, m, x, "an array without NaN", err);
        }
    }
    *out = to;
    return 0;
}

int mf_strs(const struct model_file *f, const char *key, struct str **out, uint64_t *n, struct lathe_err *err)
{
    const struct mf_meta *m = model_file_find(f, key);
    void *v;
    *out = NULL;
    *n = 0;
    if (!m)
        return 0;
    if (m->kind != MF_ARRAY || m->elem != MF_STR)
        return wrong_kind(f, m, "an array of strings", err);
    TRY(mem_try(m->n, sizeof **out, key, &v, err));
    *out = v;
    *n = m->n;
    const uint8_t *p = m->data;
    for (uint64_t i = 0; i < m->n; i++) {
        (*out)[i] = mf_load_str(p, (const uint8_t *)m->data + m->n_bytes);
        p = (const uint8_t *)(*out)[i].p + (*out)[i].n;
    }
    return 0;
}
