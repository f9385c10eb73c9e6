/* Prompts through an engine, many at once, and what it writes. Greedy: an answer does not depend on what runs beside it. */
#ifndef LATHE_MEASURE_ASK_RUN_H
#define LATHE_MEASURE_ASK_RUN_H
#include "base/err.h"

enum { ASK_SEQUENCES = 32 };

struct ask_prompt {
    const int32_t *ids;
    int n_id;
};

struct ask_answer {
    char *text; /* malloc-ed, NUL-terminated */
    size_t n;
    int n_token;
    bool is_cut; /* it came to n_predict tokens */
};

struct ask_run {
    lathe_engine *engine;
    int n_ctx, n_predict;    /* longer prompts lose tokens at their beginning */
    const char *const *stop; /* strings that end an answer */
    size_t n_stop;
    void (*progress)(void *user, double share); /* may be NULL */
    void *user;
};

/* Fills answers[n], zeroed before; free them in any case. *n_token: of prompts and answers. Errors name the item. */
int ask_run(const struct ask_run *r, const struct ask_prompt *prompts, int n, struct ask_answer *answers,
            long *n_token, struct lathe_err *err);
void ask_answers_free(struct ask_answer *answers, int n);
#endif
