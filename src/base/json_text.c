/* Text of any bytes as a JSON string. */
#include "base/json_text.h"
#include "base/mem.h"
#include "base/utf8.h"

json_t *json_text(const char *p, size_t n)
{
    struct buf out;
    uint32_t c;
    buf_init(&out, 3 * n + 1);
    for (size_t i = 0; i < n;) {
        int k = utf8_get(p + i, n - i, &c);
        if (k)
            buf_put(&out, p + i, (size_t)k);
        else
            buf_puts(&out, "\xef\xbf\xbd");
        i += k ? (size_t)k : 1;
    }
    json_t *s = json_stringn(out.p ? out.p : "", out.n);
    buf_free(&out);
    return s;
}
