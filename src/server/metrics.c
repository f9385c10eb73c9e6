/* Metrics and their text. */
#include "server/http.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MAX_BOUND = 24 };

/* Upper bounds of histograms, vLLM's: its dashboards know them. 0 ends a list. */
static const double FIRST[MAX_BOUND] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
                                        1,     2.5,   5,    7.5,  10,   20,   40,   80,  160,  640, 2560};
static const double GAP[MAX_BOUND] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3,
                                      0.4,   0.5,    0.75,  1,    2.5,   5,    7.5,   10,  20,   40,  80};
static const double WHOLE[MAX_BOUND] = {0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                        30,  40,  50,  60, 120, 240, 480, 960, 1920, 7680};
static const double COUNT[MAX_BOUND] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                        1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};

/* The statuses that are counted one by one; others count as the last. */
static const unsigned statuses[] = {200, 400, 401, 403, 404, 405, 413, 429, 499, 500, 501, 503, 0};
enum { N_STATUS = sizeof statuses / sizeof *statuses };

struct histogram {
    _Atomic uint64_t n[MAX_BOUND + 1]; /* by bound; those above the last one at the last bound's place + 1 */
    _Atomic uint64_t sum_millionth;
};

struct metrics {
    _Atomic uint64_t counter[M_N_COUNTER];
    struct histogram histogram[M_N_HISTOGRAM];
    _Atomic uint64_t (*answers)[N_STATUS]; /* by endpoint */
    double start_s;
};

static const double *const bounds_of[M_N_HISTOGRAM] = {
#define VALUE(type, name, label, value, help)
#define COUNTED(id, name, label, help)
#define HISTOGRAM(id, name, bounds, help) [M_##id] = bounds,
#include "server/metrics.inc"
#undef HISTOGRAM
#undef COUNTED
#undef VALUE
};

struct metrics *metrics_new(int n_endpoint)
{
    struct timespec now;
    struct metrics *m = mem_new(sizeof *m);
    clock_gettime(CLOCK_REALTIME, &now);
    m->start_s = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    m->answers = mem_new((size_t)(n_endpoint + 1) * sizeof *m->answers);
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m)
        free(m->answers);
    free(m);
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

void metrics_count(struct metrics *m, enum metrics_counter which)
{
    add(&m->counter[which], 1);
}

void metrics_observe(struct metrics *m, enum metrics_histogram which, double value)
{
    const double *bounds = bounds_of[which];
    int i = 0;
    while (bounds[i] > 0 && value > bounds[i])
        i++;
    add(&m->histogram[which].n[i], 1);
    add(&m->histogram[which].sum_millionth, value > 0 ? (uint64_t)(value * 1e6 + 0.5) : 0);
}

void metrics_answer(struct metrics *m, int endpoint, unsigned status)
{
    int i = 0;
    while (statuses[i] && statuses[i] != status)
        i++;
    add(&m->answers[endpoint][i], 1);
}

void metrics_reject(struct metrics *m, const char *code)
{
    static const struct {
        const char *code;
        enum metrics_counter counter;
    } rows[] = {
#define R(name) {#name, M_REJECT_##name}
        R(server_busy),     R(deadline_exceeded), R(rate_limit_exceeded), R(context_length_exceeded),
        R(model_not_found), R(unsupported_field), R(too_large),           R(invalid_request),
#undef R
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(code ? code : "invalid_request", rows[i].code) == 0) {
            metrics_count(m, rows[i].counter);
            return;
        }
    metrics_count(m, M_REJECT_other);
}

/* ---- text ---- */

struct process {
    double start_s, cpu_s, resident_bytes, heap_bytes, major_faults;
    int n_answer;
};

static struct process read_process(const struct server *s)
{
    struct process p = {
        .start_s = s->metrics->start_s, .n_answer = s->n_answer, .heap_bytes = (double)mem_live()};
    struct rusage use;
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f && fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    p.resident_bytes = (double)pages * (double)sysconf(_SC_PAGESIZE);
    if (getrusage(RUSAGE_SELF, &use) == 0) {
        p.major_faults = (double)use.ru_majflt;
        p.cpu_s = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                  1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
    }
    return p;
}

struct writer {
    struct buf *out;
    char model[600]; /* label of vLLM's metrics */
    const char *last;
};

