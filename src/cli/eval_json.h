/* A result of lathe eval as JSON: what --json prints, and what reports over many are made of (eval_results.h). */
#ifndef LATHE_CLI_EVAL_JSON_H
#define LATHE_CLI_EVAL_JSON_H
#include "cli/eval_report.h"

/* A new object. */
json_t *eval_json(const struct eval_report *r, const struct compare_summary *all,
                  const struct compare_summary *half);
#endif
