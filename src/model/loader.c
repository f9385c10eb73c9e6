/* Loading: what architectures declare is found in the file, checked, and collected for the layout. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model/model.h"

static void type_name(uint32_t type, char *out, size_t n)
{
    const struct format *f = format_by_id(type);
    if (f)
        snprintf(out, n, "%s", f->name);
    else
        snprintf(out, n, "type %u", type);
}

static int tensor_shape(struct loader *l, const struct mf_tensor *t, const char *name, int n_row, int n_col)
{
    uint64_t rows = t->dim[1] * t->dim[2] * t->dim[3];
    if (t->dim[0] != (uint64_t)n_col || rows != (uint64_t)n_row)
        return err_set(l->err, LATHE_E_FILE, "tensor %s has %llu x %llu elements, the metadata say %d x %d",
                       name, (unsigned long long)rows, (unsigned long long)t->dim[0], n_row, n_col);
    const struct format *f = format_by_id(t->type);
    if (!f || !f->runs) {
        char type[32], runs[300];
        type_name(t->type, type, sizeof type);
        format_names(runs, sizeof runs);
        return err_set(l->err, LATHE_E_UNSUPPORTED, "tensor %s is %s, which cannot run; types that run: %s",
                       name, type, runs);
    }
    if (n_col % f->block_n)
        return err_set(l->err, LATHE_E_FILE,
                       "tensor %s has %d columns, not a multiple of the %d of a %s block", name, n_col,
                       f->block_n, f->name);
    return 0;
}

/* The tensor's first row of the range: in the file's own order, or the expert's of a tensor in pieces. */
static const uint8_t *first_row(const struct mf_tensor *t, struct row_range rows, int n_col)
{
    const struct format *f = format_by_id(t->type);
    if (t->source)
        return NULL;
    if (t->piece)
        return mf_tensor_piece(t, (uint64_t)(rows.first / rows.n));
    return t->data + (size_t)rows.first * (size_t)(n_col / f->block_n) * (size_t)f->block_bytes;
}

/* That of the rows alone: past them it is zero. */
static int load_bias(struct loader *l, struct matrix *m, struct row_range rows, const char *name)
{
    if (rows.of == rows.n)
        return loader_vector(l, &m->bias, rows.n, false, "%s", name);
    const struct mf_tensor *t = model_file_tensor_find(l->file, name);
    if (!t)
        return 0;
    if (t->dim[0] * t->dim[1] != (uint64_t)rows.of || t->type != FORMAT_F32 || !t->data)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "tensor %s is not %d numbers of F32", name, rows.of);
    float *v = arena_alloc(&l->model->arena, (size_t)(rows.n + LANES) * sizeof *v);
    format_by_id(t->type)->decode(t->data + (size_t)rows.first * sizeof *v, v, rows.n);
    l->model->n_param += (uint64_t)rows.n;
    m->bias = v;
    return 0;
}

/* What multiplies a matrix of a float format. */
static int choose_tile(const struct lathe_model *model, struct matrix *m, struct lathe_err *err)
{
    const struct kern_row *row = kern_choose(KERN_TILE_F32, m->format, KERN_MANY);
    if (model->native && m->format == FORMAT_BF16)
        row = kern_choose_native(KERN_TILE_F32, m->format);
    if (!row)
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "precision native: this CPU has no bf16 dots that passed their check (lathe kernels "
                       "lists them); use portable");
    m->tile = (tile_f32_fn *)row->fn;
    return 0;
}

int matrix_choose_kernels(const struct lathe_model *model, struct matrix *m, struct lathe_err *err)
{
    const struct kern_row *dot = model->exact ? NULL : kern_choose(KERN_TILE_DOT, m->format, KERN_MANY);
    m->panel_bytes = m->panel_stride = panel_bytes(m->format, m->n_col);
    m->dot = dot ? (tile_dot_fn *)dot->fn : NULL;
    m->dot_few = dot ? (tile_dot_fn *)kern_choose(KERN_TILE_DOT, m->format, KERN_ONE)->fn : NULL;
    m->tile = NULL;
    m->unpack = NULL;
    if (format_is_float(m->format))
        return choose_tile(model, m, err);
    m->unpack = (unpack_fn *)kern_choose(KERN_UNPACK, m->format, KERN_MANY)->fn;
    return 0;
}

