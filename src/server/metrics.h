/* Metrics: counters and histograms that any thread adds to without a lock, and their text for Prometheus (0.0.4).
 *
 * A metric is a row of metrics.inc. No label takes a value that a client chose, so that the number of series is fixed. */
#ifndef LATHE_SERVER_METRICS_H
#define LATHE_SERVER_METRICS_H
#include "base/mem.h"

struct metrics;

enum metrics_counter {
#define VALUE(type, name, label, value, help)
#define HISTOGRAM(id, name, bounds, help)
#define COUNTED(id, name, label, help) M_##id,
#include "server/metrics.inc"
#undef COUNTED
    M_N_COUNTER
};

enum metrics_histogram {
#define COUNTED(id, name, label, help)
#undef HISTOGRAM
#define HISTOGRAM(id, name, bounds, help) M_##id,
#include "server/metrics.inc"
#undef HISTOGRAM
#undef COUNTED
#undef VALUE
    M_N_HISTOGRAM
};

struct metrics *metrics_new(int n_endpoint);
void metrics_free(struct metrics *m);
void metrics_count(struct metrics *m, enum metrics_counter which);
void metrics_observe(struct metrics *m, enum metrics_histogram which, double value);
/* An answer of endpoint 0..n_endpoint (n_endpoint: of none). */
void metrics_answer(struct metrics *m, int endpoint, unsigned status);
/* A refusal, by the `code` of its error object; NULL is an invalid request. */
void metrics_reject(struct metrics *m, const char *code);
#endif
