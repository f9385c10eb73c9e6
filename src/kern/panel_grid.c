/* Super-blocks of the IQ formats with a grid, in panels. Scales first, then blocks of 32 columns; "word" and "byte" are
 * those of row r, a dword of a line being its word 4r and the bytes from there on.
 *
 *             scales and upper bits of codes                          a block
 *   IQ3_XXS                                                           two lines: codes, a byte for 4 columns;
 *                                                                     a line: signs and scale as in the file
 *   IQ3_S     a line: scale i in nibble i; 16 bytes a block:          two lines: codes; a line: signs
 *             bit j the ninth of code j
 *   IQ2_XXS                                                           a line: codes, a byte for 8 columns; a line: signs
 *                                                                     and scale as in the file
 *   IQ2_XS    two lines: scale i in nibble i % 8 of line i / 8        two lines: 16 bits for 8 columns, code and signs as in
 *                                                                     the file
 *   IQ2_S     the same; 16 bytes a block: bits 2j.. the upper ones    a line: codes; a line: signs
 *             of code j
 *   IQ1_S     32 bytes a block: 16 bits as in the file                a line: codes
 *   IQ1_M     32 bytes a block: 16 bits as in the file; two lines:    a line: codes
 *             four times 16 bits with scales and d as in the file
 */
#include <string.h>
#include "kern/panel_blocks.h"

enum { SIGNS_7 = 1, SIGNS_8 = 2 };

/* What a block is made of, in this order: lines of codes, signs; then what is beside it. */
struct grid_form {
    int n_code;       /* of a block */
    int signs;        /* SIGNS_7: seven bits a group and the scale above them; SIGNS_8: a byte a group */
    int nibble_lines; /* of scales */
    int high_bits;    /* of a code, in the bytes behind the scales */
};

static struct grid_form grid_form(const struct form *f)
{
    switch (f->ints) {
    case INTS_IQ3_XXS:
        return (struct grid_form){8, SIGNS_7, 0, 0};
    case INTS_IQ3_S:
        return (struct grid_form){8, SIGNS_8, 1, 1};
    case INTS_IQ2_XXS:
        return (struct grid_form){4, SIGNS_7, 0, 0};
    case INTS_IQ2_S:
        return (struct grid_form){4, SIGNS_8, 2, 2};
    default:
        return (struct grid_form){4, 0, f->ints == INTS_IQ2_XS ? 2 : 0, 0};
    }
}

static void put_u16(uint8_t *to, int v)
{
    to[0] = (uint8_t)v;
    to[1] = (uint8_t)(v >> 8);
}

static int get_u16(const uint8_t *from)
{
    return from[0] | from[1] << 8;
}

/* Lines of bytes: byte i of row r. */
static size_t line_byte(int i, int r)
{
    return (size_t)(64 * (i / 4) + 4 * r + i % 4);
}

/* ---- IQ3 and IQ2 ---- */

static void put_block(const struct form *f, const struct parts *p, int b, int r, uint8_t *to)
{
    const struct grid_form g = grid_form(f);
    uint32_t signs = (uint32_t)p->sc[b] << 28;
    for (int i = 0; f->ints == INTS_IQ2_XS && i < 4; i++)
        put_u16(to + line_byte(2 * i, r), p->row[4 * b + i] | (p->sign[4 * b + i] & 127) << 9);
    for (int i = 0; f->ints != INTS_IQ2_XS && i < g.n_code; i++)
        to[line_byte(i, r)] = (uint8_t)p->row[g.n_code * b + i];
    for (int i = 0; g.signs && i < 4; i++) {
        signs |= (uint32_t)(p->sign[4 * b + i] & 127) << 7 * i;
        to[line_byte(g.n_code + i, r)] = p->sign[4 * b + i];
    }
    if (g.signs == SIGNS_7) {
        put_u16(to + line_byte(g.n_code, r), (int)(signs & 0xffff));
        put_u16(to + line_byte(g.n_code + 2, r), (int)(signs >> 16));
    }
}

static uint8_t eighth_sign(uint32_t seven)
{
    return (uint8_t)((seven & 127) | (uint32_t)__builtin_parity(seven & 127) << 7);
}

static void get_block(const struct form *f, const uint8_t *from, int b, int r, struct parts *p)
{
    const struct grid_form g = grid_form(f);
    for (int i = 0; f->ints == INTS_IQ2_XS && i < 4; i++) {
        int word = get_u16(from + line_byte(2 * i, r));
        p->row[4 * b + i] = (uint16_t)(word & 511);
        p->sign[4 * b + i] = eighth_sign((uint32_t)word >> 9);
    }
    for (int i = 0; f->ints != INTS_IQ2_XS && i < g.n_code; i++)
        p->row[g.n_code * b + i] = from[line_byte(i, r)];
    for (int i = 0; g.signs == SIGNS_8 && i < 4; i++)
        p->sign[4 * b + i] = from[line_byte(g.n_code + i, r)];
    if (g.signs == SIGNS_7) {
        uint32_t signs = (uint32_t)get_u16(from + line_byte(g.n_code, r)) |
                         (uint32_t)get_u16(from + line_byte(g.n_code + 2, r)) << 16;
        p->sc[b] = (uint8_t)(signs >> 28);
        for (int i = 0; i < 4; i++)
            p->sign[4 * b + i] = eighth_sign(signs >> 7 * i);
    }
}

