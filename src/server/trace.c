/* Request ids and trace contexts. */
#include "server/trace.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

void trace_random_hex(char *to, size_t n)
{
    static _Atomic unsigned long count;
    unsigned char bytes[16] = {0};
    if (getrandom(bytes, n, 0) != (ssize_t)n) { /* it must differ, it need not be secret */
        unsigned long next = ++count;
        memcpy(bytes, &next, n < sizeof next ? n : sizeof next);
    }
    for (size_t i = 0; i < n; i++)
        snprintf(to + 2 * i, 3, "%02x", bytes[i]);
}

static bool is_printable(const char *p)
{
    size_t n = strlen(p);
    for (size_t i = 0; i < n; i++)
        if (p[i] < 0x20 || p[i] > 0x7e)
            return false;
    return n >= 1 && n <= 128;
}

/* n lower-case hex digits, not all of them 0. */
static bool is_hex(const char *p, size_t n)
{
    return strspn(p, "0123456789abcdef") >= n && strspn(p, "0") < n;
}

/* version "-" trace-id "-" parent-id "-" flags; later versions may have more after that, "ff" is none. */
static bool is_traceparent(const char *p)
{
    return strlen(p) >= 55 && strspn(p, "0123456789abcdef") == 2 && memcmp(p, "ff", 2) != 0 && p[2] == '-' &&
           is_hex(p + 3, 32) && p[35] == '-' && is_hex(p + 36, 16) && p[52] == '-' &&
           strspn(p + 53, "0123456789abcdef") == 2 &&
           (p[55] == 0 || (p[55] == '-' && memcmp(p, "00", 2) != 0));
}

void trace_read(struct trace *t, const char *request_id, const char *traceparent)
{
    char made[33];
    *t = (struct trace){0};
    trace_random_hex(made, 12);
    if (request_id && is_printable(request_id))
        snprintf(t->id, sizeof t->id, "%s", request_id);
    else
        snprintf(t->id, sizeof t->id, "req-%s", made);
    if (!traceparent || !is_traceparent(traceparent))
        return;
    trace_random_hex(made, 8);
    snprintf(t->parent, sizeof t->parent, "00-%.32s-%.16s-%.2s", traceparent + 3, made, traceparent + 53);
}
