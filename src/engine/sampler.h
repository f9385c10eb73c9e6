/* Sampling: from one row of logits to one token. Deterministic: randomness is a function of (seed, candidate,
 * position), never of call order. */
#ifndef LATHE_ENGINE_SAMPLER_H
#define LATHE_ENGINE_SAMPLER_H
#include "engine/penalty.h"
#include "text/vocab.h"

struct sampler;
struct candidate;

/* What a thread needs while it samples. */
struct sampler_scratch {
    struct penalty_scratch penalty;
    struct candidate *list;           /* [n_vocab] */
    float *scaled, *block_sums, *raw; /* [n_vocab]; raw: the caller's */
};

/* For histories of up to n_ctx tokens; free it in any case. */
int sampler_scratch_init(struct sampler_scratch *c, int n_vocab, int n_ctx, struct lathe_err *err);
void sampler_scratch_free(struct sampler_scratch *c);
uint64_t sampler_scratch_bytes(int n_vocab, int n_ctx);
/* Copies the settings; USAGE names a value out of range. `breaks[n_vocab]` marks tokens that DRY does not
 * match across, owned by the caller. */
int sampler_new(const struct lathe_sampling *s, int n_vocab, uint32_t candidate, const uint8_t *breaks,
                struct sampler **out, struct lathe_err *err);
void sampler_free(struct sampler *s);
/* Whether sampler_next changes `logits`. */
bool sampler_changes_logits(const struct sampler *s);
/* Chooses the token that follows history[n] (prompt and answer so far). -1 if a logit is NaN. */
int sampler_next(const struct sampler *s, struct sampler_scratch *c, float *logits, const int32_t *history,
                 int n);
/* Natural logarithms of the model's own probabilities: of `token`, and the n_top likeliest, best first (ties:
 * lower id). Of logits that sampler_next has not changed. */
float sampler_logprob(const struct sampler *s, const float *logits, int token, int n_top,
                      struct lathe_logprob *top);
#endif
