/* Calibration before the file is written. */
#include "shape/calibrate.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "format/packed_write.h"
#include "shape/bad_weight.h"
#include "shape/memory.h"
#include "shape/resume.h"
#include "shape/stages.h"

struct job {
    const struct lathe_quantize_options *o;
    const struct model_file *f;
    const struct format *const *type;
    struct calibrated *out;
    struct lathe_quantize_report *report;
    struct resume_layers layers; /* done before */
    struct stages stages;
    int n_noted; /* entries of the importance matrix */
};

static const struct format *type_of(void *user, const char *tensor)
{
    const struct job *j = user;
    uint64_t i = model_file_tensor_index(j->f, tensor);
    return i < model_file_n_tensor(j->f) ? j->type[i] : NULL;
}

static void set_error(void *user, uint64_t i, double error, double plain)
{
    struct job *j = user;
    if (i < model_file_n_tensor(j->f) && j->out->output)
        j->out->output[i] = (struct output_error){error, plain};
}

static void add_count(void *user, double error, double plain)
{
    struct job *j = user;
    j->report->n_compared++;
    j->report->n_better += error < plain;
}

static void keep_error(void *user, const char *tensor, double error, double plain)
{
    struct job *j = user;
    set_error(j, model_file_tensor_index(j->f, tensor), error, plain);
    resume_note_error(j->out->work, model_file_tensor_index(j->f, tensor), error, plain);
}

static void set_order(void *user, uint64_t i, const int *order, size_t n)
{
    const struct job *j = user;
    if (i >= model_file_n_tensor(j->f) || !j->out->order || n != model_file_tensor(j->f, i)->dim[0])
        return;
    j->out->order[i] = mem_new(n * sizeof *order);
    memcpy(j->out->order[i], order, n * sizeof *order);
}

static void keep_order(void *user, const char *tensor, const int *order, int n)
{
    const struct job *j = user;
    uint64_t i = model_file_tensor_index(j->f, tensor);
    if (i >= model_file_n_tensor(j->f) || j->out->order[i])
        return;
    set_order(user, i, order, (size_t)n);
    resume_note_order(j->out->work, i, order, (size_t)n);
}

static void count(void *user, double error, double plain)
{
    struct job *j = user;
    add_count(j, error, plain);
    resume_note_count(j->out->work, error, plain);
}

static void keep_and_count(void *user, const char *tensor, double error, double plain)
{
    keep_error(user, tensor, error, plain);
    count(user, error, plain);
}

static int check_rows(const struct mf_tensor *t, const struct format *from, float *x, uint8_t *made,
                      struct lathe_err *err)
{
    uint64_t row_bytes = t->dim[0] / (uint64_t)from->block_n * (uint64_t)from->block_bytes;
    for (uint64_t k = 0; k < t->dim[2]; k++)
        for (uint64_t r = 0; r < t->dim[1]; r++) {
            if (t->source)
                mf_tensor_row(t, k, r, made);
            from->decode(t->source ? made : mf_tensor_piece(t, k) + r * row_bytes, x, (int64_t)t->dim[0]);
            for (uint64_t c = 0; c < t->dim[0]; c++)
                if (!isfinite(x[c]))
                    return bad_weight(t->name, k * t->dim[1] + r, c, err);
        }
    return 0;
}

int calibrate_check(const struct model_file *f, const struct format *const *type, struct lathe_err *err)
{
    int rc = 0;
    for (uint64_t i = 0; i < model_file_n_tensor(f) && !rc; i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        const struct format *from = format_by_id(t->type);
        if (!type[i] || !from || !from->decode)
            continue;
        float *x = mem_new(t->dim[0] * sizeof *x);
        uint8_t *made = mem_new(t->dim[0] * sizeof *x);
        rc = check_rows(t, from, x, made, err);
        free(x);
        free(made);
    }
    return rc;
}

/* Whether the view has rotary halves that the writer makes pairs of: folders keep them. */
static int read_halves(const struct job *j, bool *out, struct lathe_err *err)
{
    const struct model_file *f = j->f;
    struct str arch = STR("");
    char key[160];
    *out = false;
    if (j->out->is_folder)
        return 0;
    TRY(mf_str(f, "general.architecture", &arch, NULL, err));
    snprintf(key, sizeof key, STR_FMT ".rope.halves", (int)(arch.n < 100 ? arch.n : 100), arch.p);
    return mf_bool(f, key, out, NULL, err);
}

