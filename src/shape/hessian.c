/* Second moments and their Cholesky factor, both by the same product: C += A^T A of a strip A of few rows, which the tile of f32
 * computes 12 rows of C at a time.
 *
 *     lanes    [n / 16][n_k][16]  columns of the strip, 16 side by side: what the tile streams
 *     across   [n][n_k]           the strip turned: what it multiplies with
 *
 * Only C right of the diagonal is computed. Every element is a sum in ascending order of k in one lane.
 *
 * A matrix that is larger than the memory for it lies in a file, and all that is done with it goes window by window: some rows right
 * of the diagonal that stay where they are, while of others each is read once for a window. Sums are taken by window over the whole
 * text, and the factor is left-looking by windows (Golub and Van Loan 2013, section 4.2.5): rows above take off what they do when
 * the window's turn comes. The operations on an element and their order are those of a single window. */
#include "shape/hessian.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "kern/kern.h"

enum { STRIP = 96, BLOCK = 48, NEAR = 32, SQUARE = 1024 /* columns of a page */ };
_Static_assert(NEAR >= TILE_TOK + LANES, "a tile of the product writes as far left of the diagonal");

/* Of the rooms of a strip, and of the band that hessian_factor keeps. */
static uint64_t beside_bytes(uint64_t stride)
{
    return stride * (2 * STRIP + NEAR) * sizeof(float);
}

static uint64_t square_bytes(const struct hessian *h)
{
    return (uint64_t)h->stride * (uint64_t)h->stride * sizeof(float);
}

uint64_t hessian_bytes(int n)
{
    uint64_t stride = ((uint64_t)n + LANES - 1) / LANES * LANES;
    return stride * stride * sizeof(float) + beside_bytes(stride);
}

/* Mapped, so that it goes back to the system when it is freed: the next is of another size. */
int hessian_new(int n, const struct hessian_room *room, struct hessian *out, struct lathe_err *err)
{
    static const char what[] = "second moments of a matrix's inputs";
    size_t stride = (size_t)(n + LANES - 1) / LANES * LANES;
    void *p, *strips;
    *out = (struct hessian){.n = n, .stride = (int)stride, .last = n};
    if (hessian_bytes(n) > room->memory_bytes)
        out->window_bytes = room->window_bytes;
    TRY(mem_map(stride * 2 * STRIP * sizeof(float), what, &strips, err));
    out->lanes = strips;
    out->across = out->lanes + stride * STRIP;
    int rc = out->window_bytes ? new_file_map(room->folder, square_bytes(out), what, &p, err)
                               : mem_map(square_bytes(out), what, &p, err);
    if (rc) {
        hessian_free(out);
        return rc;
    }
    out->h = p;
    out->last = hessian_window(out, 0, BLOCK);
    return 0;
}

void hessian_free(struct hessian *h)
{
    if (h->h && h->window_bytes)
        munmap(h->h, square_bytes(h));
    else if (h->h)
        mem_unmap(h->h, square_bytes(h));
    if (h->lanes)
        mem_unmap(h->lanes, (size_t)h->stride * 2 * STRIP * sizeof(float));
    *h = (struct hessian){0};
}

int hessian_window(const struct hessian *h, int first, int each)
{
    uint64_t row_bytes = (uint64_t)(h->stride - first) * sizeof(float),
             rows = h->window_bytes / row_bytes / (uint64_t)each * (uint64_t)each;
    rows = rows ? rows : (uint64_t)each;
    return h->window_bytes && rows < (uint64_t)(h->n - first) ? first + (int)rows : h->n;
}

/* ---- C += A^T A ---- */

struct strip_product {
    struct hessian *h;
    const float *x; /* hessian_add: rows of the strip */
    int64_t x_stride;
    int first, last, n_k; /* rows of C, those of the strip */
};

static void product_piece(const struct pool_op *op, int piece, int worker)
{
    const struct strip_product *a = op->arg;
    struct hessian *h = a->h;
    int t = a->first + piece * TILE_TOK, n = a->last - t < TILE_TOK ? a->last - t : TILE_TOK, g = t / LANES;
    kern_set()->tile_f32(h->lanes + (int64_t)g * a->n_k * LANES, LANES, (int64_t)a->n_k * LANES,
                         h->stride / LANES - g, a->n_k, h->across + (int64_t)t * a->n_k, a->n_k, n, true,
                         h->h + (int64_t)t * h->stride + g * LANES, h->stride);
}

