/* What lathe eval --json printed, of any number of candidates, read again for a report. A file is somebody's: everything in it may be missing
 * or of another kind. */
#ifndef LATHE_CLI_EVAL_RESULTS_H
#define LATHE_CLI_EVAL_RESULTS_H
#include <jansson.h>
#include "base/err.h"
#include "base/opt.h"
#include "measure/interval.h"

enum { EVAL_RESULTS_MOST = OPT_LIST_MAX + 1, EVAL_RESULT_BYTES = 64 << 20 };

struct eval_result {
    json_t *json;    /* an object with an object "model" */
    char label[208]; /* what the report calls it, another for each */
    double mb;       /* size of its file, else of its weights in memory; NAN: unknown */
    double bits;     /* a weight; NAN: unknown */
};

struct eval_results {
    int n;
    struct eval_result v[EVAL_RESULTS_MOST];
};

/* Reads a file that --json wrote; FILE names it if it is none. */
int eval_results_read(struct eval_results *r, const char *path, struct lathe_err *err);
/* Adds what json_print would print; takes the object. */
int eval_results_add(struct eval_results *r, const char *path, json_t *json, struct lathe_err *err);
void eval_results_free(struct eval_results *r);

/* A statistic of a group; value, low and high are NAN where it is not there. */
struct interval eval_result_interval(const json_t *group, const char *key);
/* NAN, `other`: where there is none. */
double eval_result_number(const json_t *object, const char *key);
const char *eval_result_text(const json_t *object, const char *key, const char *other);
/* Whether divergences of the two can be compared: of the same text and the same reference. */
bool eval_results_alike(const struct eval_result *a, const struct eval_result *b);
#endif
