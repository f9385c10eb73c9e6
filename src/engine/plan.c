/* The memory plan: how many tokens of KV cache, sequences and rows a process of bounded memory can have.
 *
 *     bound   | weights | KV cache: pages | buffers: what the process has besides, pass, sequences, stacks, reserve |
 *
 * Everything but the number of KV pages is a function of context, sequences and rows of a pass. So for a choice of those
 * the pages get what is left; if that is less than one sequence needs, the next smaller choice is tried: no swap space,
 * a
 * shorter queue, fewer rows (prompts take more passes), then fewer sequences (requests wait), then a shorter context (long requests are
 * refused). The sizes are counted by the code that allocates where there is such code, and are otherwise the most that
 * can be touched: memory that is asked for and never touched is not resident. */
#include <string.h>
#include "base/cpu.h"
#include "engine/engine.h"
#include "model/disk_stream.h"

enum {
    STACK_BYTES =
        96 << 10,          /* of a worker that are ever touched, with what the C library keeps for a thread */
    OTHER_LEAST = 8 << 20, /* code, libraries, vocabulary: where the system does not tell what there is */
    REQUEST_BYTES =
        12 << 10, /* of one that waits: its struct, text buffers, the pages that its arrays begin on */
    CHUNK_DEFAULT = 512,
    CHUNK_LEAST = 64,
    QUEUE_LEAST = 64,
    QUEUE_TOKENS = 1024, /* of each request that may wait, */
    QUEUE_WHOLE = 16,    /* but so many of the whole context */
    CTX_LEAST = 256
};

/* A choice, and what it takes. */
struct choice {
    int n_ctx, n_seq, n_row, n_queue;
    int64_t n_page;
    uint64_t swap_bytes, buffer_bytes, kv_bytes;
};

struct sizes {
    const struct lathe_engine *e;
    uint64_t page_bytes; /* of KV, and what each sequence keeps for a page */
    uint64_t open_bytes; /* of KV, for each sequence */
    uint64_t weight_bytes, other_bytes;
};

static int n_out_of(int n_seq)
{
    return n_seq < MIN_OUT ? MIN_OUT : n_seq > MAX_OUT ? MAX_OUT : n_seq;
}

static struct pass_limits limits_of(const struct lathe_engine *e, const struct choice *c)
{
    int least =
        e->model->config.encoder && c->n_ctx > c->n_seq ? c->n_ctx : c->n_seq; /* its texts are not cut */
    return (struct pass_limits){.n_row = c->n_row > least ? c->n_row : least,
                                .n_seq = c->n_seq,
                                .n_ctx = c->n_ctx,
                                .n_out = n_out_of(c->n_seq),
                                .n_page = (int)c->n_page,
                                .kv_types = kv_types_of(&e->options),
                                .no_fusion = e->options.no_fusion,
                                .by_head = e->numa.n_node > 1};
}

struct pass_limits engine_pass_limits(const struct lathe_engine *e)
{
    const struct lathe_engine_plan *p = &e->plan;
    struct choice c = {.n_ctx = p->n_ctx, .n_seq = p->n_seq, .n_row = e->n_row_max, .n_page = p->n_page};
    return limits_of(e, &c);
}

/* Prompt tokens that may wait; 0: no bound. */
static int64_t queue_tokens(const struct lathe_engine_options *o, const struct choice *c)
{
    int64_t n = (int64_t)c->n_queue * QUEUE_TOKENS, least = (int64_t)c->n_ctx * QUEUE_WHOLE;
    if (o->n_queue_token || !c->n_queue)
        return o->n_queue_token;
    return n > least ? n : least;
}

/* Most that a sequence touches: its tokens, pages, places in swap space. */
static uint64_t seq_bytes(int n_ctx)
{
    return (uint64_t)n_ctx * sizeof(int32_t) + (uint64_t)n_ctx / SPAN * 2 * sizeof(int32_t) + REQUEST_BYTES;
}

/* Without the KV pages. */
static uint64_t buffers_of(const struct sizes *z, const struct choice *c)
{
    const struct lathe_engine *e = z->e;
    const struct lathe_engine_options *o = &e->options;
    struct pass_limits limits = limits_of(e, c);
    uint64_t n_vocab = (uint64_t)e->model->config.n_vocab, n_thread = (uint64_t)e->plan.n_thread;
    return z->other_bytes + o->reserve_bytes + c->swap_bytes +
           n_thread * (STACK_BYTES + sampler_scratch_bytes((int)n_vocab, c->n_ctx)) +
           pass_bytes(e->model, e->plan.n_thread, &limits) + n_vocab +
           (uint64_t)limits.n_row * (sizeof(int32_t) + sizeof(struct lathe_event)) +
           (uint64_t)c->n_seq * (seq_bytes(c->n_ctx) + 3 * sizeof(struct lathe_event)) +
           (uint64_t)c->n_queue * REQUEST_BYTES + (uint64_t)queue_tokens(o, c) * sizeof(int32_t);
}

