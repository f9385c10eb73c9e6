/* The searches of scales: no worse than plain rounding, near the best that there is, exact where the values allow it, the same
 * on every instruction set, and defined for every input. */
#include "unit.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/cpu.h"
#include "gguf_write.h"
#include "quant/encode.h"
#include "quant/scheme.h"

enum { N = 1024, N_KIND = 7 };
#if defined(__x86_64__)
enum { N_DRAW = 30, N_BLOCK = 200 };
#else /* under an emulator: minutes */
enum { N_DRAW = 4, N_BLOCK = 60 };
#endif

/* Near a normal distribution; one in the last kinds is far out, or all are above or below zero. */
static void fill(float *x, int n, int kind, uint64_t *seed)
{
    for (int i = 0; i < n; i++) {
        float v = 0;
        for (int k = 0; k < 6; k++)
            v += gw_uniform(seed);
        float u = gw_uniform(seed);
        x[i] = kind == 0   ? v * 0.02f
               : kind == 1 ? v * v * v
               : kind == 2 ? u
               : kind == 3 ? (i % 32 == 7 ? 50 * u : v * 0.01f)
               : kind == 4 ? 3 + u * 0.1f
               : kind == 5 ? -3 + u * 0.1f
                           : (i % 64 < 50 ? 0 : v);
    }
}

static double error_of(const struct format *f, const float *x, const float *h, int n)
{
    uint8_t y[4 * N];
    float back[N];
    double e = 0;
    format_encode(f, x, h, y, 1, n);
    f->decode(y, back, n);
    for (int i = 0; i < n; i++) {
        assert_true(isfinite(back[i]));
        e += (h ? (double)h[i] : 1) * ((double)x[i] - (double)back[i]) * ((double)x[i] - (double)back[i]);
    }
    return e;
}

/* ---- no worse than plain rounding ---- */

static float nearest(const struct levels *l, float y)
{
    if (!l->book)
        return rintf(fminf(fmaxf(y, l->lo), l->hi));
    float q = l->book[0];
    for (int i = 1; i < l->n_book; i++)
        q = fabsf(l->book[i] - y) < fabsf(q - y) ? l->book[i] : q;
    return q;
}

static double plain_group(const struct scheme *s, const float *x, float d, float m)
{
    double e = 0;
    for (int i = 0; i < s->group_n; i++) {
        double w = (double)d * (double)nearest(&s->levels, d != 0 ? (x[i] - m) / d : 0) + (double)m;
        e += ((double)x[i] - w) * ((double)x[i] - w);
    }
    return e;
}

/* What a scale that brings the largest number to the last level costs, or the span to all of them; scales of super-blocks are
 * rounded to multiples of the largest. */
static double plain_block(const struct scheme *s, const float *x)
{
    float d[16], m[16], most[2] = {0};
    double e = 0;
    for (int g = 0; g < s->n_group; g++) {
        const float *v = x + g * s->group_n;
        float low = v[0], high = v[0], end = s->levels.book ? s->levels.book[0] : s->levels.lo;
        for (int i = 1; i < s->group_n; i++) {
            low = fminf(low, v[i]);
            high = fmaxf(high, v[i]);
        }
        if (s->levels.below)
            low = fminf(low, 0);
        m[g] = s->has_min ? low : 0;
        d[g] = s->has_min ? (high - low) / s->levels.hi : (-low > high ? low : high) / end;
        most[0] = fmaxf(most[0], fabsf(d[g]));
        most[1] = fmaxf(most[1], fabsf(m[g]));
    }
    for (int g = 0; g < s->n_group; g++) {
        float a = d[g], c = m[g];
        if (s->scale == SCHEME_SUPER) {
            float da = f16_to_f32(f32_to_f16(most[0] / (float)s->sc_hi)),
                  dc = s->has_min ? f16_to_f32(f32_to_f16(most[1] / (float)s->mn_hi)) : 0;
            a = da > 0 ? da * rintf(fminf(fmaxf(a / da, (float)s->sc_lo), (float)s->sc_hi)) : 0;
            c = dc > 0 ? -dc * rintf(fminf(-c / dc, (float)s->mn_hi)) : 0;
        } else if (s->scale == SCHEME_POWER) {
            a = a != 0 ? exp2f(ceilf(log2f(fabsf(a)))) : 0;
        } else {
            a = f16_to_f32(f32_to_f16(a));
            c = f16_to_f32(f32_to_f16(c));
        }
        e += plain_group(s, x + g * s->group_n, a, c);
    }
    return e;
}

