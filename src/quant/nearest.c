/* Rounding column by column, in blocks whose scales are chosen. */
#include "quant/encode.h"
#include "quant/int_fit.h"
#include "quant/parts.h"
#include "quant/scheme.h"

void nearest_of(const struct format *f, const struct parts *blocks, int n_block, int col, struct nearest *out)
{
    struct columns c = {0};
    *out = (struct nearest){0};
    for (int i = 0; i < n_block; i++) {
        f->columns(&blocks[i], col / 32, &c);
        out->w[i] = c.level ? c.d : c.w[col % 32 / 16];
        out->m[i] = c.level ? 0 : f->ints ? -c.w[0] * (float)int_fit_zero(f, &blocks[i]) : c.m[col % 32 / 16];
    }
}

/* Levels in ascending order, so the index of the nearest is how many middles between neighbours lie below. */
static void nearest_in_book(const struct levels *l, const float *x, float *index, float *level)
{
    for (int i = 0; i < NEAREST_LANES; i++)
        index[i] = 0;
    for (int k = 0; k + 1 < l->n_book; k++) {
        float middle = 0.5f * (l->book[k] + l->book[k + 1]);
        for (int i = 0; i < NEAREST_LANES; i++)
            index[i] += x[i] > middle ? 1.0f : 0.0f;
    }
    for (int i = 0; i < NEAREST_LANES; i++)
        level[i] = l->book[(int)index[i]];
}

static void nearest_in_range(const struct levels *l, const float *x, float *index, float *level)
{
    const float to_integer = 0x1.8p23f; /* added and taken off, it rounds to nearest even */
    for (int i = 0; i < NEAREST_LANES; i++) {
        float v = x[i] < l->lo ? l->lo : x[i] > l->hi ? l->hi : x[i];
        level[i] = (v + to_integer) - to_integer;
        index[i] = level[i];
    }
}

void nearest_put(const struct format *f, const struct nearest *scales, const float *x, int col,
                 struct parts *blocks, int n_block, float *value)
{
    const struct scheme *s = scheme_of(f->id);
    const struct levels ints = {.hi = f->ints ? (float)f->ints->q_hi : 0,
                                .book = f->ints ? f->ints->levels : NULL,
                                .n_book = 16},
                        *levels = f->ints ? &ints : &s->levels;
    const uint8_t *code = f->ints ? NULL : s->code;
    const float code_0 = levels->book ? 0 : (float)(f->ints ? f->ints->code_0 : s->code_0);
    float scaled[NEAREST_LANES], index[NEAREST_LANES] = {0}, level[NEAREST_LANES] = {0};
    for (int i = 0; i < NEAREST_LANES; i++)
        scaled[i] = scales->w[i] != 0 ? (x[i] - scales->m[i]) / scales->w[i] : 0;
    (levels->book ? nearest_in_book : nearest_in_range)(levels, scaled, index, level);
    for (int i = 0; i < NEAREST_LANES; i++)
        value[i] = scales->w[i] * level[i] + scales->m[i];
    for (int i = 0; i < n_block; i++)
        blocks[i].q[col] = code ? code[(int)index[i]] : (uint8_t)(index[i] + code_0);
}
