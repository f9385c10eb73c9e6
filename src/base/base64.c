/* Base64. */
#include "base/base64.h"
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(const unsigned char *p, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)p[i] << 16 | (i + 1 < n ? (unsigned)p[i + 1] << 8 : 0) |
                     (i + 2 < n ? (unsigned)p[i + 2] : 0);
        buf_putc(out, digits[v >> 18]);
        buf_putc(out, digits[v >> 12 & 63]);
        buf_putc(out, i + 1 < n ? digits[v >> 6 & 63] : '=');
        buf_putc(out, i + 2 < n ? digits[v & 63] : '=');
    }
}

bool base64_decode(struct str in, struct buf *out)
{
    uint32_t bits = 0, n = 0;
    while (in.n && in.p[in.n - 1] == '=')
        in.n--;
    for (size_t i = 0; i < in.n; i++) {
        const char *d = in.p[i] ? strchr(digits, in.p[i]) : NULL;
        if (!d)
            return false;
        bits = bits << 6 | (uint32_t)(d - digits);
        n += 6;
        if (n >= 8) {
            n -= 8;
            buf_putc(out, (char)(bits >> n));
        }
    }
    return true;
}
