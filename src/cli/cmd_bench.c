/* lathe bench: prefill and decode speed against the limits of the machine. The limits move with what its neighbours do,
 * so each repetition has its own, measured beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/json.h"
#include "cli/session.h"
#include "measure/machine.h"
#include "measure/speed.h"
#include "measure/stat.h"

#define LIMIT_ROUNDS 9 /* of 10 to 20 ms */

/* What is measured in each repetition. A share is of the limit measured beside it, 0 without limits. */
enum figure { PREFILL, DECODE, STEP_MS, PREFILL_SHARE, DECODE_SHARE, INT8, READ, N_FIGURE };
static const char *const figure_names[N_FIGURE] = {
    "prefill_tok_s", "decode_tok_s", "step_ms", "prefill_share", "decode_share", "int8_gop_s", "read_gb_s"};

/* One combination of prompt length, answer length and batch. */
struct point {
    int n_prompt, n_predict, n_batch, n_repeat;
    double *samples[N_FIGURE], median[N_FIGURE];
    double rss_mib;
};

struct bench {
    const struct cli_options *o;
    struct session s;
    struct machine_rates now; /* as last measured */
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

static void measure_limit(struct bench *b, enum machine_rate rate)
{
    if (!b->o->no_limits)
        machine_measure(1u << rate, b->o->n_thread, LIMIT_ROUNDS, &b->now);
}

static void after_prefill(void *user)
{
    measure_limit(user, MACHINE_READ);
}

static double share(double a_second, double limit)
{
    return limit > 0 ? a_second / (limit * 1e9) : 0;
}

/* The multiply-adds of the matrices against the int8 rate, without attention's; the weights that a step reads (each
 * matrix once, of the experts those that any of its rows chose) against the read bandwidth, without the KV cache. */
static void take_sample(const struct bench *b, struct point *p, int r, const struct speed *v, double read)
{
    const struct lathe_model_info *info = &b->s.info;
    double ops = info->ops_per_token + info->ops_head / p->n_prompt,
           bytes = (double)(info->weight_bytes - info->expert_bytes) + (double)v->expert_bytes / v->n_step,
           prefill = (double)p->n_batch * p->n_prompt / v->prefill_s, step_s = v->decode_s / v->n_step;
    const double figures[N_FIGURE] = {[PREFILL] = prefill,
                                      [DECODE] = (double)v->n_token / v->decode_s,
                                      [STEP_MS] = step_s * 1e3,
                                      [PREFILL_SHARE] = share(prefill * ops, b->now.int8_gop_s),
                                      [DECODE_SHARE] = share(bytes / step_s, read),
                                      [INT8] = b->now.int8_gop_s,
                                      [READ] = read};
    for (int f = 0; f < N_FIGURE; f++)
        p->samples[f][r] = figures[f];
}

/* Prompt r of the point's, and the limits: int8 before the prefill, read before and after the steps. */
static int repetition(struct bench *b, struct point *p, int r, int32_t *ids, struct lathe_err *err)
{
    struct speed v;
    for (int i = 0; i < p->n_batch; i++)
        session_random_ids(&b->s, ids + (size_t)i * (size_t)p->n_prompt, p->n_prompt, r * p->n_batch + i);
    if (r == 0) /* to warm up */
        return speed_run(b->s.engine, ids, p->n_batch, p->n_prompt, p->n_predict, b->o->n_chunk, NULL, NULL,
                         &v, err);
    measure_limit(b, MACHINE_INT8);
    TRY(speed_run(b->s.engine, ids, p->n_batch, p->n_prompt, p->n_predict, b->o->n_chunk, after_prefill, b,
                  &v, err));
    double read = b->now.read_gb_s;
    measure_limit(b, MACHINE_READ);
    take_sample(b, p, r - 1, &v, 0.5 * (read + b->now.read_gb_s));
    return 0;
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
    for (int r = 0; r <= p->n_repeat && !rc; r++)
        rc = repetition(b, p, r, ids, err);
    free(ids);
    if (rc)
        return rc;
    p->rss_mib = stat_rss_mib();
    for (int f = 0; f < N_FIGURE; f++)
        p->median[f] = median_of(p->samples[f], p->n_repeat);
    return 0;
}

static json_t *numbers(const double *v, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_real(v[i]));
    return list;
}

/* Figures of a limit only where limits were measured. */
static json_t *point_json(const struct bench *b, const struct point *p)
{
    json_t *samples = json_object(),
           *j = json_pack("{si si si}", "prompt", p->n_prompt, "predict", p->n_predict, "batch", p->n_batch);
    for (int f = 0; f < (b->o->no_limits ? PREFILL_SHARE : N_FIGURE); f++) {
        json_object_set_new(j, figure_names[f], json_real(p->median[f]));
        json_object_set_new(samples, figure_names[f], numbers(p->samples[f], p->n_repeat));
    }
    json_object_update_new(j, json_pack("{so sf}", "samples", samples, "rss_mib", p->rss_mib));
    return j;
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
    puts("  prompt predict batch |  prefill tokens/s          share of int8 |  decode tokens/s      share of "
         "read   "
         "step ms | RSS MiB");
    for (int i = 0; i < b->n_point; i++) {
        const struct point *p = &b->point[i];
        const double *m = p->median;
        printf("  %6d %7d %5d | %10.1f +- %4.1f %%  %5.1f %% of %5.0f | %10.1f +- %4.1f %%  %5.1f %% of "
               "%3.0f %9.2f | "
               "%7.0f\n",
               p->n_prompt, p->n_predict, p->n_batch, m[PREFILL], spread(p->samples[PREFILL], p->n_repeat),
               100 * m[PREFILL_SHARE], m[INT8], m[DECODE], spread(p->samples[DECODE], p->n_repeat),
               100 * m[DECODE_SHARE], m[READ], m[STEP_MS], p->rss_mib);
    }
    if (!b->o->no_limits)
        puts("shares of int8 multiply-adds (10^9 operations/s) and read bandwidth (GB/s) measured beside "
             "each repetition");
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
                for (int f = 0; f < N_FIGURE; f++)
                    p->samples[f] = mem_new(sizeof(double) * (size_t)o->n_repeat);
            }
}

int cmd_bench(struct cli *c, struct lathe_err *err)
{
    struct bench b = {.o = &c->o};
    int rc;
    TRY_GOTO(session_open(&b.s, &c->o, err));
    make_points(&b);
    for (int i = 0; i < b.n_point; i++) {
        progress_show(&b.s.bar, "benchmark", (double)i / b.n_point);
        TRY_GOTO(measure_point(&b, &b.point[i], err));
    }
    progress_end(&b.s.bar);
    if (c->o.json)
        print_json(&b);
    else
        print_text(&b);
done:
    progress_end(&b.s.bar);
    for (int i = 0; i < b.n_point; i++)
        for (int f = 0; f < N_FIGURE; f++)
            free(b.point[i].samples[f]);
    free(b.point);
    session_close(&b.s);
    return rc;
}