static int run_gptq(struct job *j, struct calib *c, const char *folder, struct pool *pool,
                    struct lathe_err *err)
{
    struct by_layer_gptq g = {.damping = j->o->damping > 0 ? j->o->damping : 0.01,
                              .memory_bytes = memory_for_moments(j->f, c),
                              .folder = folder,
                              .compare = j->o->measure_output,
                              .type = type_of,
                              .done = keep_and_count,
                              .user = j};
    g.order = j->out->order ? keep_order : NULL;
    TRY(read_halves(j, &g.pairs, err));
    return by_layer_gptq(c, &g, pool, j->out->made, err);
}

static void hold_vector(void *user, const char *tensor, float *v)
{
    const struct job *j = user;
    const struct mf_tensor *t = model_file_tensor_find(j->f, tensor);
    if (t)
        packed_write_holds(t, v);
}

static void set_vector(void *user, uint64_t i, const float *v, size_t n)
{
    const struct job *j = user;
    if (i >= model_file_n_tensor(j->f) || !j->out->vector || n != model_file_tensor(j->f, i)->dim[0])
        return;
    j->out->vector[i] = mem_new(n * sizeof *v);
    memcpy(j->out->vector[i], v, n * sizeof *v);
}

static void keep_vector(void *user, const char *tensor, const float *v, int n)
{
    struct job *j = user;
    set_vector(j, model_file_tensor_index(j->f, tensor), v, (size_t)n);
    resume_note_vector(j->out->work, model_file_tensor_index(j->f, tensor), v, (size_t)n);
}

static int run_awq(struct job *j, struct calib *c, const char *folder, struct pool *pool,
                   struct lathe_err *err)
{
    struct by_layer_awq a = {.compare = j->o->measure_output,
                             .folder = folder,
                             .type = type_of,
                             .done = keep_error,
                             .input_done = count,
                             .hold = j->out->is_folder ? hold_vector : NULL,
                             .vector = keep_vector,
                             .user = j};
    TRY(read_halves(j, &a.pairs, err));
    return by_layer_awq(c, &a, pool, j->out->made, err);
}

/* What was done before, and room for what is to be. */
static int begin(struct job *j, const char *folder, struct lathe_err *err)
{
    struct calibrated *out = j->out;
    uint64_t n = model_file_n_tensor(j->f);
    struct resume_told told = {
        .error = set_error, .count = add_count, .vector = set_vector, .order = set_order, .user = j};
    if (j->o->measure_output)
        out->output = mem_new((n + 1) * sizeof *out->output);
    if (j->o->method == LATHE_QUANTIZE_AWQ)
        out->vector = mem_new((n + 1) * sizeof *out->vector);
    if (j->o->act_order)
        out->order = mem_new((n + 1) * sizeof *out->order);
    if (j->o->method == LATHE_QUANTIZE_ROUND)
        out->importance = imatrix_new();
    else
        TRY(made_new(j->f, j->type, folder, out->work, &out->made, err));
    told.importance = out->importance;
    told.made = out->made;
    TRY(resume_layers(out->work, &told, &j->layers, err));
    j->n_noted = out->importance ? imatrix_n_tensor(out->importance) : 0;
    return 0;
}

static void say_resumed(const struct job *j)
{
    char words[100];
    snprintf(words, sizeof words, "resuming an earlier run: %d of %d layers are done", j->layers.n_done,
             j->layers.n_layer);
    if (j->o->note && j->layers.n_layer)
        j->o->note(j->o->user, words);
}

static void note_layer(void *user, struct calib *c, int layer)
{
    struct job *j = user;
    const struct calibrated *out = j->out;
    j->layers = (struct resume_layers){layer + 1, calib_model(c)->config.n_layer, calib_half(c), calib_ctx(c),
                                       calib_n_token(c)};
    if (out->importance) {
        resume_note_importance(out->work, out->importance, j->n_noted);
        j->n_noted = imatrix_n_tensor(out->importance);
    }
    resume_note_layer(out->work, out->made, &j->layers);
}

