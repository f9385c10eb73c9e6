/* Watches the sockets of suspended connections: a client that closes or resets its end is noticed at once, and one that has
 * got nothing for long is resumed if its exchange tells silence. */
#ifndef LATHE_SERVER_WATCH_H
#define LATHE_SERVER_WATCH_H
#include "base/err.h"

struct exchange;
struct watch;

/* Starts the watching thread; silence is long after silence_ms. `gone` is called in it, without locks, when the client of a watched exchange has gone. */
int watch_new(void (*gone)(void *user, struct exchange *x), void *user, int silence_ms, struct watch **out,
              struct lathe_err *err);
void watch_free(struct watch *w);
/* Both with the exchange's lock held; a connection is watched only while it is suspended. */
void watch_add(struct watch *w, struct exchange *x);
void watch_remove(struct watch *w, struct exchange *x);
#endif
