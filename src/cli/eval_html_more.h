/* The parts of the report that are of embeddings and of retrieval at depth. */
#ifndef LATHE_CLI_EVAL_HTML_MORE_H
#define LATHE_CLI_EVAL_HTML_MORE_H
#include "base/mem.h"
#include "cli/eval_results.h"

/* Nothing if no result has it. */
void eval_html_pairs(struct buf *out, const struct eval_results *r);
void eval_html_needle(struct buf *out, const struct eval_results *r);
#endif
