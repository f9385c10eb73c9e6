/* The one JSON object that --json prints. */
#include "cli/json.h"
#include <stdio.h>
#include "base/mem.h"

int json_print(json_t *object)
{
    json_dumpf(object, stdout, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
    return 0;
}

/* Length of the UTF-8 character at p, 0 if there is none (overlong, surrogate, cut or above U+10FFFF). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    if (p[0] < 0x80)
        return 1;
    size_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < need)
        return 0;
    for (size_t i = 1; i < need; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) || (p[0] == 0xf0 && p[1] < 0x90) ||
        (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return need;
}

json_t *json_text(const char *p, size_t n)
{
    struct buf out;
    buf_init(&out, 3 * n + 1);
    for (size_t i = 0; i < n;) {
        size_t k = utf8_length((const unsigned char *)p + i, n - i);
        if (k)
            buf_put(&out, p + i, k);
        else
            buf_puts(&out, "\xef\xbf\xbd");
        i += k ? k : 1;
    }
    json_t *s = json_stringn(out.p ? out.p : "", out.n);
    buf_free(&out);
    return s;
}
