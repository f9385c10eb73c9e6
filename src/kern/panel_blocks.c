/* Panels of quantized formats: the parts of a file's blocks go into the places that kern/form.h gives them, and come
 * back. */
#include "kern/panel_blocks.h"
#include <string.h>
#include "kern/panel.h"

static const struct form *const forms[] = {
#define X(name, ...) &form_##name,
    FORMS(X)
#undef X
};

const struct form *form_of(enum format_id format)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i]->format == format)
            return forms[i];
    return NULL;
}

size_t blocks_bytes(const struct form *f, int64_t n_col)
{
    int64_t n_super = (n_col / ACT_BLOCK + f->n_block - 1) / f->n_block;
    int64_t n_group = (n_super + f->n_super - 1) / f->n_super;
    return (size_t)(n_group * f->head_bytes + n_super * form_super_bytes(*f));
}

/* ---- integers ---- */

/* The words of operands move as a whole: codes are bytes, and the bits that a plane takes of one never reach the next. */
static inline void put_plane(const uint32_t *w, const struct plane p, int bits, int r, uint8_t *to)
{
    const uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
    uint32_t line[4] = {0};
    for (int j = 0; j < 8; j++)
        line[plane_line(bits, j)] |= (w[j] >> p.shift & mask) << plane_bit(bits, j);
    for (int i = 0; i < bits; i++)
        memcpy(to + p.at + 64 * i + 4 * r, &line[i], 4);
}

static inline void get_plane(const uint8_t *from, const struct plane p, int bits, int r, uint32_t *w)
{
    const uint32_t mask = ((1u << bits) - 1) * 0x01010101u;
    for (int j = 0; j < 8; j++) {
        uint32_t line;
        memcpy(&line, from + p.at + 64 * plane_line(bits, j) + 4 * r, 4);
        w[j] |= (line >> plane_bit(bits, j) & mask) << p.shift;
    }
}

static void put_ints(const struct form *f, const uint8_t *q, int r, uint8_t *to)
{
    struct plane p;
    uint32_t w[8];
    memcpy(w, q, sizeof w);
    for (int j = 0; f->ints == INTS_8 && j < 8; j++)
        memcpy(to + 64 * j + 4 * r, &w[j], 4);
    for (int i = 0; (p = form_plane(f->ints, i)).bits; i++)
        if (p.bits == 4)
            put_plane(w, p, 4, r, to);
        else if (p.bits == 2)
            put_plane(w, p, 2, r, to);
        else
            put_plane(w, p, 1, r, to);
}

static void get_ints(const struct form *f, const uint8_t *from, int r, uint8_t *q)
{
    struct plane p;
    uint32_t w[8] = {0};
    for (int j = 0; f->ints == INTS_8 && j < 8; j++)
        memcpy(&w[j], from + 64 * j + 4 * r, 4);
    for (int i = 0; (p = form_plane(f->ints, i)).bits; i++)
        if (p.bits == 4)
            get_plane(from, p, 4, r, w);
        else if (p.bits == 2)
            get_plane(from, p, 2, r, w);
        else
            get_plane(from, p, 1, r, w);
    memcpy(q, w, sizeof w);
}

/* ---- scales ---- */

/* The byte of scale i; for two per 32 columns 16 of them, else 8. */
static void put_scales(const struct form *f, const struct parts *p, int r, uint8_t *to)
{
    int n = f->scales == SCALES_K || f->scales == SCALES_32 ? 8 : f->scale_bytes ? 16 : 0;
    for (int i = 0; i < n; i++) {
        if (f->scales == SCALES_6) {
            to[64 * (i / 8) + 4 * r + i % 8 / 2] |= (uint8_t)((p->sc[i] & 15) << i % 2 * 4);
            to[128 + 4 * r + i / 4] |= (uint8_t)(p->sc[i] >> 4 << i % 4 * 2);
            continue;
        }
        to[16 * i + r] = f->scales == SCALES_4 ? (uint8_t)(p->sc[i] | p->mn[i] << 4) : p->sc[i];
        if (f->scales == SCALES_K)
            to[16 * (8 + i) + r] = p->mn[i];
    }
}

static void get_scales(const struct form *f, const uint8_t *from, int r, struct parts *p)
{
    for (int i = 0; i < 16; i++) {
        switch (f->scales) {
        case SCALES_6:
            p->sc[i] = (uint8_t)((from[64 * (i / 8) + 4 * r + i % 8 / 2] >> i % 2 * 4 & 15) |
                                 (from[128 + 4 * r + i / 4] >> i % 4 * 2 & 3) << 4);
            break;
        case SCALES_4:
            p->sc[i] = from[16 * i + r] & 15;
            p->mn[i] = from[16 * i + r] >> 4;
            break;
        case SCALES_K:
            *(i < 8 ? &p->sc[i] : &p->mn[i - 8]) = from[16 * i + r];
            break;
        case SCALES_32:
            p->sc[i % 8] = from[16 * (i % 8) + r];
            break;
        case SCALES_INT8:
            p->sc[i] = from[16 * i + r];
            break;
        case SCALES_HALF:
        case SCALES_E8M0:
        case SCALES_19:
        case SCALES_19_ZERO:
        case SCALES_F32:
        case SCALES_GRID:
            break;
        }
    }
}

