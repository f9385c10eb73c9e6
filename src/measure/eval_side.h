/* One of the two models of an evaluation: an engine, and the rows of logits of its newest pass. */
#ifndef LATHE_MEASURE_EVAL_SIDE_H
#define LATHE_MEASURE_EVAL_SIDE_H
#include <stdbool.h>
#include "base/err.h"

struct eval_side {
    const char *name;     /* "candidate", "reference" */
    int chunk;            /* that it reads, for errors */
    lathe_engine *engine; /* the caller's; NULL: there is no such side, and its functions are not called */
    float *logits;        /* [n_row][n_vocab] */
    int n_row, first, n;  /* positions first .. first + n - 1 are there */
    bool done;
};

int eval_side_init(struct eval_side *s, const char *name, lathe_engine *e, int n_row, int n_vocab,
                   struct lathe_err *err);
void eval_side_free(struct eval_side *s);
/* Begins to read n_ids tokens, which are copied. */
int eval_side_begin(struct eval_side *s, int chunk, const int32_t *ids, size_t n_ids, struct lathe_err *err);
/* Steps until there are rows: those of the next positions. Errors name the side. */
int eval_side_next(struct eval_side *s, struct lathe_err *err);
/* Steps until the engine has nothing to do. */
int eval_side_end(struct eval_side *s, struct lathe_err *err);
#endif
