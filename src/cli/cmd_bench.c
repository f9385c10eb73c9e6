/* lathe bench: prefill and decode speed against the limits of the machine, which are measured before and
 * after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/json.h"
#include "cli/session.h"
#include "measure/machine.h"
#include "measure/speed.h"
#include "measure/stat.h"

#define LIMITS (1u << MACHINE_READ | 1u << MACHINE_INT8)

/* One combination of prompt length, answer length and batch. */
struct point {
    int n_prompt, n_predict, n_batch, n_repeat;
    double *prefill, *decode; /* tokens per second of each repetition */
    double *step_ms;          /* time of one decode step */
    double prefill_mid, decode_mid, step_mid, rss_mib;
    double expert_bytes; /* that a step of the last repetition read */
};

struct bench {
    const struct cli_options *o;
    struct session s;
    struct machine_rates before, after, limit;
    struct point *point;
    int n_point, n_thread;
};

static double median_of(const double *v, int n)
{
    double *copy = mem_new(sizeof *copy * (size_t)n);
    memcpy(copy, v, sizeof *copy * (size_t)n);
    double m = stat_median(copy, n);
    free(copy);
    return m;
}

static int measure_point(struct bench *b, struct point *p, struct lathe_err *err)
{
    int n_ctx = speed_context(p->n_batch, p->n_prompt, p->n_predict, b->o->n_chunk);
    TRY(session_engine(&b->s, b->o, p->n_batch, n_ctx, SESSION_FRESH, err));
    struct lathe_engine_plan plan;
    lathe_engine_get_plan(b->s.engine, &plan);
    b->n_thread = plan.n_thread;
    int32_t *ids = mem_new(sizeof *ids * (size_t)p->n_batch * (size_t)p->n_prompt);
    int rc = 0;
    for (int r = 0; r <= p->n_repeat && !rc; r++) {
        struct speed v;
        for (int i = 0; i < p->n_batch; i++)
            session_random_ids(&b->s, ids + (size_t)i * (size_t)p->n_prompt, p->n_prompt, r * p->n_batch + i);
        rc = speed_run(b->s.engine, ids, p->n_batch, p->n_prompt, p->n_predict, b->o->n_chunk, NULL, NULL, &v,
                       err);
        if (rc || r == 0)
            continue;
        p->prefill[r - 1] = (double)p->n_batch * p->n_prompt / v.prefill_s;
        p->decode[r - 1] = (double)v.n_token / v.decode_s;
        p->step_ms[r - 1] = v.decode_s / v.n_step * 1e3;
        p->expert_bytes = (double)v.expert_bytes / v.n_step;
    }
    free(ids);
    if (rc)
        return rc;
    p->rss_mib = stat_rss_mib();
    p->prefill_mid = median_of(p->prefill, p->n_repeat);
    p->decode_mid = median_of(p->decode, p->n_repeat);
    p->step_mid = median_of(p->step_ms, p->n_repeat);
    return 0;
}

/* Multiply-adds of the matrices alone against the int8 rate; attention is not counted. */
static double prefill_share(const struct bench *b, const struct point *p)
{
    double ops = b->s.info.ops_per_token + b->s.info.ops_head / p->n_prompt;
    return b->limit.int8_gop_s > 0 ? p->prefill_mid * ops / (b->limit.int8_gop_s * 1e9) : 0;
}

/* Bytes of weights that a step reads: each matrix once, of the experts those that any of its rows chose. */
static double step_bytes(const struct bench *b, const struct point *p)
{
    return (double)(b->s.info.weight_bytes - b->s.info.expert_bytes) + p->expert_bytes;
}

/* These against the read bandwidth; the KV cache is not counted. */
static double decode_share(const struct bench *b, const struct point *p)
{
    return b->limit.read_gb_s > 0 ? step_bytes(b, p) / (p->step_mid * 1e-3) / (b->limit.read_gb_s * 1e9) : 0;
}

static json_t *numbers(const double *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real(v[i]));
    return list;
}

static json_t *point_json(const struct bench *b, const struct point *p)
{
    json_t *j = json_pack("{si si si sf sf sf s{so so so} sf}", "prompt", p->n_prompt, "predict",
                          p->n_predict, "batch", p->n_batch, "prefill_tok_s", p->prefill_mid, "decode_tok_s",
                          p->decode_mid, "step_ms", p->step_mid, "samples", "prefill_tok_s",
                          numbers(p->prefill, p->n_repeat), "decode_tok_s", numbers(p->decode, p->n_repeat),
                          "step_ms", numbers(p->step_ms, p->n_repeat), "rss_mib", p->rss_mib);
    if (!b->o->no_limits) {
        json_object_set_new(j, "prefill_share", json_real(prefill_share(b, p)));
        json_object_set_new(j, "decode_share", json_real(decode_share(b, p)));
    }
    return j;
}

