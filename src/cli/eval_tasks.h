/* The task part of lathe eval. */
#ifndef LATHE_CLI_EVAL_TASKS_H
#define LATHE_CLI_EVAL_TASKS_H
#include <stdio.h>
#include "cli/session.h"
#include "measure/task_run.h"

struct eval_score {                /* of a model */
    struct interval acc, acc_norm; /* acc_norm: of questions with choices; ppl: of last words, per word */
    struct interval ppl;
    long n_token;
    double seconds;
};

struct eval_task {
    struct task_file file;
    struct eval_score own, ref;
    struct interval
        same_choice; /* of both models, by acc_norm's choice (last words: whether they are said) */
};

struct eval_tasks {
    int n;
    bool has_reference;
    struct eval_task v[OPT_LIST_MAX];
};

/* Those files of --tasks that are questions with choices or last words, through the model, and the reference if it is not NULL; the engines of both
 * are replaced. `log` may be NULL. */
int eval_tasks_run(struct eval_tasks *t, struct session *s, const struct cli_options *o, struct session *ref,
                   const struct cli_options *ref_options, FILE *log, struct lathe_err *err);
/* A JSON object a line to `f`, unless that is NULL: what the model that is called so made of each item. */
void eval_tasks_log(FILE *f, const struct task_file *file, const char *model, const struct task_result *r);
void eval_tasks_free(struct eval_tasks *t);
#endif
