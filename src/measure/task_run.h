/* The items of a task file through an engine: the log likelihood of every choice.
 *
 * The context of an item is computed once: it goes through the engine as a request of its own, and its choices, which follow, find it in the
 * prefix cache. The contexts of the next items run beside the choices of these, so that passes are full. */
#ifndef LATHE_MEASURE_TASK_RUN_H
#define LATHE_MEASURE_TASK_RUN_H
#include "measure/interval.h"
#include "measure/task_file.h"

enum {
    TASK_SEQUENCES = 32,
    TASK_GROUP = 8 /* items whose contexts are kept at a time */,
    TASK_KV_TOKENS = 8192
};

struct task_result {                /* of an item */
    double logp[TASK_MOST_CHOICES]; /* of each choice: the sum over its tokens */
    bool
        is_greedy; /* of the first choice: each of its tokens was the likeliest, so that greedy generation says it */
    int pick, pick_norm; /* the choice with the largest logp, and by logp / n_char; the first of equals */
};

struct task_run {
    lathe_engine *engine; /* with a prefix cache, and room for TASK_SEQUENCES sequences */
    int n_ctx, n_vocab;   /* longer items lose tokens at their beginning */
    int n_group; /* items at a time; 0: TASK_GROUP. 1: each may begin with what the one before began with */
    void (*progress)(void *user, double share); /* may be NULL */
    void *user;
};

/* Tokens of the longest item. */
int task_longest(const struct task_file *file);
/* Fills results[file->n_item]. *n_token: tokens that had to be computed, contexts once. NUMERIC names the item whose logits
 * are not finite. */
int task_run(const struct task_run *r, const struct task_file *file, struct task_result *results,
             long *n_token, struct lathe_err *err);

/* Shares of items, of which is_gold says which count, with Wilson's interval (1927): items are independent. */
struct interval task_share(long n_right, long n);
#endif
