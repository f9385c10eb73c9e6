/* A distribution as a systematic sample.
 *
 *     code: pairs of (distance to the next token that was hit, its count), each number v > 0 as k zeros, a one, and the k bits
 *     below v's highest one; bits fill bytes from the lowest up */
#include "measure/ref_row.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/splitmix.h"

enum {
    CODE_MOST = 12,
    BITS_MOST = 27,
    PAD = 8
}; /* bytes of a pair; bytes that may be read behind the code */

struct bits {
    uint64_t held; /* not yet written, or read ahead */
    int n_held;
};

void ref_row_reserve(struct ref_row *r, size_t n)
{
    if (n + PAD > r->cap) {
        r->cap = n + n / 2 + 1024;
        r->code = mem_grow(r->code, r->cap);
    }
}

static void put(struct ref_row *r, struct bits *b, uint32_t v)
{
    int k = 31 - __builtin_clz(v);
    uint64_t code = (uint64_t)1 << k | (uint64_t)(v - (1u << k)) << (k + 1);
    b->held |= code << b->n_held;
    b->n_held += 2 * k + 1;
    while (b->n_held >= 8) {
        r->code[r->n_byte++] = (uint8_t)b->held;
        b->held >>= 8;
        b->n_held -= 8;
    }
}

void ref_row_encode(struct ref_row *r, const float *x, int n, const struct logits_norm *p, uint64_t seed,
                    float *scratch)
{
    struct bits b = {0};
    double sum = 0, passed = 0, weighted = 0,
           start = splitmix_share(splitmix_mix((seed + 1) * SPLITMIX_STEP));
    int64_t before = 0; /* samples before token i */
    int last = -1;
    logits_exp(x, n, p->max, scratch);
    for (int i = 0; i < n; i++)
        sum += (double)scratch[i];
    double scale = REF_SAMPLES / sum;
    r->n_byte = 0;
    for (int i = 0; i < n; i++) {
        passed += (double)scratch[i];
        int64_t end = i + 1 < n ? (int64_t)(passed * scale + start) : REF_SAMPLES;
        int64_t count = (end < REF_SAMPLES ? end : REF_SAMPLES) - before;
        if (count <= 0)
            continue;
        ref_row_reserve(r, r->n_byte + CODE_MOST);
        put(r, &b, (uint32_t)(i - last));
        put(r, &b, (uint32_t)count);
        weighted += (double)count * (double)(x[i] - p->max);
        before += count;
        last = i;
    }
    ref_row_reserve(r, r->n_byte + 1);
    if (b.n_held)
        r->code[r->n_byte++] = (uint8_t)b.held;
    memset(r->code + r->n_byte, 0, PAD);
    r->cross = weighted / REF_SAMPLES - p->log_sum;
    r->top = p->top;
}

/* The number at bit `at`, which moves behind it; 0 if there is none below 2^28. */
static uint32_t get(const struct ref_row *r, size_t *at)
{
    uint64_t word;
    if (*at / 8 >= r->n_byte)
        return 0;
    memcpy(&word, r->code + *at / 8, sizeof word);
    word >>= *at % 8;
    int k = word ? __builtin_ctzll(word) : 64;
    if (k > BITS_MOST)
        return 0;
    *at += 2 * (size_t)k + 1;
    return 1u << k | ((uint32_t)(word >> (k + 1)) & ((1u << k) - 1));
}

bool ref_row_divergence(const struct ref_row *r, const float *y, int n, const struct logits_norm *q,
                        double *out)
{
    size_t at = 0;
    int64_t i = -1, n_sample = 0;
    double weighted = 0;
    while (n_sample < REF_SAMPLES) {
        uint32_t step = get(r, &at), count = get(r, &at);
        i += step;
        n_sample += count;
        if (!step || !count || i >= n)
            return false;
        weighted += (double)count * (double)(y[i] - q->max);
    }
    *out = r->cross - (weighted / REF_SAMPLES - q->log_sum);
    return n_sample == REF_SAMPLES && (at + 7) / 8 == r->n_byte;
}
