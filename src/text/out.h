/* Text on its way through the steps of a tokenizer: bytes that grow, with a flag for what did not fit, which is asked once at the
 * end of a step. */
#ifndef LATHE_TEXT_OUT_H
#define LATHE_TEXT_OUT_H
#include <stdbool.h>
#include <stdlib.h>
#include "base/err.h"
#include "base/str.h"
#include "base/utf8.h"

#define OUT_LIMIT ((size_t)1 << 30)

struct out {
    char *p;
    size_t n, cap;
    bool full; /* a put was refused */
};

static inline bool out_room(struct out *o, size_t n)
{
    if (n <= o->cap - o->n)
        return true;
    size_t cap = o->cap < 64 ? 64 : o->cap;
    while (cap < OUT_LIMIT && cap - o->n < n)
        cap *= 2;
    char *p = o->full || cap - o->n < n ? NULL : realloc(o->p, cap);
    if (!p) {
        o->full = true;
        return false;
    }
    o->p = p;
    o->cap = cap;
    return true;
}

static inline void out_put(struct out *o, const char *p, size_t n)
{
    if (n == 0 || !out_room(o, n))
        return;
    memcpy(o->p + o->n, p, n);
    o->n += n;
}

static inline void out_put_char(struct out *o, uint32_t c)
{
    if (out_room(o, 4))
        o->n += (size_t)utf8_put(c, o->p + o->n);
}

static inline struct str out_str(const struct out *o)
{
    return (struct str){o->p ? o->p : "", o->n};
}

static inline int out_check(const struct out *o, const char *step, struct lathe_err *err)
{
    return !o->full ? 0 : err_set(err, LATHE_E_LIMIT, "the text grew past %zu bytes in %s", OUT_LIMIT, step);
}
#endif
