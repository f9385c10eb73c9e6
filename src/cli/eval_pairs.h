/* The part of lathe eval that is about embeddings: pairs of sentences with scores. */
#ifndef LATHE_CLI_EVAL_PAIRS_H
#define LATHE_CLI_EVAL_PAIRS_H
#include <jansson.h>
#include "cli/session.h"
#include "measure/pair_run.h"

struct eval_pair_score { /* of a model */
    struct interval spearman;
    long n_token;
    double seconds;
};

struct eval_pairs {
    struct pair_file file; /* n 0: there was none */
    struct eval_pair_score own, ref;
    bool has_reference;
    struct pair_drift drift;
};

/* The file of --pairs through the model, and the reference if it is not NULL; the engines of both are replaced. */
int eval_pairs_run(struct eval_pairs *p, struct session *s, const struct cli_options *o, struct session *ref,
                   const struct cli_options *ref_options, struct lathe_err *err);
void eval_pairs_free(struct eval_pairs *p);
/* A new object; and lines of the table, nothing without pairs. */
json_t *eval_pairs_json(const struct eval_pairs *p);
void eval_pairs_print(const struct eval_pairs *p);
#endif
