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
    if (!t->data)
        return err_set(l->err, LATHE_E_UNSUPPORTED, "tensor %s is in pieces and cannot run as one matrix",
                       name);
    if (t->dim[0] != (uint64_t)n_col || rows != (uint64_t)n_row)
        return err_set(l->err, LATHE_E_FILE, "tensor %s has %llu x %llu elements, the metadata say %d x %d",
                       name, (unsigned long long)rows, (unsigned long long)t->dim[0], n_row, n_col);
    const struct format *f = format_by_id(t->type);
    if (!f || !f->runs) {
        char type[32];
        type_name(t->type, type, sizeof type);
        return err_set(l->err, LATHE_E_UNSUPPORTED,
                       "tensor %s is %s, which cannot run; types that run: F32 F16 BF16 Q4_0 Q4_1 Q8_0", name,
                       type);
    }
    if (n_col % f->block_n)
        return err_set(l->err, LATHE_E_FILE,
                       "tensor %s has %d columns, not a multiple of the %d of a %s block", name, n_col,
                       f->block_n, f->name);
    return 0;
}

static bool is_float(uint32_t type)
{
    return type == FORMAT_F32 || type == FORMAT_F16 || type == FORMAT_BF16;
}

static int matrix_init(struct loader *l, struct matrix *m, int n_row, int n_col, const char *name)
{
    char full[160];
    snprintf(full, sizeof full, "%s.weight", name);
    const struct mf_tensor *t = model_file_tensor_find(l->file, full);
    if (!t)
        return err_set(l->err, LATHE_E_FILE, "tensor %s is missing", full);
    TRY(tensor_shape(l, t, full, n_row, n_col));
    *m = (struct matrix){.format = (enum format_id)t->type, .n_row = n_row, .n_col = n_col, .tensor = t};
    m->file_format = m->format;
    if (l->load_as && t->type != l->load_as->id && is_float(t->type) && n_col % l->load_as->block_n == 0)
        m->format = (enum format_id)l->load_as->id;
    m->rows = t->data;
    m->n_panel = (n_row + LANES - 1) / LANES;
    m->panel_bytes = m->panel_stride = panel_bytes(m->format, n_col);
    const struct kern_row *dot = l->model->exact ? NULL : kern_choose(KERN_TILE_DOT, m->format);
    m->dot = dot ? (tile_dot_fn *)dot->fn : NULL;
    if (m->format != FORMAT_F32)
        m->unpack = (unpack_fn *)kern_choose(KERN_UNPACK, m->format)->fn;
    snprintf(full, sizeof full, "%s.bias", name);
    return loader_vector(l, &m->bias, n_row, false, "%s", full);
}

int loader_matrix(struct loader *l, struct matrix *m, int n_row, int n_col, const char *fmt, ...)
{
    char name[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    TRY(matrix_init(l, m, n_row, n_col, name));
    struct matrix_list *list = &l->matrices;
    if (list->n == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->v = mem_grow(list->v, list->cap * sizeof *list->v);
    }
    list->v[list->n++] = m;
    m->offset = list->layout_bytes;
    list->layout_bytes += (uint64_t)m->n_panel * m->panel_bytes;
    l->model->n_param += (uint64_t)n_row * (uint64_t)n_col;
    return 0;
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
    TRY(matrix_init(l, m, n_row, n_col, name));
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
