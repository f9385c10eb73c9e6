/* The encoders. Blocks are taken sixteen groups of columns at a time (fit.h), whatever rows they are of. */
#include "quant/encode.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include "quant/int_fit.h"
#include "quant/scheme.h"

/* ---- floats ---- */

static void encode_floats(uint32_t id, const float *x, uint8_t *y, int64_t n)
{
    if (id == FORMAT_F32)
        memcpy(y, x, (size_t)n * sizeof *x);
    else
        for (int64_t i = 0; i < n; i++) {
            uint16_t h = id == FORMAT_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
            memcpy(y + 2 * i, &h, sizeof h);
        }
}

/* ---- blocks ---- */

float scheme_f16(const struct scheme_tile *t, int g, float v)
{
    float most = 65504, x = v * t->up[g];
    x = x > most ? most : x < -most ? -most : x;
    return f16_to_f32(f32_to_f16(x)) * t->down[g];
}

/* The largest magnitude of n numbers, a multiple of 16; the bits of numbers without their sign are ordered as they are, infinities
 * and NaNs above all. */
static float largest(const float *x, int n)
{
    int32_t most[16] = {0}, bits[16];
    float out;
    for (int i = 0; i < n; i += 16) {
        memcpy(bits, x + i, sizeof bits);
        for (int k = 0; k < 16; k++) {
            bits[k] &= INT32_MAX;
            most[k] = bits[k] > most[k] ? bits[k] : most[k];
        }
    }
    for (int k = 1; k < 16; k++)
        most[0] = most[k] > most[0] ? most[k] : most[0];
    memcpy(&out, most, sizeof out);
    return out;
}

/* A power of two that brings the largest of n numbers to [1, 4); 1 if there is none. */
static float size_of(const float *x, int n, bool *bad)
{
    float most = largest(x, n);
    int e;
    *bad = !(most <= FLT_MAX);
    if (*bad || most == 0)
        return 1;
    frexpf(most, &e);
    return ldexpf(1, e < -125 ? -126 : e > 126 ? 126 : e - 1);
}

static void weigh_alike(struct fit_tile *t)
{
    for (int k = 0; k < t->n; k++)
        for (int g = 0; g < TILE_GROUPS; g++)
            t->h[k][g] = 1;
}

/* Importance of one group of a block whose greatest is `most`; all alike where it says nothing, so that there is always a best
 * scale. */
static void weigh(struct fit_tile *t, int g, const float *h, float most)
{
    float sum = 0;
    for (int k = 0; k < t->n; k++)
        sum += h[k];
    for (int k = 0; k < t->n; k++)
        t->h[k][g] = sum > 0 && most <= FLT_MAX ? h[k] / most : 1;
}

static float greatest(const float *h, int n)
{
    float most = 0;
    for (int i = 0; i < n; i++)
        most = h[i] > most ? h[i] : most;
    return most;
}

static void sum_up(struct fit_tile *t)
{
    memset(t->sum_h, 0, sizeof t->sum_h);
    memset(t->sum_hx, 0, sizeof t->sum_hx);
    for (int k = 0; k < t->n; k++)
        for (int g = 0; g < TILE_GROUPS; g++) {
            t->sum_h[g] += t->h[k][g];
            t->sum_hx[g] += t->h[k][g] * t->x[k][g];
        }
}

static void put_group(struct fit_tile *t, int g, const float *x, bool bad, float down)
{
    const int n = t->n;
    for (int k = 0; k < n; k++)
        t->x[k][g] = bad ? 0 : x[k] * down;
}

/* Blocks [at, at + n) of a matrix, groups past them zero. */
static void load(const struct scheme *s, struct scheme_tile *t, const float *x, const float *h, int64_t at,
                 int n, int64_t n_col)
{
    int block_n = s->group_n * s->n_group;
    if (n * s->n_group < TILE_GROUPS)
        memset(t->t.x, 0, sizeof t->t.x);
    t->n_block = n;
    for (int b = 0; b < TILE_GROUPS / s->n_group; b++) {
        int first = b * s->n_group;
        const float *from = x + (at + b) * block_n;
        const float *of = h && b < n ? h + (at + b) * block_n % n_col : NULL;
        float most = of ? greatest(of, block_n) : 0;
        for (int g = 0; of && g < s->n_group; g++)
            weigh(&t->t, first + g, of + g * s->group_n, most);
        t->bad[b] = false;
        float up = b < n ? size_of(from, block_n, &t->bad[b]) : 1;
        for (int g = 0; g < s->n_group; g++) {
            float down = 1 / up;
            t->up[first + g] = up;
            t->down[first + g] = down;
            if (b < n)
                put_group(&t->t, first + g, from + g * s->group_n, t->bad[b], down);
        }
    }
    sum_up(&t->t);
}

