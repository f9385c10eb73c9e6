/* The part of lathe eval that lets models write: problems of arithmetic, and instructions that a program can check. */
#ifndef LATHE_CLI_EVAL_ASKS_H
#define LATHE_CLI_EVAL_ASKS_H
#include <stdio.h>
#include "cli/session.h"
#include "measure/ask_file.h"
#include "measure/ask_run.h"
#include "measure/interval.h"

enum { EVAL_ASK_METRICS = 4, EVAL_ASK_UNCHECKED = 8 };

struct eval_ask_score {                       /* of a model */
    struct interval metric[EVAL_ASK_METRICS]; /* in the order of eval_ask_metric */
    int n_cut;                                /* answers that came to the most tokens */
    struct {
        const char *name;
        int n;
    } unchecked[EVAL_ASK_UNCHECKED]; /* instructions that passed unchecked; name NULL: no more */
    long n_token;
    double seconds;
};

struct eval_ask {
    struct ask_file file;
    int n_predict;
    struct eval_ask_score own, ref;
    struct interval same_verdict; /* of both models, by the first metric */
};

struct eval_asks {
    int n;
    bool has_reference;
    struct eval_ask v[OPT_LIST_MAX];
};

/* The name of metric i of a kind of task, the first of which is the one to look at; NULL past the last. */
const char *eval_ask_metric(enum ask_kind kind, int i);
/* Those files of --tasks that are of such kinds, through the model, and the reference if it is not NULL; the engines of both are
 * replaced. `log` may be NULL. */
int eval_asks_run(struct eval_asks *a, struct session *s, const struct cli_options *o, struct session *ref,
                  const struct cli_options *ref_options, FILE *log, struct lathe_err *err);
void eval_asks_free(struct eval_asks *a);
#endif
