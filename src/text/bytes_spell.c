/* ByteLevel's spelling: every byte as a printable character, the other way around than bpe_unspell. */
#include "text/pipe.h"

/* Printable bytes stand for themselves, the others are counted from U+0100 on. */
static uint32_t spelled(unsigned char b)
{
    if ((b > 32 && b < 127) || (b > 160 && b != 173))
        return b;
    return b <= 32 ? 0x100u + b : b <= 160 ? 0x121u + (b - 127u) : 0x143u;
}

void bytes_spell(bool marked, struct str in, struct out *out)
{
    if (!out_room(out, 2 * in.n))
        return;
    for (size_t i = 0; i < in.n; i++) {
        unsigned char b = (unsigned char)in.p[i];
        uint32_t c;
        if (marked && b == 0xf4 && utf8_get(in.p + i, in.n - i, &c) && is_byte_mark(true, c)) {
            b = (unsigned char)(c - BYTE_MARK);
            i += 3;
        }
        out->n += (size_t)utf8_put(spelled(b), out->p + out->n);
    }
}
