/* Texts through a model that embeds. */
#include "measure/pair_run.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { IN_FLIGHT = 256 };

struct running {
    const struct pair_run *run;
    const struct pair_file *file;
    struct pair_vectors *out;
    int n_text, n_sent, n_done;
    uint64_t first_id; /* ids are given one after another */
};

static int send(struct running *w, struct lathe_err *err)
{
    const char *text = w->file->v[w->n_sent / 2].text[w->n_sent % 2];
    struct lathe_request r;
    int32_t *ids = NULL;
    size_t n = 0;
    int second_at = 0;
    uint64_t id;
    TRY(lathe_tokenize_pair(w->run->vocab, text, strlen(text), NULL, 0, w->run->n_ctx, &ids, &n, &second_at,
                            err));
    if (!n) {
        free(ids);
        return err_set(err, LATHE_E_FILE, "%s: a text of pair %d is empty", w->file->path, w->n_sent / 2);
    }
    lathe_request_init(&r);
    r.ids = ids;
    r.n_ids = n;
    r.n_predict = 0;
    r.embed = true;
    int rc = lathe_engine_submit(w->run->engine, &r, &id, err);
    free(ids);
    if (rc)
        return rc;
    if (w->n_sent == 0)
        w->first_id = id;
    w->n_sent++;
    w->out->n_token += (long)n;
    return 0;
}

static int take(struct running *w, const struct lathe_event *e, struct lathe_err *err)
{
    if (e->kind != LATHE_EVENT_DONE)
        return 0;
    size_t n = (size_t)w->run->n_embd, text = (size_t)(e->id - w->first_id);
    if (!e->embedding || e->n_embedding != w->run->n_embd)
        return err_set(err, e->err.code ? e->err.code : LATHE_E_FAILED, "%s: pair %zu: %.400s", w->file->path,
                       text / 2, e->err.code ? e->err.text : "no vector");
    memcpy(w->out->v + text * n, e->embedding, n * sizeof *e->embedding);
    w->n_done++;
    return 0;
}

int pair_run(const struct pair_run *r, const struct pair_file *f, struct pair_vectors *out,
             struct lathe_err *err)
{
    struct running w = {.run = r, .file = f, .out = out, .n_text = 2 * f->n};
    struct lathe_event e;
    void *v = NULL;
    *out = (struct pair_vectors){.n_embd = r->n_embd};
    TRY(mem_try((size_t)w.n_text, sizeof *out->v * (size_t)r->n_embd, "vectors of the texts", &v, err));
    out->v = v;
    while (w.n_done < w.n_text) {
        while (w.n_sent < w.n_text && w.n_sent - w.n_done < IN_FLIGHT)
            TRY(send(&w, err));
        int n_left = lathe_engine_step(r->engine, err), n_done = w.n_done;
        if (n_left < 0)
            return n_left;
        while (lathe_engine_poll(r->engine, &e))
            TRY(take(&w, &e, err));
        if (n_left == 0 && w.n_done == n_done)
            return err_set(err, LATHE_E_FAILED, "the engine stopped before all vectors were there");
        if (r->progress)
            r->progress(r->user, (double)w.n_done / w.n_text);
    }
    return 0;
}

static double dot(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static double cosine(const float *a, const float *b, int n)
{
    return dot(a, b, n) / sqrt(dot(a, a, n) * dot(b, b, n));
}

double pair_cosine(const struct pair_vectors *a, int i)
{
    const float *v = a->v + (size_t)2 * (size_t)i * (size_t)a->n_embd;
    return cosine(v, v + a->n_embd, a->n_embd);
}

/* ---- ranks ---- */

struct ranked {
    double value;
    int index;
};

static int smaller_first(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->value != y->value ? (x->value < y->value ? -1 : 1)
                                : (x->index > y->index) - (x->index < y->index);
}

/* From 1; equals have the mean of theirs. */
static double *ranks_of(const double *x, int n)
{
    struct ranked *sorted = mem_new(sizeof *sorted * (size_t)n);
    double *rank = mem_new(sizeof *rank * (size_t)n);
    for (int i = 0; i < n; i++)
        sorted[i] = (struct ranked){x[i], i};
    qsort(sorted, (size_t)n, sizeof *sorted, smaller_first);
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && sorted[end].value == sorted[i].value; end++)
            ;
        for (int k = i; k < end; k++)
            rank[sorted[k].index] = (i + 1 + end) / 2.0;
    }
    free(sorted);
    return rank;
}

struct interval pair_spearman(const double *x, const double *y, int n)
{
    double *a = ranks_of(x, n), *b = ranks_of(y, n), mean = (n + 1) / 2.0, ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++) {
        ab += (a[i] - mean) * (b[i] - mean);
        aa += (a[i] - mean) * (a[i] - mean);
        bb += (b[i] - mean) * (b[i] - mean);
    }
    free(a);
    free(b);
    double rho = aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : NAN, half = 1.959964 * sqrt(1.06 / (n - 3));
    if (fabs(rho) >= 1)
        return (struct interval){rho, rho, rho};
    return (struct interval){rho, tanh(atanh(rho) - half), tanh(atanh(rho) + half)};
}

struct pair_drift pair_drift_of(const struct pair_vectors *a, const struct pair_vectors *b, int n_text)
{
    struct ranked *all = mem_new(sizeof *all * (size_t)n_text);
    struct pair_drift d = {.mean = 0};
    for (int i = 0; i < n_text; i++) {
        size_t at = (size_t)i * (size_t)a->n_embd;
        all[i] = (struct ranked){cosine(a->v + at, b->v + at, a->n_embd), i};
        d.mean += all[i].value / n_text;
    }
    qsort(all, (size_t)n_text, sizeof *all, smaller_first);
    d.least = all[0].value;
    d.least_text = all[0].index;
    d.low_1 = all[(int)ceil(0.01 * n_text) - 1].value;
    free(all);
    return d;
}
