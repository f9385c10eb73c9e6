/* From tokens to text that is safe to show: whole UTF-8 characters, never a part of a stop string. */
#ifndef LATHE_ENGINE_STREAM_H
#define LATHE_ENGINE_STREAM_H
#include "base/mem.h"
#include "base/str.h"

struct stream {
    struct buf held;   /* not yet shown */
    struct buf ready;  /* what the newest call released */
    struct str *stops; /* owned */
    size_t n_stop;
};

int stream_init(struct stream *s, const char *const *stops, size_t n_stop, struct lathe_err *err);
void stream_free(struct stream *s);
/* Takes a token's bytes; s->ready then holds what became certain. True if a stop string was met: the text
 * before it is in ready. */
bool stream_put(struct stream *s, struct str bytes);
/* At the end of the answer: all that was held follows what is in ready. */
void stream_flush(struct stream *s);
/* The same for ready as the answer to this call alone. */
void stream_end(struct stream *s);
#endif
