/* Safetensors: a header in JSON, then the data.
 *
 *     u64 n | n bytes of JSON, blanks at its end | data
 *     {"__metadata__": {"format": "pt"}, "NAME": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}
 *
 * Offsets count from the start of the data. The format allows a header of 100 MB, no holes and no overlap; that data is
 * aligned is a habit of writers, not a promise. The number of values in the header is bounded before it is parsed, since
 * a parsed value takes many times the bytes of its text. */
#include "format/safetensors.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_HEADER = 100000000, VALUES_PER_TENSOR = 16 };

static const struct dtype {
    const char *name;
    int bits;
    uint32_t type;
} dtypes[] = {
    {"F32", 32, 0},
    {"F16", 16, 1},
    {"BF16", 16, 30},
    {"F64", 64, 28},
    {"I8", 8, 24},
    {"I16", 16, 25},
    {"I32", 32, 26},
    {"I64", 64, 27},
    {"U8", 8, ST_NO_TYPE},
    {"U16", 16, ST_NO_TYPE},
    {"U32", 32, ST_NO_TYPE},
    {"U64", 64, ST_NO_TYPE},
    {"BOOL", 8, ST_NO_TYPE},
    {"F8_E4M3", 8, ST_NO_TYPE},
    {"F8_E5M2", 8, ST_NO_TYPE},
    {"F8_E8M0", 8, ST_NO_TYPE},
    {"F6_E2M3", 6, ST_NO_TYPE},
    {"F6_E3M2", 6, ST_NO_TYPE},
    {"F4", 4, ST_NO_TYPE},
    {"C64", 64, ST_NO_TYPE},
};

struct reader {
    const struct mf_part *part;
    const char *path; /* for errors */
    const uint8_t *data;
    uint64_t n_data;
    struct lathe_err *err;
};

bool safetensors_looks_like(const uint8_t *p, uint64_t n)
{
    return n > 9 && p[8] == '{' && p[7] == 0 && p[6] == 0;
}

/* ---- one entry ---- */

static int read_shape(const struct reader *r, const char *name, const json_t *shape, struct st_tensor *t,
                      uint64_t *n_elem)
{
    if (!json_is_array(shape) || json_array_size(shape) > ST_MAX_DIM)
        return mf_bad_tensor(r->err, r->path, name, "has no shape of at most %d dimensions", ST_MAX_DIM);
    t->n_dim = (int)json_array_size(shape);
    *n_elem = 1;
    for (int i = 0; i < t->n_dim; i++) {
        const json_t *dim = json_array_get(shape, (size_t)i);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            return mf_bad_tensor(r->err, r->path, name, "has a dimension %d that is no size", i);
        t->dim[i] = (uint64_t)json_integer_value(dim);
        if (!mem_mul(*n_elem, t->dim[i], n_elem))
            return mf_bad_tensor(r->err, r->path, name, "has more than 2^64 elements");
    }
    return 0;
}

static int read_place(const struct reader *r, const char *name, const json_t *offsets, struct st_tensor *t)
{
    const json_t *from = json_array_get(offsets, 0), *to = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(from) || !json_is_integer(to))
        return mf_bad_tensor(r->err, r->path, name, "has data_offsets that are not two numbers");
    int64_t a = json_integer_value(from), b = json_integer_value(to);
    if (a < 0 || b < a || (uint64_t)b > r->n_data)
        return mf_bad_tensor(r->err, r->path, name,
                             "has data_offsets [%" PRId64 ", %" PRId64 "], but there are %" PRIu64
                             " bytes of data",
                             a, b, r->n_data);
    t->data = r->data + a;
    t->n_bytes = (uint64_t)(b - a);
    return 0;
}

static int read_dtype(const struct reader *r, const char *name, const json_t *value, struct st_tensor *t,
                      int *bits)
{
    const char *dtype = json_string_value(value);
    for (size_t i = 0; dtype && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtype, dtypes[i].name) == 0) {
            t->dtype = dtypes[i].name;
            t->type = dtypes[i].type;
            *bits = dtypes[i].bits;
            return 0;
        }
    return err_set(r->err, LATHE_E_UNSUPPORTED, "%s: tensor %.100s has dtype '%.40s', which is not known",
                   r->path, name, dtype ? dtype : "");
}

static int read_tensor(const struct reader *r, const char *name, const json_t *entry, struct st_tensor *t)
{
    uint64_t n_elem = 0, n_bits;
    int bits = 0;
    const char *key;
    json_t *value;
    if (!json_is_object(entry))
        return mf_bad_tensor(r->err, r->path, name, "is described by something that is no object");
    json_object_foreach((json_t *)entry, key, value)
    {
        if (strcmp(key, "dtype") != 0 && strcmp(key, "shape") != 0 && strcmp(key, "data_offsets") != 0)
            return mf_bad_tensor(r->err, r->path, name, "has a property '%.40s', which is not known", key);
    }
    TRY(read_dtype(r, name, json_object_get(entry, "dtype"), t, &bits));
    TRY(read_shape(r, name, json_object_get(entry, "shape"), t, &n_elem));
    TRY(read_place(r, name, json_object_get(entry, "data_offsets"), t));
    if (!mem_mul(n_elem, (uint64_t)bits, &n_bits) || n_bits % 8 || n_bits / 8 != t->n_bytes)
        return mf_bad_tensor(r->err, r->path, name,
                             "has %" PRIu64 " elements of %s and %" PRIu64 " bytes of data", n_elem, t->dtype,
                             t->n_bytes);
    return 0;
}