static void pack_piece(const struct pool_op *op, int piece, int worker)
{
    const struct strip_product *a = op->arg;
    struct hessian *h = a->h;
    int g = a->first / LANES + piece, first = g * LANES, n = h->n - first < LANES ? h->n - first : LANES;
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
    struct pool_op ops[2] = {
        {.run = pack_piece, .n_piece = (a->h->stride - a->first) / LANES, .name = "pack"},
        {.run = product_piece,
         .n_piece = (a->last - a->first + TILE_TOK - 1) / TILE_TOK,
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
        struct strip_product a = {.h = h,
                                  .x = x + r * stride,
                                  .x_stride = stride,
                                  .first = h->first,
                                  .last = h->last,
                                  .n_k = n_row - r < STRIP ? n_row - r : STRIP};
        run(pool, &a, true);
    }
    if (!h->first)
        h->n_row += n_row;
}

bool hessian_next(struct hessian *h)
{
    if (h->last == h->n)
        return false;
    h->first = h->last;
    h->last = hessian_window(h, h->first, BLOCK);
    return true;
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

/* Columns [col, col + NEAR) of rows [row, row + SQUARE) turned, but for those in the band. */
static void turn(struct hessian *h, int row, int col)
{
    for (int i = row; i < h->n && i < row + SQUARE; i++)
        for (int j = col > i + NEAR ? col : i + NEAR; j < col + NEAR && j < h->n; j++)
            *at(h, j, i) = *at(h, i, j);
}

static void keep(const struct kept *k)
{
    struct hessian *h = k->h;
    for (int i = 0; i < h->n; i++)
        for (int j = i; j < h->n && j < i + NEAR; j++)
            k->band[(int64_t)i * NEAR + j - i] = *at(h, i, j);
    for (int first = 0; first < h->n; first += SQUARE) /* by pages, as one of the two is walked across */
        for (int row = 0; row <= first; row += SQUARE)
            for (int col = first; col < h->n && col < first + SQUARE; col += NEAR)
                turn(h, row, col);
}

/* Element (a, b) of the kept one, a <= b. */
static float kept_at(const struct kept *k, int a, int b)
{
    return b - a < NEAR ? k->band[(int64_t)a * NEAR + b - a] : *at(k->h, b, a);
}

/* Rows [first, last) of the kept one in another order; column b of it goes to place[b]. Its rows are read one after another. */
static void reorder(const struct kept *k, const int *order, const int *place, int first, int last)
{
    struct hessian *h = k->h;
    for (int b = 0; b < h->n; b++)
        for (int i = first; i < last && i <= place[b]; i++)
            if (order[i] <= b)
                *at(h, i, place[b]) = kept_at(k, order[i], b);
    for (int i = first; i < last; i++) {
        for (int b = 0; b < order[i]; b++)
            if (place[b] > i)
                *at(h, i, place[b]) = kept_at(k, b, order[i]);
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

/* Rows [to, end) less what rows [first, last), which are above, take off. */
static void take_off(struct hessian *h, struct pool *pool, int first, int last, int to, int end)
{
    int n_k = last - first;
    for (int g = to / LANES; g < h->stride / LANES; g++)
        for (int k = 0; k < n_k; k++)
            memcpy(h->lanes + ((int64_t)g * n_k + k) * LANES, at(h, first + k, g * LANES),
                   LANES * sizeof(float));
    for (int t = to; t < end; t++)
        for (int k = 0; k < n_k; k++)
            h->across[(int64_t)t * n_k + k] = -*at(h, first + k, t);
    struct strip_product a = {.h = h, .first = to, .last = end, .n_k = n_k};
    run(pool, &a, false);
}

/* A window: what the rows above it take off, in their order, and then its own. */
static bool factor(struct hessian *h, struct pool *pool, int first, int end)
{
    for (int k = 0; k < first; k += BLOCK)
        take_off(h, pool, k, k + BLOCK, first, end);
    for (int k = first; k < end; k += BLOCK) {
        int last = end - k < BLOCK ? end : k + BLOCK;
        if (!factor_rows(h, k, last))
            return false;
        if (last < end)
            take_off(h, pool, k, last, last, end);
    }
    return true;
}

static bool factor_all(const struct kept *kept, struct pool *pool, const int *order, const int *place,
                       float add)
{
    struct hessian *h = kept->h;
    for (int first = 0, last; first < h->n; first = last) {
        last = hessian_window(h, first, BLOCK);
        reorder(kept, order, place, first, last);
        for (int i = first; i < last; i++)
            *at(h, i, i) += add;
        if (!factor(h, pool, first, last))
            return false;
    }
    return true;
}

double hessian_factor(struct hessian *h, struct pool *pool, const int *order, double damping)
{
    struct kept kept = {h, mem_new((size_t)h->n * NEAR * sizeof(float))};
    int *place = mem_new((size_t)h->n * sizeof *place);
    double mean = 0, add = damping > 0 ? damping : 1e-6;
    bool done = false;
    keep(&kept);
    for (int i = 0; i < h->n; i++) {
        mean += *at(h, i, i) / h->n;
        place[order[i]] = i;
    }
    if (!(mean > 0) || !isfinite(mean))
        mean = 1; /* nothing was seen: all columns are alike */
    for (add /= 10; !done && add < 1;) {
        add *= 10;
        done = factor_all(&kept, pool, order, place, (float)(add * mean));
    }
    free(place);
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