static void put_head(const struct form *f, const struct parts *p, int slot, int r, uint8_t *to)
{
    if (f->scales == SCALES_E8M0)
        to[16 * slot + r] = (uint8_t)p->d[0];
    if (f->scales == SCALES_F32)
        memcpy(to + 64 * slot + 4 * r, p->d, 4);
    if (form_has_19(*f)) {
        memcpy(to + 32 * slot + 2 * r, p->d, 2);
        to[32 * f->n_super + 16 * slot + r] = p->mn[0];
    }
    for (int i = 0; i < f->n_half; i++)
        memcpy(to + 32 * (i * f->n_super + slot) + 2 * r, &p->d[i], 2);
}

static void get_head(const struct form *f, const uint8_t *from, int slot, int r, struct parts *p)
{
    if (f->scales == SCALES_E8M0)
        p->d[0] = from[16 * slot + r];
    if (f->scales == SCALES_F32)
        memcpy(p->d, from + 64 * slot + 4 * r, 4);
    if (form_has_19(*f)) {
        memcpy(p->d, from + 32 * slot + 2 * r, 2);
        p->mn[0] = from[32 * f->n_super + 16 * slot + r];
    }
    for (int i = 0; i < f->n_half; i++)
        memcpy(&p->d[i], from + 32 * (i * f->n_super + slot) + 2 * r, 2);
}

/* ---- integers of three values ---- */

/* Operand o (0..63) of a super-block is digit o % 5 of line o / 5. */
static void put_trits(const uint8_t *q, int r, uint8_t *to)
{
    static const int worth[] = {81, 27, 9, 3, 1};
    for (int k = 0; k < 256; k += 20)
        for (int i = 0; i < 4; i++) {
            int v = 0;
            for (int digit = 0; digit < 5 && k + 4 * digit < 256; digit++)
                v += q[k + 4 * digit + i] * worth[digit];
            to[64 * (k / 20) + 4 * r + i] = (uint8_t)((v * 256 + 242) / 243);
        }
}

static void get_trits(const uint8_t *from, int r, uint8_t *q)
{
    for (int k = 0; k < 256; k++) {
        unsigned fraction = from[64 * (k / 20) + 4 * r + k % 4];
        for (int digit = 0; digit <= k % 20 / 4; digit++)
            fraction = (fraction & 255) * 3;
        q[k] = (uint8_t)(fraction >> 8);
    }
}

/* ---- panels ---- */

static void put_body(const struct form *f, const struct parts *p, int r, uint8_t *to)
{
    if (f->scales == SCALES_GRID) {
        grid_put(f, p, r, to);
        return;
    }
    put_scales(f, p, r, to);
    if (f->ints == INTS_TRITS)
        put_trits(p->q, r, to + f->scale_bytes);
    for (int b = 0; f->ints != INTS_TRITS && b < f->n_block; b++)
        put_ints(f, p->q + 32 * b, r, to + f->scale_bytes + b * f->int_bytes);
}

static void get_body(const struct form *f, const uint8_t *from, int r, struct parts *p)
{
    if (f->scales == SCALES_GRID) {
        grid_get(f, from, r, p);
        return;
    }
    get_scales(f, from, r, p);
    if (f->ints == INTS_TRITS)
        get_trits(from + f->scale_bytes, r, p->q);
    for (int b = 0; f->ints != INTS_TRITS && b < f->n_block; b++)
        get_ints(f, from + f->scale_bytes + b * f->int_bytes, r, p->q + 32 * b);
}

void blocks_get(const struct form *f, const uint8_t *panel, int64_t s, int r, struct parts *p)
{
    struct form_place at = form_place(*f, s);
    get_head(f, panel + at.head, at.slot, r, p);
    get_body(f, panel + at.body, r, p);
}

void blocks_pack(const struct form *f, const uint8_t *rows, size_t row_bytes, int n_row, int64_t n_col,
                 uint8_t *panel)
{
    const struct format *format = format_by_id((uint32_t)f->format);
    struct parts p;
    memset(panel, 0, blocks_bytes(f, n_col));
    for (int64_t s = 0; s < n_col / format->block_n; s++) {
        struct form_place at = form_place(*f, s);
        for (int r = 0; r < n_row; r++) {
            format->take(rows + (size_t)r * row_bytes + (size_t)(s * format->block_bytes), &p);
            put_head(f, &p, at.slot, r, panel + at.head);
            put_body(f, &p, r, panel + at.body);
        }
    }
}

void blocks_row(const struct form *f, const uint8_t *panel, int r, int64_t n_col, float *out)
{
    const struct format *format = format_by_id((uint32_t)f->format);
    struct parts p;
    for (int64_t s = 0; s < n_col / format->block_n; s++) {
        blocks_get(f, panel, s, r, &p);
        for (int b = 0; b < f->n_block; b++, out += ACT_BLOCK)
            parts_decode(format, &p, b, out);
    }
}
