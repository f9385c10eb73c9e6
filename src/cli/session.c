/* A model with an engine over it, set up from the options, and one answer at a time. */
#include "cli/session.h"
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/read_file.h"
#include "cli/input.h"
#include "cli/say.h"

enum { TEMPLATE_MAX = 16 << 20 };

static void show_progress(void *user, const char *what, double share)
{
    progress_show(user, what, share);
}

/* In the order of the row's choices. */
static const char *const load_types[] = {NULL, "f32", "f16", "bf16", "q8_0"};

int session_open(struct session *s, const struct cli_options *o, struct lathe_err *err)
{
    struct lathe_model_options mo;
    struct buf chat;
    s->start_s = clock_s();
    TRY(input_need_model(o->model, err));
    lathe_model_options_init(&mo);
    mo.cache_dir = o->cache_dir;
    mo.no_cache = o->no_cache;
    mo.exact = o->exact;
    mo.native = o->precision;
    mo.lock = o->lock;
    mo.load_as = load_types[o->load_as];
    mo.memory_bytes = o->memory;
    mo.stream = o->stream;
    mo.n_thread = o->n_thread;
    mo.progress = show_progress;
    mo.user = &s->bar;
    buf_init(&chat, TEMPLATE_MAX);
    int rc = o->chat_template ? read_file(o->chat_template, &chat, err) : 0;
    if (o->chat_template)
        mo.chat_template = chat.p ? chat.p : "";
    if (!rc)
        rc = lathe_model_open(o->model, &mo, &s->model, err);
    buf_free(&chat);
    progress_end(&s->bar);
    if (rc)
        return rc;
    lathe_model_get_info(s->model, &s->info);
    say_left_out(NULL, s->info.left_out);
    return 0;
}

/* Texts are short, and a pass takes whole ones: many, with a page of 64 tokens for each, one more in reserve, and two of the
 * longest. */
static void set_encoder(const struct session *s, const struct cli_options *o, struct lathe_engine_options *eo)
{
    int n_ctx = eo->n_ctx ? eo->n_ctx : s->info.n_ctx_text;
    if (!o->n_parallel && eo->n_seq > 1)
        eo->n_seq = SESSION_TEXTS;
    if (!eo->n_chunk)
        eo->n_chunk = SESSION_TEXT_ROWS;
    if (!eo->n_kv_token)
        eo->n_kv_token = 2 * 64 * eo->n_seq + 2 * n_ctx;
}

struct lathe_engine_options session_engine_options(const struct session *s, const struct cli_options *o,
                                                   int n_seq, int n_need)
{
    struct lathe_engine_options eo;
    lathe_engine_options_init(&eo);
    eo.n_thread = o->n_thread;
    eo.no_spin = o->power != 0;
    eo.n_ctx = o->n_ctx ? o->n_ctx : n_need && n_need < s->info.n_ctx_train ? n_need : 0;
    eo.n_seq = n_seq;
    eo.n_kv_token = o->n_kv_token;
    eo.n_chunk = o->n_chunk;
    eo.kv_type = (enum lathe_kv_type)o->kv_type.first;
    eo.kv_value_type = LATHE_KV_VALUES(o->kv_type.second);
    eo.no_fusion = o->fusion == 0;
    eo.no_prefix_cache = o->no_prefix_cache;
    eo.target_itl_ms = o->target_itl_ms;
    eo.n_queue = o->n_queue;
    eo.n_queue_token = o->n_queue_token;
    eo.preempt = (enum lathe_preempt)o->preempt;
    eo.swap_bytes = o->swap;
    eo.memory_bytes = o->memory;
    if (!s->info.generates)
        set_encoder(s, o, &eo);
    eo.firm = LATHE_FIRM_CTX | LATHE_FIRM_SEQ | LATHE_FIRM_KV | (o->n_chunk ? LATHE_FIRM_CHUNK : 0);
    return eo;
}

int session_need_generator(const struct session *s, struct lathe_err *err)
{
    if (s->info.generates)
        return 0;
    return err_set(err, LATHE_E_USAGE,
                   "%s is an encoder (%s), which generates nothing: lathe embed and serve run it",
                   s->info.name, s->info.architecture);
}

int session_engine(struct session *s, const struct cli_options *o, int n_seq, int n_need, int flags,
                   struct lathe_err *err)
{
    struct lathe_engine_options eo = session_engine_options(s, o, n_seq, n_need);
    TRY(session_need_generator(s, err));
    eo.profile = flags & SESSION_PROFILE;
    eo.no_prefix_cache |= (flags & SESSION_FRESH) != 0;
    if (flags & SESSION_SHORTER && !o->n_ctx)
        eo.firm &= ~(unsigned)(LATHE_FIRM_CTX | LATHE_FIRM_KV);
    if (flags & SESSION_SLOWER)
        eo.firm &= ~(unsigned)LATHE_FIRM_CHUNK;
    lathe_engine_free(s->engine);
    s->engine = NULL;
    TRY(lathe_engine_new(s->model, &eo, &s->engine, err));
    session_say_stream(s);
    return 0;
}