static uint8_t code_in_book(const struct scheme *s, float level)
{
    int i = 0;
    while (s->levels.book[i] < level)
        i++;
    return s->code[i];
}

static void codes_of(const struct scheme *s, const struct fit_tile *t, int g, uint8_t *q)
{
    const int n = t->n, zero = s->code_0;
    if (s->code)
        for (int k = 0; k < n; k++)
            q[k] = code_in_book(s, t->level[k][g]);
    else
        for (int k = 0; k < n; k++)
            q[k] = (uint8_t)((int)t->level[k][g] + zero);
}

static void part_of(const struct scheme *s, const struct scheme_tile *t, const struct found *f, int b,
                    struct parts *p)
{
    int first = b * s->n_group, e = 0;
    float up = t->up[first];
    for (int g = 0; g < s->n_group; g++) {
        codes_of(s, &t->t, first + g, p->q + g * s->group_n);
        p->sc[g] = (uint8_t)((int)f->sc[first + g] + s->sc_0);
        p->mn[g] = (uint8_t)(int)f->mn[first + g];
    }
    if (s->scale == SCHEME_POWER) {
        frexpf(f->d[first] * up, &e);
        p->d[0] = (uint16_t)(t->bad[b] ? 255 : e + 127);
        return;
    }
    bool super = s->scale == SCHEME_SUPER;
    p->d[0] = t->bad[b] ? 0x7e00 : f32_to_f16((super ? f->scale[0][b] : f->d[first]) * up);
    p->d[1] = f32_to_f16((super ? f->scale[1][b] : f->m[first]) * up);
}

/* n blocks of rows of n_col: taken apart to `out`, or coded to y. */
static void fit_blocks(const struct format *f, const float *x, const float *h, int64_t n, int64_t n_col,
                       struct parts *out, uint8_t *y)
{
    const struct scheme *s = scheme_of(f->id);
    int at_once = TILE_GROUPS / s->n_group;
    struct scheme_tile t;
    struct parts p;
    t.t.n = s->group_n;
    weigh_alike(&t.t);
    for (int64_t at = 0; at < n; at += at_once) {
        struct found found = {0};
        load(s, &t, x, h, at, n - at < at_once ? (int)(n - at) : at_once, n_col);
        if (s->scale == SCHEME_SUPER)
            search_super(s, &t, &found);
        else if (s->scale == SCHEME_POWER)
            search_power(s, &t, &found);
        else
            search_f16(s, &t, &found);
        for (int b = 0; b < t.n_block; b++) {
            part_of(s, &t, &found, b, out ? out + at + b : &p);
            if (y)
                f->put(&p, y + (at + b) * f->block_bytes);
        }
    }
}

void format_fit(const struct format *f, const float *x, const float *importance, int64_t n_block,
                struct parts *out)
{
    for (int64_t b = 0; f->ints && b < n_block; b++)
        int_fit(f, x + b * f->block_n, importance, f->block_n, out + b);
    if (!f->ints)
        fit_blocks(f, x, importance, n_block, f->block_n, out, NULL);
}

void format_encode(const struct format *f, const float *x, const float *importance, void *y, int64_t n_row,
                   int64_t n_col)
{
    if (format_is_float(f->id))
        encode_floats(f->id, x, y, n_row * n_col);
    else if (f->ints)
        int_encode(f, x, importance, y, n_row, n_col);
    else
        fit_blocks(f, x, importance, n_row * (n_col / f->block_n), n_col, NULL, y);
}

/* ---- names ---- */

bool format_can_encode(const struct format *f)
{
    return f && (format_is_float(f->id) || scheme_of(f->id));
}

const struct format *format_encoded_as(const char *name)
{
    for (uint32_t id = 0; id < FORMAT_END; id++)
        if (format_can_encode(format_by_id(id)) && strcasecmp(format_by_id(id)->name, name) == 0)
            return format_by_id(id);
    return NULL;
}

void format_encoded_names(char *out, size_t n)
{
    size_t used = 0;
    *out = 0;
    for (uint32_t id = 0; id < FORMAT_END && used < n; id++)
        if (format_can_encode(format_by_id(id))) {
            used += (size_t)snprintf(out + used, n - used, "%s", used ? " " : "");
            for (const char *c = format_by_id(id)->name; *c && used + 1 < n; c++)
                out[used++] = (char)(*c >= 'A' && *c <= 'Z' ? *c + 'a' - 'A' : *c);
            out[used < n ? used : n - 1] = 0;
        }
}
