/* SentencePiece's precompiled table of replacements ("precompiled_charsmap").
 *
 *     | bytes of the trie (u32) | units of a double-array trie (u32 each) | replacements, each ended by a NUL |
 *
 * A unit: bit 31 set: a leaf's value (bits 0-30); else bits 0-7 (and 31) are the label, bit 8 says that a leaf follows, bits 10
 * and up are the offset to the children, shifted by 8 more where bit 9 is set. */
#include "base/mem.h"
#include "text/pipe.h"

struct charsmap {
    uint32_t *unit;
    size_t n_unit;
    char *text;
    size_t n_text;
};

int charsmap_new(struct str bytes, const char *where, struct charsmap **out, struct lathe_err *err)
{
    uint32_t n_trie = 0;
    *out = NULL;
    if (bytes.n >= 4)
        n_trie = (uint32_t)(unsigned char)bytes.p[0] | (uint32_t)(unsigned char)bytes.p[1] << 8 |
                 (uint32_t)(unsigned char)bytes.p[2] << 16 | (uint32_t)(unsigned char)bytes.p[3] << 24;
    if (bytes.n < 5 || n_trie == 0 || n_trie % 4 || n_trie > bytes.n - 4)
        return err_set(err, LATHE_E_FILE, "%s: the charsmap of %zu bytes has a trie of %u", where, bytes.n,
                       n_trie);
    struct charsmap *c = mem_new(sizeof *c);
    c->n_unit = n_trie / 4;
    c->unit = mem_new(n_trie);
    memcpy(c->unit, bytes.p + 4, n_trie);
    c->n_text = bytes.n - 4 - n_trie;
    c->text = mem_dup(bytes.p + 4 + n_trie, c->n_text); /* ends with a NUL whatever the file has */
    *out = c;
    return 0;
}

void charsmap_free(struct charsmap *c)
{
    if (!c)
        return;
    free(c->unit);
    free(c->text);
    free(c);
}

/* Follows `in`; the values at the shortest and the longest match, false if there is none. */
static bool search(const struct charsmap *c, struct str in, uint32_t *shortest, uint32_t *longest, size_t *n)
{
    uint32_t u = c->unit[0];
    size_t at = (size_t)(u >> 10) << ((u & 0x200) >> 6);
    *n = 0;
    for (size_t i = 0; i < in.n && in.p[i]; i++) {
        at ^= (unsigned char)in.p[i];
        if (at >= c->n_unit)
            break;
        u = c->unit[at];
        if ((u & 0x800000ffu) != (unsigned char)in.p[i])
            break;
        at ^= (size_t)(u >> 10) << ((u & 0x200) >> 6);
        if (!(u & 0x100))
            continue;
        if (at >= c->n_unit)
            break;
        *longest = c->unit[at] & 0x7fffffffu;
        if (*n == 0)
            *shortest = *longest;
        *n = i + 1;
    }
    return *n > 0;
}

static struct str text_at(const struct charsmap *c, uint32_t at)
{
    return at < c->n_text ? str_of(c->text + at) : (struct str){"", 0};
}

size_t charsmap_longest(const struct charsmap *c, struct str in, struct str *to)
{
    uint32_t shortest, longest;
    size_t n;
    if (!search(c, in, &shortest, &longest, &n))
        return 0;
    *to = text_at(c, longest);
    return n;
}

static bool replace(const struct charsmap *c, struct str in, struct out *out)
{
    uint32_t shortest, longest;
    size_t n;
    if (!search(c, in, &shortest, &longest, &n))
        return false;
    struct str to = text_at(c, shortest);
    out_put(out, to.p, to.n);
    return true;
}

void charsmap_apply(const struct charsmap *c, struct str in, struct out *out)
{
    for (size_t i = 0, end, len; i < in.n; i = end) {
        utf8proc_int32_t state = 0, before = (utf8proc_int32_t)uni_at(in.p + i, in.n - i, &len), now;
        for (end = i + len; end < in.n; end += len, before = now) {
            now = (utf8proc_int32_t)uni_at(in.p + end, in.n - end, &len);
            if (utf8proc_grapheme_break_stateful(before, now, &state))
                break;
        }
        if (end - i < 6 && replace(c, (struct str){in.p + i, end - i}, out))
            continue;
        for (size_t k = i; k < end; k += len) {
            uni_at(in.p + k, end - k, &len);
            if (!replace(c, (struct str){in.p + k, len}, out))
                out_put(out, in.p + k, len);
        }
    }
}
