/* Penalties. */
#include "engine/penalty.h"
#include <stdlib.h>
#include <string.h>
#include "base/detmath.h"
#include "base/mem.h"

struct repeat {
    int32_t token;
    int length;
};

void penalty_scratch_init(struct penalty_scratch *p, int n_ctx)
{
    size_t n = (size_t)n_ctx + 1;
    p->window = mem_new(n * sizeof *p->window);
    p->match = mem_new(n * sizeof *p->match);
    p->repeats = mem_new(n * sizeof *p->repeats);
}

uint64_t penalty_scratch_bytes(int n_ctx)
{
    return ((uint64_t)n_ctx + 1) * (sizeof(int32_t) + sizeof(int) + sizeof(struct repeat));
}

void penalty_scratch_free(struct penalty_scratch *p)
{
    free(p->window);
    free(p->match);
    free(p->repeats);
}

static void swap_bytes(char *a, char *b, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        char t = a[i];
        a[i] = b[i];
        b[i] = t;
    }
}

/* Heapsort (Williams 1964): in place, where qsort would allocate. */
static void sort_heap(void *base, int n, size_t size, int (*compare)(const void *, const void *))
{
    char *p = base;
    for (int start = n / 2, end = n; end > 1;) {
        if (start > 0)
            start--;
        else
            swap_bytes(p, p + (size_t)--end * size, size);
        for (int parent = start, child; (child = 2 * parent + 1) < end; parent = child) {
            if (child + 1 < end && compare(p + (size_t)child * size, p + (size_t)(child + 1) * size) < 0)
                child++;
            if (compare(p + (size_t)parent * size, p + (size_t)child * size) >= 0)
                break;
            swap_bytes(p + (size_t)parent * size, p + (size_t)child * size, size);
        }
    }
}

static int by_id(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static void penalize_repeats(const struct lathe_sampling *s, struct penalty_scratch *p, float *logits,
                             const int32_t *history, int n)
{
    if (s->repeat_penalty == 1 && s->frequency_penalty == 0 && s->presence_penalty == 0)
        return;
    int last = s->penalty_last_n < 0 || s->penalty_last_n > n ? n : s->penalty_last_n;
    memcpy(p->window, history + n - last, (size_t)last * sizeof *history);
    sort_heap(p->window, last, sizeof *p->window, by_id);
    for (int i = 0, j; i < last; i = j) {
        for (j = i; j < last && p->window[j] == p->window[i]; j++)
            ;
        float *l = &logits[p->window[i]];
        *l = *l > 0 ? *l / s->repeat_penalty : *l * s->repeat_penalty;
        *l -= (float)(j - i) * s->frequency_penalty + s->presence_penalty;
    }
}

static int by_token_longest(const void *a, const void *b)
{
    const struct repeat *x = a, *y = b;
    return x->token != y->token ? (x->token > y->token) - (x->token < y->token) : y->length - x->length;
}

/* z[i] = how many tokens before end[-i], that one included, agree with the text's end (the Z function of the
 * reversed text). */
static void match_ending(const int32_t *end, int n, int *z)
{
    int left = 0, right = 0;
    z[0] = n;
    for (int i = 1; i < n; i++) {
        int k = i < right ? (z[i - left] < right - i ? z[i - left] : right - i) : 0;
        while (i + k < n && end[-k] == end[-(i + k)])
            k++;
        z[i] = k;
        if (i + k > right) {
            left = i;
            right = i + k;
        }
    }
}

/* DRY (p-e-w 2024): a token that would continue an earlier occurrence of the text's ending loses multiplier *
 * base^(length - allowed); an ending does not reach across a breaker. */
static void penalize_dry(const struct lathe_sampling *s, struct penalty_scratch *p, const uint8_t *breaks,
                         float *logits, const int32_t *history, int n)
{
    if (s->dry_multiplier == 0 || n < 2)
        return;
    int last = s->dry_penalty_last_n < 0 || s->dry_penalty_last_n > n ? n : s->dry_penalty_last_n;
    int usable = 0, n_repeat = 0;
    const int32_t *end = history + n - 1;
    while (usable < last && !breaks[end[-usable]])
        usable++;
    match_ending(end, last, p->match);
    for (int i = 1; i < last; i++) {
        int length = p->match[i] < usable ? p->match[i] : usable;
        if (length >= s->dry_allowed_length)
            p->repeats[n_repeat++] = (struct repeat){end[-(i - 1)], length};
    }
    sort_heap(p->repeats, n_repeat, sizeof *p->repeats, by_token_longest);
    for (int i = 0; i < n_repeat; i++) {
        if (i && p->repeats[i].token == p->repeats[i - 1].token)
            continue;
        int excess = p->repeats[i].length - s->dry_allowed_length;
        double log_penalty = det_log((double)s->dry_base) * excess;
        logits[p->repeats[i].token] -=
            s->dry_multiplier * (float)det_exp(log_penalty < 80 ? log_penalty : 80);
    }
}

bool penalties_any(const struct lathe_sampling *s)
{
    return s->n_bias || s->repeat_penalty != 1 || s->frequency_penalty != 0 || s->presence_penalty != 0 ||
           s->dry_multiplier != 0;
}

void penalties_apply(const struct lathe_sampling *s, struct penalty_scratch *p, const uint8_t *breaks,
                     float *logits, const int32_t *history, int n)
{
    for (size_t i = 0; i < s->n_bias; i++)
        logits[s->bias[i].token] += s->bias[i].bias;
    penalize_repeats(s, p, logits, history, n);
    penalize_dry(s, p, breaks, logits, history, n);
}
