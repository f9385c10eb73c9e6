/* Text that is safe to show. */
#include "engine/stream.h"
#include <stdlib.h>

enum { MAX_STOP_BYTES = 1024, MAX_STOPS = 64 };

int stream_init(struct stream *s, const char *const *stops, size_t n_stop, struct lathe_err *err)
{
    *s = (struct stream){0};
    if (n_stop > MAX_STOPS)
        return err_set(err, LATHE_E_USAGE, "%zu stop strings, at most %d", n_stop, MAX_STOPS);
    for (size_t i = 0; i < n_stop; i++)
        if (!stops[i][0] || strlen(stops[i]) > MAX_STOP_BYTES)
            return err_set(err, LATHE_E_USAGE, "stop string %zu has %zu bytes, expected 1..%d", i + 1,
                           strlen(stops[i]), MAX_STOP_BYTES);
    buf_init(&s->held, 1 << 20);
    buf_init(&s->ready, 1 << 20);
    if (n_stop)
        s->stops = mem_new(n_stop * sizeof *s->stops);
    for (size_t i = 0; i < n_stop; i++)
        s->stops[i] = (struct str){mem_dup(stops[i], strlen(stops[i])), strlen(stops[i])};
    s->n_stop = n_stop;
    return 0;
}

void stream_free(struct stream *s)
{
    for (size_t i = 0; i < s->n_stop; i++)
        free((void *)s->stops[i].p);
    free(s->stops);
    buf_free(&s->held);
    buf_free(&s->ready);
    *s = (struct stream){0};
}

/* Bytes at the end of p[n] that begin a UTF-8 character but do not finish it. */
static size_t partial_utf8(const char *p, size_t n)
{
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)p[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t need = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 1;
        return c >= 0xc2 && c < 0xf8 && need > back ? back : 0;
    }
    return 0;
}

/* Length of the longest end of p[n] that is a proper beginning of a stop string. */
static size_t partial_stop(const struct stream *s, const char *p, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < s->n_stop; i++)
        for (size_t k = s->stops[i].n - 1; k > longest; k--)
            if (k <= n && memcmp(p + n - k, s->stops[i].p, k) == 0)
                longest = k;
    return longest;
}

static void release(struct stream *s, size_t n)
{
    buf_put(&s->ready, s->held.p, n);
    memmove(s->held.p, s->held.p + n, s->held.n - n);
    s->held.n -= n;
}

bool stream_put(struct stream *s, struct str bytes)
{
    buf_clear(&s->ready);
    buf_put(&s->held, bytes.p, bytes.n);
    if (!s->held.n)
        return false;
    const char *first = NULL;
    for (size_t i = 0; i < s->n_stop; i++) {
        const char *at = memmem(s->held.p, s->held.n, s->stops[i].p, s->stops[i].n);
        if (at && (!first || at < first))
            first = at;
    }
    if (first) {
        release(s, (size_t)(first - s->held.p));
        buf_clear(&s->held);
        return true;
    }
    size_t hold = partial_utf8(s->held.p, s->held.n), stop = partial_stop(s, s->held.p, s->held.n);
    release(s, s->held.n - (stop > hold ? stop : hold));
    return false;
}

void stream_flush(struct stream *s)
{
    if (s->held.n)
        release(s, s->held.n);
}

void stream_end(struct stream *s)
{
    buf_clear(&s->ready);
    stream_flush(s);
}
