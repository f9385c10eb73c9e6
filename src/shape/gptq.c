/* GPTQ on 16 rows at a time, a row to a lane.
 *
 * With H = R^T D^2 R (R unit, right of the diagonal) the error of a row is
 *
 *     e H e^T = sum over i of d[i]^2 (e[i] + sum over j > i of e[j] R[i][j])^2
 *
 * so columns are rounded from the last to the first, each after what the later ones lost was added to it: its term is then what its
 * own rounding lost. The feedback of all blocks behind is one product of the tile for f32, R's rows being what it multiplies with and
 * the errors [column][16 rows] what it streams. A block's scales are searched for when its turn comes, on what its weights have
 * become by then. */
#include "shape/gptq.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kern/kern.h"
#include "quant/encode.h"
#include "quant/int_fit.h"
#include "quant/parts.h"

enum { SUB = 32 };
_Static_assert((int)GPTQ_ROWS == (int)LANES, "a row to a lane");

/* ---- order ---- */

struct ranked {
    float size;
    int at;
};

static int smaller_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->size != y->size ? (x->size < y->size ? -1 : 1) : (x->at > y->at) - (x->at < y->at);
}

/* Puts the pieces of `each` columns of order[n], n % each == 0, in ascending order of their inputs' size, and so on within them:
 * 256, 128, 64, 32 and single columns. */
static void sort_pieces(const float *size, int *order, int n, int each)
{
    struct ranked rank[PARTS_MAX_N],
        *v = n / each > PARTS_MAX_N ? mem_new((size_t)(n / each) * sizeof *v) : rank;
    int *from = mem_new((size_t)n * sizeof *from);
    memcpy(from, order, (size_t)n * sizeof *from);
    for (int p = 0; p < n / each; p++) {
        v[p] = (struct ranked){0, p};
        for (int i = 0; i < each; i++)
            v[p].size += size[from[p * each + i]];
    }
    qsort(v, (size_t)(n / each), sizeof *v, smaller_first);
    for (int p = 0; p < n / each; p++) {
        memcpy(order + p * each, from + v[p].at * each, (size_t)each * sizeof *order);
        if (each > 1)
            sort_pieces(size, order + p * each, each, each > 32 ? each / 2 : 1);
    }
    free(from);
    if (v != rank)
        free(v);
}

static void choose_order(const float *size, int n, int *order)
{
    int each = 32;
    while (each < PARTS_MAX_N && n % (2 * each) == 0)
        each *= 2;
    for (int i = 0; i < n; i++)
        order[i] = i;
    sort_pieces(size, order, n, each);
}

/* Rows with the largest inputs first, rounded in that order. */
static void sort_columns(struct gptq_input *in)
{
    int n = in->n;
    int *at = mem_new((size_t)n * sizeof *at);
    in->perm = mem_new((size_t)n * sizeof *in->perm);
    for (int i = 0; i < n; i++)
        at[i] = i;
    sort_pieces(in->importance, at, n, 1);
    for (int i = 0; i < n; i++) {
        in->perm[i] = at[n - 1 - i];
        in->order[i] = n - 1 - i;
    }
    free(at);
}

int gptq_prepare(struct hessian *h, struct pool *pool, double damping, bool sorted, struct gptq_input *out,
                 struct lathe_err *err)
{
    size_t n = (size_t)h->n;
    *out = (struct gptq_input){.h = h, .n = h->n};
    out->order = mem_new(n * sizeof *out->order);
    out->column = mem_new(n * sizeof *out->column);
    out->d = mem_new(n * sizeof *out->d);
    out->importance = mem_new(n * sizeof *out->importance);
    hessian_diagonal(h, out->importance);
    if (sorted)
        sort_columns(out);
    else
        choose_order(out->importance, h->n, out->order);
    for (size_t i = 0; i < n; i++)
        out->column[i] = sorted ? out->perm[out->order[i]] : out->order[i];
    out->damping = hessian_factor(h, pool, out->column, damping);
    if (out->damping < 0) {
        gptq_input_free(out);
        return err_set(err, LATHE_E_NUMERIC,
                       "the second moments of the inputs have no factor at any damping: they are not finite");
    }
    hessian_unit(h, out->d);
    return 0;
}