static int matrix_init(struct loader *l, struct matrix *m, struct row_range rows, int n_col, const char *name)
{
    char full[160];
    int n_row = rows.n;
    snprintf(full, sizeof full, "%s.weight", name);
    const struct mf_tensor *t = model_file_tensor_find(l->file, full);
    if (!t)
        return err_set(l->err, LATHE_E_FILE, "tensor %s is missing", full);
    TRY(tensor_shape(l, t, full, rows.of, n_col));
    *m = (struct matrix){.format = (enum format_id)t->type, .n_row = n_row, .n_col = n_col, .tensor = t};
    m->file_format = m->format;
    if (l->load_as && t->type != l->load_as->id && format_is_float(t->type) &&
        n_col % l->load_as->block_n == 0)
        m->format = (enum format_id)l->load_as->id;
    if ((t->piece || t->source) && (t->dim[2] != (uint64_t)(rows.of / rows.n) || rows.first % rows.n))
        return err_set(l->err, LATHE_E_UNSUPPORTED, "tensor %s is in pieces and cannot run as one matrix",
                       full);
    m->rows = first_row(t, rows, n_col);
    m->piece = rows.first / rows.n;
    m->n_panel = (n_row + LANES - 1) / LANES;
    TRY(matrix_choose_kernels(l->model, m, l->err));
    snprintf(full, sizeof full, "%s.bias", name);
    return load_bias(l, m, rows, full);
}

/* Declares a matrix for the layout. */
static int add_matrix(struct loader *l, struct matrix *m, struct row_range rows, int n_col, const char *name)
{
    TRY(matrix_init(l, m, rows, n_col, name));
    struct matrix_list *list = &l->matrices;
    if (list->n == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->v = mem_grow(list->v, list->cap * sizeof *list->v);
    }
    list->v[list->n++] = m;
    m->offset = list->layout_bytes;
    list->layout_bytes += matrix_bytes(m);
    l->model->n_param += (uint64_t)rows.n * (uint64_t)n_col;
    return 0;
}

int loader_matrix(struct loader *l, struct matrix *m, int n_row, int n_col, const char *fmt, ...)
{
    char name[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return add_matrix(l, m, (struct row_range){0, n_row, n_row}, n_col, name);
}

int loader_rows(struct loader *l, struct matrix *m, struct row_range rows, int n_col, const char *fmt, ...)
{
    char name[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    return add_matrix(l, m, rows, n_col, name);
}

void loader_interleave(struct loader *l)
{
    struct matrix *a = l->matrices.v[l->matrices.n - 2], *b = l->matrices.v[l->matrices.n - 1];
    if (a->format != b->format || a->n_row != b->n_row || a->n_col != b->n_col)
        return;
    b->offset = a->offset + a->panel_bytes;
    a->panel_stride = b->panel_stride = 2 * a->panel_bytes;
}

/* The bias of a row goes with it. */
void loader_halves(struct loader *l, int head_dim, int n_rot)
{
    struct matrix *m = l->matrices.v[l->matrices.n - 1];
    m->head_dim = head_dim;
    m->n_half = n_rot;
    if (!m->bias)
        return;
    float *bias = arena_alloc(&l->model->arena, (size_t)m->n_panel * LANES * sizeof *bias);
    for (int row = 0; row < m->n_row; row++)
        bias[row] = m->bias[mf_half_row((uint64_t)row, (uint64_t)head_dim, (uint64_t)n_rot)];
    m->bias = bias;
}

int loader_embedding(struct loader *l, struct matrix *m, int n_row, int n_col, const char *name)
{
    TRY(matrix_init(l, m, (struct row_range){0, n_row, n_row}, n_col, name));
    l->model->n_param += (uint64_t)n_row * (uint64_t)n_col;
    return 0;
}

int loader_vector(struct loader *l, const float **out, int n, bool required, const char *fmt, ...)
{
    char name[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    const struct mf_tensor *t = model_file_tensor_find(l->file, name);
    *out = NULL;
    if (!t)
        return required ? err_set(l->err, LATHE_E_FILE, "tensor %s is missing", name) : 0;
    TRY(tensor_shape(l, t, name, 1, n));
    float *v = arena_alloc(&l->model->arena, (size_t)(n + LANES) * sizeof *v);
    format_by_id(t->type)->decode(t->data, v, n);
    l->model->n_param += (uint64_t)n;
    *out = v;
    return 0;
}

int loader_head_norm(struct loader *l, const float **out, const char *fmt, int layer)
{
    const struct model_config *c = &l->model->config;
    char name[160];
    const float *in_file;
    snprintf(name, sizeof name, fmt, layer);
    TRY(loader_vector(l, &in_file, c->head_dim, true, "%s", name));
    *out = in_file;
    if (!l->halves)
        return 0;
    float *v = arena_alloc(&l->model->arena, (size_t)(c->head_dim + LANES) * sizeof *v);
    for (int i = 0; i < c->head_dim; i++)
        v[i] = in_file[mf_half_row((uint64_t)i, (uint64_t)c->head_dim, (uint64_t)c->n_rot)];
    *out = v;
    return 0;
}
