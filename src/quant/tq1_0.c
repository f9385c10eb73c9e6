/* TQ1_0: 256 weights of three values in 54 bytes, w = d * (q - 1).
 *
 *     byte i, i < 32         digits q[i], q[32+i], .. q[128+i]
 *     byte 32+i, i < 16      digits q[160+i], q[176+i], .. q[224+i]
 *     byte 48+i, i < 4       digits q[240+i], q[244+i], .. q[252+i]
 *     byte 52..53            d, f16
 *
 * A byte is the fraction 0.q0q1q2q3q4 to base 3, in units of 1/256, rounded up: times 3 a digit is carried out. */
#include "quant/decode.h"

void take_TQ1_0(const uint8_t *restrict x, struct parts *restrict p)
{
    static const struct {
        int column, n, step;
    } runs[] = {{0, 32, 32}, {160, 16, 16}, {240, 4, 4}};
    p->d[0] = take_u16(x + 52);
    for (int run = 0; run < 3; run++)
        for (int i = 0; i < runs[run].n; i++, x++) {
            unsigned fraction = *x;
            for (int digit = 0; digit < (run == 2 ? 4 : 5); digit++) {
                fraction = (fraction & 255) * 3;
                p->q[runs[run].column + digit * runs[run].step + i] = (uint8_t)(fraction >> 8);
            }
        }
}

void columns_TQ1_0(const struct parts *p, int i, struct columns *c)
{
    columns_TQ2_0(p, i, c);
}
