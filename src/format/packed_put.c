/* A matrix's integers, scales and zero points as the tensors of a published layout: the way back of packed.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "format/packed_write.h"
#include "quant/format.h"
#include "quant/int_scale.h"
#include "quant/parts.h"

enum { PACK = 8, NESTED = 256, STATE_BYTES = 256, ONES = 0x11111111 };
static const int awq_order[PACK] = {0, 2, 4, 6, 1, 3, 5, 7}, plain_order[PACK] = {0, 1, 2, 3, 4, 5, 6, 7};

/* ---- which there are ---- */

static void add(struct packed_part *p, const char *end, const char *dtype, int size, int n_dim, uint64_t a,
                uint64_t b)
{
    *p = (struct packed_part){end, dtype, {a, b}, (uint64_t)size * a * (n_dim == 2 ? b : 1), n_dim};
}

int packed_parts(const struct packed_write *w, uint32_t scale_type, uint64_t n_row, uint64_t n_col,
                 struct packed_part p[PACKED_MAX_PART])
{
    const char *scale = scale_type == FORMAT_BF16 ? "BF16" : "F16";
    uint64_t group = w->group < 0 ? n_col : (uint64_t)w->group, g = (n_col + group - 1) / group,
             n = n_row * n_col;
    int i = 0;
    if (w->kind == WRITE_GPTQ || w->kind == WRITE_AWQ) {
        bool by_row = w->kind == WRITE_AWQ;
        add(&p[i++], ".qweight", "I32", 4, 2, by_row ? n_col : n_col / PACK, by_row ? n_row / PACK : n_row);
        add(&p[i++], ".qzeros", "I32", 4, 2, g, n_row / PACK);
        add(&p[i++], ".scales", "F16", 2, 2, g, n_row);
        if (w->kind == WRITE_GPTQ)
            add(&p[i++], ".g_idx", "I32", 4, 1, n_col, 0);
    } else if (w->kind == WRITE_INTS) {
        add(&p[i++], ".weight_packed", "I32", 4, 2, n_row, n_col / PACK);
        add(&p[i++], ".weight_scale", scale, 2, 2, n_row, g);
        add(&p[i++], ".weight_shape", "I64", 8, 1, 2, 0);
        if (!w->symmetric)
            add(&p[i++], ".weight_zero_point", "I32", 4, 2, (n_row + PACK - 1) / PACK, g);
    } else if (w->kind == WRITE_BYTES) {
        add(&p[i++], ".weight", "I8", 1, 2, n_row, n_col);
        add(&p[i++], ".weight_scale", scale, 2, 2, n_row, 1);
    } else {
        add(&p[i++], ".weight", "U8", 1, 2, n / 2, 1);
        add(&p[i++], ".weight.absmax", "U8", 1, 1, n / 64, 0);
        add(&p[i++], ".weight.quant_map", "F32", 4, 1, 16, 0);
        add(&p[i++], ".weight.nested_absmax", "F32", 4, 1, (n / 64 + NESTED - 1) / NESTED, 0);
        add(&p[i++], ".weight.nested_quant_map", "F32", 4, 1, NESTED, 0);
        add(&p[i++], ".weight.quant_state.bitsandbytes__nf4", "U8", 1, 1, STATE_BYTES, 0);
    }
    return i;
}

/* ---- integers of 4 bits ---- */

/* out[n / 8] = words of the numbers at, at + step, ... */
static void put_words(const uint8_t *at, uint64_t step, uint64_t n, const int *order, uint32_t less,
                      uint8_t *out)
{
    for (uint64_t i = 0; i < n; i += PACK, out += 4) {
        uint32_t word = 0;
        for (uint64_t k = 0; k < PACK; k++) {
            uint64_t from = i + (uint64_t)order[k];
            word |= (uint32_t)(from < n ? at[from * step] & 15 : 0) << 4 * k;
        }
        put_u32(out, word - less);
    }
}

static void put_codes(const struct packed_write *w, const struct packed_values *v, uint8_t *out)
{
    uint64_t n = v->n_row, m = v->n_col;
    if (w->kind == WRITE_INTS)
        put_words(v->q, 1, n * m, plain_order, 0, out);
    else if (w->kind == WRITE_AWQ)
        for (uint64_t c = 0; c < m; c++)
            put_words(v->q + c, m, n, awq_order, 0, out + c * (n / PACK * 4));
    else
        for (uint64_t r = 0; r < n; r++)
            for (uint64_t c = 0; c < m; c += PACK)
                put_words(v->q + r * m + c, 1, PACK, plain_order, 0, out + (c / PACK * n + r) * 4);
}

static void put_zeros(const struct packed_write *w, const struct packed_values *v, uint8_t *out)
{
    uint64_t n = v->n_row, g = v->n_group;
    for (uint64_t i = 0; i < g; i++) {
        if (w->kind != WRITE_INTS) {
            put_words(v->zero + i, g, n, w->kind == WRITE_AWQ ? awq_order : plain_order,
                      w->kind == WRITE_GPTQ ? ONES : 0, out + i * (n / PACK * 4));
            continue;
        }
        for (uint64_t r = 0; r < n; r += PACK)
            put_words(v->zero + r * g + i, g, n - r < PACK ? n - r : PACK, plain_order, 0,
                      out + (r / PACK * g + i) * 4);
    }
}

