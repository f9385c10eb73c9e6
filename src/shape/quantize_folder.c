/* Which layout a type is written in, the way from calibration to writing, and the account of what it cost. */
#include "shape/quantize_folder.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "base/cpu.h"
#include "base/mem.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "base/remove_tree.h"
#include "quant/format.h"
#include "quant/parts.h"
#include "shape/bad_weight.h"
#include "shape/calibrate.h"
#include "shape/folder_round.h"
#include "shape/resume.h"

/* Types and the layouts they are written in, the first of a type where none is named. */
static const struct row {
    const char *type, *layout;
    enum packed_kind kind;
} rows[] = {{"int4", "gptq", WRITE_GPTQ},
            {"int4", "awq", WRITE_AWQ},
            {"int4", "compressed-tensors", WRITE_INTS},
            {"int8", "compressed-tensors", WRITE_BYTES},
            {"nf4", "bitsandbytes", WRITE_NF4}};
enum { N_ROW = sizeof rows / sizeof *rows };

struct folder {
    const struct lathe_quantize_options *o;
    const struct row *row;
    struct packed_write w;
    const struct model_file *f;
    struct folder_type *types;  /* [tensor of f] */
    const struct format **type; /* [tensor of f], NULL: not quantized */
    struct calibrated calibrated;
    struct pool *pool;
    struct lathe_quantize_report *report;
    double error, value;
    struct sums {
        double error, value;
    } now, *before; /* of the tensor that is written; of those that an earlier run wrote */
};

bool quantize_folder_is(const char *type)
{
    for (int i = 0; i < N_ROW; i++)
        if (type && strcasecmp(rows[i].type, type) == 0)
            return true;
    return false;
}

static int find_row(const struct lathe_quantize_options *o, const struct row **out, struct lathe_err *err)
{
    char all[200] = "";
    for (int i = 0; i < N_ROW; i++) {
        if (strcasecmp(rows[i].type, o->type) != 0)
            continue;
        *out = &rows[i];
        if (!o->layout || strcmp(o->layout, rows[i].layout) == 0)
            return 0;
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", rows[i].layout);
    }
    return err_set(err, LATHE_E_USAGE, "layout '%.40s' does not hold %s; those that do: %s", o->layout,
                   o->type, all);
}

/* ---- the account ---- */

static float weight_at(const struct folder *f, const struct packed_values *v, uint64_t row, uint64_t col)
{
    uint64_t k = row * v->n_col + col, g = row * v->n_group + (uint64_t)v->g_idx[col];
    if (f->w.kind == WRITE_NF4)
        return v->scale[k / 64] * nf4_levels[v->q[k]];
    return v->scale[g] * (float)(v->q[k] - (f->w.kind == WRITE_BYTES ? 128 : v->zero[g]));
}

static uint64_t bytes_of(const struct folder *f, const struct packed_values *v)
{
    struct packed_part part[PACKED_MAX_PART];
    uint64_t sum = 0;
    int n = packed_parts(&f->w, v->scale_type, v->n_row, v->n_col, part);
    for (int i = 0; i < n; i++)
        sum += part[i].n_bytes;
    return sum;
}

static void account(struct folder *f, const struct packed_source *s, const struct packed_values *v,
                    double error, double value, const struct output_error *output)
{
    struct lathe_quantize_report *r = f->report;
    struct lathe_quantized now = {.name = s->name,
                                  .from = "float",
                                  .to = f->row->type,
                                  .n_weight = v->n_row * v->n_col,
                                  .n_bytes = bytes_of(f, v),
                                  .error = value > 0 ? sqrt(error / value) : 0,
                                  .output_error = output ? output->error : 0,
                                  .output_plain = output ? output->plain : 0};
    f->error += error;
    f->value += value;
    r->n_tensor++;
    r->n_weight += now.n_weight;
    if (now.error > r->worst_error) {
        r->worst_error = now.error;
        snprintf(r->worst, sizeof r->worst, "%s", s->name);
    }
    if (f->o->tensor)
        f->o->tensor(f->o->user, &now);
}

/* scaled: weights are no longer the model's, and not compared with them. */
static void add_up(struct folder *f, const struct packed_source *s, const struct packed_values *v,
                   bool scaled, const struct output_error *output)
{
    double error = 0, value = 0;
    for (uint64_t i = 0; i < v->n_row && !scaled; i++)
        for (uint64_t k = 0; k < v->n_col; k++) {
            double x = (double)s->x[i * v->n_col + k], e = x - (double)weight_at(f, v, i, k);
            error += e * e;
            value += x * x;
        }
    f->now = (struct sums){error, value};
    account(f, s, v, error, value, output);
}

