/* The part of the report that is of tasks. */
#ifndef LATHE_CLI_EVAL_HTML_TASKS_H
#define LATHE_CLI_EVAL_HTML_TASKS_H
#include "base/mem.h"
#include "cli/eval_results.h"

/* Nothing if no result has one. */
void eval_html_tasks(struct buf *out, const struct eval_results *r);
#endif