void session_say_stream(struct session *s)
{
    struct lathe_engine_plan p;
    const double mib = 1.0 / 1048576.0;
    lathe_engine_get_plan(s->engine, &p);
    if (!p.stream_bytes || s->said_stream)
        return;
    s->said_stream = true;
    fprintf(
        stderr,
        "lathe: note: weights of %.0f MiB are more than memory has room for: %.0f MiB are read from the disk "
        "for every pass, which gave %.0f MiB/s: about %.2g passes a second\n",
        (double)s->info.resident_bytes * mib, (double)p.stream_bytes * mib, p.stream_rate * mib,
        p.stream_rate / (double)p.stream_bytes);
}

void session_close(struct session *s)
{
    lathe_engine_free(s->engine);
    lathe_model_free(s->model);
    s->engine = NULL;
    s->model = NULL;
}

/* "ID=X", X a number or -inf. */
static int read_bias(const char *text, int n_vocab, struct lathe_logit_bias *out, struct lathe_err *err)
{
    char *end;
    long id = strtol(text, &end, 10);
    bool ok = end != text && *end == '=' && id >= 0 && id < n_vocab && end[1];
    if (ok) {
        out->token = (int32_t)id;
        out->bias = strtof(end + 1, &end);
        ok = !*end && !isnan(out->bias) && out->bias < INFINITY;
    }
    if (!ok)
        return err_set(err, LATHE_E_USAGE,
                       "--logit-bias '%.60s' is not ID=X with an ID from 0 to %d and a number or -inf", text,
                       n_vocab - 1);
    return 0;
}

int session_request(struct session *s, const struct cli_options *o, struct lathe_request *r,
                    struct lathe_err *err)
{
    lathe_request_init(r);
    r->sampling = o->sampling;
    for (int i = 0; i < o->logit_bias.n; i++)
        TRY(read_bias(o->logit_bias.v[i], s->info.n_vocab, &s->bias[i], err));
    r->sampling.bias = s->bias;
    r->sampling.n_bias = (size_t)o->logit_bias.n;
    r->stop = o->stop.v;
    r->n_stop = (size_t)o->stop.n;
    for (int i = 0; i < o->stop.n; i++)
        if (!o->stop.v[i][0])
            return err_set(err, LATHE_E_USAGE, "--stop '' is empty: give the text that ends the answer");
    r->n_predict = o->n_predict;
    r->ignore_eos = o->ignore_eos;
    r->special = o->special;
    r->n_logprob = o->n_logprob;
    return 0;
}

/* What the signal handler cancels. */
static lathe_engine *volatile running_engine;
static volatile uint64_t running_id;

static void on_interrupt(int signal)
{
    if (running_engine)
        lathe_engine_cancel(running_engine, running_id);
}

static int step_to_end(struct session *s, void (*on_event)(void *user, const struct lathe_event *e),
                       void *user, struct lathe_err *err)
{
    struct lathe_event e;
    for (;;) {
        int n_left = lathe_engine_step(s->engine, err);
        if (n_left < 0)
            return n_left;
        while (lathe_engine_poll(s->engine, &e)) {
            on_event(user, &e);
            if (e.kind != LATHE_EVENT_DONE)
                continue;
            if (e.finish == LATHE_FINISH_ERROR) {
                *err = e.err;
                return e.err.code ? e.err.code : LATHE_E_FAILED;
            }
            return e.finish == LATHE_FINISH_CANCELLED ? err_set(err, LATHE_E_CANCELLED, "cancelled") : 0;
        }
        if (n_left == 0)
            return err_set(err, LATHE_E_FAILED, "the engine stopped before the request was finished");
    }
}

int session_answer(struct session *s, const struct lathe_request *r,
                   void (*on_event)(void *user, const struct lathe_event *e), void *user, uint64_t *id,
                   struct lathe_err *err)
{
    struct sigaction cancel = {.sa_handler = on_interrupt, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)},
                     before;
    uint64_t my_id;
    TRY(lathe_engine_submit(s->engine, r, &my_id, err));
    if (id)
        *id = my_id;
    running_id = my_id;
    running_engine = s->engine;
    sigemptyset(&cancel.sa_mask);
    sigaction(SIGINT, &cancel, &before);
    int rc = step_to_end(s, on_event, user, err);
    sigaction(SIGINT, &before, NULL);
    running_engine = NULL;
    return rc;
}

int session_tokenize(const struct session *s, const char *text, size_t n, bool chat, bool special,
                     int32_t **ids, size_t *n_ids, struct lathe_err *err)
{
    const lathe_vocab *v = lathe_model_vocab(s->model);
    if (chat)
        return lathe_chat_tokenize(v, text, n, ids, n_ids, err);
    return lathe_tokenize(v, text, n, LATHE_TOK_BOS | (special ? LATHE_TOK_SPECIAL : 0), ids, n_ids, err);
}

void session_random_ids(const struct session *s, int32_t *ids, int n, int salt)
{
    int n_vocab = s->info.n_vocab, low = n_vocab > 600 ? 200 : 0,
        span = n_vocab > 600 ? n_vocab - 300 : n_vocab;
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)((7919ll * i + 13ll * salt) % span) + low;
}