/* ---- integers ---- */

static const float *importance_of(const struct folder *f, const struct packed_source *s, uint64_t n_col)
{
    return f->calibrated.importance ? imatrix_find(f->calibrated.importance, s->name, (int)s->k, (int)n_col)
                                    : NULL;
}

static const uint8_t *made_of(const struct folder *f, const struct packed_source *s,
                              const struct packed_values *v)
{
    const uint64_t i = model_file_tensor_index(f->f, s->name);
    return f->calibrated.made && i < model_file_n_tensor(f->f)
               ? made_find(f->calibrated.made, i, (int64_t)(s->k * v->n_row))
               : NULL;
}

static const struct output_error *output_of(const struct folder *f, const struct packed_source *s)
{
    const uint64_t i = model_file_tensor_index(f->f, s->name);
    return f->calibrated.output && i < model_file_n_tensor(f->f) ? &f->calibrated.output[i] : NULL;
}

static int fill(void *user, const struct packed_source *s, struct packed_values *v, struct lathe_err *err)
{
    struct folder *f = user;
    const struct calibrated *c = &f->calibrated;
    const uint64_t i = model_file_tensor_index(f->f, s->name);
    const uint8_t *made = made_of(f, s, v);
    for (uint64_t k = 0; k < v->n_row * v->n_col; k++)
        if (!isfinite(s->x[k]))
            return bad_weight(s->name, k / v->n_col, k % v->n_col, err);
    struct folder_rows r = {.w = &f->w,
                            .x = s->x,
                            .importance = importance_of(f, s, v->n_col),
                            .made = made,
                            .order = made && c->order ? c->order[i] : NULL};
    folder_round(&r, f->pool, v);
    add_up(f, s, v, made && c->vector, output_of(f, s));
    return 0;
}

/* ---- what an earlier run has done ---- */

static bool was_done(void *user, uint64_t i, const struct packed_source *s, const struct packed_values *v)
{
    struct folder *f = user;
    const uint64_t at = model_file_tensor_index(f->f, s->name);
    const int *order = made_of(f, s, v) && f->calibrated.order ? f->calibrated.order[at] : NULL;
    bool moved = false;
    account(f, s, v, f->before[i].error, f->before[i].value, output_of(f, s));
    for (uint64_t k = 0; order && k < v->n_col; k++)
        moved |= (uint64_t)order[k] / v->group != k / v->group;
    return moved;
}

static void keep_sums(void *user, uint64_t i, double error, double value)
{
    struct folder *f = user;
    f->before = mem_grow(f->before, (size_t)(i + 1) * sizeof *f->before);
    f->before[i] = (struct sums){error, value};
}

static int tensor_done(void *user, uint64_t i, uint64_t first, uint64_t end, struct lathe_err *err)
{
    struct folder *f = user;
    const struct sums now = f->now;
    f->now = (struct sums){0};
    return resume_note_tensor(f->calibrated.work, i, first, end, now.error, now.value, err);
}

static int take_up(struct folder *f, struct lathe_err *err)
{
    char words[120];
    TRY(resume_tensors(f->calibrated.work, keep_sums, f, &f->w.n_done, err));
    snprintf(words, sizeof words, "resuming an earlier run: %llu tensors are written",
             (unsigned long long)f->w.n_done);
    if (f->w.n_done && f->o->note)
        f->o->note(f->o->user, words);
    f->w.begun = work_path(f->calibrated.work, WORK_OUT);
    return 0;
}

static const float *vector_of(void *user, const char *name)
{
    const struct folder *f = user;
    const uint64_t i = model_file_tensor_index(f->f, name);
    return f->calibrated.vector && i < model_file_n_tensor(f->f) ? f->calibrated.vector[i] : NULL;
}

static void kept(void *user, const char *name, uint64_t n_weight, uint64_t n_bytes)
{
    struct folder *f = user;
    struct lathe_quantized now = {.name = name,
                                  .from = "float",
                                  .to = "as it was",
                                  .instead_of = f->row->type,
                                  .n_weight = n_weight,
                                  .n_bytes = n_bytes};
    f->report->n_tensor++;
    f->report->n_weight += n_weight;
    f->report->n_fallback++;
    if (f->o->tensor)
        f->o->tensor(f->o->user, &now);
}

static void progress(void *user, double share)
{
    const struct folder *f = user;
    if (f->o->progress)
        f->o->progress(f->o->user, "writing", share);
}

/* ---- all ---- */