static void no_worse_than_plain(void **state)
{
    uint64_t seed = 2;
    float x[N];
    int n_scheme = 0;
    for (uint32_t id = 0; id < FORMAT_END; id++) {
        const struct scheme *s = scheme_of(id);
        if (!s)
            continue;
        n_scheme++;
        const struct format *f = format_by_id(id);
        for (int kind = 0; kind < N_KIND; kind++)
            for (int i = 0; i < N_DRAW; i++) {
                fill(x, N, kind, &seed);
                for (int b = 0; b < N / f->block_n; b++) {
                    double got = error_of(f, x + b * f->block_n, NULL, f->block_n),
                           plain = plain_block(s, x + b * f->block_n);
                    if (got > plain * 1.00001)
                        fail_msg("%s kind %d: error %g, plain rounding %g", f->name, kind, got, plain);
                }
            }
    }
    assert_int_equal(n_scheme, 13);
}

/* ---- near the best there is ---- */

/* Of every scale in f16 whose largest level is near the largest number. */
static double best_of_all(const struct scheme *s, const float *x)
{
    float most = 0, end = s->levels.book ? 127 : -s->levels.lo;
    double best = INFINITY;
    for (int i = 0; i < 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    for (uint16_t h = f32_to_f16(most / end * 0.5f), last = f32_to_f16(most / end * 2); h <= last; h++)
        for (int sign = -1; sign <= 1; sign += 2)
            best = fmin(best, plain_group(s, x, (float)sign * f16_to_f32(h), 0));
    return best;
}

static void near_the_best(void **state)
{
    static const uint32_t ids[] = {FORMAT_Q4_0, FORMAT_Q5_0, FORMAT_IQ4_NL};
    uint64_t seed = 3;
    float x[32];
    for (int k = 0; k < 3; k++) {
        double got = 0, best = 0;
        for (int i = 0; i < N_BLOCK; i++) {
            fill(x, 32, i % 3, &seed);
            double scale = 0, one = error_of(format_by_id(ids[k]), x, NULL, 32),
                   least = best_of_all(scheme_of(ids[k]), x);
            for (int c = 0; c < 32; c++)
                scale += (double)x[c] * (double)x[c];
            assert_true(one >= least * 0.9999 && one <= least * 1.25);
            got += one / scale;
            best += least / scale;
        }
        if (got > best * 1.01)
            fail_msg("%s: %g times the least error", format_by_id(ids[k])->name, got / best);
    }
}

/* ---- exact where the values are on a grid ---- */

static void a_grid_comes_back(void **state)
{
    uint64_t seed = 4;
    uint8_t block[512], again[512];
    float x[256], y[256];
    struct parts p;
    for (uint32_t id = 0; id < FORMAT_END; id++) {
        const struct scheme *s = scheme_of(id);
        const struct format *f = format_by_id(id);
        if (!s || s->scale == SCHEME_SUPER)
            continue;
        for (int i = 0; i < 300; i++) {
            for (int k = 0; k < f->block_bytes; k++)
                block[k] = (uint8_t)(gw_next(&seed) >> 40);
            f->take(block, &p);
            p.d[0] =
                s->scale == SCHEME_POWER ? (uint16_t)(100 + i % 50) : f32_to_f16(0.001f * (float)(1 + i));
            p.d[1] = f32_to_f16(-0.01f * (float)(i % 17));
            p.q[i % 32] = 0; /* the far end of every range; of MXFP4 it is zero */
            p.q[(i + 5) % 32] =
                s->scale == SCHEME_POWER ? 7 : (uint8_t)(s->levels.book ? 15 : s->levels.hi - s->levels.lo);
            for (int k = 0; id == FORMAT_Q8_0 && k < 32; k++) /* -128 is read, not written */
                p.q[k] = p.q[k] ? p.q[k] : 1;
            f->put(&p, block);
            f->decode(block, x, f->block_n);
            format_encode(f, x, NULL, again, 1, f->block_n);
            f->decode(again, y, f->block_n);
            for (int k = 0; k < f->block_n; k++)
                if (x[k] != y[k])
                    fail_msg("%s, block %d: %.9g became %.9g", f->name, i, (double)x[k], (double)y[k]);
        }
    }
}

/* ---- importance ---- */

/* Weights bring the error down where they are, and a weight of all is a weight of none. */
static void importance_counts(void **state)
{
    uint64_t seed = 5;
    float x[256], h[256], ones[256];
    for (uint32_t id = 0; id < FORMAT_END; id++) {
        if (!scheme_of(id))
            continue;
        const struct format *f = format_by_id(id);
        double with = 0, without = 0;
        uint8_t y[2][512], z[512];
        for (int i = 0; i < 20; i++) {
            fill(x, 256, 0, &seed);
            for (int k = 0; k < 256; k++) {
                h[k] = gw_uniform(&seed) > 0.8f ? 100 : 0.01f;
                ones[k] = 0.37f;
            }
            format_encode(f, x, NULL, z, 1, f->block_n);
            with += error_of(f, x, h, f->block_n);
            float back[256];
            f->decode(z, back, f->block_n);
            for (int k = 0; k < f->block_n; k++)
                without += (double)h[k] * ((double)x[k] - (double)back[k]) * ((double)x[k] - (double)back[k]);
            format_encode(f, x, ones, y[0], 1, f->block_n);
            assert_memory_equal(y[0], z, (size_t)f->block_bytes);
            memset(h, 0, sizeof h);
            format_encode(f, x, h, y[1], 1, f->block_n);
            assert_memory_equal(y[1], z, (size_t)f->block_bytes);
        }
        assert_true(with <= without * (id == FORMAT_MXFP4 ? 1 : 0.9));
    }
}

/* ---- every input ---- */

static void extremes_are_defined(void **state)
{
    static const float size[] = {0, 1e-45f, 1e-40f, 1e-38f, 1e-20f, 1, 60000, 1e30f, FLT_MAX};
    float x[256], y[256];
    uint8_t block[512];
    for (uint32_t id = 0; id < FORMAT_END; id++) {
        if (!scheme_of(id))
            continue;
        const struct format *f = format_by_id(id);
        for (size_t k = 0; k < sizeof size / sizeof *size; k++)
            for (int form = 0; form < 4; form++) {
                for (int i = 0; i < 256; i++)
                    x[i] = form == 0               ? size[k]
                           : form == 1             ? -size[k]
                           : form == 2             ? (i % 2 ? size[k] : -size[k])
                           : i == 100 % f->block_n ? size[k]
                                                   : 0;
                format_encode(f, x, NULL, block, 1, f->block_n);
                f->decode(block, y, f->block_n);
                for (int i = 0; i < f->block_n; i++) {
                    assert_true(isfinite(y[i]) && fabsf(y[i]) <= fmaxf(size[k], 0) * 2 + 1e-7f);
                    if (size[k] ==
                        1) /* one magnitude is one of every grid, but for what f16 and powers of two miss */
                        if (!(fabsf(y[i] - x[i]) <= (id == FORMAT_MXFP4           ? 0.17f
                                                     : scheme_of(id)->levels.book ? 0.06f
                                                                                  : 0.02f)))
                            fail_msg("%s form %d: %g instead of %g", f->name, form, (double)y[i],
                                     (double)x[i]);
                }
            }
    }
}

static void what_is_no_number_is_seen(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    float x[512], y[512];
    uint8_t block[1024];
    for (uint32_t id = 0; id < FORMAT_END; id++)
        for (int k = 0; scheme_of(id) && k < 3; k++) {
            const struct format *f = format_by_id(id);
            for (int i = 0; i < 2 * f->block_n; i++)
                x[i] = (float)(i % 9 - 4);
            x[5] = bad[k];
            format_encode(f, x, NULL, block, 1, 2 * f->block_n);
            f->decode(block, y, 2 * f->block_n);
            int n_nan = 0;
            for (int i = 0; i < f->block_n; i++) {
                n_nan += isnan(y[i]) != 0;
                assert_true(isfinite(y[f->block_n + i]));
            }
            assert_true(n_nan > 0);
        }
}

/* ---- instruction sets, and how rows are cut ---- */

static void every_isa_has_the_same_bits(void **state)
{
    uint64_t seed = 6;
    struct fit_tile a, b;
    struct fit fa, fb;
    memset(&a, 0, sizeof a);
    memset(&fa, 0, sizeof fa);
    memset(&fb, 0, sizeof fb);
    for (int i = 0; i < 2000; i++) {
        const struct scheme *s = scheme_of((uint32_t)(i % FORMAT_END));
        float d[TILE_GROUPS], m[TILE_GROUPS];
        if (!s)
            continue;
        a.n = s->group_n;
        for (int g = 0; g < TILE_GROUPS; g++) {
            d[g] = i % 5 && g != 3 ? gw_uniform(&seed) : 0;
            m[g] = gw_uniform(&seed);
            a.sum_h[g] = a.sum_hx[g] = 0;
            for (int k = 0; k < a.n; k++) {
                a.x[k][g] = i % 11 ? gw_uniform(&seed) * 4 : 0;
                a.h[k][g] = i % 2 ? 1 : gw_uniform(&seed) + 1;
                a.sum_h[g] += a.h[k][g];
                a.sum_hx[g] += a.h[k][g] * a.x[k][g];
            }
        }
        fit_c(&a, &s->levels, d, s->has_min ? m : NULL, &fa);
#if defined __x86_64__
        fit_fn *const fits[] = {cpu_supports(CPU_AVX2) ? fit_avx2 : fit_c,
                                cpu_supports(CPU_AVX512VNNI) ? fit_avx512vnni : fit_c};
        for (int k = 0; k < 2; k++) {
            b = a;
            fits[k](&b, &s->levels, d, s->has_min ? m : NULL, &fb);
            assert_memory_equal(&fa, &fb, sizeof fa);
            assert_memory_equal(a.level, b.level, sizeof a.level);
        }
#endif
    }
}

/* Blocks share a tile with others, of which they know nothing. */
static void neighbours_change_nothing(void **state)
{
    uint64_t seed = 7;
    float x[5 * 768], h[768];
    uint8_t all[8192], one[2048];
    fill(x, 5 * 768, 1, &seed);
    for (int i = 0; i < 768; i++)
        h[i] = gw_uniform(&seed) + 1;
    for (uint32_t id = 0; id < FORMAT_END; id++) {
        if (!scheme_of(id))
            continue;
        const struct format *f = format_by_id(id);
        size_t bytes = (size_t)(768 / f->block_n * f->block_bytes);
        for (int w = 0; w < 2; w++) {
            format_encode(f, x, w ? h : NULL, all, 5, 768);
            for (int r = 0; r < 5; r++) {
                format_encode(f, x + r * 768, w ? h : NULL, one, 1, 768);
                assert_memory_equal(one, all + (size_t)r * bytes, bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_worse_than_plain),         cmocka_unit_test(near_the_best),
        cmocka_unit_test(a_grid_comes_back),           cmocka_unit_test(importance_counts),
        cmocka_unit_test(extremes_are_defined),        cmocka_unit_test(what_is_no_number_is_seen),
        cmocka_unit_test(every_isa_has_the_same_bits), cmocka_unit_test(neighbours_change_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
