/* What checks of answers ask of a text. */
#include "measure/answer_text.h"
#include <utf8proc.h>
#include "base/utf8.h"

/* White space as Unicode's property has it, and the separators U+001C .. U+001F. */
static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f) || c == 0x85 || c == 0xa0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
           c == 0x205f || c == 0x3000;
}

/* The character at `at`; of a byte that is none U+FFFD. */
static int get(struct str s, size_t at, uint32_t *c)
{
    int k = utf8_get(s.p + at, s.n - at, c);
    if (!k)
        *c = 0xfffd;
    return k ? k : 1;
}

struct str text_strip(struct str s)
{
    uint32_t c;
    size_t end = 0;
    while (s.n) {
        int k = get(s, 0, &c);
        if (!is_space(c))
            break;
        s.p += k;
        s.n -= (size_t)k;
    }
    for (size_t at = 0; at < s.n;) {
        at += (size_t)get(s, at, &c);
        end = is_space(c) ? end : at;
    }
    return (struct str){s.p, end};
}

bool text_begins(struct str s, struct str with)
{
    return s.n >= with.n && (with.n == 0 || memcmp(s.p, with.p, with.n) == 0);
}

bool text_ends(struct str s, struct str with)
{
    return s.n >= with.n && (with.n == 0 || memcmp(s.p + s.n - with.n, with.p, with.n) == 0);
}

struct str text_without_prefix(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return text_begins(s, str_of(prefix)) ? (struct str){s.p + n, s.n - n} : s;
}

struct str text_without_suffix(struct str s, const char *suffix)
{
    return text_ends(s, str_of(suffix)) ? (struct str){s.p, s.n - strlen(suffix)} : s;
}

size_t text_find(struct str s, size_t at, const char *part)
{
    size_t n = strlen(part);
    for (; at + n <= s.n; at++)
        if (memcmp(s.p + at, part, n) == 0)
            return at;
    return s.n;
}

void text_lower(struct str s, struct buf *out)
{
    uint32_t c;
    char bytes[4];
    for (size_t at = 0; at < s.n;) {
        int k = utf8_get(s.p + at, s.n - at, &c);
        if (k)
            buf_put(out, bytes, (size_t)utf8_put((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), bytes));
        at += k ? (size_t)k : 1;
    }
}

/* How many letters of each case. */
static void count_cases(struct str s, int *n_upper, int *n_lower)
{
    uint32_t c;
    *n_upper = *n_lower = 0;
    for (size_t at = 0; at < s.n;) {
        at += (size_t)get(s, at, &c);
        *n_upper += utf8proc_isupper((utf8proc_int32_t)c) != 0;
        *n_lower += utf8proc_islower((utf8proc_int32_t)c) != 0;
    }
}

bool text_is_upper(struct str s)
{
    int n_upper, n_lower;
    count_cases(s, &n_upper, &n_lower);
    return n_upper && !n_lower;
}

bool text_is_lower(struct str s)
{
    int n_upper, n_lower;
    count_cases(s, &n_upper, &n_lower);
    return n_lower && !n_upper;
}

/* ---- pieces between white space ---- */

static struct str next_piece(struct str s, size_t *at)
{
    uint32_t c = 0;
    size_t from;
    int k = 0;
    for (; *at < s.n; *at += (size_t)k) {
        k = get(s, *at, &c);
        if (!is_space(c))
            break;
    }
    from = *at;
    for (; *at < s.n; *at += (size_t)k) {
        k = get(s, *at, &c);
        if (is_space(c))
            break;
    }
    return (struct str){s.p + from, *at - from};
}

static bool is_in(const char *const *list, struct str word)
{
    for (; *list; list++)
        if (strlen(*list) == word.n && strncasecmp(*list, word.p, word.n) == 0)
            return true;
    return false;
}

/* ---- sentences ---- */

static struct str without_closers(struct str s)
{
    while (s.n && strchr("\"')]}*", s.p[s.n - 1]))
        s.n--;
    return text_without_suffix(text_without_suffix(s, "\xe2\x80\x9d"), "\xe2\x80\x99");
}

