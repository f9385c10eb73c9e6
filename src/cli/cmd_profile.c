/* lathe profile: time, bytes and operations of each operation of a prompt pass and of decode steps, and a
 * trace file of both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/json.h"
#include "cli/session.h"
#include "measure/machine.h"
#include "measure/speed.h"

#define MAX_OP 128

/* The profile of one phase. The names are copied: the engine may rebuild its table. */
struct phase {
    const char *title;
    int n_op;
    struct lathe_op_stat op[MAX_OP];
    char name[MAX_OP][48];
    double seconds; /* wall time of the phase */
};

struct profile {
    struct session s;
    struct machine_rates limit;
    struct phase phase[2]; /* prefill, decode */
    json_t *trace;         /* events, NULL without --trace */
};

static void take_profile(const lathe_engine *e, struct phase *p)
{
    while (p->n_op < MAX_OP && lathe_engine_profile(e, p->n_op, &p->op[p->n_op])) {
        snprintf(p->name[p->n_op], sizeof p->name[0], "%s", p->op[p->n_op].name);
        p->n_op++;
    }
}

/* Adds the trace of the newest step; each phase is a process of its own in the trace. */
static void take_trace(struct profile *p, int phase)
{
    struct lathe_trace_event t;
    double start = -1;
    if (!p->trace)
        return;
    for (int i = 0; lathe_engine_trace(p->s.engine, i, &t); i++) {
        if (start < 0 || t.start_us < start)
            start = t.start_us;
    }
    for (int i = 0; lathe_engine_trace(p->s.engine, i, &t); i++)
        json_array_append_new(p->trace, json_pack("{ss ss si si sf sf s{si}}", "name", t.name, "ph", "X",
                                                  "pid", phase, "tid", t.thread, "ts", t.start_us - start,
                                                  "dur", t.duration_us, "args", "layer", t.layer));
    json_array_append_new(p->trace, json_pack("{ss ss si s{ss}}", "name", "process_name", "ph", "M", "pid",
                                              phase, "args", "name", p->phase[phase].title));
}

static void after_prefill(void *user)
{
    struct profile *p = user;
    take_profile(p->s.engine, &p->phase[0]);
    take_trace(p, 0);
    lathe_engine_profile_reset(p->s.engine);
}

/* Time that the slower of memory and arithmetic needs at the measured rates. */
static double roofline_s(const struct machine_rates *r, const struct lathe_op_stat *o)
{
    double memory = r->read_gb_s > 0 ? o->weight_bytes / (r->read_gb_s * 1e9) : 0;
    double rate = o->is_int8 ? r->int8_gop_s : r->f32_gop_s;
    double compute = rate > 0 ? o->ops / (rate * 1e9) : 0;
    return memory > compute ? memory : compute;
}

static void print_phase(const struct profile *p, const struct phase *h)
{
    double sum = 0;
    printf("%s: %.2f ms\n  %-20s %8s %10s %6s %9s %9s %9s\n", h->title, h->seconds * 1e3, "operation",
           "calls", "ms", "%", "GB/s", "GOP/s", "roofline");
    for (int i = 0; i < h->n_op; i++) {
        const struct lathe_op_stat *o = &h->op[i];
        double s = o->seconds > 0 ? o->seconds : 1e-12;
        sum += o->seconds;
        printf("  %-20s %8llu %10.3f %6.1f %9.1f %9.1f %7.1f %%\n", h->name[i], (unsigned long long)o->n_call,
               o->seconds * 1e3, 100 * o->seconds / h->seconds, o->weight_bytes / s * 1e-9, o->ops / s * 1e-9,
               100 * roofline_s(&p->limit, o) / s);
    }
    printf("  %-20s %8s %10.3f %6.1f\n\n", "outside operations", "", (h->seconds - sum) * 1e3,
           100 * (h->seconds - sum) / h->seconds);
}

