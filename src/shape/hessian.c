/* Second moments and their Cholesky factor, both by the same product: C += A^T A of a strip A of few rows, which the tile of f32
 * computes 12 rows of C at a time.
 *
 *     lanes    [n / 16][n_k][16]  columns of the strip, 16 side by side: what the tile streams
 *     across   [n][n_k]           the strip turned: what it multiplies with
 *
 * Only C right of the diagonal is computed. Every element is a sum in ascending order of k in one lane. */
#include "shape/hessian.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "kern/kern.h"

enum { STRIP = 96, BLOCK = 48, NEAR = 32 };
_Static_assert(NEAR >= TILE_TOK + LANES, "a tile of the product writes as far left of the diagonal");

/* Mapped, so that it goes back to the system when it is freed: the next is of another size. */
int hessian_new(int n, struct hessian *out, struct lathe_err *err)
{
    size_t stride = (size_t)(n + LANES - 1) / LANES * LANES;
    void *p;
    *out = (struct hessian){0};
    TRY(mem_map(stride * (stride + 2 * STRIP) * sizeof(float), "second moments of a matrix's inputs", &p,
                err));
    *out = (struct hessian){.n = n, .stride = (int)stride, .h = p};
    out->lanes = out->h + stride * stride;
    out->across = out->lanes + stride * STRIP;
    return 0;
}

void hessian_free(struct hessian *h)
{
    size_t stride = (size_t)h->stride;
    if (h->h)
        mem_unmap(h->h, stride * (stride + 2 * STRIP) * sizeof(float));
    *h = (struct hessian){0};
}

uint64_t hessian_bytes(int n)
{
    uint64_t stride = ((uint64_t)n + LANES - 1) / LANES * LANES;
    return stride * (stride + 2 * STRIP + NEAR) * sizeof(float);
}

/* ---- C += A^T A ---- */

struct strip_product {
    struct hessian *h;
    const float *x; /* hessian_add: rows of the strip */
    int64_t x_stride;
    int first, n_k; /* first row of C, rows of the strip */
};

static void product_piece(const struct pool_op *op, int piece, int worker)
{
    const struct strip_product *a = op->arg;
    struct hessian *h = a->h;
    int t = a->first + piece * TILE_TOK, n = h->n - t < TILE_TOK ? h->n - t : TILE_TOK, g = t / LANES;
    kern_set()->tile_f32(h->lanes + (int64_t)g * a->n_k * LANES, LANES, (int64_t)a->n_k * LANES,
                         h->stride / LANES - g, a->n_k, h->across + (int64_t)t * a->n_k, a->n_k, n, true,
                         h->h + (int64_t)t * h->stride + g * LANES, h->stride);
}

static void pack_piece(const struct pool_op *op, int g, int worker)
{
    const struct strip_product *a = op->arg;
    struct hessian *h = a->h;
    int first = g * LANES, n = h->n - first < LANES ? h->n - first : LANES;
    float *lanes = h->lanes + (int64_t)g * a->n_k * LANES;
    for (int k = 0; k < a->n_k; k++)
        for (int i = 0; i < LANES; i++)
            lanes[k * LANES + i] = i < n ? a->x[k * a->x_stride + first + i] : 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < a->n_k; k++)
            h->across[(int64_t)(first + i) * a->n_k + k] = lanes[k * LANES + i];
}

static void run(struct pool *pool, const struct strip_product *a, bool pack)
{
    struct pool_op ops[2] = {{.run = pack_piece, .n_piece = a->h->stride / LANES, .name = "pack"},
                             {.run = product_piece,
                              .n_piece = (a->h->n - a->first + TILE_TOK - 1) / TILE_TOK,
                              .name = "second moments"}};
    for (int i = 0; i < 2; i++) {
        ops[i].arg = a;
        ops[i].layer = -1;
    }
    pool_run(pool, pack ? ops : ops + 1, pack ? 2 : 1);
    pool_settle(pool);
}

void hessian_add(struct hessian *h, struct pool *pool, const float *x, int64_t stride, int n_row)
{
    for (int r = 0; r < n_row; r += STRIP) {
        struct strip_product a = {h, x + r * stride, stride, 0, n_row - r < STRIP ? n_row - r : STRIP};
        run(pool, &a, true);
    }
    h->n_row += n_row;
}

void hessian_diagonal(const struct hessian *h, float *out)
{
    float inverse = h->n_row ? 1.0f / (float)h->n_row : 0;
    for (int i = 0; i < h->n; i++)
        out[i] = h->h[(int64_t)i * h->stride + i] * inverse;
}