void gptq_input_free(struct gptq_input *in)
{
    free(in->order);
    free(in->column);
    free(in->perm);
    free(in->d);
    free(in->importance);
    *in = (struct gptq_input){0};
}

/* ---- rows ---- */

typedef float lanes[LANES];

struct work {
    const struct format *f;
    const struct gptq_input *in;
    int n_row;
    lanes *w, *e;        /* [n] weights and errors by position */
    lanes *v;            /* [block_n] weights of a block with what came back to them */
    float *x, *h;        /* [16][block_n] those by column, and their importance */
    struct parts *whole; /* [16][n / block_n], of groups that are longer than a block; else NULL */
    struct parts parts[LANES];
    struct nearest near[PARTS_MAX_N / 16];
};

/* v[i] += sum over j in [from, to) of e[j] R[at + i][j], i < n. */
static void feed_back(const struct work *k, int at, int n, int from, int to, lanes *v)
{
    const struct hessian *r = k->in->h;
    for (int i = 0; i < n && from < to; i += TILE_TOK)
        kern_set()->tile_f32(k->e[from], LANES, 0, 1, to - from, r->h + (int64_t)(at + i) * r->stride + from,
                             r->stride, n - i < TILE_TOK ? n - i : TILE_TOK, true, v[i], LANES);
}

/* Scales of groups that are longer than a block are those of the weights as they were. */
static void fit_whole(struct work *k, const float *x)
{
    int n = k->in->n, n_block = n / k->f->block_n;
    if (!k->f->ints || int_fit_group(k->f) == k->f->block_n)
        return;
    float *row = mem_new((size_t)n * sizeof *row), *h = mem_new((size_t)n * sizeof *h);
    k->whole = mem_new((size_t)(k->n_row * n_block) * sizeof *k->whole);
    for (int i = 0; i < n; i++)
        h[i] = k->in->importance[k->in->perm ? k->in->perm[i] : i];
    for (int r = 0; r < k->n_row; r++) {
        for (int i = 0; i < n; i++)
            row[i] = x[(int64_t)r * n + (k->in->perm ? k->in->perm[i] : i)];
        int_fit(k->f, row, h, n, k->whole + (int64_t)r * n_block);
    }
    free(row);
    free(h);
}

static void fit_block(struct work *k, int at)
{
    int bn = k->f->block_n, block = k->in->order[at] / bn;
    for (int i = 0; i < bn; i++) {
        int col = k->in->order[at + i] - block * bn;
        k->h[col] = k->in->importance[k->in->column[at + i]];
        for (int r = 0; r < k->n_row; r++)
            k->x[r * bn + col] = k->v[i][r];
    }
    for (int r = 0; r < k->n_row && k->whole; r++)
        k->parts[r] = k->whole[(int64_t)r * (k->in->n / bn) + block];
    if (!k->whole)
        format_fit(k->f, k->x, k->h, k->n_row, k->parts);
    for (int g = 0; g < bn / 16; g++)
        nearest_of(k->f, k->parts, k->n_row, 16 * g, &k->near[g]);
}

/* Rounds column `i` of the block at `at`, from v. Returns d^2 times the squares of what that lost. */
static double round_column(struct work *k, int at, int i, const float *v)
{
    int col = k->in->order[at + i] % k->f->block_n;
    float value[LANES], sum = 0;
    nearest_put(k->f, &k->near[col / 16], v, col, k->parts, k->n_row, value);
    for (int r = 0; r < LANES; r++) {
        float lost = r < k->n_row ? v[r] - value[r] : 0;
        k->e[at + i][r] = k->w[at + i][r] - value[r];
        sum += lost * lost;
    }
    return (double)sum * (double)k->in->d[at + i] * (double)k->in->d[at + i];
}

/* Rounds the block, with feedback within it. */
static double round_block(struct work *k, int at)
{
    double lost = 0;
    for (int sub = k->f->block_n - SUB; sub >= 0; sub -= SUB) {
        feed_back(k, at + sub, SUB, at + sub + SUB, at + k->f->block_n, k->v + sub);
        for (int i = sub + SUB - 1; i >= sub; i--) {
            const float *row = k->in->h->h + (int64_t)(at + i) * k->in->h->stride + at;
            float *v = k->v[i];
            for (int j = i + 1; j < sub + SUB; j++)
                for (int r = 0; r < LANES; r++)
                    v[r] += k->e[at + j][r] * row[j];
            lost += round_column(k, at, i, v);
        }
    }
    return lost;
}

