/* What tokenizers ask about characters, as the properties that their own libraries use, and the normalization forms. */
#ifndef LATHE_TEXT_UNICODE_H
#define LATHE_TEXT_UNICODE_H
#include <stdbool.h>
#include <utf8proc.h>
#include "base/str.h"
#include "base/utf8.h"
#include "text/out.h"

/* Classes of characters. A code point is a valid one. */
bool uni_is_space(uint32_t c);   /* White_Space */
bool uni_is_word(uint32_t c);    /* \w: alphabetic, marks, decimal digits, connecting punctuation, joiners */
bool uni_is_punct(uint32_t c);   /* ASCII punctuation and symbols, and every P* */
bool uni_is_numeric(uint32_t c); /* N* */
bool uni_is_mark(uint32_t c);    /* M* */
bool uni_is_nonspacing(uint32_t c);              /* Mn */
bool uni_is_control(uint32_t c);                 /* Cc, Cf, Co, but for tab and line ends */
void uni_put_lower(uint32_t c, struct out *out); /* its full lower case */

static inline bool uni_is_category(uint32_t c, uint32_t set)
{
    return set >> utf8proc_category((utf8proc_int32_t)c) & 1;
}

/* The character at p[0], which is valid UTF-8. */
static inline uint32_t uni_at(const char *p, size_t n, size_t *len)
{
    uint32_t c = (unsigned char)*p;
    int step = c < 0x80 ? 1 : utf8_get(p, n, &c);
    *len = step ? (size_t)step : 1;
    return step ? c : 0xfffd;
}
/* The one that ends in front of p[at], at > 0. */
static inline uint32_t uni_before(const char *p, size_t at, size_t *len)
{
    size_t from = at - 1;
    while (from > 0 && at - from < 4 && ((unsigned char)p[from] & 0xc0) == 0x80)
        from--;
    return uni_at(p + from, at - from, len);
}

/* Normalization form of valid UTF-8: `compose` for C, `compat` for K. Linear but for the sorting of a run of marks. */
void uni_normalize(struct str in, bool compose, bool compat, struct out *out);
#endif
