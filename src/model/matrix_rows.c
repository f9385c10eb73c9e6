/* The rows of a matrix on their way from the file to the layout: most go as they are; rotary halves are reordered, and
 * rows are encoded where another weight type is asked for. */
#include <stdlib.h>
#include <string.h>
#include "model/model.h"

static size_t row_bytes_of(enum format_id format, int n_col)
{
    const struct format *f = format_by_id(format);
    return (size_t)(n_col / f->block_n) * (size_t)f->block_bytes;
}

/* Of a head's rotary part, pair i is rows i and i + n_half / 2 in the file. */
int matrix_file_row(const struct matrix *m, int row)
{
    int in_head = m->n_half ? row % m->head_dim : 0;
    if (in_head >= m->n_half)
        return row;
    return row - in_head + in_head / 2 + in_head % 2 * (m->n_half / 2);
}

const uint8_t *matrix_rows(const struct matrix *m, int first, int n, uint8_t *room, size_t *row_bytes)
{
    size_t from_bytes = row_bytes_of(m->file_format, m->n_col), to_bytes = row_bytes_of(m->format, m->n_col);
    *row_bytes = to_bytes;
    if (matrix_rows_as_they_are(m))
        return m->rows + (size_t)first * from_bytes;
    for (int i = 0; i < n; i++) {
        const uint8_t *from = m->rows + (size_t)matrix_file_row(m, first + i) * from_bytes;
        memcpy(room + (size_t)i * to_bytes, from, to_bytes);
    }
    return room;
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
