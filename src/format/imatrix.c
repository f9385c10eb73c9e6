/* Importance matrices in memory and as a file. */
#include "format/imatrix.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/gguf_write.h"
#include "format/meta_build.h"

#define SUMS ".in_sum2"
#define COUNTS ".counts"

struct entry {
    char *name;
    int n_col, n_mat;
    float *sum, *count; /* [n_mat][n_col], [n_mat] */
    float *mean;        /* [n_mat][n_col] */
};

struct imatrix {
    struct entry *v;
    int n, cap;
};

struct imatrix *imatrix_new(void)
{
    return mem_new(sizeof(struct imatrix));
}

void imatrix_free(struct imatrix *m)
{
    for (int i = 0; m && i < m->n; i++) {
        void *all[] = {m->v[i].name, m->v[i].sum, m->v[i].count, m->v[i].mean};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++)
            free(all[j]);
    }
    if (m)
        free(m->v);
    free(m);
}

int imatrix_n_tensor(const struct imatrix *m)
{
    return m->n;
}

static struct entry *find(const struct imatrix *m, const char *name)
{
    for (int i = m->n - 1; i >= 0; i--) /* what is asked for was often added last */
        if (strcmp(m->v[i].name, name) == 0)
            return &m->v[i];
    return NULL;
}

static struct entry *add_entry(struct imatrix *m, const char *name, size_t n_name, int n_mat, int n_col)
{
    if (m->n == m->cap) {
        m->cap = m->cap ? 2 * m->cap : 64;
        m->v = mem_grow(m->v, (size_t)m->cap * sizeof *m->v);
    }
    struct entry *e = &m->v[m->n++];
    *e = (struct entry){.name = mem_dup(name, n_name), .n_col = n_col, .n_mat = n_mat};
    e->sum = mem_new((size_t)n_mat * (size_t)n_col * sizeof *e->sum);
    e->count = mem_new((size_t)n_mat * sizeof *e->count);
    return e;
}

void imatrix_add(struct imatrix *m, const char *name, int n_mat, int k, const float *x, int64_t stride,
                 int n_row, int n_col)
{
    struct entry *e = find(m, name);
    if (!e)
        e = add_entry(m, name, strlen(name), n_mat, n_col);
    float *sum = e->sum + (size_t)k * (size_t)n_col;
    for (int r = 0; r < n_row; r++)
        for (int i = 0; i < n_col; i++)
            sum[i] += x[r * stride + i] * x[r * stride + i];
    e->count[k] += (float)n_row;
}

struct imatrix_sums imatrix_get(const struct imatrix *m, int i)
{
    const struct entry *e = &m->v[i];
    return (struct imatrix_sums){e->name, e->n_col, e->n_mat, e->sum, e->count};
}

void imatrix_put(struct imatrix *m, const struct imatrix_sums *s)
{
    struct entry *e = add_entry(m, s->name, strlen(s->name), s->n_mat, s->n_col);
    memcpy(e->sum, s->sum, (size_t)s->n_mat * (size_t)s->n_col * sizeof *e->sum);
    memcpy(e->count, s->count, (size_t)s->n_mat * sizeof *e->count);
}

void imatrix_done(struct imatrix *m)
{
    for (int i = 0; i < m->n; i++) {
        struct entry *e = &m->v[i];
        free(e->mean);
        e->mean = mem_new((size_t)e->n_mat * (size_t)e->n_col * sizeof *e->mean);
        for (int k = 0; k < e->n_mat; k++)
            for (int c = 0; c < e->n_col && e->count[k] > 0; c++)
                e->mean[(size_t)k * (size_t)e->n_col + (size_t)c] =
                    e->sum[(size_t)k * (size_t)e->n_col + (size_t)c] / e->count[k];
    }
}

const float *imatrix_find(const struct imatrix *m, const char *name, int k, int n_col)
{
    const struct entry *e = find(m, name);
    if (!e || e->n_col != n_col || k >= e->n_mat || !(e->count[k] > 0))
        return NULL;
    return e->mean + (size_t)k * (size_t)n_col;
}

/* ---- the file ---- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

/* The tensor with the counts of sums t; its numbers and those of t have been looked at. */
static int check_sums(const struct model_file *f, const struct mf_tensor *t, const struct mf_tensor **counts,
                      struct lathe_err *err)
{
    char name[MF_MAX_NAME + 16];
    snprintf(name, sizeof name, "%.*s" COUNTS, (int)(strlen(t->name) - strlen(SUMS)), t->name);
    *counts = model_file_tensor_find(f, name);
    if (!*counts)
        return err_set(err, LATHE_E_FILE, "importance matrix: tensor %.100s is missing", name);
    uint64_t n_mat = t->dim[1] * t->dim[2] * t->dim[3],
             n_count = (*counts)->dim[0] * (*counts)->dim[1] * (*counts)->dim[2] * (*counts)->dim[3];
    if (t->type != FORMAT_F32 || (*counts)->type != FORMAT_F32 || n_count != n_mat || t->dim[0] > INT32_MAX ||
        n_mat > INT32_MAX)
        return err_set(err, LATHE_E_FILE,
                       "importance matrix: tensors %.100s and its counts are not f32 of fitting shapes",
                       t->name);
    return 0;
}

