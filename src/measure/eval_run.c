/* A text through a candidate and a reference at once. */
#include "measure/eval_run.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/logits.h"
#include "base/mem.h"
#include "base/pool.h"
#include "measure/eval_side.h"

enum { ROW_LEAST = EVAL_HEAD_ROWS, ROW_MOST = 512, ROW_STEP = 12 /* tokens of a tile */ };
#define SIDE_BYTES ((size_t)16 << 20)

int eval_row_count(int n_vocab)
{
    size_t n = SIDE_BYTES / sizeof(float) / (size_t)n_vocab;
    n -= n % ROW_STEP;
    return n < ROW_LEAST ? ROW_LEAST : n > ROW_MOST ? ROW_MOST : (int)n;
}

enum verdict { FINE, WRONG_CANDIDATE, WRONG_REFERENCE, WRONG_KEPT };

/* A block of positions, compared in the pool. */
struct work {
    const struct eval_run *run;
    struct eval_side candidate, reference;
    struct compare *out;
    int32_t *ids; /* of the chunk, as the models read it; its last is not read */
    int chunk;
    struct pool *pool;
    struct pool_op op;
    struct ref_row *rows;   /* [n_row], kept or to be kept */
    float *scratch;         /* [n_thread][n_vocab], where rows are to be kept */
    enum verdict *verdicts; /* [n_row] */
};

static size_t index_of(const struct work *w, int position)
{
    return (size_t)w->chunk * (size_t)w->out->n_position + (size_t)position;
}

/* ---- in the pool ---- */

static enum verdict compare_kept(const struct ref_row *row, const float *y, int n_vocab,
                                 struct compare_position *out, struct logits_norm *q)
{
    double kl;
    if (!logits_normalize(y, n_vocab, q))
        return WRONG_CANDIDATE;
    if (!ref_row_divergence(row, y, n_vocab, q, &kl))
        return WRONG_KEPT;
    out->ref_nll = row->nll;
    out->kl = (float)kl;
    out->is_same_top = row->top == q->top;
    return FINE;
}

static enum verdict compare_live(const float *x, const float *y, int n_vocab, int32_t next,
                                 struct compare_position *out, struct logits_norm *p, struct logits_norm *q)
{
    double kl;
    if (!logits_divergence(x, y, n_vocab, p, q, &kl))
        return logits_normalize(y, n_vocab, q) ? WRONG_REFERENCE : WRONG_CANDIDATE;
    out->ref_nll = (float)-logits_logp(x, p, next);
    out->kl = (float)kl;
    out->is_same_top = p->top == q->top;
    return FINE;
}

static void compare_piece(const struct pool_op *op, int piece, int worker)
{
    struct work *w = (struct work *)op->arg;
    const struct eval_run *r = w->run;
    int position = w->candidate.first + piece;
    int32_t next = w->ids[position + 1];
    size_t at = (size_t)piece * (size_t)r->n_vocab;
    const float *y = w->candidate.logits + at, *x = r->reference ? w->reference.logits + at : y;
    struct compare_position *out = &w->out->v[index_of(w, position)];
    struct logits_norm p, q;
    if (r->kept)
        w->verdicts[piece] = compare_kept(&w->rows[piece], y, r->n_vocab, out, &q);
    else if (r->reference)
        w->verdicts[piece] = compare_live(x, y, r->n_vocab, next, out, &p, &q);
    else
        w->verdicts[piece] = logits_normalize(y, r->n_vocab, &q) ? FINE : WRONG_CANDIDATE;
    if (w->verdicts[piece] != FINE)
        return;
    out->nll = (float)-logits_logp(y, &q, next);
    if (!r->keep)
        return;
    w->rows[piece].nll = r->reference ? out->ref_nll : out->nll;
    ref_row_encode(&w->rows[piece], x, r->n_vocab, r->reference ? &p : &q, index_of(w, position),
                   w->scratch + (size_t)worker * (size_t)r->n_vocab);
}

/* ---- a chunk ---- */

static int check_rows(const struct work *w, struct lathe_err *err)
{
    for (int i = 0; i < w->candidate.n; i++) {
        int position = w->candidate.first + i;
        if (w->verdicts[i] == WRONG_KEPT)
            return err_set(err, LATHE_E_FILE,
                           "%s: is damaged at position %d of chunk %d: write it again with --save-ref",
                           w->run->kept->path, position, w->chunk);
        if (w->verdicts[i] != FINE)
            return err_set(
                err, LATHE_E_NUMERIC,
                "the %s computed a logit that is not finite at position %d of chunk %d: damaged weights?",
                w->verdicts[i] == WRONG_CANDIDATE ? "candidate" : "reference", position, w->chunk);
    }
    return 0;
}

