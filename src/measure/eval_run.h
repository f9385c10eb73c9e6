/* A text through a candidate and a reference at once, position by position compared, with the memory of a few rows of logits.
 *
 *     chunk's tokens -> engine of the reference -> rows [n_row] --+
 *                    -> engine of the candidate -> rows [n_row] --+-> in parallel a record of each position (compare.h)
 *
 * Both engines take the same n_row tokens of a chunk a pass, in turn, so that of n_vocab numbers a position only n_row positions exist
 * at a time. The reference may be the kept rows of a file instead (ref_file.h), and rows may be kept in one. */
#ifndef LATHE_MEASURE_EVAL_RUN_H
#define LATHE_MEASURE_EVAL_RUN_H
#include "measure/compare.h"
#include "measure/ref_file.h"

/* options.n_seq of the engines: as many rows go through the output head at once, and no pass has fewer. */
enum { EVAL_HEAD_ROWS = 64 };

/* Rows of a pass whose logits take 16 MiB a side, at least EVAL_HEAD_ROWS, at most 512: more do not stay in a cache until they are compared (3 % slower at 64 MiB). */
int eval_row_count(int n_vocab);

struct eval_run {
    /* With options.n_chunk = n_row, one sequence at a time; the reference may be NULL. */
    lathe_engine *candidate, *reference;
    struct ref_reader *kept; /* in place of the reference, or NULL */
    struct ref_writer *keep; /* takes the reference's rows, without a reference the candidate's; or NULL */
    int n_vocab, n_row, n_thread;
    const int32_t *ids; /* [n_chunk][chunk_tokens], of which the last of each is only predicted */
    int n_chunk, chunk_tokens;
    int32_t bos; /* takes the place of each chunk's first token; -1: none does */
    void (*progress)(void *user, double share); /* may be NULL */
    void *user;
};

/* Fills `out`, which is of n_chunk chunks and chunk_tokens - 1 positions. NUMERIC names chunk and position of a logit that
 * is not finite, and whose it is; FILE that a kept reference is of another text, or damaged. */
int eval_run(const struct eval_run *r, struct compare *out, struct lathe_err *err);
#endif