/* ---- all of them ---- */

static int by_place(const void *a, const void *b)
{
    const struct st_tensor *x = a, *y = b;
    if (x->data != y->data)
        return x->data < y->data ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

static int check_places(const struct reader *r, const struct st_tensor *t, uint64_t n)
{
    const uint8_t *end = r->data;
    for (uint64_t i = 0; i < n; i++) {
        if (t[i].data != end)
            return mf_bad_tensor(r->err, r->path, t[i].name,
                                 "begins at byte %" PRIu64
                                 " of the data, but the one before it ends at %" PRIu64,
                                 (uint64_t)(t[i].data - r->data), (uint64_t)(end - r->data));
        end += t[i].n_bytes;
    }
    if (end != r->data + r->n_data)
        return err_set(r->err, LATHE_E_FILE,
                       "%s: its tensors end at byte %" PRIu64 " of the data, which has %" PRIu64
                       "; the file is cut or damaged, download it again",
                       r->path, (uint64_t)(end - r->data), r->n_data);
    return 0;
}

static int check_metadata(const struct reader *r, json_t *metadata)
{
    const char *key;
    json_t *value;
    if (metadata && !json_is_object(metadata))
        return err_set(r->err, LATHE_E_FILE, "%s: __metadata__ is no object; the file is damaged", r->path);
    json_object_foreach(metadata, key, value)
    {
        if (!json_is_string(value))
            return err_set(r->err, LATHE_E_FILE,
                           "%s: __metadata__ has '%.60s', which is no string; the file is damaged", r->path,
                           key);
    }
    return 0;
}

static int read_entries(const struct reader *r, json_t *header, struct arena *arena, struct st_tensor *t,
                        uint64_t *n)
{
    const char *name;
    json_t *entry;
    TRY(check_metadata(r, json_object_get(header, "__metadata__")));
    json_object_foreach(header, name, entry)
    {
        size_t len = strlen(name);
        if (strcmp(name, "__metadata__") == 0)
            continue;
        if (len == 0 || len > MF_MAX_NAME)
            return mf_bad_tensor(r->err, r->path, name, "has a name of %zu bytes; 1 to %d are allowed", len,
                                 MF_MAX_NAME);
        TRY(read_tensor(r, name, entry, &t[*n]));
        t[*n].name = arena_dup(arena, name, len);
        (*n)++;
    }
    qsort(t, *n, sizeof *t, by_place);
    return check_places(r, t, *n);
}

/* ---- the header ---- */

static int check_size(const struct reader *r, uint64_t n_header)
{
    uint64_t n_value = 0;
    if (n_header > MAX_HEADER || n_header > r->part->n - 8)
        return err_set(r->err, LATHE_E_FILE,
                       "%s: its header has %" PRIu64 " bytes; the file has %" PRIu64
                       " and the format allows %d; it is cut or damaged, download it again",
                       r->path, n_header, r->part->n, MAX_HEADER);
    for (uint64_t i = 0; i < n_header; i++)
        n_value += r->part->p[8 + i] == ',';
    if (n_value > (uint64_t)MF_MAX_TENSOR * VALUES_PER_TENSOR)
        return err_set(r->err, LATHE_E_FILE,
                       "%s: its header has %" PRIu64 " values, more than %d tensors need", r->path, n_value,
                       MF_MAX_TENSOR);
    return 0;
}

int safetensors_read(const struct mf_part *part, struct arena *arena, struct st_tensor **out, uint64_t *n,
                     struct lathe_err *err)
{
    struct reader r = {.part = part, .path = mf_path_tail(part->path), .err = err};
    uint64_t n_header;
    json_error_t why;
    void *t = NULL;
    *out = NULL;
    *n = 0;
    if (part->n < 8)
        return err_set(err, LATHE_E_FILE, "%s has %" PRIu64 " bytes, which is no safetensors file", r.path,
                       part->n);
    memcpy(&n_header, part->p, sizeof n_header);
    TRY(check_size(&r, n_header));
    r.data = part->p + 8 + n_header;
    r.n_data = part->n - 8 - n_header;
    json_t *header = json_loadb((const char *)part->p + 8, n_header, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(header)) {
        err_set(err, LATHE_E_FILE, "%s: its header is no JSON object: %s at byte %d; the file is damaged",
                r.path, header ? "another value" : why.text, header ? 0 : why.position);
        json_decref(header);
        return LATHE_E_FILE;
    }
    int rc = mem_try(json_object_size(header), sizeof **out, "tensor table of the model file", &t, err);
    if (!rc)
        rc = read_entries(&r, header, arena, t, n);
    json_decref(header);
    if (rc) {
        free(t);
        return rc;
    }
    *out = t;
    return 0;
}