/* The next pass of both sides, compared and kept. */
static int run_pass(struct work *w, struct lathe_err *err)
{
    const struct eval_run *r = w->run;
    if (r->reference)
        TRY(eval_side_next(&w->reference, err));
    TRY(eval_side_next(&w->candidate, err));
    if (r->reference && (w->reference.n != w->candidate.n || w->reference.first != w->candidate.first))
        return err_set(err, LATHE_E_FAILED, "the passes of candidate and reference differ");
    for (int i = 0; r->kept && i < w->candidate.n; i++)
        TRY(ref_read_row(r->kept, &w->rows[i], err));
    w->op = (struct pool_op){
        .run = compare_piece, .arg = w, .n_piece = w->candidate.n, .layer = -1, .name = "compare"};
    pool_run(w->pool, &w->op, 1);
    TRY(check_rows(w, err));
    for (int i = 0; r->keep && i < w->candidate.n; i++)
        TRY(ref_write_row(r->keep, &w->rows[i], err));
    return 0;
}

/* The digest of the chunk's tokens is the same in a kept reference, or goes into the one to keep. */
static int run_digest(struct work *w, struct lathe_err *err)
{
    const struct eval_run *r = w->run;
    uint64_t mine = XXH3_64bits(w->ids, sizeof *w->ids * (size_t)r->chunk_tokens), kept = mine;
    if (r->kept)
        TRY(ref_read_chunk(r->kept, &kept, err));
    if (kept != mine)
        return err_set(err, LATHE_E_USAGE, "%s: is of another text: chunk %d has other tokens", r->kept->path,
                       w->chunk);
    return r->keep ? ref_write_chunk(r->keep, mine, err) : 0;
}

static int run_chunk(struct work *w, struct lathe_err *err)
{
    const struct eval_run *r = w->run;
    size_t n = (size_t)r->chunk_tokens;
    memcpy(w->ids, r->ids + (size_t)w->chunk * n, sizeof *w->ids * n);
    if (r->bos >= 0)
        w->ids[0] = r->bos;
    TRY(run_digest(w, err));
    if (r->reference)
        TRY(eval_side_begin(&w->reference, w->chunk, w->ids, n - 1, err));
    TRY(eval_side_begin(&w->candidate, w->chunk, w->ids, n - 1, err));
    for (int done = 0; done < r->chunk_tokens - 1; done += w->candidate.n)
        TRY(run_pass(w, err));
    if (r->reference)
        TRY(eval_side_end(&w->reference, err));
    return eval_side_end(&w->candidate, err);
}

static int work_init(struct work *w, struct lathe_err *err)
{
    const struct eval_run *r = w->run;
    void *scratch = NULL;
    w->ids = mem_new(sizeof *w->ids * (size_t)r->chunk_tokens);
    w->verdicts = mem_new(sizeof *w->verdicts * (size_t)r->n_row);
    w->rows = mem_new(sizeof *w->rows * (size_t)r->n_row);
    TRY(eval_side_init(&w->candidate, "candidate", r->candidate, r->n_row, r->n_vocab, err));
    TRY(eval_side_init(&w->reference, "reference", r->reference, r->n_row, r->n_vocab, err));
    if (r->keep)
        TRY(mem_try((size_t)r->n_thread, sizeof *w->scratch * (size_t)r->n_vocab, "rows to keep", &scratch,
                    err));
    w->scratch = scratch;
    return pool_new(r->n_thread, &w->pool, err);
}

static void work_free(struct work *w)
{
    pool_free(w->pool);
    eval_side_free(&w->candidate);
    eval_side_free(&w->reference);
    for (int i = 0; i < w->run->n_row; i++)
        free(w->rows[i].code);
    free(w->rows);
    free(w->scratch);
    free(w->verdicts);
    free(w->ids);
}

int eval_run(const struct eval_run *r, struct compare *out, struct lathe_err *err)
{
    struct work w = {.run = r, .out = out};
    out->has_reference = r->reference || r->kept;
    int rc = work_init(&w, err);
    for (; !rc && w.chunk < r->n_chunk; w.chunk++) {
        rc = run_chunk(&w, err);
        if (!rc && r->progress)
            r->progress(r->user, (double)(w.chunk + 1) / r->n_chunk);
    }
    work_free(&w);
    return rc;
}