static json_t *phase_json(const struct profile *p, const struct phase *h)
{
    json_t *list = json_array();
    for (int i = 0; i < h->n_op; i++) {
        const struct lathe_op_stat *o = &h->op[i];
        double s = o->seconds > 0 ? o->seconds : 1e-12;
        json_array_append_new(list, json_pack("{ss sI sf sf sf sb sf}", "name", h->name[i], "calls",
                                              (json_int_t)o->n_call, "seconds", o->seconds, "bytes",
                                              o->weight_bytes, "ops", o->ops, "int8", o->is_int8,
                                              "roofline_share", roofline_s(&p->limit, o) / s));
    }
    return json_pack("{sf so}", "seconds", h->seconds, "operations", list);
}

static int write_trace(struct profile *p, const char *path, struct lathe_err *err)
{
    json_t *file = json_pack("{sO ss}", "traceEvents", p->trace, "displayTimeUnit", "ns");
    int failed = json_dump_file(file, path, JSON_REAL_PRECISION(9));
    json_decref(file);
    return failed ? err_set(err, LATHE_E_IO, "%s: could not be written", path) : 0;
}

static int measure(struct profile *p, const struct cli_options *o, struct lathe_err *err)
{
    int n_prompt = o->profile_prompt, n_predict = o->profile_predict, n_batch = o->profile_batch, rc = 0;
    struct speed v;
    TRY(session_engine(&p->s, o, n_batch, speed_context(n_batch, n_prompt, n_predict, o->n_chunk),
                       SESSION_PROFILE | SESSION_FRESH, err));
    machine_measure(1u << MACHINE_READ | 1u << MACHINE_INT8 | 1u << MACHINE_F32, o->n_thread, MACHINE_ROUNDS,
                    &p->limit);
    int32_t *ids = mem_new(sizeof *ids * (size_t)n_prompt * (size_t)n_batch);
    for (int run = 0; run < 2 && !rc; run++) { /* the first one warms */
        lathe_engine_profile_reset(p->s.engine);
        for (int i = 0; i < n_batch; i++)
            session_random_ids(&p->s, ids + (size_t)i * (size_t)n_prompt, n_prompt, run * n_batch + i);
        rc = speed_run(p->s.engine, ids, n_batch, n_prompt, n_predict, o->n_chunk, run ? after_prefill : NULL,
                       p, &v, err);
    }
    free(ids);
    if (rc)
        return rc;
    take_profile(p->s.engine, &p->phase[1]);
    take_trace(p, 1);
    p->phase[0].seconds = v.prefill_s;
    p->phase[1].seconds = v.decode_s;
    return 0;
}

int cmd_profile(struct cli *c, struct lathe_err *err)
{
    struct profile *p = mem_new(sizeof *p);
    int rc;
    p->phase[0].title = "prefill";
    p->phase[1].title = "decode";
    if (c->o.trace)
        p->trace = json_array();
    TRY_GOTO(session_open(&p->s, &c->o, err));
    TRY_GOTO(measure(p, &c->o, err));
    if (p->trace)
        TRY_GOTO(write_trace(p, c->o.trace, err));
    if (c->o.json) {
        json_print(json_pack("{so so s{sf sf sf}}", "prefill", phase_json(p, &p->phase[0]), "decode",
                             phase_json(p, &p->phase[1]), "limits", "read_gb_s", p->limit.read_gb_s,
                             "int8_gop_s", p->limit.int8_gop_s, "f32_gop_s", p->limit.f32_gop_s));
    } else {
        printf("limits: read %.1f GB/s, int8 %.0f GOP/s, f32 %.0f GOP/s\n\n", p->limit.read_gb_s,
               p->limit.int8_gop_s, p->limit.f32_gop_s);
        print_phase(p, &p->phase[0]);
        print_phase(p, &p->phase[1]);
    }
done:
    json_decref(p->trace);
    session_close(&p->s);
    free(p);
    return rc;
}
