/* Rounding of some rows to several types. */
#include "shape/type_error.h"
#include <stdlib.h>
#include "base/mem.h"
#include "base/pool.h"
#include "quant/encode.h"

enum { SAMPLE = 1 << 17, PIECE = 1 << 13 }; /* weights of a tensor that are rounded; of a piece of work */

struct job {
    const struct mf_tensor *t;
    const struct format *from, *const *type;
    const struct imatrix *importance;
    int64_t n_row, n_sample, per_piece, n_piece; /* rows: all, looked at, of a piece */
    struct sums {
        double error, value;
    } * sums; /* [type][piece] */
};

/* Row i of those looked at, as floats; *k: which of the tensor's matrices it is in. */
static void read_row(const struct job *j, int64_t i, uint8_t *made, float *x, uint64_t *k)
{
    const struct mf_tensor *t = j->t;
    uint64_t at = (uint64_t)(i * j->n_row / j->n_sample), row = at % t->dim[1],
             bytes = t->dim[0] / (uint64_t)j->from->block_n * (uint64_t)j->from->block_bytes;
    *k = at / t->dim[1];
    if (t->source)
        mf_tensor_row(t, *k, row, made);
    j->from->decode(t->source ? made : mf_tensor_piece(t, *k) + row * bytes, x, (int64_t)t->dim[0]);
}

static void add_errors(struct sums *sums, const float *x, const float *back, const float *h, int64_t n)
{
    for (int64_t c = 0; c < n; c++) {
        double w = h ? (double)h[c] : 1, d = (double)x[c] - (double)back[c];
        sums->error += w * d * d;
        sums->value += w * (double)x[c] * (double)x[c];
    }
}

/* n rows of one matrix, as they are and room for what they become. */
static void round_rows(const struct job *j, const struct format *type, const float *x, uint64_t k, int64_t n,
                       struct sums *sums)
{
    int64_t n_col = (int64_t)j->t->dim[0];
    size_t bytes = (size_t)(n_col / type->block_n) * (size_t)type->block_bytes;
    const float *h = j->importance ? imatrix_find(j->importance, j->t->name, (int)k, (int)n_col) : NULL;
    uint8_t *rows = mem_new((size_t)n * bytes);
    float *back = mem_new((size_t)n_col * sizeof *back);
    format_encode(type, x, h, rows, n, n_col);
    for (int64_t r = 0; r < n; r++) {
        type->decode(rows + (size_t)r * bytes, back, n_col);
        add_errors(sums, x + r * n_col, back, h, n_col);
    }
    free(rows);
    free(back);
}

/* A type and some rows. */
static void round_piece(const struct pool_op *op, int piece, int worker)
{
    const struct job *j = op->arg;
    int64_t n_col = (int64_t)j->t->dim[0], first = piece % j->n_piece * j->per_piece,
            n = j->n_sample - first < j->per_piece ? j->n_sample - first : j->per_piece, done = 0;
    float *x = mem_new((size_t)(n * n_col) * sizeof *x);
    uint8_t *made = mem_new((size_t)n_col * sizeof *x);
    uint64_t k = 0, next;
    for (int64_t i = 0; i < n; i++) {
        read_row(j, first + i, made, x + i * n_col, &next);
        if (i > done && next != k) {
            round_rows(j, j->type[piece / j->n_piece], x + done * n_col, k, i - done, &j->sums[piece]);
            done = i;
        }
        k = next;
    }
    round_rows(j, j->type[piece / j->n_piece], x + done * n_col, k, n - done, &j->sums[piece]);
    free(made);
    free(x);
}

int type_error(const struct mf_tensor *t, const struct format *const *type, int n,
               const struct imatrix *importance, struct pool *pool, double *out, struct lathe_err *err)
{
    struct job j = {.t = t,
                    .from = format_by_id(t->type),
                    .type = type,
                    .importance = importance,
                    .n_row = (int64_t)(t->dim[1] * t->dim[2])};
    int64_t n_col = (int64_t)t->dim[0], most = SAMPLE / n_col + 1;
    if (!j.from || !j.from->decode)
        return err_set(err, LATHE_E_UNSUPPORTED, "tensor %.100s is %s, which cannot be decoded", t->name,
                       j.from ? j.from->name : "of an unknown type");
    j.n_sample = j.n_row < most ? j.n_row : most;
    j.per_piece = PIECE / n_col + 1;
    j.n_piece = (j.n_sample + j.per_piece - 1) / j.per_piece;
    j.sums = mem_new((size_t)(n * j.n_piece) * sizeof *j.sums);
    struct pool_op op = {
        .run = round_piece, .arg = &j, .n_piece = (int)(n * j.n_piece), .layer = -1, .name = "round"};
    pool_run(pool, &op, 1);
    pool_settle(pool);
    for (int i = 0; i < n; i++) {
        double error = 0, value = 0;
        for (int64_t p = 0; p < j.n_piece; p++) {
            error += j.sums[i * j.n_piece + p].error;
            value += j.sums[i * j.n_piece + p].value;
        }
        out[i] = value > 0 ? error / value : 0;
    }
    free(j.sums);
    return 0;
}
