/* The profile of a pass: seconds, bytes and operations by name, and the trace of the newest run. */
#include <string.h>
#include "base/mem.h"
#include "model/pass_impl.h"

enum { MAX_TRACE = 1 << 14 }; /* events of one step */

/* The entry of that name; NULL if there is no room for a new one. */
static struct lathe_op_stat *stat_of(struct pass *p, const char *name, bool is_int8)
{
    for (int i = 0; i < p->stats.n; i++)
        if (!strcmp(p->stats.stats[i].name, name))
            return &p->stats.stats[i];
    if (p->stats.n == (int)(sizeof p->stats.stats / sizeof *p->stats.stats))
        return NULL;
    struct lathe_op_stat *s = &p->stats.stats[p->stats.n++];
    *s = (struct lathe_op_stat){.name = name, .is_int8 = is_int8};
    return s;
}

static void add(struct pass *p, const char *name, bool is_int8, double seconds, double bytes, double n_ops)
{
    struct lathe_op_stat *s = stat_of(p, name, is_int8);
    if (!s)
        return;
    s->n_call++;
    s->seconds += seconds;
    s->weight_bytes += bytes;
    s->ops += n_ops;
}

/* The time of a chain is shared out by what the workers spent on each kind of product during the run. */
static void add_chain(struct pass *p, const struct row_chain *c, double seconds,
                      const double kind_ns[MM_PER_LAYER])
{
    double sum = 0;
    for (int i = 0; i < c->n; i++)
        sum += kind_ns[c->mm[i].kind];
    for (int i = 0; i < c->n; i++) {
        const struct matmul *mm = &c->mm[i];
        double share = sum > 0 ? kind_ns[mm->kind] / sum : 0;
        add(p, mm->name, mm->in.need_int8, seconds * share, matmul_weight_bytes(mm), matmul_ops(mm));
    }
}

/* What each worker did in operation i of the newest run. */
static void add_trace(struct pass *p, int i)
{
    for (int w = 0; w < pool_n_worker(p->pool) && p->n_trace < MAX_TRACE; w++) {
        struct pool_time t = pool_time(p->pool, i, w);
        if (t.end_ns)
            p->trace[p->n_trace++] =
                (struct lathe_trace_event){.name = p->ops[i].name,
                                           .thread = w,
                                           .layer = p->ops[i].layer,
                                           .start_us = (double)(t.start_ns - p->trace_start_ns) / 1e3,
                                           .duration_us = (double)(t.end_ns - t.start_ns) / 1e3};
    }
}

void pass_profile_add(struct pass *p)
{
    double kind_ns[MM_PER_LAYER] = {0};
    for (int w = 0; w < pool_n_worker(p->pool); w++)
        for (int k = 0; k < MM_PER_LAYER; k++) {
            kind_ns[k] += (double)p->scratch[w].kind_ns[k];
            p->scratch[w].kind_ns[k] = 0;
        }
    for (int i = 0; i < p->n_op && i < POOL_MAX_TIMED_OP; i++) {
        const struct pool_op *op = &p->ops[i];
        double seconds = (double)pool_op_ns(p->pool, i) / 1e9;
        if (row_chain_is(op))
            add_chain(p, op->arg, seconds, kind_ns);
        else
            add(p, op->name, op->is_int8, seconds, op->bytes, op->n_ops);
        add_trace(p, i);
    }
}

void pass_set_profile(struct pass *p, bool on)
{
    p->profile = on;
    if (on && !p->trace)
        p->trace = mem_new(MAX_TRACE * sizeof *p->trace);
    pool_set_profile(p->pool, on);
}

const struct pass_profile *pass_get_profile(const struct pass *p)
{
    return &p->stats;
}

void pass_reset_profile(struct pass *p)
{
    p->stats.n = 0;
}

bool pass_trace(const struct pass *p, int i, struct lathe_trace_event *out)
{
    if (i < 0 || i >= p->n_trace)
        return false;
    *out = p->trace[i];
    return true;
}
