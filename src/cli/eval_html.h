/* The report of lathe eval over one or several candidates: one page that needs nothing but itself. */
#ifndef LATHE_CLI_EVAL_HTML_H
#define LATHE_CLI_EVAL_HTML_H
#include "cli/eval_results.h"

/* Writes the page to `path`, whole or not at all. The same results make the same page. */
int eval_html_write(const struct eval_results *r, const char *path, struct lathe_err *err);
#endif
