/* Calibration before the file is written. */
#include "shape/calibrate.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "shape/bad_weight.h"

enum { CALIB_CTX = 512, CALIB_TOKENS = 65536 };

struct job {
    const struct lathe_quantize_options *o;
    const struct model_file *f;
    const struct format *const *type;
    struct calibrated *out;
    struct lathe_quantize_report *report;
};

static uint64_t index_of(const struct job *j, const char *tensor)
{
    const struct mf_tensor *t = model_file_tensor_find(j->f, tensor);
    return t ? (uint64_t)(t - model_file_tensor(j->f, 0)) : model_file_n_tensor(j->f);
}

static const struct format *type_of(void *user, const char *tensor)
{
    const struct job *j = user;
    uint64_t i = index_of(j, tensor);
    return i < model_file_n_tensor(j->f) ? j->type[i] : NULL;
}

static void keep_error(void *user, const char *tensor, double error, double plain)
{
    struct job *j = user;
    uint64_t i = index_of(j, tensor);
    if (i < model_file_n_tensor(j->f))
        j->out->output[i] = (struct output_error){error, plain};
}

static void count(void *user, double error, double plain)
{
    struct job *j = user;
    j->report->n_compared++;
    j->report->n_better += error < plain;
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

/* Whether the view has rotary halves that the writer makes pairs of. */
static int read_halves(const struct model_file *f, bool *out, struct lathe_err *err)
{
    struct str arch = STR("");
    char key[160];
    *out = false;
    TRY(mf_str(f, "general.architecture", &arch, NULL, err));
    snprintf(key, sizeof key, STR_FMT ".rope.halves", (int)(arch.n < 100 ? arch.n : 100), arch.p);
    return mf_bool(f, key, out, NULL, err);
}

/* Second moments may take what the weights of a fifth of the model do, or 64 MB. */
static uint64_t moments_room(const struct model_file *f)
{
    uint64_t all = 0, least = 64 << 20;
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        all += model_file_tensor(f, i)->n_bytes;
    return all / 5 > least ? all / 5 : least;
}

static int run_gptq(struct job *j, struct calib *c, const char *folder, struct pool *pool,
                    struct lathe_err *err)
{
    struct by_layer_gptq g = {.damping = j->o->damping > 0 ? j->o->damping : 0.01,
                              .memory_bytes = moments_room(j->f),
                              .compare = j->o->measure_output,
                              .type = type_of,
                              .done = keep_and_count,
                              .user = j};
    TRY(read_halves(j->f, &g.pairs, err));
    TRY(made_new(j->f, j->type, folder, &j->out->made, err));
    return by_layer_gptq(c, &g, pool, j->out->made, err);
}

static void keep_vector(void *user, const char *tensor, const float *v, int n)
{
    const struct job *j = user;
    uint64_t i = index_of(j, tensor);
    if (i >= model_file_n_tensor(j->f))
        return;
    j->out->vector[i] = mem_new((size_t)n * sizeof *v);
    memcpy(j->out->vector[i], v, (size_t)n * sizeof *v);
}

static int run_awq(struct job *j, struct calib *c, const char *folder, struct pool *pool,
                   struct lathe_err *err)
{
    struct by_layer_awq a = {.compare = j->o->measure_output,
                             .type = type_of,
                             .done = keep_error,
                             .input_done = count,
                             .vector = keep_vector,
                             .user = j};
    TRY(read_halves(j->f, &a.pairs, err));
    j->out->vector = mem_new((model_file_n_tensor(j->f) + 1) * sizeof *j->out->vector);
    TRY(made_new(j->f, j->type, folder, &j->out->made, err));
    return by_layer_awq(c, &a, pool, j->out->made, err);
}

static int read_text(struct job *j, const char *from, const char *folder, struct pool *pool,
                     struct lathe_err *err)
{
    const struct lathe_quantize_options *o = j->o;
    const struct calib_options co = {.text = o->calib_text,
                                     .n_text = o->n_calib_text,
                                     .n_ctx = o->calib_ctx > 0 ? o->calib_ctx : CALIB_CTX,
                                     .n_token = o->calib_tokens > 0 ? o->calib_tokens : CALIB_TOKENS,
                                     .folder = folder,
                                     .progress = o->progress,
                                     .user = o->user};
    struct calib *c;
    int rc;
    TRY(calibrate_check(j->f, j->type, err));
    TRY(calib_new(from, &co, pool, &c, err));
    j->report->n_calib = calib_n_token(c);
    if (o->measure_output)
        j->out->output = mem_new((model_file_n_tensor(j->f) + 1) * sizeof *j->out->output);
    if (o->method != LATHE_QUANTIZE_ROUND) {
        rc = (o->method == LATHE_QUANTIZE_GPTQ ? run_gptq : run_awq)(j, c, folder, pool, err);
    } else {
        j->out->importance = imatrix_new();
        rc = by_layer_importance(c, j->out->importance, err);
        if (!rc && o->save_imatrix)
            rc = imatrix_write(j->out->importance, o->save_imatrix, o->calib_name ? o->calib_name : "text",
                               (int)(calib_n_token(c) / calib_ctx(c)), calib_ctx(c), err);
    }
    calib_free(c);
    return rc;
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
    struct job j = {o, f, type, out, report};
    *out = (struct calibrated){0};
    new_file_folder(to, folder, sizeof folder);
    TRY(calibrate_check_options(o, err));
    if (o->imatrix)
        return imatrix_read(o->imatrix, &out->importance, err);
    return o->calib_text ? read_text(&j, from, folder, pool, err) : 0;
}

void calibrated_free(struct calibrated *c, uint64_t n_tensor)
{
    for (uint64_t i = 0; c->vector && i < n_tensor; i++)
        free(c->vector[i]);
    free(c->vector);
    imatrix_free(c->importance);
    made_free(c->made);
    free(c->output);
    *c = (struct calibrated){0};
}
