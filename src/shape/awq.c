/* The search. Scales are size^p / weight^q of a column, size that of its input and weight that of its weights (root mean squares), p in
 * eighths from 0 to 1 and q nothing, half or all of what p leaves: Lin et al. search p alone, their program q = 1 - p. Each is tried on
 * some panels of 16 rows of each matrix, spread over its rows, as it would be rounded; the best few, and no scales at all, on more
 * of them. */
#include "shape/awq.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/detmath.h"
#include "base/mem.h"
#include "base/pool.h"
#include "kern/kern.h"
#include "quant/encode.h"

enum {
    N_POWER = 8,
    N_SHARE = 3,
    N_SCALE = N_POWER * N_SHARE + 1,
    FIRST_PANELS = 6,
    N_FINAL = 4,
    FINAL_PANELS = 24
};

struct search {
    const struct awq_input *in;
    struct matrix *const *w;
    const struct format *const *type;
    int n_w, n_panel;
    float *scale;        /* [N_SCALE][n] */
    int tried[N_SCALE];  /* which of them */
    double *error;       /* [tried][n_w][n_panel] */
    double sum[N_SCALE]; /* of each that was tried */
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

/* Roots of the mean squares, alike where columns share a scale. */
static void roots(const struct awq_input *in, const float *square, float *root)
{
    float *sum = mem_new((size_t)in->n * sizeof *sum);
    int *count = mem_new((size_t)in->n * sizeof *count);
    for (int i = 0; i < in->n; i++) {
        int at = in->share ? in->share[i] : i;
        sum[at] += square[i];
        count[at]++;
    }
    for (int i = 0; i < in->n; i++) {
        int at = in->share ? in->share[i] : i;
        root[i] = sqrtf(sum[at] / (float)count[at]);
    }
    free(sum);
    free(count);
}

static int first_row(const struct matrix *m, int panel, int n_panel)
{
    return (int)((int64_t)m->n_row * panel / n_panel) / LANES * LANES;
}

static int rows_at(const struct matrix *m, int first)
{
    return m->n_row - first < LANES ? m->n_row - first : LANES;
}

/* Squares of each column's weights, over the panels of all matrices. */
static void weight_squares(const struct search *s, float *square)
{
    int n = s->in->n;
    float *x = mem_new((size_t)LANES * (size_t)n * sizeof *x);
    for (int i = 0; i < s->n_w; i++)
        for (int panel = 0; panel < FINAL_PANELS && s->type[i]; panel++) {
            int first = first_row(s->w[i], panel, FINAL_PANELS), n_row = rows_at(s->w[i], first);
            matrix_rows_f32(s->w[i], first, n_row, x);
            for (int r = 0; r < n_row; r++)
                for (int k = 0; k < n; k++)
                    square[k] += x[(int64_t)r * n + k] * x[(int64_t)r * n + k];
        }
    free(x);
}

/* size^p / weight^q, its extremes equally far from 1. */
static void scale_of(const float *size, const float *weight, int n, double p, double q, float *scale)
{
    float low = INFINITY, high = 0;
    for (int i = 0; i < n; i++) {
        double x = size[i] > 1e-4f ? (double)size[i] : 1e-4, w = weight[i] > 1e-4f ? (double)weight[i] : 1e-4;
        scale[i] = (float)(det_pow(x, p) / det_pow(w, q));
        low = scale[i] < low ? scale[i] : low;
        high = scale[i] > high ? scale[i] : high;
    }
    float middle = 1 / sqrtf(low * high);
    for (int i = 0; i < n; i++)
        scale[i] *= middle;
}

/* The first are ones. */
static void make_scales(struct search *s)
{
    int n = s->in->n;
    float *size = mem_new((size_t)n * sizeof *size), *weight = mem_new((size_t)n * sizeof *weight),
          *square = mem_new((size_t)n * sizeof *square);
    roots(s->in, s->in->square, size);
    weight_squares(s, square);
    roots(s->in, square, weight);
    scale_of(size, weight, n, 0, 0, s->scale);
    for (int i = 1; i < N_SCALE; i++) {
        double p = (double)((i - 1) / N_SHARE + 1) / N_POWER,
               q = (1 - p) * ((i - 1) % N_SHARE) / (N_SHARE - 1);
        scale_of(size, weight, n, p, q, s->scale + (int64_t)i * n);
    }
    free(size);
    free(weight);
    free(square);
}

/* Piece: scales, a matrix and one of its panels. */
static void try_piece(const struct pool_op *op, int piece, int worker)
{
    const struct search *s = op->arg;
    int n = s->in->n, panel = piece % s->n_panel, w = piece / s->n_panel % s->n_w;
    const float *scale = s->scale + (int64_t)s->tried[piece / s->n_panel / s->n_w] * n;
    const struct matrix *m = s->w[w];
    const struct format *type = s->type[w];
    if (!type)
        return;
    int first = first_row(m, panel, s->n_panel), n_row = rows_at(m, first);
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

/* Tries the first n of s->tried on n_panel panels, and puts the best first. */
static void try_scales(struct search *s, int n, int n_panel, struct pool *pool)
{
    int each = s->n_w * n_panel;
    s->n_panel = n_panel;
    struct pool_op op = {.run = try_piece, .arg = s, .n_piece = n * each, .layer = -1, .name = "awq"};
    pool_run(pool, &op, 1);
    pool_settle(pool);
    for (int i = 0; i < n; i++) {
        s->sum[i] = 0;
        for (int j = 0; j < each; j++)
            s->sum[i] += s->error[i * each + j];
    }
    for (int i = 1; i < n; i++) /* few: by insertion, which keeps the order of equal ones */
        for (int j = i; j > 0 && s->sum[j] < s->sum[j - 1]; j--) {
            double sum = s->sum[j];
            int tried = s->tried[j];
            s->sum[j] = s->sum[j - 1];
            s->tried[j] = s->tried[j - 1];
            s->sum[j - 1] = sum;
            s->tried[j - 1] = tried;
        }
}

void awq_search(const struct awq_input *in, struct matrix *const *w, const struct format *const *type,
                int n_w, struct pool *pool, float *scale)
{
    struct search s = {.in = in, .w = w, .type = type, .n_w = n_w};
    int most = N_SCALE * FIRST_PANELS > (N_FINAL + 1) * FINAL_PANELS ? N_SCALE * FIRST_PANELS
                                                                     : (N_FINAL + 1) * FINAL_PANELS;
    s.scale = mem_new((size_t)N_SCALE * (size_t)in->n * sizeof *s.scale);
    s.error = mem_new((size_t)(most * n_w) * sizeof *s.error);
    make_scales(&s);
    for (int i = 0; i < N_SCALE; i++)
        s.tried[i] = i;
    try_scales(&s, N_SCALE, FIRST_PANELS, pool);
    s.tried[N_FINAL] = 0;
    try_scales(&s, N_FINAL + 1, FINAL_PANELS, pool);
    memcpy(scale, s.scale + (int64_t)s.tried[0] * in->n, (size_t)in->n * sizeof *scale);
    free(s.scale);
    free(s.error);
}
