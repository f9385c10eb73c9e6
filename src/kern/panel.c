/* Panels: packing rows of a file's blocks into 16 interleaved lanes, and reading one row back. */
#include "kern/panel.h"
#include "kern/panel_blocks.h"
#include <string.h>

/* How a format's file block of 32 columns lies: n_scale halves first, then the integers. */
struct layout {
    enum format_id format;
    int n_scale;  /* f16 numbers per block: d, or d and m */
    int n_int;    /* bytes of integers per block */
    uint8_t flip; /* xor-ed into every byte */
    int elem;     /* float formats: bytes per element; then the rest is unused */
};

static const struct layout layouts[] = {
    {FORMAT_Q4_0, 1, 16, 0, 0}, {FORMAT_Q4_1, 2, 16, 0, 0}, {FORMAT_Q8_0, 1, 32, 0x80, 0},
    {FORMAT_F32, 0, 0, 0, 4},   {FORMAT_F16, 0, 0, 0, 2},   {FORMAT_BF16, 0, 0, 0, 2},
};

static const struct layout *layout_of(enum format_id format)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (layouts[i].format == format)
            return &layouts[i];
    return NULL;
}

static size_t pair_bytes(const struct layout *l)
{
    return (size_t)l->n_scale * 64 + (size_t)l->n_int * 2 * LANES;
}

size_t panel_bytes(enum format_id format, int64_t n_col)
{
    const struct layout *l = layout_of(format);
    if (!l)
        return form_of(format) ? blocks_bytes(form_of(format), n_col) : 0;
    if (l->elem)
        return (size_t)n_col * LANES * (size_t)l->elem;
    return (size_t)((n_col + 63) / 64) * pair_bytes(l);
}

static void pack_float(const struct layout *l, const uint8_t *rows, size_t row_bytes, int n_row,
                       int64_t n_col, uint8_t *panel)
{
    for (int64_t k = 0; k < n_col; k++)
        for (int r = 0; r < n_row; r++) {
            size_t to = (size_t)k * LANES + (size_t)r;
            const uint8_t *from = rows + (size_t)r * row_bytes;
            if (l->elem == 4)
                memcpy(panel + to * 4, from + k * 4, 4);
            else
                memcpy(panel + to * 2, from + k * 2, 2);
        }
}

/* The integers of one row's block, a word to each line. */
static void pack_ints(const uint8_t *q, const struct layout *l, uint8_t *to)
{
    const uint32_t flip = l->flip * 0x01010101u;
    for (int i = 0; i < l->n_int; i += 4, to += 64) {
        uint32_t word;
        memcpy(&word, q + i, 4);
        word ^= flip;
        memcpy(to, &word, 4);
    }
}

void panel_pack(enum format_id format, const uint8_t *rows, size_t row_bytes, int n_row, int64_t n_col,
                uint8_t *panel)
{
    const struct layout *l = layout_of(format);
    if (!l) {
        blocks_pack(form_of(format), rows, row_bytes, n_row, n_col, panel);
        return;
    }
    if (n_row < LANES || n_col % (2 * ACT_BLOCK)) /* else every byte is written below */
        memset(panel, 0, panel_bytes(format, n_col));
    if (l->elem) {
        pack_float(l, rows, row_bytes, n_row, n_col, panel);
        return;
    }
    size_t block_bytes = (size_t)l->n_scale * 2 + (size_t)l->n_int;
    for (int64_t b = 0; b < n_col / ACT_BLOCK; b++) {
        uint8_t *pair = panel + (size_t)(b / 2) * pair_bytes(l);
        uint8_t *ints = pair + (size_t)l->n_scale * 64 + (size_t)(b % 2) * (size_t)l->n_int * LANES;
        for (int r = 0; r < n_row; r++) {
            const uint8_t *block = rows + (size_t)r * row_bytes + (size_t)b * block_bytes;
            for (int s = 0; s < l->n_scale; s++)
                memcpy(pair + s * 64 + (b % 2) * 32 + r * 2, block + s * 2, 2);
            pack_ints(block + l->n_scale * 2, l, ints + r * 4);
        }
        for (int r = n_row; r < LANES && l->flip; r++)
            for (int i = 0; i < l->n_int; i++)
                ints[(i / 4) * 64 + r * 4 + i % 4] = l->flip;
    }
}

static float float_at(enum format_id format, const uint8_t *p)
{
    uint16_t h;
    float f;
    if (format == FORMAT_F32) {
        memcpy(&f, p, 4);
        return f;
    }
    memcpy(&h, p, 2);
    return format == FORMAT_F16 ? f16_to_f32(h) : bf16_to_f32(h);
}

void panel_row(enum format_id format, const uint8_t *panel, int r, int64_t n_col, float *out)
{
    const struct layout *l = layout_of(format);
    if (!l) {
        blocks_row(form_of(format), panel, r, n_col, out);
        return;
    }
    if (l->elem) {
        for (int64_t k = 0; k < n_col; k++)
            out[k] = float_at(format, panel + ((size_t)k * LANES + (size_t)r) * (size_t)l->elem);
        return;
    }
    for (int64_t b = 0; b < n_col / ACT_BLOCK; b++) {
        const uint8_t *pair = panel + (size_t)(b / 2) * pair_bytes(l);
        const uint8_t *ints = pair + (size_t)l->n_scale * 64 + (size_t)(b % 2) * (size_t)l->n_int * LANES;
        float d = panel_half(pair + (b % 2) * 32 + r * 2);
        float m = l->n_scale == 2 ? panel_half(pair + 64 + (b % 2) * 32 + r * 2) : 0;
        for (int k = 0; k < ACT_BLOCK; k++) {
            int i = k % l->n_int;
            int q = ints[(i / 4) * 64 + r * 4 + i % 4];
            if (l->n_int == 16)
                q = k < 16 ? q & 15 : q >> 4;
            if (l->n_scale == 2)
                out[b * ACT_BLOCK + k] = __builtin_fmaf(d, (float)q, m);
            else
                out[b * ACT_BLOCK + k] = d * (float)(q - (l->n_int == 16 ? 8 : 128));
        }
    }
}
