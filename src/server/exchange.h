/* A request on its way between an HTTP thread and the engine's thread.
 *
 * The HTTP thread makes it, gives it to dispatch and takes its events; the engine's thread puts them. One buffer under
 * one lock lies between the two. While there is nothing to take the connection is suspended, and watched, since the HTTP
 * library does not look at suspended ones; whoever puts an event resumes it. Each side holds a reference. */
#ifndef LATHE_SERVER_EXCHANGE_H
#define LATHE_SERVER_EXCHANGE_H
#include <pthread.h>
#include <stdatomic.h>
#include "base/mem.h"
#include "server/mhd.h"

struct watch;

/* An event as it lies in the buffer, followed by its alternatives and its text, filled up to 8 bytes. */
struct exchange_event {
    int choice;
    int code; /* of an error that ended it, else 0 */
    enum lathe_event_kind kind;
    enum lathe_finish finish;
    struct lathe_timings timings;
    uint64_t at_ns; /* when it was put */
    int32_t token;  /* of a token, with its logprob if those are asked for */
    float logprob;
    int n_top;
    size_t n_text; /* of an embedding's end: the floats */
};

struct exchange_prompt {
    int32_t *ids;
    size_t n_ids;
    char *text; /* of an answer that begins with it or has it; else NULL */
    size_t n_text;
    int second_at; /* of a pair; see lathe_request */
};

enum { EXCHANGE_MAX_STOP = 16, EXCHANGE_MAX_PROMPT = 1024 };

struct exchange {
    _Atomic int n_ref;
    pthread_mutex_t lock;
    struct watch *watch;
    struct MHD_Connection *connection;
    bool suspended, gone; /* gone: nobody reads any more */
    bool tells_silence; /* its connection is resumed when nothing came for long; fixed once it is submitted */
    bool silent;        /* that is so now */
    struct buf events;
    /* what is asked for; fixed once it is submitted */
    struct lathe_request request; /* of all choices; ids and candidate are set for each */
    char *stop[EXCHANGE_MAX_STOP];
    struct lathe_logit_bias *bias;
    struct exchange_prompt *prompts;
    int n_prompt, n_candidate; /* choice = prompt * n_candidate + candidate */
    /* the engine's thread's */
    struct exchange *next;
    uint64_t *ids; /* of the choices in the engine; 0: not there (any more) */
    int n_open;
};

/* With one reference. */
struct exchange *exchange_new(struct MHD_Connection *connection, struct watch *watch);
struct exchange *exchange_ref(struct exchange *x);
void exchange_unref(struct exchange *x);
static inline int exchange_n_choice(const struct exchange *x)
{
    return x->n_prompt * x->n_candidate;
}

/* Engine's thread: puts an event with its top[e->n_top] and text[e->n_text], and resumes the connection. */
void exchange_put(struct exchange *x, const struct exchange_event *e, const struct lathe_logprob *top,
                  const char *text);
/* HTTP thread: moves all events into `into`, whose own bytes are dropped. EXCHANGE_WAIT: there are none, the connection is
 * suspended and the caller returns to the library. EXCHANGE_SILENCE: there have been none for long (`tells_silence`). EXCHANGE_GONE:
 * the client has gone and nothing will come any more. */
enum exchange_take { EXCHANGE_EVENTS, EXCHANGE_WAIT, EXCHANGE_SILENCE, EXCHANGE_GONE };
enum exchange_take exchange_take(struct exchange *x, struct buf *into);
/* The next event of a buffer at *at with what belongs to it; NULL at the end. */
const struct exchange_event *exchange_next(const struct buf *events, size_t *at,
                                           const struct lathe_logprob **top, const char **text);
/* A suspended connection has been silent for long: it is resumed. */
void exchange_end_silence(struct exchange *x);
/* The client has gone, or nobody will take any more: a suspended connection is resumed. */
void exchange_hang_up(struct exchange *x);
#endif