/* Adds e H e^T of the errors, or of what is in their place: the terms of positions [first, last). */
static void measure(const struct work *k, const lanes *e, lanes *room, int first, int last, double *sum)
{
    struct work of = *k;
    int bn = k->f->block_n;
    of.e = (lanes *)e;
    for (int at = first; at < last; at += bn) {
        memcpy(room, e[at], (size_t)bn * sizeof *room);
        feed_back(&of, at, bn, at + bn, k->in->n, room);
        for (int i = 0; i < bn; i++) {
            const float *row = k->in->h->h + (int64_t)(at + i) * k->in->h->stride + at;
            float square = 0;
            for (int j = i + 1; j < bn; j++)
                for (int r = 0; r < LANES; r++)
                    room[i][r] += e[at + j][r] * row[j];
            for (int r = 0; r < LANES; r++)
                square += room[i][r] * room[i][r];
            *sum += (double)square * (double)k->in->d[at + i] * (double)k->in->d[at + i];
        }
    }
}

/* The room, with weights by position; `e` may be the caller's. */
static struct work begin(const struct format *f, const struct gptq_input *in, const float *x, int n_row,
                         float (*e)[LANES])
{
    struct work k = {.f = f, .in = in, .n_row = n_row, .e = e};
    size_t n = (size_t)in->n, bn = (size_t)f->block_n;
    k.w = mem_new(n * sizeof *k.w);
    k.v = mem_new(bn * sizeof *k.v);
    k.x = mem_new(bn * LANES * sizeof *k.x);
    k.h = mem_new(bn * sizeof *k.h);
    for (size_t r = 0; r < (size_t)n_row; r++)
        for (size_t i = 0; i < n; i++)
            k.w[i][r] = x[r * n + (size_t)in->column[i]];
    return k;
}

static void end(struct work *k)
{
    free(k->w);
    free(k->v);
    free(k->x);
    free(k->h);
    free(k->whole);
}

void gptq_compare(const struct format *f, const struct gptq_input *in, const float *x, int n_row, int first,
                  int last, struct gptq_error *e)
{
    int n = in->n;
    size_t size = (size_t)n_row * (size_t)n;
    float *back = mem_new(size * sizeof *back);
    lanes *lost = mem_new((size_t)n * sizeof *lost);
    uint8_t *y = mem_new(size / (size_t)f->block_n * (size_t)f->block_bytes);
    struct work k = begin(f, in, x, n_row, lost);
    format_encode(f, x, NULL, y, n_row, n);
    f->decode(y, back, (int64_t)size);
    for (int i = 0; i < n; i++)
        for (int r = 0; r < n_row; r++)
            lost[i][r] = k.w[i][r] - back[(int64_t)r * n + in->column[i]];
    measure(&k, lost, k.v, first, last, &e->plain);
    measure(&k, k.w, k.v, first, last, &e->value);
    end(&k);
    free(lost);
    free(back);
    free(y);
}

void gptq_rows(const struct format *f, const struct gptq_input *in, const float *x, int n_row, int first,
               int last, float (*lost)[GPTQ_ROWS], uint8_t *y, struct gptq_error *e)
{
    int n = in->n, bn = f->block_n;
    size_t row_bytes = (size_t)(n / bn) * (size_t)f->block_bytes;
    struct work k = begin(f, in, x, n_row, lost);
    fit_whole(&k, x);
    for (int at = last - bn; at >= first; at -= bn) {
        memcpy(k.v, k.w[at], (size_t)bn * sizeof *k.v);
        feed_back(&k, at, bn, at + bn, n, k.v);
        fit_block(&k, at);
        e->error += round_block(&k, at);
        for (int r = 0; r < n_row; r++)
            f->put(&k.parts[r],
                   y + (size_t)r * row_bytes + (size_t)(in->order[at] / bn) * (size_t)f->block_bytes);
    }
    end(&k);
}
