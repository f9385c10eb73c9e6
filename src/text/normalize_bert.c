/* BertNormalizer: control characters go, white space becomes spaces, ideographs stand alone, accents and case go. */
#include "text/pipe.h"

static bool is_ideograph(uint32_t c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) ||
           (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static void clean(const struct norm *s, struct str in, struct out *out)
{
    for (size_t i = 0, len; i < in.n; i += len) {
        uint32_t c = uni_at(in.p + i, in.n - i, &len);
        if (s->clean && (c == 0 || c == 0xfffd || uni_is_control(c)))
            continue;
        if (s->clean && uni_is_space(c))
            out_put(out, " ", 1);
        else if (s->chinese && c >= 0x3400 && is_ideograph(c)) {
            out_put(out, " ", 1);
            out_put(out, in.p + i, len);
            out_put(out, " ", 1);
        } else
            out_put(out, in.p + i, len);
    }
}

void bert_normalize(const struct norm *s, struct str in, bool marked, struct out *out)
{
    struct out cleaned = {0}, apart = {0};
    clean(s, in, &cleaned);
    struct str text = out_str(&cleaned);
    if (s->accents) {
        uni_normalize(text, false, false, &apart);
        text = out_str(&apart);
    }
    for (size_t i = 0, len; i < text.n; i += len) {
        uint32_t c = uni_at(text.p + i, text.n - i, &len);
        if (s->accents && uni_is_nonspacing(c))
            continue;
        if (s->lower)
            uni_put_lower(c, out);
        else
            out_put(out, text.p + i, len);
    }
    out->full = out->full || cleaned.full || apart.full;
    free(cleaned.p);
    free(apart.p);
}