static json_t *limits_json(const struct machine_rates *r)
{
    return json_pack("{sf sf}", "read_gb_s", r->read_gb_s, "int8_gop_s", r->int8_gop_s);
}

static int print_json(const struct bench *b)
{
    const struct lathe_model_info *info = &b->s.info;
    json_t *j = point_json(b, &b->point[0]), *points = json_array();
    for (int i = 0; i < b->n_point; i++)
        json_array_append_new(points, point_json(b, &b->point[i]));
    json_object_update_new(j, json_pack("{sf ss sI sf sb si ss si ss}", "load_ms", info->load_ms, "model",
                                        info->name ? info->name : "", "weight_bytes",
                                        (json_int_t)info->weight_bytes, "ops_per_token", info->ops_per_token,
                                        "layout_cached", info->layout_cached, "threads", b->n_thread, "isa",
                                        lathe_isa(), "repeat", b->o->n_repeat, "fusion",
                                        b->o->fusion ? "on" : "off"));
    if (!b->o->no_limits)
        json_object_set_new(
            j, "limits",
            json_pack("{so so}", "before", limits_json(&b->before), "after", limits_json(&b->after)));
    json_object_set_new(j, "points", points);
    return json_print(j);
}

static double spread(const double *v, int n)
{
    double low = v[0], high = v[0];
    for (int i = 1; i < n; i++) {
        low = v[i] < low ? v[i] : low;
        high = v[i] > high ? v[i] : high;
    }
    return 50 * (high - low) / median_of(v, n);
}

static void print_text(const struct bench *b)
{
    printf("%s, %d threads, %s, loaded in %.0f ms\n", b->s.info.name ? b->s.info.name : b->o->model,
           b->n_thread, lathe_isa(), b->s.info.load_ms);
    if (!b->o->no_limits)
        printf("limits: read %.1f and %.1f GB/s, int8 %.0f and %.0f GOP/s before and after\n",
               b->before.read_gb_s, b->after.read_gb_s, b->before.int8_gop_s, b->after.int8_gop_s);
    puts("  prompt predict batch |  prefill tokens/s          share |  decode tokens/s           share   "
         "step ms | RSS MiB");
    for (int i = 0; i < b->n_point; i++) {
        const struct point *p = &b->point[i];
        printf("  %6d %7d %5d | %10.1f +- %4.1f %%       %5.1f %% | %10.1f +- %4.1f %%      %5.1f %% %9.2f | "
               "%7.0f\n",
               p->n_prompt, p->n_predict, p->n_batch, p->prefill_mid, spread(p->prefill, p->n_repeat),
               100 * prefill_share(b, p), p->decode_mid, spread(p->decode, p->n_repeat),
               100 * decode_share(b, p), p->step_mid, p->rss_mib);
    }
}

static void make_points(struct bench *b)
{
    const struct cli_options *o = b->o;
    b->point =
        mem_new(sizeof *b->point * (size_t)(o->bench_prompt.n * o->bench_predict.n * o->bench_batch.n));
    for (int i = 0; i < o->bench_batch.n; i++)
        for (int j = 0; j < o->bench_prompt.n; j++)
            for (int k = 0; k < o->bench_predict.n; k++) {
                struct point *p = &b->point[b->n_point++];
                *p = (struct point){.n_prompt = o->bench_prompt.v[j],
                                    .n_predict = o->bench_predict.v[k],
                                    .n_batch = o->bench_batch.v[i],
                                    .n_repeat = o->n_repeat};
                p->prefill = mem_new(sizeof(double) * (size_t)o->n_repeat);
                p->decode = mem_new(sizeof(double) * (size_t)o->n_repeat);
                p->step_ms = mem_new(sizeof(double) * (size_t)o->n_repeat);
            }
}

int cmd_bench(struct cli *c, struct lathe_err *err)
{
    struct bench b = {.o = &c->o};
    int rc;
    TRY_GOTO(session_open(&b.s, &c->o, err));
    make_points(&b);
    if (!c->o.no_limits)
        machine_measure(LIMITS, c->o.n_thread, &b.before);
    for (int i = 0; i < b.n_point; i++) {
        progress_show(&b.s.bar, "benchmark", (double)i / b.n_point);
        TRY_GOTO(measure_point(&b, &b.point[i], err));
    }
    progress_end(&b.s.bar);
    if (!c->o.no_limits)
        machine_measure(LIMITS, c->o.n_thread, &b.after);
    b.limit.read_gb_s = 0.5 * (b.before.read_gb_s + b.after.read_gb_s);
    b.limit.int8_gop_s = 0.5 * (b.before.int8_gop_s + b.after.int8_gop_s);
    if (c->o.json)
        print_json(&b);
    else
        print_text(&b);
done:
    progress_end(&b.s.bar);
    for (int i = 0; i < b.n_point; i++) {
        free(b.point[i].prefill);
        free(b.point[i].decode);
        free(b.point[i].step_ms);
    }
    free(b.point);
    session_close(&b.s);
    return rc;
}