static int64_t pages_of(int64_t n_token)
{
    return (n_token + SPAN - 1) / SPAN;
}

/* Gives the choice its pages; false if those of one whole sequence (of all that are wished for, if they are firm) do not
 * fit. */
static bool fits(const struct sizes *z, struct choice *c, int64_t n_wished, uint64_t bound)
{
    int64_t one = pages_of(c->n_ctx),
            least = n_wished < one || z->e->options.firm & LATHE_FIRM_KV ? n_wished : one;
    uint64_t fixed = z->weight_bytes + (c->buffer_bytes = buffers_of(z, c)),
             open = (uint64_t)c->n_seq * z->open_bytes;
    c->n_page = least;
    c->kv_bytes = open + (uint64_t)least * z->page_bytes;
    if (bound && (fixed > bound || c->kv_bytes > bound - fixed))
        return false;
    int64_t room = bound ? (int64_t)((bound - fixed - open) / z->page_bytes) : INT64_MAX;
    c->n_page = n_wished < room ? n_wished : room;
    c->n_page = c->n_page > least ? c->n_page : least;
    c->kv_bytes = open + (uint64_t)c->n_page * z->page_bytes;
    return true;
}

static int refuse(const struct sizes *z, const struct choice *c, struct lathe_err *err)
{
    double mib = 1.0 / 1048576.0, weights = (double)z->weight_bytes * mib, kv = (double)c->kv_bytes * mib,
           buffers = (double)c->buffer_bytes * mib;
    return err_set(err, LATHE_E_NOMEM,
                   "weights %.1f MiB, KV cache of %lld tokens %.1f MiB and buffers %.1f MiB (%d sequence%s "
                   "of %d tokens, "
                   "%d rows a pass) are %.1f MiB, more than the %.1f MiB of memory that there may be",
                   weights, (long long)c->n_page * SPAN, kv, buffers, c->n_seq, c->n_seq == 1 ? "" : "s",
                   c->n_ctx, c->n_row, weights + kv + buffers, (double)z->e->options.memory_bytes * mib);
}

static int halve(int n, int least)
{
    return n / 2 > least ? n / 2 : least;
}

/* The next smaller choice; false if there is none. */
static bool make_smaller(const struct lathe_engine_options *o, const struct choice *wish, struct choice *c)
{
    if (!(o->firm & LATHE_FIRM_SWAP) && c->swap_bytes) {
        c->swap_bytes = 0;
    } else if (!(o->firm & LATHE_FIRM_QUEUE) && c->n_queue > QUEUE_LEAST) {
        c->n_queue = halve(c->n_queue, QUEUE_LEAST);
    } else if (!(o->firm & LATHE_FIRM_CHUNK) && c->n_row > CHUNK_LEAST) {
        c->n_row = halve(c->n_row, CHUNK_LEAST);
    } else if (!(o->firm & LATHE_FIRM_SEQ) && c->n_seq > 1) {
        c->n_seq = halve(c->n_seq, 1);
    } else if (!(o->firm & LATHE_FIRM_CTX) && c->n_ctx > CTX_LEAST) {
        c->n_ctx = halve(c->n_ctx, CTX_LEAST);
        c->n_seq = wish->n_seq;
    } else {
        return false;
    }
    return true;
}

static int fit(const struct sizes *z, struct choice *c, struct lathe_err *err)
{
    const struct lathe_engine_options *o = &z->e->options;
    const struct choice wish = *c;
    while (
        !fits(z, c, o->n_kv_token ? pages_of(o->n_kv_token) : pages_of(c->n_ctx) * c->n_seq, o->memory_bytes))
        if (!make_smaller(o, &wish, c))
            return refuse(z, c, err);
    if (c->n_page < 1 || c->n_page >= 1 << 25)
        return err_set(err, LATHE_E_USAGE, "KV cache of %lld tokens cannot be planned",
                       (long long)c->n_page * SPAN);
    return 0;
}

/* ---- what is asked for ---- */

static int check(const struct lathe_engine_options *o, struct lathe_err *err)
{
    const struct {
        const char *name;
        int64_t v, least, most;
    } rows[] = {
        {"threads", o->n_thread, 0, POOL_MAX_WORKER},
        {"context", o->n_ctx, 0, 1 << 24},
        {"n_seq", o->n_seq, 1, 1 << 16},
        {"chunk", o->n_chunk, 0, 1 << 16},
        {"KV tokens", o->n_kv_token, 0, 1 << 30},
        {"queue", o->n_queue, 0, 1 << 30},
        {"queued tokens", o->n_queue_token, 0, INT64_MAX / 8},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].v < rows[i].least || rows[i].v > rows[i].most)
            return err_set(err, LATHE_E_USAGE, "%s is %lld, expected %lld..%lld", rows[i].name,
                           (long long)rows[i].v, (long long)(rows[i].least ? rows[i].least : 1),
                           (long long)rows[i].most);
    return kv_types_check(o, err);
}

