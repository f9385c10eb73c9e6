/* The engine's thread: takes exchanges in, steps the engine, gives events out. It never waits for a client. */
#ifndef LATHE_SERVER_DISPATCH_H
#define LATHE_SERVER_DISPATCH_H
#include "server/exchange.h"

struct dispatch;

/* Starts the thread; the engine is its own from here to dispatch_free. */
int dispatch_new(lathe_engine *engine, struct dispatch **out, struct lathe_err *err);
/* Queues all choices of an exchange, which join at the next step. A choice that the engine refuses gets a DONE event with
 * the code. Takes a reference of its own. */
void dispatch_submit(struct dispatch *d, struct exchange *x);
/* Ends an exchange's choices at the next step. */
void dispatch_cancel(struct dispatch *d, struct exchange *x);
/* From here on nothing new is taken: submitted choices end at once. */
void dispatch_close(struct dispatch *d);
/* Whether nothing is left to do. */
bool dispatch_idle(struct dispatch *d);
/* Ends what is left and the thread. Other threads may still call; they find it closed. */
void dispatch_stop(struct dispatch *d);
void dispatch_free(struct dispatch *d); /* stopped */
/* State of the engine after its last step. */
void dispatch_stats(struct dispatch *d, struct lathe_engine_stats *out);
/* A choice that is in the engine. */
struct dispatch_row {
    struct exchange *x; /* with a reference */
    int choice;
    struct lathe_request_info info;
};
/* All of them, between two steps, malloc-ed in *rows; the count. Waits for the present step, and gives none if that takes longer
 * than 5 s. */
int dispatch_requests(struct dispatch *d, struct dispatch_row **rows);
/* Whether the engine can go on. */
bool dispatch_healthy(const struct dispatch *d);
/* For how long work has been there and none was done; 0: there is none. */
double dispatch_stalled_s(struct dispatch *d);
#endif
