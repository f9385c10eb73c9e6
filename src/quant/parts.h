/* A block of a quantized format taken apart: every integer and every scale as the file has them, and what they mean.
 *
 *     bytes of a file  --take-->  struct parts  --columns-->  32 columns as a kernel computes with them
 *
 * Panels (kern/panel.h) keep the parts in another order, so that decoding a file, reading a panel back and the kernels
 * in plain C share one definition of each format. */
#ifndef LATHE_QUANT_PARTS_H
#define LATHE_QUANT_PARTS_H
#include <stdint.h>
#include "quant/format.h"

enum { PARTS_MAX_N = 256 };

struct parts {
    uint16_t d
        [2]; /* the f16 numbers: scale, then minimum or its scale; an E8M0 exponent in d[0]; the upper half of a scale of
                      19 bits, whose rest is mn[0]; the halves of an f32 */
    uint8_t sc[16], mn[16]; /* integer scales and minima, in order of their columns */
    uint8_t q[PARTS_MAX_N]; /* one code a column */
    uint16_t row[64];       /* formats with a grid, instead: its row for each 4 or 8 columns */
    uint8_t sign[32];       /* and signs of 8 columns, bit c of column c; IQ1: the eighth's */
};

/* Weight k of the 32 is w[k / 16] * q[k] + m[k / 16], rounded once; w and m are exact. */
struct columns {
    int16_t q[32];
    float w[2], m[2];
    float d, dmin;      /* formats with integer scales for 16 columns: w = d * sc, m = -(dmin * mn) */
    int sc[2], mn[2];   /* of those */
    const float *level; /* NULL, or: weight k is d * level[code k], and q is near that */
};

/* What the four bits of IQ4 and MXFP4 stand for; those of MXFP4 doubled. */
extern const int8_t iq4_values[16], mxfp4_values[16];
/* Those of NF4, and the integers near them: nf4_values * NF4_STEP. */
extern const int8_t nf4_values[16];
extern const float nf4_levels[16];
#define NF4_STEP (1 / 124.1f)

/* y[32] = what columns 32 i .. 32 i + 31 decode to. */
void parts_decode(const struct format *f, const struct parts *p, int i, float *y);

/* 2^(e - 127), E8M0 of the OCP microscaling formats 1.0: e = 0 is a subnormal, 255 is NaN. Halved: the table's
 * values are doubled. */
float e8m0_half_to_f32(uint8_t e);
#endif