/* The layers that are not done yet. */
static int take_layers(struct job *j, const char *from, const char *folder, struct pool *pool,
                       struct lathe_err *err)
{
    const struct lathe_quantize_options *o = j->o;
    const struct calib_options co = {.text = o->calib_text,
                                     .n_text = o->n_calib_text,
                                     .n_ctx = o->calib_ctx > 0 ? o->calib_ctx : CALIB_CTX,
                                     .n_token = o->calib_tokens,
                                     .work = j->out->work,
                                     .first = j->layers.n_done,
                                     .half = j->layers.half,
                                     .layer_done = note_layer,
                                     .layer_user = j,
                                     .folder = folder,
                                     .memory_bytes = memory_bound(j->f),
                                     .progress = stages_progress,
                                     .user = &j->stages};
    struct calib *c;
    int rc;
    TRY(calibrate_check(j->f, j->type, err));
    TRY(calib_new(from, &co, pool, &c, err));
    j->layers.n_token = calib_n_token(c);
    j->layers.n_ctx = calib_ctx(c);
    if (o->method == LATHE_QUANTIZE_ROUND)
        rc = by_layer_importance(c, j->out->importance, err);
    else
        rc = (o->method == LATHE_QUANTIZE_GPTQ ? run_gptq : run_awq)(j, c, folder, pool, err);
    calib_free(c);
    return rc;
}

static int read_text(struct job *j, const char *from, const char *folder, struct pool *pool,
                     struct lathe_err *err)
{
    const struct lathe_quantize_options *o = j->o;
    struct calibrated *out = j->out;
    const struct resume_layers *at = &j->layers;
    TRY(begin(j, folder, err));
    say_resumed(j);
    if (!at->n_layer || at->n_done < at->n_layer)
        TRY(take_layers(j, from, folder, pool, err));
    j->report->n_calib = at->n_token;
    if (!out->importance)
        return 0;
    imatrix_done(out->importance);
    return o->save_imatrix
               ? imatrix_write(out->importance, o->save_imatrix, o->calib_name ? o->calib_name : "text",
                               (int)(at->n_token / at->n_ctx), at->n_ctx, err)
               : 0;
}

int calibrate_check_options(const struct lathe_quantize_options *o, struct lathe_err *err)
{
    if (o->method != LATHE_QUANTIZE_ROUND && !o->calib_text)
        return err_set(err, LATHE_E_USAGE, "method %s needs a calibration text (--calib)",
                       o->method == LATHE_QUANTIZE_GPTQ ? "gptq" : "awq");
    if (o->save_imatrix && (!o->calib_text || o->method != LATHE_QUANTIZE_ROUND))
        return err_set(err, LATHE_E_USAGE,
                       "an importance matrix is made of a calibration text by method round (--calib)");
    if (o->imatrix && o->calib_text)
        return err_set(err, LATHE_E_USAGE,
                       "importances come from a file or from a calibration text, not from both");
    return 0;
}

int calibrate(const struct lathe_quantize_options *o, const char *from, const char *to,
              const struct model_file *f, const struct format *const *type, struct pool *pool,
              struct calibrated *out, struct lathe_quantize_report *report, struct lathe_err *err)
{
    char folder[4100];
    struct job j = {.o = o, .f = f, .type = type, .out = out, .report = report, .stages = stages_of(o, f)};
    *out = (struct calibrated){.work = out->work, .is_folder = out->is_folder};
    new_file_folder(to, folder, sizeof folder);
    TRY(calibrate_check_options(o, err));
    if (o->imatrix)
        return imatrix_read(o->imatrix, &out->importance, err);
    return o->calib_text ? read_text(&j, from, folder, pool, err) : 0;
}

void calibrated_free(struct calibrated *c, uint64_t n_tensor)
{
    for (uint64_t i = 0; i < n_tensor; i++) {
        free(c->vector ? c->vector[i] : NULL);
        free(c->order ? c->order[i] : NULL);
    }
    free(c->vector);
    free(c->order);
    imatrix_free(c->importance);
    made_free(c->made);
    free(c->output);
    *c = (struct calibrated){0};
}