/* Positions that are looked up end where their table does. */
static int check_ctx(const struct lathe_engine *e, struct lathe_err *err)
{
    const struct model_config *c = &e->model->config;
    if (c->encoder && e->options.n_ctx > c->n_ctx_train)
        return err_set(err, LATHE_E_USAGE, "the context is %d, but the model has %d positions; lower -c",
                       e->options.n_ctx, c->n_ctx_train);
    return 0;
}

static struct sizes sizes_of(const struct lathe_engine *e, uint64_t have)
{
    struct lathe_model_info info;
    struct kv_form form = kv_form_of(e->model, kv_types_of(&e->options));
    lathe_model_get_info(e->model, &info);
    struct sizes z = {.e = e, .weight_bytes = info.resident_bytes};
    z.other_bytes = have > info.resident_bytes + OTHER_LEAST ? have - info.resident_bytes : OTHER_LEAST;
    if (e->model->stream) { /* what they get besides is what others leave */
        struct disk_stream_plan now = disk_stream_get(e->model->stream);
        uint64_t there = now.kept_bytes + now.window_bytes + OTHER_LEAST;
        z.weight_bytes = disk_stream_least(e->model->stream);
        z.other_bytes = have > there ? have - there + OTHER_LEAST : OTHER_LEAST;
    }
    z.page_bytes = form.page_bytes + PREFIX_PAGE_BYTES + sizeof *e->pages.n_ref;
    z.open_bytes = form.open_slot_bytes;
    return z;
}

static void plan_nodes(struct lathe_engine *e)
{
    struct numa_topology t;
    numa_topology(&t);
    numa_plan(&t, e->plan.n_thread, &e->numa);
    numa_text(&e->numa, e->placement, sizeof e->placement);
}

void engine_place(struct lathe_engine *e)
{
    const struct kv_form *f = &e->pages.form;
    if (e->numa.n_node < 2)
        return;
    pool_pin(e->pool, &e->numa);
    for (int i = 0; i < f->n_layer * f->n_head; i++)
        numa_place(&e->numa, e->pages.kv + kv_offset(f, e->plan.n_page, 0, i / f->n_head, i % f->n_head),
                   (size_t)e->plan.n_page * f->head_bytes, numa_node_of(&e->numa, i % f->n_head, f->n_head));
}

/* Weights that are larger than memory get what is left of it. */
static void plan_stream(struct lathe_engine *e)
{
    struct lathe_engine_plan *p = &e->plan;
    struct disk_stream *s = e->model->stream;
    uint64_t bound = e->options.memory_bytes, rest = p->kv_bytes + p->buffer_bytes;
    if (!s)
        return;
    if (bound > rest + p->weight_bytes)
        p->weight_bytes = bound - rest;
    disk_stream_start(s, p->weight_bytes);
    struct disk_stream_plan now = disk_stream_get(s);
    p->weight_bytes = now.kept_bytes + now.window_bytes;
    p->total_bytes = p->weight_bytes + rest;
    p->stream_bytes = now.read_bytes;
    p->stream_rate = now.rate;
}

int engine_plan(struct lathe_engine *e, uint64_t resident_bytes, struct lathe_err *err)
{
    const struct lathe_engine_options *o = &e->options;
    struct lathe_engine_plan *p = &e->plan;
    TRY(check(o, err));
    TRY(check_ctx(e, err));
    p->n_thread = o->n_thread ? o->n_thread : cpu_count();
    plan_nodes(e);
    struct sizes z = sizes_of(e, resident_bytes);
    struct choice c = {.n_ctx = o->n_ctx ? o->n_ctx : e->model->config.n_ctx_text,
                       .n_seq = o->n_seq,
                       .n_row = o->n_chunk ? o->n_chunk : CHUNK_DEFAULT,
                       .n_queue = o->n_queue,
                       .swap_bytes = o->swap_bytes};
    TRY(fit(&z, &c, err));
    e->n_row_max = limits_of(e, &c).n_row;
    e->n_out_max = n_out_of(c.n_seq);
    *p = (struct lathe_engine_plan){
        .weight_bytes = z.weight_bytes,
        .kv_bytes = c.kv_bytes,
        .buffer_bytes = c.buffer_bytes,
        .total_bytes = z.weight_bytes + c.kv_bytes + c.buffer_bytes,
        .n_thread = p->n_thread,
        .swap_bytes = c.swap_bytes,
        .n_ctx = c.n_ctx < c.n_page * SPAN ? c.n_ctx : (int)(c.n_page * SPAN), /* one alone has to fit */
        .n_seq = c.n_seq,
        .n_kv_token = (int)(c.n_page * SPAN),
        .n_page = (int)c.n_page,
        .page_tokens = SPAN,
        .n_chunk = e->n_row_max,
        .n_queue = c.n_queue,
        .n_queue_token = queue_tokens(o, &c),
        .memory_bytes = o->memory_bytes,
        .placement = e->placement};
    plan_stream(e);
    return 0;
}