static void put_head(struct writer *w, const char *type, const char *name, const char *help)
{
    if (!w->last || strcmp(w->last, name) != 0)
        buf_printf(w->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    w->last = name;
}

/* `more`: another label, or "". */
static void put_sample(struct writer *w, const char *name, const char *suffix, const char *label,
                       const char *more, double value)
{
    const char *model = strncmp(name, "vllm:", 5) == 0 ? w->model : "";
    const char *parts[] = {model, label, more};
    bool any = false;
    buf_printf(w->out, "%s%s", name, suffix);
    for (int i = 0; i < 3; i++)
        if (*parts[i]) {
            buf_printf(w->out, "%s%s", any ? "," : "{", parts[i]);
            any = true;
        }
    buf_printf(w->out, "%s %.15g\n", any ? "}" : "", value);
}

static void put_histogram(struct writer *w, const struct histogram *h, const double *bounds, const char *name)
{
    char le[40];
    double count = 0;
    for (int i = 0;; i++) {
        count += (double)h->n[i];
        if (bounds[i] > 0)
            snprintf(le, sizeof le, "le=\"%g\"", bounds[i]);
        put_sample(w, name, "_bucket", "", bounds[i] > 0 ? le : "le=\"+Inf\"", count);
        if (bounds[i] == 0)
            break;
    }
    put_sample(w, name, "_sum", "", "", (double)h->sum_millionth / 1e6);
    put_sample(w, name, "_count", "", "", count);
}

static void put_answers(struct writer *w, const struct metrics *m)
{
    char endpoint[120], status[40];
    put_head(w, "counter", "lathe_http_requests_total", "answers by endpoint and status");
    for (int e = 0; e <= http_n_endpoint; e++)
        for (int i = 0; i < N_STATUS; i++) {
            if (!m->answers[e][i])
                continue;
            if (e == http_n_endpoint)
                snprintf(endpoint, sizeof endpoint, "endpoint=\"other\"");
            else
                snprintf(endpoint, sizeof endpoint, "endpoint=\"%s %s\"", http_endpoints[e].method,
                         http_endpoints[e].path);
            snprintf(status, sizeof status, statuses[i] ? "status=\"%u\"" : "status=\"other\"", statuses[i]);
            put_sample(w, "lathe_http_requests_total", "", endpoint, status, (double)m->answers[e][i]);
        }
}

static void name_model(struct writer *w, const char *name)
{
    size_t n = (size_t)snprintf(w->model, sizeof w->model, "engine=\"0\",model_name=\"");
    for (; *name && n < sizeof w->model - 4; name++) {
        if (*name == '"' || *name == '\\' || *name == '\n')
            w->model[n++] = '\\';
        w->model[n++] = *name == '\n' ? 'n' : *name;
    }
    memcpy(w->model + n, "\"", 2);
}

static void put_metrics(struct writer *w, const struct metrics *m, const struct lathe_engine_stats *s,
                        const struct process *p)
{
    static const char GAUGE[] = "gauge", COUNTER[] = "counter";
#define VALUE(type, name, label, value, help) \
    put_head(w, type, name, help);            \
    put_sample(w, name, "", label, "", (double)(value));
#define COUNTED(id, name, label, help) \
    put_head(w, COUNTER, name, help);  \
    put_sample(w, name, "", label, "", (double)m->counter[M_##id]);
#define HISTOGRAM(id, name, bounds, help) \
    put_head(w, "histogram", name, help); \
    put_histogram(w, &m->histogram[M_##id], bounds, name);
#include "server/metrics.inc"
#undef HISTOGRAM
#undef COUNTED
#undef VALUE
    put_answers(w, m);
}

enum MHD_Result endpoint_metrics(struct call *c)
{
    struct lathe_engine_stats stats;
    struct process process = read_process(c->server);
    struct buf out;
    struct writer w = {.out = &out};
    size_t n;
    buf_init(&out, 1 << 20);
    dispatch_stats(c->server->dispatch, &stats);
    name_model(&w, c->server->config->model_name);
    put_metrics(&w, c->server->metrics, &stats, &process);
    char *text = buf_take(&out, &n);
    return http_reply_text(c, 200, "text/plain; version=0.0.4; charset=utf-8", text, n, NULL);
}
