/* What passes cost, measured while they run, and how many prompt tokens the next one may take.
 *
 * A pass with prompts takes what its decoding rows take alone, which is known from passes without prompts, and a time for
 * each unit of prompt work. Work counts a token at position p as 1 + p * position_work, since it meets p keys. */
#ifndef LATHE_ENGINE_BUDGET_H
#define LATHE_ENGINE_BUDGET_H
#include <stdint.h>

enum { BUDGET_SIZES = 20 };

struct budget {
    double position_work;
    double decode_ms[BUDGET_SIZES];   /* of passes of 2^i .. 2^(i+1) - 1 decoding rows; 0: none yet */
    double work_ms;                   /* of a unit of prompt work; 0: not yet known */
    double prefill_rate, decode_rate; /* tokens per second */
    double copy_rate;                 /* bytes per second, of pages to and from swap space */
};

/* Work of n tokens from position pos on. */
static inline double budget_work(const struct budget *b, int pos, int n)
{
    return n * (1 + b->position_work * (pos + (n - 1) / 2.0));
}
/* Tokens from position pos on that `work` is enough for. */
int budget_tokens(const struct budget *b, int pos, double work);
/* Work that a pass with n_decode rows may take beside them and stay within target_ms. */
double budget_spare(const struct budget *b, int n_decode, double target_ms);
/* A step took `ms`, for n_decode rows and n_prompt prompt tokens of so much work. */
void budget_note(struct budget *b, int n_decode, int n_prompt, double work, double ms);
void budget_note_copy(struct budget *b, double n_bytes, double ms);
#endif
