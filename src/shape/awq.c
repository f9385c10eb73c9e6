/* The search: every power is tried on some panels of 16 rows of each matrix, spread over its rows, as it would be rounded. */
#include "shape/awq.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/detmath.h"
#include "base/mem.h"
#include "base/pool.h"
#include "kern/kern.h"
#include "quant/encode.h"

enum { N_POWER = 16, N_PANEL = 8 };

struct search {
    const struct awq_input *in;
    struct matrix *const *w;
    const struct format *const *type;
    int n_w;
    float *scale;  /* [N_POWER + 1][n] */
    double *error; /* [N_POWER + 1][n_w][N_PANEL] */
};

double awq_error(const struct awq_input *in, const float *e)
{
    double sum = 0;
    for (int t = 0; t < in->n_sample; t += TILE_TOK) {
        float y[TILE_TOK][LANES], square = 0;
        int n = in->n_sample - t < TILE_TOK ? in->n_sample - t : TILE_TOK;
        kern_set()->tile_f32(e, LANES, 0, 1, in->n, in->sample + (int64_t)t * in->n, in->n, n, false, y[0],
                             LANES);
        for (int i = 0; i < n; i++)
            for (int r = 0; r < LANES; r++)
                square += y[i][r] * y[i][r];
        sum += (double)square;
    }
    return sum;
}

/* Size of each column's input, alike where columns share it. */
static void sizes(const struct awq_input *in, float *size)
{
    float *sum = mem_new((size_t)in->n * sizeof *sum);
    int *count = mem_new((size_t)in->n * sizeof *count);
    for (int i = 0; i < in->n; i++) {
        int at = in->share ? in->share[i] : i;
        sum[at] += in->square[i];
        count[at]++;
    }
    for (int i = 0; i < in->n; i++) {
        int at = in->share ? in->share[i] : i;
        size[i] = sqrtf(sum[at] / (float)count[at]);
    }
    free(sum);
    free(count);
}

/* size^power, its extremes equally far from 1. */
static void scale_of(const float *size, int n, float power, float *scale)
{
    float low = INFINITY, high = 0;
    for (int i = 0; i < n; i++) {
        scale[i] = (float)det_pow(size[i] > 1e-4f ? (double)size[i] : 1e-4, (double)power);
        low = scale[i] < low ? scale[i] : low;
        high = scale[i] > high ? scale[i] : high;
    }
    float middle = 1 / sqrtf(low * high);
    for (int i = 0; i < n; i++)
        scale[i] *= middle;
}

/* Piece: a power, a matrix and one of its panels. */
static void try_piece(const struct pool_op *op, int piece, int worker)
{
    const struct search *s = op->arg;
    int n = s->in->n, panel = piece % N_PANEL, w = piece / N_PANEL % s->n_w;
    const float *scale = s->scale + (int64_t)(piece / N_PANEL / s->n_w) * n;
    const struct matrix *m = s->w[w];
    const struct format *type = s->type[w];
    if (!type)
        return;
    int first = (int)((int64_t)m->n_row * panel / N_PANEL),
        n_row = m->n_row - first < LANES ? m->n_row - first : LANES;
    size_t size = (size_t)LANES * (size_t)n;
    float *x = mem_new(size * sizeof *x), *back = mem_new(size * sizeof *back),
          *h = mem_new((size_t)n * sizeof *h), *e = mem_new(size * sizeof *e);
    uint8_t *y = mem_new(size * sizeof(float));
    matrix_rows_f32(m, first, n_row, x);
    for (int i = 0; i < n; i++)
        h[i] = s->in->square[i] / (scale[i] * scale[i]);
    for (int r = 0; r < n_row; r++)
        for (int i = 0; i < n; i++)
            x[(int64_t)r * n + i] *= scale[i];
    format_encode(type, x, h, y, n_row, n);
    type->decode(y, back, (int64_t)n_row * n);
    for (int r = 0; r < n_row; r++)
        for (int i = 0; i < n; i++)
            e[i * LANES + r] = (x[(int64_t)r * n + i] - back[(int64_t)r * n + i]) / scale[i];
    s->error[piece] = awq_error(s->in, e);
    free(x);
    free(back);
    free(h);
    free(e);
    free(y);
}

void awq_search(const struct awq_input *in, struct matrix *const *w, const struct format *const *type,
                int n_w, struct pool *pool, float *scale)
{
    int n_piece = (N_POWER + 1) * n_w * N_PANEL, best = 0;
    double least = INFINITY;
    struct search s = {.in = in, .w = w, .type = type, .n_w = n_w};
    s.scale = mem_new((size_t)(N_POWER + 1) * (size_t)in->n * sizeof *s.scale);
    s.error = mem_new((size_t)n_piece * sizeof *s.error);
    float *size = mem_new((size_t)in->n * sizeof *size);
    sizes(in, size);
    for (int i = 0; i <= N_POWER; i++)
        scale_of(size, in->n, (float)i / N_POWER, s.scale + (int64_t)i * in->n);
    struct pool_op op = {.run = try_piece, .arg = &s, .n_piece = n_piece, .layer = -1, .name = "awq"};
    pool_run(pool, &op, 1);
    pool_settle(pool);
    for (int i = 0; i <= N_POWER; i++) {
        double sum = 0;
        for (int j = 0; j < n_w * N_PANEL; j++)
            sum += s.error[i * n_w * N_PANEL + j];
        if (sum < least) {
            least = sum;
            best = i;
        }
    }
    memcpy(scale, s.scale + (int64_t)best * in->n, (size_t)in->n * sizeof *scale);
    free(s.scale);
    free(s.error);
    free(size);
}