static int check_numbers(const float *v, size_t n, const char *name, struct lathe_err *err)
{
    for (size_t i = 0; i < n; i++)
        if (!(v[i] >= 0) || !isfinite(v[i]))
            return err_set(err, LATHE_E_FILE, "importance matrix: number %zu of tensor %.100s is %g", i, name,
                           (double)v[i]);
    return 0;
}

static int read_sums(const struct model_file *f, const struct mf_tensor *t, struct imatrix *m,
                     struct lathe_err *err)
{
    const struct mf_tensor *counts;
    TRY(check_sums(f, t, &counts, err));
    int n_mat = (int)(t->dim[1] * t->dim[2] * t->dim[3]);
    struct entry *e = add_entry(m, t->name, strlen(t->name) - strlen(SUMS), n_mat, (int)t->dim[0]);
    memcpy(e->sum, t->data, t->n_bytes);
    memcpy(e->count, counts->data, counts->n_bytes);
    TRY(check_numbers(e->sum, (size_t)n_mat * (size_t)e->n_col, t->name, err));
    return check_numbers(e->count, (size_t)n_mat, counts->name, err);
}

static int read_all(const struct model_file *f, struct imatrix *m, struct lathe_err *err)
{
    struct str type = {0};
    TRY(mf_str(f, "general.type", &type, NULL, err));
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        if (ends_in(model_file_tensor(f, i)->name, SUMS))
            TRY(read_sums(f, model_file_tensor(f, i), m, err));
    if (!str_is(type, "imatrix") || !m->n)
        return err_set(
            err, LATHE_E_FILE,
            "%.200s is no importance matrix (GGUF with general.type 'imatrix' and tensors ending in "
            "'" SUMS "')",
            model_file_path(f));
    imatrix_done(m);
    return model_file_damaged(f)
               ? err_set(err, LATHE_E_FILE, "%.200s was cut while it was read", model_file_path(f))
               : 0;
}

int imatrix_read(const char *path, struct imatrix **out, struct lathe_err *err)
{
    struct model_file *f;
    *out = NULL;
    TRY(model_file_open(path, &f, err));
    struct imatrix *m = imatrix_new();
    int rc = read_all(f, m, err);
    model_file_free(f);
    if (rc)
        imatrix_free(m);
    else
        *out = m;
    return rc;
}

static void put_tensor(struct model_file *f, const char *name, const char *end, uint64_t n, uint64_t n_mat,
                       const float *data)
{
    struct mf_tensor *t = &f->tensor[f->n_tensor++];
    size_t room = strlen(name) + strlen(end) + 1;
    *t = (struct mf_tensor){.name = arena_alloc(&f->arena, room),
                            .type = FORMAT_F32,
                            .n_dim = 2,
                            .dim = {n, n_mat, 1, 1},
                            .data = (const uint8_t *)data,
                            .n_bytes = n * n_mat * sizeof *data};
    snprintf(t->name, room, "%s%s", name, end);
}

int imatrix_write(const struct imatrix *m, const char *path, const char *text, int n_chunk, int n_ctx,
                  struct lathe_err *err)
{
    struct model_file *f = mf_new();
    const struct gguf_write o = {0};
    struct buf names;
    uint64_t n_text = strlen(text);
    buf_init(&names, 1 << 20);
    buf_put(&names, &n_text, sizeof n_text);
    buf_put(&names, text, n_text);
    meta_put_str(f, "general.type", STR("imatrix"));
    meta_put_array(f, "imatrix.datasets", MF_STR, 1, names.p, names.n);
    meta_put_u32(f, "imatrix.chunk_count", (uint64_t)n_chunk);
    meta_put_u32(f, "imatrix.chunk_size", (uint64_t)n_ctx);
    f->tensor = mem_new((size_t)(2 * m->n + 1) * sizeof *f->tensor);
    for (int i = 0; i < m->n; i++) {
        const struct entry *e = &m->v[i];
        put_tensor(f, e->name, SUMS, (uint64_t)e->n_col, (uint64_t)e->n_mat, e->sum);
        put_tensor(f, e->name, COUNTS, 1, (uint64_t)e->n_mat, e->count);
    }
    int rc = mf_index_meta(f, err);
    if (!rc)
        rc = mf_index_tensors(f, err);
    if (!rc)
        rc = gguf_write(f, &o, path, err);
    buf_free(&names);
    model_file_free(f);
    return rc;
}
