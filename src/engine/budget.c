/* What passes cost. */
#include "engine/budget.h"
#include <math.h>

/* FIRST: before anything is measured. LEAST: prompts get on even where decoding alone takes the whole target. */
enum { FIRST_WORK = 64, LEAST_WORK = 16 };
static const double MARGIN = 0.9; /* of the target is planned with: passes differ by about as much */

static int size_of(int n_decode)
{
    int i = 0;
    while (i + 1 < BUDGET_SIZES && n_decode >> (i + 1))
        i++;
    return i;
}

static double blend(double old, double now, double share)
{
    return old > 0 ? old + share * (now - old) : now;
}

/* Time of so many decoding rows alone, from the nearest size that has been measured. */
static double decode_ms(const struct budget *b, int n_decode)
{
    int i = size_of(n_decode);
    if (n_decode == 0)
        return 0;
    for (int far = 0; far < BUDGET_SIZES; far++)
        for (int side = -1; side <= 1; side += 2) {
            int at = i + side * far;
            if (at >= 0 && at < BUDGET_SIZES && b->decode_ms[at] > 0)
                return b->decode_ms[at];
        }
    return 0;
}

int budget_tokens(const struct budget *b, int pos, double work)
{
    /* n + k n pos + k n^2 / 2 = work */
    double k = b->position_work, first = 1 + k * pos;
    double n = k > 0 ? (sqrt(first * first + 2 * k * work) - first) / k : work;
    return n < 1e9 ? (int)n : 1000000000;
}

double budget_spare(const struct budget *b, int n_decode, double target_ms)
{
    if (b->work_ms <= 0)
        return FIRST_WORK;
    double work = (MARGIN * target_ms - decode_ms(b, n_decode)) / b->work_ms;
    return work > LEAST_WORK ? work : LEAST_WORK;
}

void budget_note(struct budget *b, int n_decode, int n_prompt, double work, double ms)
{
    if (n_prompt == 0) {
        double *at = &b->decode_ms[size_of(n_decode)];
        *at = blend(*at, ms, 0.2);
        b->decode_rate = blend(b->decode_rate, n_decode / ms * 1e3, 0.05);
        return;
    }
    double rest = ms - decode_ms(b, n_decode);
    if (work < LEAST_WORK || rest <= 0)
        return;
    double each = rest / work;
    b->work_ms =
        blend(b->work_ms, each, each > b->work_ms ? 0.5 : 0.1); /* rather too careful than too late */
    b->prefill_rate = blend(b->prefill_rate, n_prompt / rest * 1e3, 0.1);
}

void budget_note_copy(struct budget *b, double n_bytes, double ms)
{
    b->copy_rate = blend(b->copy_rate, n_bytes / ms * 1e3, 0.2);
}
