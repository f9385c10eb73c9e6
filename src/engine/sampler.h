/* Sampling: from one row of logits to one token. Deterministic: randomness is a function of (seed, candidate,
 * position), never of call order. */
#ifndef LATHE_ENGINE_SAMPLER_H
#define LATHE_ENGINE_SAMPLER_H
#include "text/vocab.h"

struct sampler;

/* Copies the settings; USAGE names a value out of range. `breaks[n_vocab]` marks tokens that DRY does not
 * match across, owned by the caller. */
int sampler_new(const struct lathe_sampling *s, int n_vocab, int n_ctx, uint32_t candidate,
                const uint8_t *breaks, struct sampler **out, struct lathe_err *err);
void sampler_free(struct sampler *s);
/* Chooses the token that follows history[n] (prompt and answer so far). May change `logits`. -1 if a logit is
 * NaN. */
int sampler_next(struct sampler *s, float *logits, const int32_t *history, int n);
/* Natural logarithms of the model's own probabilities: of `token`, and the n_top likeliest, best first (ties:
 * lower id). Before sampler_next. */
float sampler_logprob(struct sampler *s, const float *logits, int token, int n_top,
                      struct lathe_logprob *top);
#endif
