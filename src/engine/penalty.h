/* Changes to single logits before a token is chosen: bias, penalties of repetition, DRY. */
#ifndef LATHE_ENGINE_PENALTY_H
#define LATHE_ENGINE_PENALTY_H
#include <lathe.h>

struct repeat;

/* Room for histories of up to n_ctx tokens. */
struct penalty_scratch {
    int32_t *window;
    int *match;
    struct repeat *repeats;
};

void penalty_scratch_init(struct penalty_scratch *p, int n_ctx);
uint64_t penalty_scratch_bytes(int n_ctx);
void penalty_scratch_free(struct penalty_scratch *p);
/* Whether they would change anything. */
bool penalties_any(const struct lathe_sampling *s);
/* Of the logits that follow history[n]; `breaks[n_vocab]` marks tokens that DRY does not match across. */
void penalties_apply(const struct lathe_sampling *s, struct penalty_scratch *p, const uint8_t *breaks,
                     float *logits, const int32_t *history, int n);
#endif
