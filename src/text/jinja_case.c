/* Jinja: Unicode case and classes, as Python's str has them; the single characters come from utf8proc. */
#include "text/jinja.h"
#include "base/utf8.h"
#include <utf8proc.h>

/* Characters whose upper or title case is more than one character (Unicode's SpecialCasing). */
static const struct special {
    uint32_t c;
    const char *upper, *title;
} specials[] = {
    {0xdf, "SS", "Ss"},   {0x149, "ʼN", "ʼN"},    {0x1f0, "J̌", "J̌"},      {0x390, "Ϊ́", "Ϊ́"},
    {0x3b0, "Ϋ́", "Ϋ́"},    {0x587, "ԵՒ", "Եւ"},    {0x1e96, "H̱", "H̱"},     {0x1e97, "T̈", "T̈"},
    {0x1e98, "W̊", "W̊"},   {0x1e99, "Y̊", "Y̊"},     {0x1e9a, "Aʾ", "Aʾ"},   {0x1f50, "Υ̓", "Υ̓"},
    {0x1f52, "Υ̓̀", "Υ̓̀"},   {0x1f54, "Υ̓́", "Υ̓́"},     {0x1f56, "Υ̓͂", "Υ̓͂"},     {0x1f80, "ἈΙ", "ᾈ"},
    {0x1f81, "ἉΙ", "ᾉ"},  {0x1f82, "ἊΙ", "ᾊ"},    {0x1f83, "ἋΙ", "ᾋ"},    {0x1f84, "ἌΙ", "ᾌ"},
    {0x1f85, "ἍΙ", "ᾍ"},  {0x1f86, "ἎΙ", "ᾎ"},    {0x1f87, "ἏΙ", "ᾏ"},    {0x1f88, "ἈΙ", "ᾈ"},
    {0x1f89, "ἉΙ", "ᾉ"},  {0x1f8a, "ἊΙ", "ᾊ"},    {0x1f8b, "ἋΙ", "ᾋ"},    {0x1f8c, "ἌΙ", "ᾌ"},
    {0x1f8d, "ἍΙ", "ᾍ"},  {0x1f8e, "ἎΙ", "ᾎ"},    {0x1f8f, "ἏΙ", "ᾏ"},    {0x1f90, "ἨΙ", "ᾘ"},
    {0x1f91, "ἩΙ", "ᾙ"},  {0x1f92, "ἪΙ", "ᾚ"},    {0x1f93, "ἫΙ", "ᾛ"},    {0x1f94, "ἬΙ", "ᾜ"},
    {0x1f95, "ἭΙ", "ᾝ"},  {0x1f96, "ἮΙ", "ᾞ"},    {0x1f97, "ἯΙ", "ᾟ"},    {0x1f98, "ἨΙ", "ᾘ"},
    {0x1f99, "ἩΙ", "ᾙ"},  {0x1f9a, "ἪΙ", "ᾚ"},    {0x1f9b, "ἫΙ", "ᾛ"},    {0x1f9c, "ἬΙ", "ᾜ"},
    {0x1f9d, "ἭΙ", "ᾝ"},  {0x1f9e, "ἮΙ", "ᾞ"},    {0x1f9f, "ἯΙ", "ᾟ"},    {0x1fa0, "ὨΙ", "ᾨ"},
    {0x1fa1, "ὩΙ", "ᾩ"},  {0x1fa2, "ὪΙ", "ᾪ"},    {0x1fa3, "ὫΙ", "ᾫ"},    {0x1fa4, "ὬΙ", "ᾬ"},
    {0x1fa5, "ὭΙ", "ᾭ"},  {0x1fa6, "ὮΙ", "ᾮ"},    {0x1fa7, "ὯΙ", "ᾯ"},    {0x1fa8, "ὨΙ", "ᾨ"},
    {0x1fa9, "ὩΙ", "ᾩ"},  {0x1faa, "ὪΙ", "ᾪ"},    {0x1fab, "ὫΙ", "ᾫ"},    {0x1fac, "ὬΙ", "ᾬ"},
    {0x1fad, "ὭΙ", "ᾭ"},  {0x1fae, "ὮΙ", "ᾮ"},    {0x1faf, "ὯΙ", "ᾯ"},    {0x1fb2, "ᾺΙ", "Ὰͅ"},
    {0x1fb3, "ΑΙ", "ᾼ"},  {0x1fb4, "ΆΙ", "Άͅ"},    {0x1fb6, "Α͂", "Α͂"},     {0x1fb7, "Α͂Ι", "ᾼ͂"},
    {0x1fbc, "ΑΙ", "ᾼ"},  {0x1fc2, "ῊΙ", "Ὴͅ"},    {0x1fc3, "ΗΙ", "ῌ"},    {0x1fc4, "ΉΙ", "Ήͅ"},
    {0x1fc6, "Η͂", "Η͂"},   {0x1fc7, "Η͂Ι", "ῌ͂"},    {0x1fcc, "ΗΙ", "ῌ"},    {0x1fd2, "Ϊ̀", "Ϊ̀"},
    {0x1fd3, "Ϊ́", "Ϊ́"},   {0x1fd6, "Ι͂", "Ι͂"},     {0x1fd7, "Ϊ͂", "Ϊ͂"},     {0x1fe2, "Ϋ̀", "Ϋ̀"},
    {0x1fe3, "Ϋ́", "Ϋ́"},   {0x1fe4, "Ρ̓", "Ρ̓"},     {0x1fe6, "Υ͂", "Υ͂"},     {0x1fe7, "Ϋ͂", "Ϋ͂"},
    {0x1ff2, "ῺΙ", "Ὼͅ"},  {0x1ff3, "ΩΙ", "ῼ"},    {0x1ff4, "ΏΙ", "Ώͅ"},    {0x1ff6, "Ω͂", "Ω͂"},
    {0x1ff7, "Ω͂Ι", "ῼ͂"},  {0x1ffc, "ΩΙ", "ῼ"},    {0xfb00, "FF", "Ff"},   {0xfb01, "FI", "Fi"},
    {0xfb02, "FL", "Fl"}, {0xfb03, "FFI", "Ffi"}, {0xfb04, "FFL", "Ffl"}, {0xfb05, "ST", "St"},
    {0xfb06, "ST", "St"}, {0xfb13, "ՄՆ", "Մն"},   {0xfb14, "ՄԵ", "Մե"},   {0xfb15, "ՄԻ", "Մի"},
    {0xfb16, "ՎՆ", "Վն"}, {0xfb17, "ՄԽ", "Մխ"},
};

