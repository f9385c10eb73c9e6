/* Who a request is, for its client and for those who follow it through several machines. */
#ifndef LATHE_SERVER_TRACE_H
#define LATHE_SERVER_TRACE_H
#include <stddef.h>

struct trace {
    char id[129]; /* X-Request-Id: the client's own if it is 1..128 printable characters, else made here */
    char parent
        [56]; /* traceparent (W3C Trace Context, level 1) with a new span; "" if the client sent no valid one */
};

/* Either header may be NULL. */
void trace_read(struct trace *t, const char *request_id, const char *traceparent);
/* 2n lower-case hex digits of n <= 16 random bytes and a NUL. */
void trace_random_hex(char *to, size_t n);
#endif
