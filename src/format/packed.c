/* Rows of quantized safetensors. Layouts differ in where an integer, a scale and a zero point are; the loop over a row's blocks is
 * the same. */
#include "format/packed.h"
#include <string.h>
#include "quant/format.h"
#include "quant/int_scale.h"
#include "quant/parts.h"

enum { PACK = 8, EVERY_NIBBLE = 0x11111111 }; /* integers of 4 bits in a word */

static uint32_t word_at(const uint8_t *p, uint64_t i)
{
    return take_u32(p + 4 * i);
}

static float number_at(const uint8_t *p, uint32_t type, uint64_t i)
{
    float f;
    if (type == FORMAT_F32) {
        memcpy(&f, p + 4 * i, 4);
        return f;
    }
    uint16_t h = take_u16(p + 2 * i);
    return type == FORMAT_F16 ? f16_to_f32(h) : bf16_to_f32(h);
}

/* AWQ: row 8i + j is nibble awq_place[j] of word i. */
static const int awq_place[PACK] = {0, 4, 1, 5, 2, 6, 3, 7};

/* Integer i of those that lie one after another, of which `word` has it. */
static uint8_t integer(const struct mf_packed *p, uint32_t word, uint64_t i)
{
    return (uint8_t)(word >> (uint64_t)p->bits * (i % packed_in_word(p)) & ((1U << p->bits) - 1));
}

/* ---- where things are ---- */

static uint8_t code_at(const struct mf_packed *p, uint64_t row, uint64_t col)
{
    switch (p->layout) {
    case PACKED_GPTQ:
        return integer(p, word_at(p->q, col / packed_in_word(p) * p->n_row + row), col);
    case PACKED_AWQ:
        return integer(p, word_at(p->q, (col * p->n_row + row) / PACK), (uint64_t)awq_place[row % PACK]);
    case PACKED_INTS:
        return integer(p, word_at(p->q, (row * p->n_col + col) / packed_in_word(p)), col);
    case PACKED_BYTES:
        return p->q[row * p->n_col + col] ^ 0x80;
    case PACKED_NF4:
        return p->q[(row * p->n_col + col) / 2] >> (col % 2 ? 0 : 4) & 15;
    }
    return 0;
}

static uint8_t zero_at(const struct mf_packed *p, uint64_t row, uint64_t group)
{
    uint64_t at =
        p->layout == PACKED_INTS ? row / PACK * p->n_group + group : group * (p->n_row / PACK) + row / PACK;
    if (!p->zeros)
        return (uint8_t)p->zero;
    uint32_t word = word_at(p->zeros, at) + (uint32_t)p->zero_plus * EVERY_NIBBLE;
    return integer(p, word, p->layout == PACKED_AWQ ? (uint64_t)awq_place[row % PACK] : row);
}

static float scale_at(const struct mf_packed *p, uint64_t row, uint64_t col)
{
    if (p->layout == PACKED_NF4) {
        uint64_t i = (row * p->n_col + col) / p->group;
        if (!p->map)
            return number_at(p->scales, FORMAT_F32, i);
        float v = number_at(p->map, FORMAT_F32, p->scales[i]) *
                  number_at(p->nested, FORMAT_F32, i / p->nested_group);
        return v + p->offset;
    }
    uint64_t g = col / p->group;
    bool by_row = p->layout == PACKED_INTS || p->layout == PACKED_BYTES;
    return number_at(p->scales, p->scale_type, by_row ? row * p->n_group + g : g * p->n_row + row);
}

/* ---- rows ---- */

uint32_t packed_type(const struct mf_packed *p)
{
    static const uint32_t int4[] = {FORMAT_INT4_128, FORMAT_INT4_64, FORMAT_INT4_32, 0},
                          int8[] = {FORMAT_INT8_128, FORMAT_INT8_32, 0}, nf4[] = {FORMAT_NF4, 0};
    for (const uint32_t *type = p->layout == PACKED_NF4 ? nf4 : p->bits == 8 ? int8 : int4; *type; type++) {
        uint64_t n = (uint64_t)format_by_id(*type)->block_n;
        if (p->n_col % n == 0 && (p->group % n == 0 || p->n_group == 1))
            return *type;
    }
    return 0;
}

void packed_row(const struct mf_packed *p, uint32_t type, uint64_t row, uint8_t *out)
{
    const struct format *f = format_by_id(type);
    const uint64_t n = (uint64_t)f->block_n;
    struct parts parts;
    for (uint64_t k = 0; k < p->n_col; k += n, out += f->block_bytes) {
        for (uint64_t i = 0; i < n; i++)
            parts.q[i] = code_at(p, row, p->order ? (uint64_t)p->order[k + i] : k + i);
        float scale = scale_at(p, row, k);
        if (p->layout == PACKED_NF4) {
            uint32_t bits;
            memcpy(&bits, &scale, sizeof bits);
            parts.d[0] = (uint16_t)bits;
            parts.d[1] = (uint16_t)(bits >> 16);
        } else {
            uint8_t number[INT_SCALE_BYTES];
            put_int_scale(scale, p->bits == 8 ? 0 : zero_at(p, row, k / p->group), number);
            parts.d[0] = take_u16(number);
            parts.mn[0] = number[2];
        }
        f->put(&parts, out);
    }
}