static const struct special *special_of(uint32_t c)
{
    size_t lo = 0, hi = sizeof specials / sizeof *specials;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (specials[mid].c < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sizeof specials / sizeof *specials && specials[lo].c == c ? &specials[lo] : NULL;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool jn_is_upper(uint32_t c)
{
    return c < 0x80 ? c - 'A' < 26u
                    : category(c) == UTF8PROC_CATEGORY_LU || (c >= 0x2160 && c <= 0x216f) ||
                          (c >= 0x24b6 && c <= 0x24cf);
}

bool jn_is_lower(uint32_t c)
{
    if (c < 0x80)
        return c - 'a' < 26u;
    return category(c) == UTF8PROC_CATEGORY_LL || c == 0xaa || c == 0xba || (c >= 0x2b0 && c <= 0x2b8) ||
           (c >= 0x2170 && c <= 0x217f) || (c >= 0x24d0 && c <= 0x24e9);
}

bool jn_is_title(uint32_t c)
{
    return c >= 0x80 && category(c) == UTF8PROC_CATEGORY_LT;
}

bool jn_is_alpha(uint32_t c)
{
    if (c < 0x80)
        return (c | 32) - 'a' < 26u;
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool jn_is_decimal(uint32_t c)
{
    return c < 0x80 ? c - '0' < 10u : category(c) == UTF8PROC_CATEGORY_ND;
}

bool jn_is_digit(uint32_t c)
{
    return jn_is_decimal(c) || c == 0xb2 || c == 0xb3 || c == 0xb9 || c == 0x2070 ||
           (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468) ||
           (c >= 0x2474 && c <= 0x247c) || (c >= 0x2488 && c <= 0x2490);
}

bool jn_is_numeric(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_ND || k == UTF8PROC_CATEGORY_NL || k == UTF8PROC_CATEGORY_NO;
}

bool jn_is_space(uint32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool jn_is_printable(uint32_t c)
{
    if (c < 0x80)
        return c >= 0x20 && c < 0x7f;
    utf8proc_category_t k = category(c);
    return k != UTF8PROC_CATEGORY_CN && k < UTF8PROC_CATEGORY_ZS;
}

/* ---- case ---- */

struct recase {
    struct jn *j;
    struct jn_out out;
    struct str s;
};

static void put(struct recase *r, uint32_t c)
{
    char text[4];
    jn_put(r->j, &r->out, text, (size_t)utf8_put(c, text));
}

static void put_upper(struct recase *r, uint32_t c, bool title)
{
    const struct special *sp = c < 0x80 ? NULL : special_of(c);
    if (sp)
        jn_put(r->j, &r->out, title ? sp->title : sp->upper, strlen(title ? sp->title : sp->upper));
    else
        put(r, (uint32_t)(title ? utf8proc_totitle((utf8proc_int32_t)c)
                                : utf8proc_toupper((utf8proc_int32_t)c)));
}

static bool is_cased(uint32_t c)
{
    return jn_is_upper(c) || jn_is_lower(c) || jn_is_title(c);
}

static bool is_ignorable(uint32_t c)
{
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == '\'' || c == '.' || c == ':' ||
           c == 0xb7 || c == 0x2019;
}

/* Whether a sigma at [i, i + 2) ends a word: a cased letter before it, none behind. */
static bool is_final(const struct recase *r, size_t i)
{
    uint32_t c = 0;
    size_t k = i;
    bool before = false;
    while (k > 0 && !before) {
        for (k--; k > 0 && ((unsigned char)r->s.p[k] & 0xc0) == 0x80;)
            k--;
        if (!utf8_get(r->s.p + k, r->s.n - k, &c) || !is_ignorable(c)) {
            before = is_cased(c);
            break;
        }
        jn_work(r->j, 1);
    }
    if (!before)
        return false;
    for (k = i + 2; k < r->s.n;) {
        int step = utf8_get(r->s.p + k, r->s.n - k, &c);
        if (!step || !is_ignorable(c))
            return !step || !is_cased(c);
        k += (size_t)step;
        jn_work(r->j, 1);
    }
    return true;
}

static void put_lower(struct recase *r, uint32_t c, size_t i)
{
    if (c == 0x130)
        jn_put(r->j, &r->out, "i\xcc\x87", 3);
    else if (c == 0x3a3)
        put(r, is_final(r, i) ? 0x3c2 : 0x3c3);
    else
        put(r, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c));
}

jval jn_recase(struct jn *j, struct str s, enum jn_case how)
{
    struct recase r = {.j = j, .s = s};
    bool in_word = false;
    jn_work(j, s.n / 8);
    for (size_t i = 0; i < s.n;) {
        uint32_t c;
        int step = utf8_get(s.p + i, s.n - i, &c);
        if (!step) {
            jn_put(j, &r.out, s.p + i++, 1);
            continue;
        }
        bool upper = how == JN_UPPER || (how == JN_CAPITALIZE && i == 0) || (how == JN_TITLE && !in_word) ||
                     (how == JN_SWAP && jn_is_lower(c));
        if (how == JN_CASEFOLD && c == 0xdf)
            jn_put(j, &r.out, "ss", 2);
        else if (how == JN_SWAP && !jn_is_lower(c) && !jn_is_upper(c))
            put(&r, c);
        else if (upper)
            put_upper(&r, c, how == JN_TITLE || how == JN_CAPITALIZE);
        else
            put_lower(&r, c, i);
        in_word = is_cased(c);
        i += (size_t)step;
    }
    return jn_out_str(j, &r.out);
}

/* ---- trimming ---- */

static bool in_set(uint32_t c, const struct str *chars)
{
    if (!chars)
        return jn_is_space(c);
    for (size_t i = 0; i < chars->n;) {
        uint32_t d;
        int step = utf8_get(chars->p + i, chars->n - i, &d);
        if (step && d == c)
            return true;
        i += step ? (size_t)step : 1;
    }
    return false;
}

struct str jn_trim(struct str s, const struct str *chars, bool left, bool right)
{
    uint32_t c;
    while (left && s.n) {
        int step = utf8_get(s.p, s.n, &c);
        if (!step || !in_set(c, chars))
            break;
        s.p += step;
        s.n -= (size_t)step;
    }
    while (right && s.n) {
        size_t k = s.n - 1;
        while (k > 0 && ((unsigned char)s.p[k] & 0xc0) == 0x80)
            k--;
        int step = utf8_get(s.p + k, s.n - k, &c);
        if (!step || k + (size_t)step != s.n || !in_set(c, chars))
            break;
        s.n = k;
    }
    return s;
}