static uint64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int check_group(const struct folder *f, struct lathe_err *err)
{
    int g = f->o->group;
    if (f->row->kind == WRITE_NF4 || f->row->kind == WRITE_BYTES)
        return g ? err_set(err, LATHE_E_USAGE, "%s has no groups to choose: leave --group out", f->row->type)
                 : 0;
    return g == -1 || g == 0 || g % 32 == 0
               ? 0
               : err_set(err, LATHE_E_USAGE,
                         "groups of %d columns cannot run; multiples of 32 can, and -1: whole rows", g);
}

static int check_method(const struct folder *f, struct lathe_err *err)
{
    const struct lathe_quantize_options *o = f->o;
    enum packed_kind kind = f->row->kind;
    if (o->pure || (o->tensor_types && o->tensor_types[0]))
        return err_set(
            err, LATHE_E_USAGE,
            "a folder of %s has all matrices of its layers in it: leave --pure and --tensor-type out",
            f->row->type);
    if (o->act_order && (o->method != LATHE_QUANTIZE_GPTQ || kind != WRITE_GPTQ))
        return err_set(err, LATHE_E_USAGE,
                       "an order of columns (--act-order) is made by method gptq and kept by layout gptq");
    if (o->act_order && o->group < 0)
        return err_set(
            err, LATHE_E_USAGE,
            "whole rows are one group, in which no order of columns counts: leave --act-order out");
    return 0;
}

static void choose_types(struct folder *f)
{
    uint64_t n = model_file_n_tensor(f->f);
    f->types = mem_new((n + 1) * sizeof *f->types);
    f->type = mem_new((n + 1) * sizeof *f->type);
    for (uint64_t i = 0; i < n; i++) {
        const struct mf_tensor *t = model_file_tensor(f->f, i);
        if (packed_write_takes(&f->w, t) &&
            folder_type_of(&f->w, t->dim[0], packed_write_scale(&f->w, t->type), &f->types[i]))
            f->type[i] = &f->types[i].f;
    }
}

/* The folder is made in that of the work, and moved when it is whole. */
static int make(struct folder *f, const char *from, const char *to, struct lathe_err *err)
{
    const char *whole = work_beside(f->calibrated.work);
    remove_tree_inside(whole, NULL);
    TRY(calibrate(f->o, from, to, f->f, f->type, f->pool, &f->calibrated, f->report, err));
    TRY(take_up(f, err));
    TRY(packed_write(from, &f->w, whole, err));
    return new_file_move(whole, to, err);
}

static int with_work(struct folder *f, const char *from, const char *to, struct lathe_err *err)
{
    struct work *w;
    TRY(resume_open(f->o, f->f, f->type, (uint32_t)f->w.kind, to, &w, err));
    f->calibrated.work = w;
    int rc = make(f, from, to, err);
    calibrated_free(&f->calibrated, model_file_n_tensor(f->f));
    work_end(w, rc);
    return rc;
}

static int run(struct folder *f, const char *from, const char *to, struct lathe_err *err)
{
    struct model_file *view;
    TRY(packed_write_check(from, &f->w, to, err));
    TRY(model_file_open(from, &view, err));
    f->f = view;
    choose_types(f);
    int rc = with_work(f, from, to, err);
    free(f->types);
    free(f->type);
    free(f->before);
    model_file_free(view);
    return rc;
}

int quantize_folder(const char *from, const char *to, const struct lathe_quantize_options *o,
                    struct lathe_quantize_report *report, struct lathe_err *err)
{
    struct folder f = {.o = o, .report = report, .calibrated = {.is_folder = true}};
    char path[4300];
    TRY(find_row(o, &f.row, err));
    TRY(check_group(&f, err));
    TRY(check_method(&f, err));
    f.w = (struct packed_write){.kind = f.row->kind,
                                .group = f.row->kind == WRITE_BYTES ? -1
                                         : o->group                 ? o->group
                                                                    : 128,
                                .symmetric = o->symmetric || f.row->kind == WRITE_BYTES,
                                .fill = fill,
                                .kept = kept,
                                .vector = vector_of,
                                .progress = progress,
                                .tensor_done = tensor_done,
                                .was_done = was_done,
                                .user = &f};
    TRY(pool_new(o->n_thread > 0 ? o->n_thread : cpu_count(), &f.pool, err));
    int rc = run(&f, from, to, err);
    pool_free(f.pool);
    report->error = f.value > 0 ? sqrt(f.error / f.value) : 0;
    snprintf(path, sizeof path, "%s/model.safetensors", to);
    report->bytes_after = size_of(path);
    snprintf(path, sizeof path, "%s/model.safetensors", from);
    report->bytes_before = size_of(path);
    return rc;
}