/* ---- order ---- */

static float *at(const struct hessian *h, int row, int col)
{
    return h->h + (int64_t)row * h->stride + col;
}

/* While H is factored, what it was lies left of the diagonal, turned. The tile writes a bit of that too, so elements that are near
 * the diagonal, and those on it, lie in a band of their own. */
struct kept {
    struct hessian *h;
    float *band; /* [n][NEAR]: columns i .. i + NEAR of row i */
};

static void keep(const struct kept *k)
{
    struct hessian *h = k->h;
    for (int i = 0; i < h->n; i++)
        for (int j = i; j < h->n && j < i + NEAR; j++)
            k->band[(int64_t)i * NEAR + j - i] = *at(h, i, j);
    for (int first = 0; first < h->n; first += NEAR) /* in squares, as one of the two is walked across */
        for (int i = 0; i < h->n; i++)
            for (int j = first; j < first + NEAR && j < h->n; j++)
                if (j >= i + NEAR)
                    *at(h, j, i) = *at(h, i, j);
}

/* The kept one in another order. */
static void reorder(const struct kept *k, const int *order)
{
    struct hessian *h = k->h;
    for (int i = 0; i < h->n; i++) {
        for (int j = i; j < h->n; j++) {
            int a = order[i] < order[j] ? order[i] : order[j], b = order[i] < order[j] ? order[j] : order[i];
            *at(h, i, j) = b - a < NEAR ? k->band[(int64_t)a * NEAR + b - a] : *at(h, b, a);
        }
        memset(at(h, i, h->n), 0, (size_t)(h->stride - h->n) * sizeof(float));
    }
}

/* ---- R^T R ---- */

/* Rows [first, last) of R from those of H, less what the rows above took off already. */
static bool factor_rows(struct hessian *h, int first, int last)
{
    for (int k = first; k < last; k++) {
        float *row = h->h + (int64_t)k * h->stride;
        for (int m = first; m < k; m++) {
            const float *above = h->h + (int64_t)m * h->stride, f = above[k];
            for (int i = k; i < h->stride; i++)
                row[i] -= f * above[i];
        }
        if (!(row[k] > 0) || !isfinite(row[k]))
            return false;
        float inverse = 1 / sqrtf(row[k]);
        for (int i = k; i < h->stride; i++)
            row[i] *= inverse;
    }
    return true;
}

/* The rows below, less what these take off. */
static void take_off(struct hessian *h, struct pool *pool, int first, int last)
{
    int n_k = last - first;
    for (int g = last / LANES; g < h->stride / LANES; g++)
        for (int k = 0; k < n_k; k++)
            memcpy(h->lanes + ((int64_t)g * n_k + k) * LANES, at(h, first + k, g * LANES),
                   LANES * sizeof(float));
    for (int t = last; t < h->n; t++)
        for (int k = 0; k < n_k; k++)
            h->across[(int64_t)t * n_k + k] = -*at(h, first + k, t);
    struct strip_product a = {.h = h, .first = last, .n_k = n_k};
    run(pool, &a, false);
}

static bool factor(struct hessian *h, struct pool *pool)
{
    for (int k = 0; k < h->n; k += BLOCK) {
        int last = h->n - k < BLOCK ? h->n : k + BLOCK;
        if (!factor_rows(h, k, last))
            return false;
        if (last < h->n)
            take_off(h, pool, k, last);
    }
    return true;
}

double hessian_factor(struct hessian *h, struct pool *pool, const int *order, double damping)
{
    struct kept kept = {h, mem_new((size_t)h->n * NEAR * sizeof(float))};
    double mean = 0, add = damping > 0 ? damping : 1e-6;
    bool done = false;
    keep(&kept);
    for (int i = 0; i < h->n; i++)
        mean += *at(h, i, i) / h->n;
    if (!(mean > 0) || !isfinite(mean))
        mean = 1; /* nothing was seen: all columns are alike */
    for (add /= 10; !done && add < 1;) {
        add *= 10;
        reorder(&kept, order);
        for (int i = 0; i < h->n; i++)
            *at(h, i, i) += (float)(add * mean);
        done = factor(h, pool);
    }
    free(kept.band);
    return done ? add : -1;
}

void hessian_unit(struct hessian *h, float *d)
{
    for (int i = 0; i < h->n; i++) {
        float *row = at(h, i, 0), inverse = 1 / row[i];
        d[i] = row[i];
        for (int j = i; j < h->n; j++)
            row[j] *= inverse;
    }
}
