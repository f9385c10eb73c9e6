/* What a type costs in a tensor is the divergence that noise on it brings (sensitivity.h) times the error of rounding to the type over
 * the error of the noise (type_error.h): all of them have sizes and costs then, and the budget is shared out (allot.h). */
#include "shape/mixed.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "format/gguf_write.h"
#include "quant/encode.h"
#include "shape/allot.h"
#include "shape/calibrate.h"
#include "shape/divergence.h"
#include "shape/text_pieces.h"
#include "shape/kl_search.h"
#include "shape/memory.h"
#include "shape/resume.h"
#include "shape/sensitivity.h"
#include "shape/type_error.h"

/* What llama.cpp and this program run at a good speed, of each size the better one. */
#define DEFAULT_TYPES "q2_k,q3_k,iq4_xs,iq4_nl,q4_k,q4_1,q5_0,q5_1,q5_k,q6_k,q8_0"

enum {
    PROBE_CTX = 256,
    PROBE_TOKENS = 1024,
    JUDGE_CTX = 512,
    JUDGE_TOKENS = 8192, /* at most, of an eighth of the text */
    ALIGN = 32           /* of tensors in a file */
};
/* Multiply-adds of all passes together, about a quarter of an hour on two cores with integer dots; a chunk for each matrix in any case. */
#define PROBE_WORK 1.5e14

struct mixed {
    const struct lathe_quantize_options *o;
    const struct model_file *f;
    const struct mix_model *rules;
    const struct format *candidate[ALLOT_MAX_WAY];
    int n_candidate, n_item;
    struct allot_item *items;
    uint64_t *tensor;                            /* of each item */
    const struct format *(*type)[ALLOT_MAX_WAY]; /* [item][way] */
    int *way;
    char *from, *folder;
    struct held_out text; /* with a divergence as target */
    struct kl_search search;
    double judged[KL_SEARCH_MOST]; /* by an earlier run, in order */
    int n_judged;
    struct sensitivity *measured; /* [tensor of f] */
    struct work *work;
    struct pool *pool;
    bool is_least, is_most;       /* the newest choice is the smallest, the largest there is */
    const struct format **chosen; /* the caller's, while the size of the file is asked for */
};

bool mixed_is(const struct lathe_quantize_options *o)
{
    return o->target_bpw > 0 || o->target_bytes > 0 || o->target_kl > 0;
}

/* ---- options ---- */

static int check(const struct lathe_quantize_options *o, struct lathe_err *err)
{
    if ((o->target_bpw > 0) + (o->target_bytes > 0) + (o->target_kl > 0) > 1)
        return err_set(err, LATHE_E_USAGE,
                       "bits per weight, size and divergence are three targets: name one");
    if (o->type)
        return err_set(err, LATHE_E_USAGE,
                       "a target chooses the type of each tensor: name it or a type (%.40s), not both; the "
                       "types to choose from are --types",
                       o->type);
    if (o->pure)
        return err_set(err, LATHE_E_USAGE,
                       "one type for all matrices (--pure) leaves a target nothing to choose");
    if (!o->calib_text)
        return err_set(
            err, LATHE_E_USAGE,
            "a target needs a calibration text (--calib): what each tensor matters is measured on it");
    return calibrate_check_options(o, err);
}

static int read_candidates(struct mixed *m, const char *list, struct lathe_err *err)
{
    char name[32], names[300];
    for (const char *p = list; *p;) {
        size_t n = strcspn(p, ", ");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), p);
        const struct format *f = n ? format_encoded_as(name) : NULL;
        if (n && (!f || !format_in_gguf(f->id) || m->n_candidate == ALLOT_MAX_WAY)) {
            format_encoded_names(names, sizeof names);
            return err_set(err, LATHE_E_USAGE, "'%.31s' is no type to choose from: %s", name, names);
        }
        if (n)
            m->candidate[m->n_candidate++] = f;
        p += n + (p[n] != 0);
    }
    return m->n_candidate ? 0 : err_set(err, LATHE_E_USAGE, "'%.40s' names no type to choose from", list);
}

/* ---- items ---- */

static uint64_t bytes_as(const struct mf_tensor *t, const struct format *f)
{
    return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3] / (uint64_t)f->block_n * (uint64_t)f->block_bytes;
}