static bool begins_lower(struct str s)
{
    uint32_t c;
    while (s.n && strchr("\"'([{*", s.p[0])) {
        s.p++;
        s.n--;
    }
    return s.n && utf8_get(s.p, s.n, &c) && utf8proc_islower((utf8proc_int32_t)c);
}

/* Whether a piece that ends in a period ends no sentence before `next`. */
static bool is_abbreviation(struct str word, struct str next)
{
    static const char *const abbreviations[] = {
        "mr",  "mrs", "ms",  "dr",  "prof", "st",   "jr",  "sr",  "vs",   "gen", "col", "capt", "lt",  "sgt",
        "rev", "hon", "gov", "sen", "rep",  "inc",  "ltd", "co",  "corp", "e.g", "i.e", "a.m",  "p.m", "u.s",
        "u.k", "d.c", "jan", "feb", "aug",  "sept", "oct", "nov", "dec",  "ft",  "mt",  "cf",   "al",  NULL};
    word.n--;
    while (word.n && strchr("\"'([{*", word.p[0])) {
        word.p++;
        word.n--;
    }
    bool is_initial = word.n == 1 && ((unsigned char)word.p[0] | 32) >= 'a' &&
                      ((unsigned char)word.p[0] | 32) <= 'z' && word.p[0] != 'I';
    bool is_figure = word.n && strspn(word.p, "0123456789.,-") >= word.n;
    if (is_figure || (word.n >= 2 && word.p[word.n - 1] == '.'))
        return begins_lower(next);
    return is_initial || is_in(abbreviations, word);
}

int text_count_sentences(struct str s)
{
    int n = 0;
    bool is_open = false;
    s = text_strip(s);
    for (size_t at = 0; at < s.n;) {
        struct str piece = next_piece(s, &at), bare = without_closers(piece);
        size_t after = at;
        struct str next = next_piece(s, &after);
        is_open = true;
        if (!bare.n || !strchr(".?!", bare.p[bare.n - 1]))
            continue;
        if (bare.p[bare.n - 1] == '.' && is_abbreviation(bare, next))
            continue;
        n++;
        is_open = false;
    }
    return n + is_open;
}

/* ---- words ---- */

/* Bytes that begin here and are a word of their own. */
static size_t breaks_at(struct str s, size_t at)
{
    static const char *const quotes[] = {"\xe2\x80\x9c", "\xe2\x80\x9d", "\xc2\xab", "\xc2\xbb",
                                         "...",          "--",           "''",       "``"};
    struct str rest = {s.p + at, s.n - at};
    for (size_t i = 0; i < sizeof quotes / sizeof quotes[0]; i++)
        if (text_begins(rest, str_of(quotes[i])))
            return strlen(quotes[i]);
    if (strchr("[](){}<>;@#$%&?!\"", s.p[at]))
        return 1;
    bool before_digit = at + 1 < s.n && s.p[at + 1] >= '0' && s.p[at + 1] <= '9';
    return strchr(",:", s.p[at]) && !before_digit;
}

/* A piece without punctuation: a contraction's ending is a word of its own. */
static int count_capitals(struct str word)
{
    static const char *const endings[] = {"n't", "'ll", "'re", "'ve", "'s", "'m", "'d"};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t n = strlen(endings[i]);
        if (word.n > n && strncasecmp(word.p + word.n - n, endings[i], n) == 0)
            return text_is_upper((struct str){word.p, word.n - n}) +
                   text_is_upper((struct str){word.p + word.n - n, n});
    }
    return text_is_upper(word);
}

int text_count_capital_words(struct str s)
{
    int n = 0;
    for (size_t at = 0; at < s.n;) {
        struct str piece = next_piece(s, &at);
        size_t from = 0, k = 0;
        while (k < piece.n) {
            size_t broken = piece.p[k] ? breaks_at(piece, k) : 1;
            if (broken) {
                n += count_capitals((struct str){piece.p + from, k - from});
                from = k + broken;
            }
            k += broken ? broken : 1;
        }
        n += count_capitals((struct str){piece.p + from, piece.n - from});
    }
    return n;
}
