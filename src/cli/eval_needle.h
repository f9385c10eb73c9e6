/* The part of lathe eval that looks for a fact at depths of a long text. */
#ifndef LATHE_CLI_EVAL_NEEDLE_H
#define LATHE_CLI_EVAL_NEEDLE_H
#include <jansson.h>
#include <stdio.h>
#include "cli/session.h"
#include "measure/interval.h"

struct eval_needle_cell {
    int found, ranked; /* of n_key */
};

struct eval_needle_score {          /* of a model */
    struct eval_needle_cell *cells; /* [n_length][n_depth] */
    struct interval found, ranked;
    long n_token, n_computed; /* of all contexts and choices, and those that the engine computed */
    double seconds;
};

struct eval_needle {
    struct opt_ints lengths; /* n 0: it was not asked for */
    int n_depth, n_key;
    const char *path;
    bool has_reference;
    struct eval_needle_score own, ref;
};

/* --needle over the text of -f, through the model, and the reference if it is not NULL; the engines of both are replaced. `log` may
 * be NULL (eval_tasks_log). */
int eval_needle_run(struct eval_needle *e, struct session *s, const struct cli_options *o,
                    struct session *ref, const struct cli_options *ref_options, FILE *log,
                    struct lathe_err *err);
void eval_needle_free(struct eval_needle *e);
/* A new object; and lines of the table, nothing if it was not asked for. */
json_t *eval_needle_json(const struct eval_needle *e);
void eval_needle_print(const struct eval_needle *e);
#endif
