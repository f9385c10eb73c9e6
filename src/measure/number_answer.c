/* The number that an answer comes to. */
#include "measure/number_answer.h"
#include "base/mem.h"
#include "measure/answer_text.h"
#include "measure/match.h"

struct str number_strict(struct str answer)
{
    struct match m;
    return match_first("#### (-?[0-9.,]+)", 0, answer.p, answer.n, &m) ? (struct str){m.p, m.n}
                                                                       : (struct str){"", 0};
}

struct str number_flexible(struct str answer)
{
    struct match m;
    return match_last("(-?[$0-9.,]{2,})|(-?[0-9]+)", 0, answer.p, answer.n, &m) ? (struct str){m.p, m.n}
                                                                                : (struct str){"", 0};
}

static void put_bare(struct str s, struct buf *out)
{
    for (size_t at = text_find(s, 0, "#### "); at < s.n; at = text_find(s, 0, "#### ")) {
        s.p += at + 5;
        s.n -= at + 5;
    }
    s = text_strip(s);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ',' && s.p[i] != '$')
            buf_putc(out, s.p[i]);
    if (out->n && out->p[out->n - 1] == '.')
        out->n--;
}

bool number_equal(struct str found, struct str gold)
{
    struct buf a, b;
    buf_init(&a, found.n + 16);
    buf_init(&b, gold.n + 16);
    put_bare(found, &a);
    put_bare(gold, &b);
    bool same = a.n && a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
    buf_free(&a);
    buf_free(&b);
    return same;
}
