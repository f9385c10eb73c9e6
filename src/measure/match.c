/* Regular expressions over an answer. */
#include "measure/match.h"
#include <assert.h>
#include <string.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MOST_STEPS = 10 << 20, HEAP_KIB = 64 << 10 };

static pcre2_code *compile(const char *pattern, int flags)
{
    int error;
    size_t at;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    unsigned options = PCRE2_UTF | PCRE2_UCP | (flags & MATCH_ANY_CASE ? PCRE2_CASELESS : 0) |
                       (flags & MATCH_LINES ? PCRE2_MULTILINE : 0);
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &error, &at, context);
    pcre2_compile_context_free(context);
    return code;
}

static struct match match_of(const char *text, const size_t *v, int n_pair)
{
    int k = n_pair > 1 ? 1 : 0;
    while (k && k + 1 < n_pair && v[2 * k] == PCRE2_UNSET)
        k++;
    if (v[2 * k] == PCRE2_UNSET)
        k = 0;
    return (struct match){text + v[2 * k], v[2 * k + 1] - v[2 * k], text + v[0], v[1] - v[0]};
}

static size_t next_character(const char *text, size_t n, size_t at)
{
    at++;
    while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

void match_each(const char *pattern, int flags, const char *text, size_t n,
                bool (*each)(void *user, const struct match *m), void *user)
{
    pcre2_code *code = compile(pattern, flags);
    assert(code); /* patterns are the program's own, with quoted words of the input */
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(code, NULL);
    pcre2_match_context *bounds = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(bounds, MOST_STEPS);
    pcre2_set_heap_limit(bounds, HEAP_KIB);
    for (size_t at = 0; at <= n;) {
        int n_pair = pcre2_match(code, (PCRE2_SPTR)text, n, at, 0, data, bounds);
        if (n_pair <= 0)
            break;
        const size_t *v = pcre2_get_ovector_pointer(data);
        struct match m = match_of(text, v, n_pair);
        if (!each(user, &m))
            break;
        at = v[1] > v[0] ? v[1] : next_character(text, n, v[1]);
    }
    pcre2_match_context_free(bounds);
    pcre2_match_data_free(data);
    pcre2_code_free(code);
}

static bool count(void *user, const struct match *m)
{
    ++*(int *)user;
    return true;
}

int match_count(const char *pattern, int flags, const char *text, size_t n)
{
    int found = 0;
    match_each(pattern, flags, text, n, count, &found);
    return found;
}

static bool keep_first(void *user, const struct match *m)
{
    *(struct match *)user = *m;
    return false;
}

static bool keep_last(void *user, const struct match *m)
{
    *(struct match *)user = *m;
    return true;
}

bool match_first(const char *pattern, int flags, const char *text, size_t n, struct match *out)
{
    *out = (struct match){NULL, 0, NULL, 0};
    match_each(pattern, flags, text, n, keep_first, out);
    return out->p != NULL;
}

bool match_last(const char *pattern, int flags, const char *text, size_t n, struct match *out)
{
    *out = (struct match){NULL, 0, NULL, 0};
    match_each(pattern, flags, text, n, keep_last, out);
    return out->p != NULL;
}
