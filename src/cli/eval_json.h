/* A result of lathe eval as JSON: what --json prints, and what reports over many are made of (eval_results.h). */
#ifndef LATHE_CLI_EVAL_JSON_H
#define LATHE_CLI_EVAL_JSON_H
#include "cli/eval_report.h"

/* A statistic of a text: its key in JSON and field of the summary, its line in the table, and with what factor and unit it is shown there. */
struct eval_row {
    const char *key;
    size_t offset;
    const char *line;
    bool needs_reference;
    double factor;
    const char *unit;
};
extern const struct eval_row eval_rows[];
extern const int eval_n_row;
struct interval eval_row_value(const struct compare_summary *s, int row);

/* A new object. */
json_t *eval_json(const struct eval_report *r, const struct compare_summary *all,
                  const struct compare_summary *half);
#endif
