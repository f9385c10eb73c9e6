/* The rows of a matrix on their way from the file to the layout: most go as they are; rotary halves are reordered, and
 * rows are encoded where another weight type is asked for. */
#include <stdlib.h>
#include <string.h>
#include "model/model.h"
#include "quant/encode.h"

static size_t row_bytes_of(enum format_id format, int n_col)
{
    const struct format *f = format_by_id(format);
    return (size_t)(n_col / f->block_n) * (size_t)f->block_bytes;
}

/* Columns from the file's order to that of the layout. */
static void reorder(const struct matrix *m, float *values, float *room)
{
    const int32_t *from = m->tensor->order, *to = m->order;
    for (int k = 0; k < m->n_col; k++)
        room[from ? from[k] : k] = values[k];
    for (int k = 0; k < m->n_col; k++)
        values[k] = room[to ? to[k] : k];
}

const uint8_t *matrix_rows(const struct matrix *m, int first, int n, uint8_t *room, size_t *row_bytes)
{
    size_t from_bytes = row_bytes_of(m->file_format, m->n_col), to_bytes = row_bytes_of(m->format, m->n_col);
    *row_bytes = to_bytes;
    if (matrix_rows_as_they_are(m))
        return m->rows + (size_t)first * from_bytes;
    const bool other_order = m->order != m->tensor->order;
    float *values =
        m->format == m->file_format && !other_order ? NULL : mem_new(2 * (size_t)m->n_col * sizeof *values);
    uint8_t *made = m->rows ? NULL : mem_new(from_bytes);
    for (int i = 0; i < n; i++) {
        uint64_t row = (uint64_t)(first + i);
        if (m->n_half)
            row = mf_half_row(row, (uint64_t)m->head_dim, (uint64_t)m->n_half);
        const uint8_t *from = made ? made : m->rows + row * from_bytes;
        if (made)
            mf_tensor_row(m->tensor, (uint64_t)m->piece, (uint64_t)m->first + row, made);
        if (!values) {
            memcpy(room + (size_t)i * to_bytes, from, to_bytes);
            continue;
        }
        format_by_id(m->file_format)->decode(from, values, m->n_col);
        if (other_order)
            reorder(m, values, values + m->n_col);
        format_encode(format_by_id(m->format), values, NULL, room + (size_t)i * to_bytes, 1, m->n_col);
    }
    free(values);
    free(made);
    return room;
}

void matrix_rows_f32(const struct matrix *m, int first, int n, float *out)
{
    struct matrix as = *m;
    size_t row_bytes;
    as.format = FORMAT_F32;
    const uint8_t *rows = matrix_rows(&as, first, n, (uint8_t *)out, &row_bytes);
    if (rows != (const uint8_t *)out)
        memcpy(out, rows, (size_t)n * row_bytes);
}

int64_t matrix_first_row(const struct matrix *m)
{
    if (!m->rows || m->tensor->piece)
        return m->piece * (int64_t)m->tensor->dim[1] + m->first;
    return (m->rows - m->tensor->data) / (int64_t)row_bytes_of(m->file_format, m->n_col);
}

void matrix_row(const struct matrix *m, int row, float *out)
{
    if (m->panels) {
        panel_row(m->format, m->panels + (size_t)(row / LANES) * m->panel_stride, row % LANES, m->n_col, out);
        return;
    }
    size_t row_bytes;
    uint8_t *room = matrix_rows_as_they_are(m) ? NULL : mem_new(row_bytes_of(m->format, m->n_col));
    format_by_id(m->format)->decode(matrix_rows(m, row, 1, room, &row_bytes), out, m->n_col);
    free(room);
}
