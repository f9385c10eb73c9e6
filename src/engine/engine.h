/* Inside of the engine: sequences and their life. */
#ifndef LATHE_ENGINE_ENGINE_H
#define LATHE_ENGINE_ENGINE_H
#include <stdatomic.h>
#include "base/numa.h"
#include "base/pool.h"
#include "engine/budget.h"
#include "engine/prefix.h"
#include "engine/queue.h"
#include "engine/sampler.h"
#include "engine/stream.h"
#include "model/pass.h"

enum seq_state { SEQ_WAITING, SEQ_RUNNING, SEQ_DONE };

/* A request on its way. Owned by the engine: in the queue or in a slot, in the queue again if it is preempted, freed at the step after
 * its end. */
struct seq {
    struct seq *next, *before;
    uint64_t id;
    enum seq_state state;
    struct lathe_request request; /* ids, stop and bias belong to the caller and are not used after submit */
    struct tenant *tenant;
    int32_t *tokens; /* prompt and answer, [n_limit + 1] */
    int n_token, n_prompt, n_limit;
    int n_past;     /* tokens whose KV is in the pages */
    int n_cached;   /* prompt tokens whose KV was there already */
    int n_scored;   /* positions before this one need no logits, or had them */
    int n_served;   /* positions before this one are in the tenant's count */
    int32_t *pages; /* [n_page_max] */
    int n_page, n_page_max;
    int n_in_tree;  /* of them, the first ones, whole */
    int slot;       /* while it runs: its place in the engine's slots, and that of its open span */
    int32_t *saved; /* swap slots of n_saved tokens; NULL: none */
    int n_saved;
    bool was_preempted;
    struct sampler *sampler;
    struct stream stream;
    struct lathe_logprob top[20];
    struct lathe_logprob *prompt_top; /* [n_row_max][n_logprob] of a step, with prompt_logprobs */
    enum lathe_pooling pooling;       /* with embed */
    float *embedding;                 /* [n_embedding], with embed; being summed until it is done */
    int n_embedding;
    uint64_t submitted_ns, started_ns, first_ns, ended_ns, deadline_ns,
        first_deadline_ns; /* deadlines: 0: none */
};

/* N_EXPIRE: requests that one step ends for their deadlines, at most. */
enum { N_CANCEL = 256, N_EXPIRE = 256, MIN_OUT = 16, MAX_OUT = 64 };

struct row_work;

struct lathe_engine {
    const struct lathe_model *model;
    struct lathe_engine_options options;
    struct lathe_engine_plan plan;
    struct numa_plan numa;
    char placement[512];
    struct pool *pool;
    struct pages pages;
    struct prefix prefix;
    struct swap swap;
    struct budget budget;
    struct warm *warm; /* NULL until lathe_engine_warm */
    struct pass *pass;
    struct seq **slots; /* [n_seq], running ones */
    struct queue queue;
    int n_running;
    uint64_t next_id;
    /* step buffers */
    int32_t *row_tokens;        /* [n_row] */
    struct pass_seq *pass_seqs; /* [n_seq] */
    struct seq **batch;         /* [n_seq] sequences of the pass, in row order */
    struct seq **order;         /* [n_seq] */
    struct lathe_event *events; /* ring is not needed: drained between steps */
    int n_event, next_event;
    struct seq *ended;               /* freed at the next step: events point into them */
    struct row_work *rows;           /* rows.c */
    uint8_t *dry_breaks;             /* [n_vocab], made when first needed */
    struct lathe_engine_stats stats; /* what is counted; the rest is found when asked for */
    int n_deadline;                  /* unfinished requests that have one */
    _Atomic uint64_t cancels[N_CANCEL];
    int n_row_max, n_out_max; /* rows of a pass, rows of one call of the output head */
};

/* The types of keys and values that are asked for, and whether there are such (kv_types.c). */
int kv_types_check(const struct lathe_engine_options *o, struct lathe_err *err);
struct kv_types kv_types_of(const struct lathe_engine_options *o);

/* The memory plan (plan.c): checks the options and fills plan, n_row_max and n_out_max, made to fit options.memory_bytes.
 * resident_bytes: what the process has, the model loaded; 0: not known. */
int engine_plan(struct lathe_engine *e, uint64_t resident_bytes, struct lathe_err *err);
/* What the pass of the planned engine is made for. */
struct pass_limits engine_pass_limits(const struct lathe_engine *e);

/* With several NUMA nodes: pins the pool's workers and puts every head's KV on the node of who attends it (plan.c). Before
 * the KV is touched. */
void engine_place(struct lathe_engine *e);
/* Stops the thread of lathe_engine_warm (warm.c); before the pages go. */
void warm_free(struct warm *w);

/* Sequences (seq.c). */
int seq_new(struct lathe_engine *e, const struct lathe_request *r, struct seq **out, struct lathe_err *err);
void seq_free(struct lathe_engine *e, struct seq *s);
/* Gives all pages back, or its place in swap space. */
void seq_drop_pages(struct lathe_engine *e, struct seq *s);
void seq_drop_saved(struct lathe_engine *e, struct seq *s);
/* Tokens that it has to compute before it generates (again). */
static inline int seq_n_todo(const struct seq *s)
{
    return s->n_token - s->n_past;
}
static inline int pages_for(int n_token)
{
    return (n_token + SPAN - 1) / SPAN;
}
/* Tokens whose KV its pages have: of closed spans (model/kv.h) whole pages. */
static inline int seq_n_in_pages(const struct lathe_engine *e, const struct seq *s)
{
    return e->pages.form.closes ? s->n_past / SPAN * SPAN : s->n_past;
}
/* The page in front of its page i; -1 at the start. */
static inline int32_t seq_page_before(const struct seq *s, int i)
{
    return i ? s->pages[i - 1] : -1;
}

/* Events (event.c). A new one, kept until the next step. */
struct lathe_event *engine_event(struct lathe_engine *e, struct seq *s, enum lathe_event_kind kind);
/* The text that is ready goes out with `ev`. */
void event_take_text(struct seq *s, struct lathe_event *ev);
/* Ends a sequence; its text stays valid until the next step. `stopped`: nothing that was held may follow. */
void engine_finish(struct lathe_engine *e, struct seq *s, enum lathe_finish why,
                   const struct lathe_err *cause, bool stopped);

/* Who runs (admit.c). Slots and pages for those whose turn it is. */
void admit(struct lathe_engine *e);
/* The slot of a running sequence is free afterwards. */
void leave_slot(struct lathe_engine *e, struct seq *s);
/* Pages for the next token of every running sequence; who goes last gives his up if there are too few. */
void grow(struct lathe_engine *e);
/* After a pass, whole pages go into the tree; at the end of a sequence, what is left of it too. */
void publish(struct lathe_engine *e, struct seq *s);
void publish_end(struct lathe_engine *e, struct seq *s);
/* Whether what s computes next begins with a whole page that need not be its own: that others may have, or compute now. */
bool shares_next_page(const struct lathe_engine *e, const struct seq *s);
/* Takes over whole pages that others have computed since, as far as s goes before it computes on. */
void catch_up(struct lathe_engine *e, struct seq *s);

/* Batches (batch.c): the newest token of every sequence that generates, then chunks of prompts. */
struct pass_batch batch_make(struct lathe_engine *e);
/* After the pass (rows.c): runs the output head for the rows that are sampled or scored, some at a time. */
void batch_use_rows(struct lathe_engine *e, const struct pass_batch *b);
int rows_new(struct lathe_engine *e, struct lathe_err *err);
void rows_free(struct lathe_engine *e);
#endif
