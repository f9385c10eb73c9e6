/* Time limits of requests on their way in.
 *
 * The HTTP library closes a connection on which nothing moves; a client that sends a byte now and then moves. Here a request
 * has to be whole by a time, and a connection that misses it is shut. */
#ifndef LATHE_SERVER_GUARD_H
#define LATHE_SERVER_GUARD_H
#include "base/err.h"

struct guard;
struct guest; /* a connection */

struct guard *guard_new(int body_s, int idle_s);
void guard_free(struct guard *g); /* NULL is legal; all guests have left */
void guard_set(struct guard *g, int body_s);
/* A connection opens; its first request is to come. */
struct guest *guard_enter(struct guard *g, int fd);
/* Before the socket is closed. */
void guard_leave(struct guard *g, struct guest *guest);
/* The headers are there, and the body is to come; the request is there whole; it was answered, and the next may come. */
void guard_body(struct guard *g, struct guest *guest);
void guard_whole(struct guard *g, struct guest *guest);
void guard_answered(struct guard *g, struct guest *guest);
/* Shuts those that are late; returns how many. To be called a few times a second. */
int guard_sweep(struct guard *g);
#endif
