/* Speed of an engine: one prompt pass and the decode steps after it, for one request or several at once. */
#ifndef LATHE_MEASURE_SPEED_H
#define LATHE_MEASURE_SPEED_H
#include <lathe.h>

struct speed {
    double
        prefill_s; /* from the submission to the first token of the last request: n_batch * n_prompt tokens */
    double decode_s; /* of n_step steps after that */
    int n_step;
    long n_token;          /* that those steps generated */
    uint64_t expert_bytes; /* weights of experts that they read */
};
/* Tokens per request that speed_run needs as context. */
int speed_context(int n_batch, int n_prompt, int n_predict, int n_chunk);
/* Runs n_batch requests of n_prompt tokens each (`ids` has n_batch * n_prompt), greedy and past ends of
 * sequence, n_predict steps after the last one's first token. `after_prefill` (may be NULL) is called between
 * the two. The engine must be idle. */
int speed_run(lathe_engine *e, const int32_t *ids, int n_batch, int n_prompt, int n_predict, int n_chunk,
              void (*after_prefill)(void *user), void *user, struct speed *out, struct lathe_err *err);
#endif
