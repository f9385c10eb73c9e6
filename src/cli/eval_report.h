/* What lathe eval prints: a table for people, or one JSON object a candidate, from which reports over many are made. */
#ifndef LATHE_CLI_EVAL_REPORT_H
#define LATHE_CLI_EVAL_REPORT_H
#include <jansson.h>
#include "cli/eval_asks.h"
#include "cli/eval_needle.h"
#include "cli/eval_pairs.h"
#include "cli/eval_tasks.h"
#include "cli/text_chunks.h"
#include "measure/compare.h"
#include "measure/ref_file.h"

struct eval_report {
    const struct cli *cli;
    const struct cli_options *options;
    const struct lathe_model_info *model, *reference; /* reference NULL: none */
    const struct ref_head *kept;                      /* where the reference is a kept one */
    uint64_t keep_bytes;                              /* of what was kept; 0: nothing was */
    const struct eval_tasks *tasks;
    const struct eval_asks *asks;
    const struct eval_pairs *pairs;
    const struct eval_needle *needle;
    const struct text_chunks *text; /* without chunks: there was no text */
    const struct compare *compare;
    const struct draws *draws;
    double seconds;
};

/* Returns 0. *json: the object, for the caller to free. */
int eval_report(const struct eval_report *r, json_t **json);
#endif