static void put_scales(const struct form *f, const struct parts *p, int r, uint8_t *to)
{
    const struct grid_form g = grid_form(f);
    for (int i = 0; i < 8 * g.nibble_lines; i += 2)
        to[line_byte(i / 2, r)] = (uint8_t)(p->sc[i] | p->sc[i + 1] << 4);
    for (int b = 0; g.high_bits && b < 8; b++)
        for (int i = 0; i < g.n_code; i++)
            to[64 * g.nibble_lines + 16 * b + r] |=
                (uint8_t)((p->row[g.n_code * b + i] >> 8) << i * g.high_bits);
}

static void get_scales(const struct form *f, const uint8_t *from, int r, struct parts *p)
{
    const struct grid_form g = grid_form(f);
    for (int i = 0; i < 8 * g.nibble_lines; i++)
        p->sc[i] = from[line_byte(i / 2, r)] >> i % 2 * 4 & 15;
    for (int i = 0; g.high_bits && i < 8 * g.n_code; i++) {
        int high = from[64 * g.nibble_lines + 16 * (i / g.n_code) + r] >> i % g.n_code * g.high_bits;
        p->row[i] = (uint16_t)(p->row[i] | (high & ((1 << g.high_bits) - 1)) << 8);
    }
}

/* ---- IQ1 ---- */

static void put_iq1(const struct form *f, const struct parts *p, int r, uint8_t *to)
{
    int width = f->ints == INTS_IQ1_S ? 3 : 4;
    for (int b = 0; b < 8; b++) {
        int high = f->ints == INTS_IQ1_S ? p->sc[b] << 12 | p->sign[4 * b] << 15 : 0;
        for (int i = 0; i < 4; i++) {
            int q = p->row[4 * b + i] >> 8;
            high |= (f->ints == INTS_IQ1_S ? q : q | p->sign[4 * b + i] << 3) << width * i;
            to[f->scale_bytes + 64 * b + 4 * r + i] = (uint8_t)p->row[4 * b + i];
        }
        put_u16(to + 32 * b + 2 * r, high);
    }
    for (int i = 0; f->ints == INTS_IQ1_M && i < 4; i++) {
        int word = (p->d[0] >> 4 * i & 15) << 12;
        for (int k = 0; k < 4; k++)
            word |= p->sc[4 * i + k] << 3 * k;
        put_u16(to + 256 + line_byte(2 * i, r), word);
    }
}

static void get_iq1(const struct form *f, const uint8_t *from, int r, struct parts *p)
{
    int width = f->ints == INTS_IQ1_S ? 3 : 4;
    for (int i = 0; i < 32; i++) {
        int high = get_u16(from + 32 * (i / 4) + 2 * r), own = high >> i % 4 * width;
        p->row[i] = (uint16_t)(from[f->scale_bytes + 64 * (i / 4) + 4 * r + i % 4] | (own & 7) << 8);
        p->sign[i] = (uint8_t)(f->ints == INTS_IQ1_S ? high >> 15 : own >> 3 & 1);
        if (f->ints == INTS_IQ1_S)
            p->sc[i / 4] = (uint8_t)(high >> 12 & 7);
    }
    if (f->ints == INTS_IQ1_S)
        return;
    p->d[0] = 0;
    for (int i = 0; i < 16; i++) {
        int word = get_u16(from + 256 + line_byte(i / 4 * 2, r));
        p->sc[i] = (uint8_t)(word >> i % 4 * 3 & 7);
        p->d[0] = (uint16_t)(p->d[0] | (word >> 12) << i / 4 * 4);
    }
}

void grid_put(const struct form *f, const struct parts *p, int r, uint8_t *to)
{
    if (f->ints == INTS_IQ1_S || f->ints == INTS_IQ1_M) {
        put_iq1(f, p, r, to);
        return;
    }
    put_scales(f, p, r, to);
    for (int b = 0; b < 8; b++)
        put_block(f, p, b, r, to + f->scale_bytes + b * f->int_bytes);
}

void grid_get(const struct form *f, const uint8_t *from, int r, struct parts *p)
{
    if (f->ints == INTS_IQ1_S || f->ints == INTS_IQ1_M) {
        get_iq1(f, from, r, p);
        return;
    }
    for (int b = 0; b < 8; b++)
        get_block(f, from + f->scale_bytes + b * f->int_bytes, b, r, p);
    get_scales(f, from, r, p);
}