static void put_number(float x, uint32_t type, uint8_t *out)
{
    put_u16(out, type == FORMAT_BF16 ? f32_to_bf16(x) : f32_to_f16(x));
}

static void put_scales(const struct packed_write *w, const struct packed_values *v, uint8_t *out)
{
    bool by_group = w->kind == WRITE_GPTQ || w->kind == WRITE_AWQ;
    for (uint64_t r = 0; r < v->n_row; r++)
        for (uint64_t g = 0; g < v->n_group; g++)
            put_number(v->scale[r * v->n_group + g], v->scale_type,
                       out + 2 * (by_group ? g * v->n_row + r : r * v->n_group + g));
}

/* ---- NF4 ---- */

/* The levels of bitsandbytes for scales (Dettmers 2016, dynamic tree quantization), ascending: for each power of ten the middles
 * of 2^i steps from 0.1 to 1, both signs, 0 and 1. */
static void nested_levels(float map[NESTED])
{
    int n = 0;
    for (int i = 6; i >= 0; i--)
        for (int k = (1 << i) - 1; k >= 0; k--)
            map[n++] = (float)(-(0.1 + 0.9 * (k + 0.5) / (1 << i)) * pow(10, i - 6));
    map[n++] = 0;
    for (int i = 0; i <= 6; i++)
        for (int k = 0; k < 1 << i; k++)
            map[n++] = (float)((0.1 + 0.9 * (k + 0.5) / (1 << i)) * pow(10, i - 6));
    map[n] = 1;
}

void packed_nest(struct packed_values *v)
{
    float map[NESTED];
    double sum = 0;
    nested_levels(map);
    for (uint64_t i = 0; i < v->n_group; i++)
        sum += (double)v->scale[i];
    v->offset = (float)(sum / (double)v->n_group);
    for (uint64_t at = 0; at < v->n_group; at += NESTED) {
        uint64_t end = at + NESTED < v->n_group ? at + NESTED : v->n_group;
        float most = 0, *nested = &v->nested[at / NESTED];
        for (uint64_t i = at; i < end; i++)
            most = fmaxf(most, fabsf(v->scale[i] - v->offset));
        *nested = most > 0 ? most : 1;
        for (uint64_t i = at; i < end; i++) {
            float x = (v->scale[i] - v->offset) / *nested;
            int c = 0;
            while (c < NESTED - 1 && x > (map[c] + map[c + 1]) * 0.5f)
                c++;
            v->code[i] = (uint8_t)c;
            v->scale[i] = map[c] * *nested;
            v->scale[i] += v->offset;
        }
    }
}

static void put_state(const struct packed_values *v, uint8_t *out)
{
    char text[STATE_BYTES + 1];
    int n =
        snprintf(text, sizeof text,
                 "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"%s\", \"shape\": [%llu, %llu], "
                 "\"nested_blocksize\": %d, \"nested_dtype\": \"float32\", \"nested_offset\": %.9g}",
                 v->scale_type == FORMAT_BF16 ? "bfloat16" : "float16", (unsigned long long)v->n_row,
                 (unsigned long long)v->n_col, NESTED, (double)v->offset);
    memset(out, ' ', STATE_BYTES);
    memcpy(out, text, (size_t)n);
}

static void put_nf4(const struct packed_values *v, int i, uint8_t *out)
{
    float map[NESTED];
    if (i == 0)
        for (uint64_t k = 0; k < v->n_row * v->n_col; k += 2)
            out[k / 2] = (uint8_t)(v->q[k] << 4 | v->q[k + 1]);
    if (i == 1)
        memcpy(out, v->code, v->n_group);
    if (i == 2)
        memcpy(out, nf4_levels, sizeof nf4_levels);
    if (i == 3)
        memcpy(out, v->nested, (v->n_group + NESTED - 1) / NESTED * sizeof *v->nested);
    if (i == 4) {
        nested_levels(map);
        memcpy(out, map, sizeof map);
    }
    if (i == 5)
        put_state(v, out);
}

/* ---- all ---- */

static void put_shape(const struct packed_values *v, uint8_t *out)
{
    int64_t shape[2] = {(int64_t)v->n_row, (int64_t)v->n_col};
    memcpy(out, shape, sizeof shape);
}

void packed_put(const struct packed_write *w, const struct packed_values *v, int i, uint8_t *out)
{
    if (w->kind == WRITE_NF4) {
        put_nf4(v, i, out);
    } else if (w->kind == WRITE_BYTES && i == 0) {
        for (uint64_t k = 0; k < v->n_row * v->n_col; k++)
            out[k] = v->q[k] ^ 0x80;
    } else if (i == 0) {
        put_codes(w, v, out);
    } else if (w->kind == WRITE_BYTES || (w->kind == WRITE_INTS && i == 1)) {
        put_scales(w, v, out);
    } else if (w->kind == WRITE_INTS) {
        if (i == 2)
            put_shape(v, out);
        else
            put_zeros(w, v, out);
    } else if (i == 1) {
        put_zeros(w, v, out);
    } else if (i == 2) {
        put_scales(w, v, out);
    } else {
        memcpy(out, v->g_idx, v->n_col * sizeof *v->g_idx);
    }
}
