/* A slice: bytes that somebody else owns. Not NUL-terminated. */
#ifndef LATHE_BASE_STR_H
#define LATHE_BASE_STR_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){literal, sizeof literal - 1})
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)((s).n > 200 ? 200 : (s).n), (s).p /* at most 200 bytes in a message */

static inline struct str str_of(const char *z)
{
    return (struct str){z, strlen(z)};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_of(z));
}
#endif
