/* A model with an engine over it, set up from the options, and one answer at a time. */
#ifndef LATHE_CLI_SESSION_H
#define LATHE_CLI_SESSION_H
#include "base/progress.h"
#include "cli/cli.h"

/* Context without -c of commands that talk: enough, and little memory beside large models. */
enum { SESSION_CONTEXT = 8192 };
/* Encoders: texts at once, and rows of a pass. */
enum { SESSION_TEXTS = 128, SESSION_TEXT_ROWS = 1024 };

struct session {
    lathe_model *model;
    lathe_engine *engine; /* NULL until session_engine */
    struct lathe_model_info info;
    struct progress bar;
    bool said_stream;
    struct lathe_logit_bias bias[OPT_LIST_MAX];
    double start_s; /* when session_open began */
};

/* Opens the model that the options name, with a progress bar; `s` zeroed. Close it in any case. */
int session_open(struct session *s, const struct cli_options *o, struct lathe_err *err);
/* What the options say of an engine for n_seq sequences of at most n_need tokens each; see session_engine. */
struct lathe_engine_options session_engine_options(const struct session *s, const struct cli_options *o,
                                                   int n_seq, int n_need);
/* Makes (or makes anew) the engine for n_seq sequences of at most n_need tokens each; n_need 0: the model's
 * own context. -c overrides. */
enum session_flags {
    SESSION_PROFILE = 1,
    SESSION_FRESH = 2,   /* nothing is taken over from earlier requests: for measuring */
    SESSION_SHORTER = 4, /* without -c the context is what fits the memory */
    SESSION_SLOWER = 8   /* rows of a pass are what fits the memory: --chunk is a profile's */
};
int session_engine(struct session *s, const struct cli_options *o, int n_seq, int n_need, int flags,
                   struct lathe_err *err);
/* Where weights are larger than memory: what is read from the disk, and the speed that is to be expected of it, to stderr. */
void session_say_stream(struct session *s);
/* USAGE, naming its kind, if the model generates nothing. */
int session_need_generator(const struct session *s, struct lathe_err *err);
void session_close(struct session *s);

/* Request defaults with sampling, stop strings and answer options filled in; the pointers are into `o` and
 * `s`. */
int session_request(struct session *s, const struct cli_options *o, struct lathe_request *r,
                    struct lathe_err *err);

/* Submits and runs one request to its end. Every event goes to on_event. Ctrl-C cancels: LATHE_E_CANCELLED
 * after its DONE event. A request that ends in an error returns its code. `id` may be NULL. */
int session_answer(struct session *s, const struct lathe_request *r,
                   void (*on_event)(void *user, const struct lathe_event *e), void *user, uint64_t *id,
                   struct lathe_err *err);

/* Text to ids. With `chat`, special tokens are parsed and the beginning-of-sequence token is added only if
 * the text lacks it. */
int session_tokenize(const struct session *s, const char *text, size_t n, bool chat, bool special,
                     int32_t **ids, size_t *n_ids, struct lathe_err *err);
/* "out of the ids that the vocabulary has": pseudo-random, the same on every machine. */
void session_random_ids(const struct session *s, int32_t *ids, int n, int salt);
#endif