/* As the target counts: bits are of the weights alone. */
static uint64_t counted(const struct mixed *m, uint64_t bytes)
{
    return m->o->target_bpw > 0 ? bytes : (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static int fitting(const struct mixed *m, const struct mf_tensor *t, const struct format **out)
{
    int n = 0;
    for (int i = 0; i < m->n_candidate; i++)
        if (t->dim[0] % (uint64_t)m->candidate[i]->block_n == 0)
            out[n++] = m->candidate[i];
    return n;
}

/* Whether a tensor's type is chosen here. */
static bool is_chosen(const struct mixed *m, const struct mf_tensor *t)
{
    const struct format *all[ALLOT_MAX_WAY];
    return !gguf_stays_f32(t) && mix_is_matrix(t) && !mix_is_own(m->rules, t) && fitting(m, t, all);
}

/* Sizes of all that are chosen here. */
static void add_items(struct mixed *m)
{
    for (uint64_t i = 0; i < model_file_n_tensor(m->f); i++) {
        const struct mf_tensor *t = model_file_tensor(m->f, i);
        struct allot_item *item = &m->items[m->n_item];
        if (!is_chosen(m, t))
            continue;
        item->n_way = fitting(m, t, m->type[m->n_item]);
        for (int k = 0; k < item->n_way; k++)
            item->size[k] = counted(m, bytes_as(t, m->type[m->n_item][k]));
        m->tensor[m->n_item++] = i;
    }
}

static int price_item(struct mixed *m, int i, const struct sensitivity *s, const struct imatrix *importance,
                      struct lathe_err *err)
{
    struct allot_item *item = &m->items[i];
    double error[ALLOT_MAX_WAY];
    TRY(type_error(model_file_tensor(m->f, m->tensor[i]), m->type[i], item->n_way, importance, m->pool, error,
                   err));
    for (int k = 0; k < item->n_way; k++)
        item->cost[k] = s->error > 0 ? s->divergence * error[k] / s->error : error[k];
    return 0;
}

/* Tokens that the text is measured on: of a large model fewer, by its size and not by a clock, so that the choice is the same anywhere. */
static int64_t probe_tokens(const struct mixed *m, const bool *wanted)
{
    double n_weight = 0, n_matrix = 0;
    for (uint64_t i = 0; i < model_file_n_tensor(m->f); i++) {
        const struct mf_tensor *t = model_file_tensor(m->f, i);
        n_matrix += wanted[i];
        n_weight += wanted[i] ? (double)(t->dim[0] * t->dim[1] * t->dim[2]) : 0;
    }
    double n = PROBE_WORK / (n_weight * n_matrix / 2 + 1);
    return n < PROBE_CTX ? PROBE_CTX : n < PROBE_TOKENS ? (int64_t)n : PROBE_TOKENS;
}

static struct calib_options text_options(const struct mixed *m, struct str text, int n_ctx, int64_t n_token)
{
    return (struct calib_options){.text = text.p,
                                  .n_text = text.n,
                                  .n_ctx = n_ctx,
                                  .n_token = n_token,
                                  .folder = m->folder,
                                  .memory_bytes = memory_bound(m->f),
                                  .progress = m->o->progress,
                                  .user = m->o->user};
}

static int note_measured(void *user, uint64_t tensor, const struct sensitivity *v, struct lathe_err *err)
{
    const struct mixed *m = user;
    return resume_note_measured(m->work, tensor, v, err);
}

static int measure(struct mixed *m, struct lathe_err *err)
{
    uint64_t n = model_file_n_tensor(m->f);
    bool *wanted = mem_new((n + 1) * sizeof *wanted);
    const struct format **any = mem_new((n + 1) * sizeof *any);
    struct imatrix *importance = imatrix_new();
    for (int i = 0; i < m->n_item; i++) {
        wanted[m->tensor[i]] = true;
        any[m->tensor[i]] = m->candidate[0];
    }
    const int n_ctx = m->o->calib_ctx > 0 && m->o->calib_ctx < PROBE_CTX ? m->o->calib_ctx : PROBE_CTX;
    const struct calib_options co = text_options(m, mixed_text(m), n_ctx, probe_tokens(m, wanted));
    const struct sensitivity_options so = {
        .calib = &co, .f = m->f, .wanted = wanted, .measured = note_measured, .user = m};
    int rc = calibrate_check(m->f, any, err);
    if (!rc)
        rc = sensitivity_measure(m->from, &so, m->pool, m->measured, importance, err);
    for (int i = 0; i < m->n_item && !rc; i++)
        rc = price_item(m, i, &m->measured[m->tensor[i]], importance, err);
    imatrix_free(importance);
    free(any);
    free(wanted);
    return rc;
}

static void take_measured(void *user, uint64_t tensor, const struct sensitivity *v)
{
    struct mixed *m = user;
    if (tensor < model_file_n_tensor(m->f))
        m->measured[tensor] = *v;
}

static void take_judged(void *user, double kl)
{
    struct mixed *m = user;
    if (m->n_judged < KL_SEARCH_MOST)
        m->judged[m->n_judged++] = kl;
}

/* What an earlier run knew, which is said. */
static int take_up(struct mixed *m, struct lathe_err *err)
{
    const struct resume_target t = {take_measured, take_judged, m};
    char words[100];
    int n = 0;
    TRY(resume_target(m->work, &t, err));
    for (int i = 0; i < m->n_item; i++)
        n += m->measured[m->tensor[i]].error > 0;
    snprintf(words, sizeof words, "resuming an earlier run: %d of %d tensors are measured", n, m->n_item);
    if (n && m->o->note)
        m->o->note(m->o->user, words);
    return 0;
}

/* Whether the target is large enough, which is known before anything is measured. */
static int check_room(struct mixed *m, struct lathe_err *err)
{
    uint64_t n = model_file_n_tensor(m->f) + 1;
    struct lathe_quantize_report none = {0};
    const struct format **type = mem_new(n * sizeof *type), **wanted = mem_new(n * sizeof *wanted);
    const struct mix *mix;
    int rc = mixed_choose(m, type, wanted, &mix, &none, err);
    m->chosen = NULL;
    free(type);
    free(wanted);
    return rc;
}

int mixed_new(const struct lathe_quantize_options *o, const char *from, const char *to,
              const struct model_file *f, const struct mix_model *rules, struct work *work, struct pool *pool,
              struct mixed **out, struct lathe_err *err)
{
    uint64_t n = model_file_n_tensor(f) + 1;
    char folder[4100];
    *out = NULL;
    TRY(check(o, err));
    struct mixed *m = mem_new(sizeof *m);
    *m = (struct mixed){.o = o,
                        .f = f,
                        .rules = rules,
                        .work = work,
                        .pool = pool,
                        .from = mem_dup(from, strlen(from)),
                        .search = kl_search_begin(o->target_kl)};
    m->items = mem_new(n * sizeof *m->items);
    m->tensor = mem_new(n * sizeof *m->tensor);
    m->type = mem_new(n * sizeof *m->type);
    m->way = mem_new(n * sizeof *m->way);
    m->measured = mem_new(n * sizeof *m->measured);
    new_file_folder(to, folder, sizeof folder);
    m->folder = mem_dup(folder, strlen(folder));
    if (o->target_kl > 0)
        m->text = held_out_split(o->calib_text, o->n_calib_text);
    int rc = read_candidates(m, o->types ? o->types : DEFAULT_TYPES, err);
    if (!rc) {
        add_items(m);
        rc = check_room(m, err);
    }
    if (!rc)
        rc = take_up(m, err);
    if (!rc)
        rc = measure(m, err);
    if (rc) {
        mixed_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void mixed_free(struct mixed *m)
{
    if (!m)
        return;
    free(m->items);
    free(m->tensor);
    free(m->type);
    free(m->way);
    free(m->measured);
    free(m->from);
    free(m->folder);
    held_out_free(&m->text);
    free(m);
}

struct str mixed_text(const struct mixed *m)
{
    return m->text.used ? (struct str){m->text.used, m->text.n_used}
                        : (struct str){m->o->calib_text, m->o->n_calib_text};
}

/* ---- the choice ---- */

static const struct format *chosen_type(void *user, uint64_t i, const struct format *from)
{
    const struct mixed *m = user;
    return m->chosen[i] ? m->chosen[i] : from;
}

static void put_types(struct mixed *m)
{
    for (int i = 0; i < m->n_item; i++)
        m->chosen[m->tensor[i]] = m->type[i][m->way[i]];
}

/* Of the file without the items, as the target counts; *n_weight: of all tensors. */
static int other_bytes(struct mixed *m, uint64_t *out, uint64_t *n_weight, struct lathe_err *err)
{
    const struct gguf_write w = {.choose = chosen_type, .user = m};
    uint64_t all = 0, items = 0;
    *n_weight = 0;
    for (int i = 0; i < m->n_item; i++)
        items += m->items[i].size[m->way[i]];
    for (uint64_t i = 0; i < model_file_n_tensor(m->f); i++) {
        const struct mf_tensor *t = model_file_tensor(m->f, i);
        *n_weight += t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
        all += m->chosen[i] ? bytes_as(t, m->chosen[i]) : t->n_bytes;
    }
    if (m->o->target_bpw <= 0)
        TRY(gguf_write_bytes(m->f, &w, &all, err));
    *out = all - items;
    return 0;
}

static int share_out(struct mixed *m, struct allot_sum *sum, struct lathe_err *err)
{
    uint64_t other, n_weight;
    const uint64_t least = allot_least(m->items, m->n_item);
    if (m->o->target_kl > 0) {
        m->is_most = !allot_for(m->items, m->n_item, m->search.aim, m->way, sum);
        m->is_least = sum->size == least;
        return 0;
    }
    TRY(other_bytes(m, &other, &n_weight, err));
    double room = m->o->target_bpw > 0 ? m->o->target_bpw * (double)n_weight / 8 : (double)m->o->target_bytes;
    if (room >= (double)(other + least)) {
        allot_within(m->items, m->n_item, (uint64_t)room - other, m->way, sum);
        return 0;
    }
    if (m->o->target_bpw > 0)
        return err_set(err, LATHE_E_USAGE,
                       "%g bits per weight cannot be reached: the least with these types is %.4f",
                       m->o->target_bpw, 8 * (double)(other + least) / (double)n_weight + 0.00005);
    return err_set(err, LATHE_E_USAGE,
                   "%" PRIu64 " bytes cannot be reached: the least with these types is %" PRIu64,
                   m->o->target_bytes, other + least);
}

/* The mix of the type that most weights have. */
static int nearest_mix(const struct mixed *m, const struct mix **out, struct lathe_err *err)
{
    uint64_t sum[ALLOT_MAX_WAY] = {0};
    int best = 0;
    for (int i = 0; i < m->n_item; i++)
        for (int k = 0; k < m->n_candidate; k++)
            if (m->type[i][m->way[i]] == m->candidate[k])
                sum[k] += bytes_as(model_file_tensor(m->f, m->tensor[i]), format_by_id(FORMAT_F32));
    for (int k = 1; k < m->n_candidate; k++)
        if (sum[k] > sum[best])
            best = k;
    return mix_find(m->candidate[best]->name, out, err);
}

int mixed_choose(struct mixed *m, const struct format **type, const struct format **wanted,
                 const struct mix **mix, struct lathe_quantize_report *report, struct lathe_err *err)
{
    struct allot_sum sum;
    m->chosen = type;
    for (uint64_t i = 0; i < model_file_n_tensor(m->f); i++) {
        const struct mf_tensor *t = model_file_tensor(m->f, i);
        const bool matrix = !gguf_stays_f32(t) && mix_is_matrix(t);
        wanted[i] = type[i] = NULL;
        if (matrix && mix_is_own(m->rules, t))
            type[i] = mix_type(m->rules, t, &wanted[i]);
        else if (matrix && format_is_float(t->type))
            type[i] = wanted[i] = format_by_id(FORMAT_F16);
    }
    put_types(m);
    TRY(share_out(m, &sum, err));
    put_types(m);
    for (int i = 0; i < m->n_item; i++)
        wanted[m->tensor[i]] = type[m->tensor[i]];
    report->predicted_kl = sum.cost;
    return nearest_mix(m, mix, err);
}

/* ---- a divergence as target ---- */

bool mixed_knows(const struct mixed *m)
{
    struct kl_search next = m->search;
    if (next.known || next.n_try >= m->n_judged)
        return false;
    return !kl_search_next(&next, m->judged[next.n_try], m->is_least, m->is_most) || !next.done;
}

static int judge(struct mixed *m, const char *path, const struct calib_options *co, double *out,
                 struct lathe_err *err)
{
    if (m->search.n_try < m->n_judged) {
        *out = m->judged[m->search.n_try];
        return 0;
    }
    TRY(divergence_measure(m->from, path, co, m->pool, out, err));
    return resume_note_judged(m->work, *out, err);
}

int mixed_judge(struct mixed *m, const char *path, bool *again, struct lathe_quantize_report *report,
                struct lathe_err *err)
{
    struct kl_search *s = &m->search;
    const struct calib_options co =
        text_options(m, (struct str){m->text.kept, m->text.n_kept},
                     m->o->calib_ctx > 0 ? m->o->calib_ctx : JUDGE_CTX, JUDGE_TOKENS);
    *again = false;
    if (m->o->target_kl <= 0)
        return 0;
    if (!s->known) {
        TRY(judge(m, path, &co, &report->measured_kl, err));
        if (!kl_search_next(s, report->measured_kl, m->is_least, m->is_most))
            return err_set(err, LATHE_E_USAGE,
                           "a divergence of %g cannot be reached: with the largest of these types it is %.4g",
                           s->bound, report->measured_kl);
        *again = !s->done;
    }
    report->measured_kl = s->measured;
    return 0;
}
