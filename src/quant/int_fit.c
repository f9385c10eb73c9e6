/* Groups of integers as blocks. */
#include "quant/int_fit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "quant/int_scale.h"
#include "quant/level_round.h"
#include "quant/parts.h"

int int_fit_group(const struct format *f)
{
    return f->ints->group > f->block_n ? f->ints->group : f->block_n;
}

int int_fit_zero(const struct format *f, const struct parts *p)
{
    return f->ints->zero >= 0 ? f->ints->zero : p->mn[0] & 31;
}

static bool is_finite(const float *x, int64_t n)
{
    bool all = true;
    for (int64_t i = 0; i < n; i++)
        all &= isfinite(x[i]) != 0;
    return all;
}

/* Groups whose codes are levels: the scale is an f32 in two halves. */
static void fit_levels(const struct format *f, const float *x, const float *h, int64_t n, struct parts *out)
{
    const float *levels = f->ints->levels;
    int64_t bn = f->block_n;
    for (int64_t at = 0; at < n; at += bn, out++) {
        float d = is_finite(x + at, bn) ? level_scale(levels, x + at, h ? h + at : NULL, bn) : NAN;
        uint32_t bits;
        memcpy(&bits, &d, sizeof bits);
        out->d[0] = (uint16_t)bits;
        out->d[1] = (uint16_t)(bits >> 16);
        for (int64_t k = 0; k < bn; k++)
            out->q[k] = (uint8_t)level_nearest(levels, d > 0 ? x[at + k] / d : 0);
    }
}

void int_fit(const struct format *f, const float *x, const float *h, int64_t n, struct parts *out)
{
    int64_t group = int_fit_group(f), bn = f->block_n;
    if (f->ints->levels) {
        fit_levels(f, x, h, n, out);
        return;
    }
    uint8_t *q = mem_new((size_t)group);
    for (int64_t at = 0; at < n; at += group) {
        struct int_group best = {NAN, 0, 0};
        uint8_t number[INT_SCALE_BYTES];
        if (is_finite(x + at, group))
            best = int_round(f->ints, x + at, h ? h + at : NULL, group, q);
        /* a zero point that all groups have is the format's own */
        put_int_scale(best.d, (uint8_t)(f->ints->code_0 ? 0 : best.z), number);
        for (int64_t k = 0; k < group; k++)
            out[(at + k) / bn].q[k % bn] = (uint8_t)(q[k] + f->ints->code_0);
        for (int64_t b = at / bn; b < (at + group) / bn; b++) {
            out[b].d[0] = take_u16(number);
            out[b].mn[0] = number[2];
        }
    }
    free(q);
}

void int_encode(const struct format *f, const float *x, const float *h, uint8_t *y, int64_t n_row,
                int64_t n_col)
{
    int64_t n_block = n_col / f->block_n;
    struct parts *p = mem_new((size_t)n_block * sizeof *p);
    for (int64_t r = 0; r < n_row; r++) {
        int_fit(f, x + r * n_col, h, n_col, p);
        for (int64_t b = 0; b < n_block; b++, y += f->block_bytes)
            f->put(&p[b], y);
    }
    free(p);
}
