/* lathe_quantize: the walk over the tensors, and the account of what rounding cost each.
 *
 * Rows are encoded by the writer's threads, in any order. Each leaves its sums in a place of its own, and they are added up in
 * the order of rows when the tensor is done, so that the account does not depend on the number of threads either. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/cpu.h"
#include "base/mem.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "format/gguf_write.h"
#include "quant/encode.h"
#include "shape/bad_weight.h"
#include "shape/calibrate.h"
#include "shape/mixed.h"
#include "shape/quantize_folder.h"
#include "shape/resume.h"
#include "shape/stages.h"
#include "shape/text_pieces.h"

/* Of one row: sums of squares; bad: the first column that is no number, + 1. */
struct row_sums {
    double error, value;
    int64_t bad;
};

struct quantize {
    const struct lathe_quantize_options *o;
    const struct model_file *f;
    struct mix_model mix;
    const struct format **type, **wanted; /* of each tensor; NULL: stays as it is */
    struct row_sums *rows;                /* of the tensor that is written: dim[2] matrices of dim[1] */
    struct calibrated calibrated;
    struct stages stages;
    struct lathe_quantize_report *report;
    struct lathe_quantized *done; /* of each tensor, told when the file is there */
    double error, value, worst;
};

static double square(double x)
{
    return x * x;
}

static void measure_row(const struct gguf_rows *r, int64_t i, float *back, struct row_sums *sums)
{
    const float *x = r->x + i * r->n_col;
    size_t bytes = (size_t)(r->n_col / r->type->block_n) * (size_t)r->type->block_bytes;
    r->type->decode((const uint8_t *)r->y + (size_t)i * bytes, back, r->n_col);
    for (int64_t c = 0; c < r->n_col; c++) {
        sums->error += square((double)x[c] - (double)back[c]);
        sums->value += square((double)x[c]);
        if (!isfinite(x[c]) && !sums->bad)
            sums->bad = c + 1;
    }
}

static void encode(void *user, const struct gguf_rows *r)
{
    const struct quantize *q = user;
    const struct mf_tensor *t = model_file_tensor(q->f, r->i);
    struct row_sums *sums = q->rows + r->k * t->dim[1] + r->first;
    float *back = mem_new((size_t)r->n_col * sizeof *back);
    const struct calibrated *c = &q->calibrated;
    const uint8_t *made = c->made ? made_find(c->made, r->i, (int64_t)(r->k * t->dim[1] + r->first)) : NULL;
    if (made)
        memcpy(r->y, made,
               (size_t)r->n_row * (size_t)(r->n_col / r->type->block_n) * (size_t)r->type->block_bytes);
    else
        format_encode(r->type, r->x,
                      c->importance ? imatrix_find(c->importance, t->name, (int)r->k, (int)r->n_col) : NULL,
                      r->y, r->n_row, r->n_col);
    for (int64_t i = 0; i < r->n_row && !(made && c->vector);
         i++) /* scaled ones are no longer the model's weights */
        measure_row(r, i, back, &sums[i]);
    free(back);
}

static const struct format *choose(void *user, uint64_t i, const struct format *from)
{
    const struct quantize *q = user;
    return q->type[i] ? q->type[i] : from;
}

/* Scaled ones are not the model's any more, whatever their type. */
static bool is_remade(void *user, uint64_t i)
{
    const struct quantize *q = user;
    const struct calibrated *c = &q->calibrated;
    return c->vector && c->made && made_find(c->made, i, 0);
}

static const float *vector_of(void *user, uint64_t i)
{
    const struct quantize *q = user;
    return q->calibrated.vector ? q->calibrated.vector[i] : NULL;
}

static void choose_types(struct quantize *q)
{
    for (uint64_t i = 0; i < model_file_n_tensor(q->f); i++) {
        const struct mf_tensor *t = model_file_tensor(q->f, i);
        q->type[i] = gguf_stays_f32(t) ? NULL : mix_type(&q->mix, t, &q->wanted[i]);
    }
}

/* ---- the account ---- */

static int bad_number(const struct quantize *q, const struct mf_tensor *t, struct lathe_err *err)
{
    for (uint64_t r = 0; r < t->dim[1] * t->dim[2]; r++)
        if (q->rows[r].bad)
            return bad_weight(t->name, r, (uint64_t)(q->rows[r].bad - 1), err);
    return 0;
}

/* Sums of squares of the tensor: of what was rounded away, and of itself. */
static void account(void *user, uint64_t i, double error, double value)
{
    struct quantize *q = user;
    const struct mf_tensor *t = model_file_tensor(q->f, i);
    const struct format *from = format_by_id(t->type), *to = q->type[i];
    uint64_t n = t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
    struct lathe_quantized now = {.name = t->name, .from = from ? from->name : "unknown", .n_weight = n};
    now.to = to ? to->name : format_is_float(t->type) ? "F32" : now.from;
    now.instead_of = to && to != q->wanted[i] ? q->wanted[i]->name : NULL;
    now.n_bytes = to ? n / (uint64_t)to->block_n * (uint64_t)to->block_bytes : t->n_bytes;
    now.error = value > 0 ? sqrt(error / value) : 0;
    if (q->calibrated.output) {
        now.output_error = q->calibrated.output[i].error;
        now.output_plain = q->calibrated.output[i].plain;
    }
    struct lathe_quantize_report *s = q->report;
    q->done[s->n_tensor++] = now;
    s->n_weight += n;
    s->n_fallback += now.instead_of != NULL;
    q->error += error;
    q->value += value;
    if (to && now.error > q->worst) {
        q->worst = now.error;
        snprintf(s->worst, sizeof s->worst, "%s", t->name);
    }
}

static void begin_account(struct quantize *q)
{
    struct lathe_quantize_report *s = q->report;
    s->n_tensor = s->n_weight = s->n_fallback = s->n_compared = s->n_better = 0;
    s->worst[0] = 0;
    q->error = q->value = q->worst = 0;
}

static void end_account(struct quantize *q)
{
    struct lathe_quantize_report *s = q->report;
    s->error = q->value > 0 ? sqrt(q->error / q->value) : 0;
    s->worst_error = q->worst;
    for (uint64_t i = 0; i < s->n_tensor && q->o->tensor; i++)
        q->o->tensor(q->o->user, &q->done[i]);
}

static int tensor_done(void *user, uint64_t i, uint64_t first, uint64_t end, struct lathe_err *err)
{
    struct quantize *q = user;
    const struct mf_tensor *t = model_file_tensor(q->f, i);
    uint64_t n_row = t->dim[1] * t->dim[2];
    double error = 0, value = 0;
    TRY(bad_number(q, t, err));
    for (uint64_t r = 0; r < n_row; r++) {
        error += q->rows[r].error;
        value += q->rows[r].value;
    }
    memset(q->rows, 0, n_row * sizeof *q->rows);
    account(q, i, error, value);
    return resume_note_tensor(q->calibrated.work, i, first, end, error, value, err);
}

/* ---- before and after ---- */

static int most_rows(const struct model_file *f, struct row_sums **out, struct lathe_err *err)
{
    uint64_t most = 1, n = 0;
    void *p;
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        if (mem_mul(t->dim[1], t->dim[2], &n) && n > most)
            most = n;
    }
    TRY(mem_try(most, sizeof **out, "sums of a tensor's rows", &p, err));
    *out = p;
    return 0;
}

static int check_paths(const struct model_file *f, const char *to, struct lathe_err *err)
{
    struct stat st;
    struct mf_identity id;
    for (int i = 0; stat(to, &st) == 0 && model_file_identity(f, i, &id); i++)
        if (id.device == (uint64_t)st.st_dev && id.inode == (uint64_t)st.st_ino)
            return err_set(err, LATHE_E_USAGE,
                           "%.200s is the model itself, which would be lost: name another file to write", to);
    return 0;
}

/* A quantized input loses a second time: said once, with its commonest type. */
static void warn_of_input(const struct quantize *q)
{
    uint64_t sum[FORMAT_END] = {0}, most = 0;
    const struct format *type = NULL;
    char words[200];
    for (uint64_t i = 0; i < model_file_n_tensor(q->f); i++) {
        const struct mf_tensor *t = model_file_tensor(q->f, i);
        const struct format *f = format_by_id(t->type);
        if (f && f->block_n > 1 && (sum[f->id] += t->n_bytes) > most) {
            most = sum[f->id];
            type = f;
        }
    }
    if (!type || !q->o->note)
        return;
    snprintf(words, sizeof words,
             "the model is quantized already (%s): its rounding stays, and this one is added; a file in F16, "
             "BF16 or F32 gives a better one",
             type->name);
    q->o->note(q->o->user, words);
}

static void progress(void *user, const char *what, double share)
{
    struct quantize *q = user;
    stages_progress(&q->stages, what, share);
}

static void say_resumed(const struct quantize *q, uint64_t n_done)
{
    char words[120];
    snprintf(words, sizeof words, "resuming an earlier run: %" PRIu64 " of %" PRIu64 " tensors are written",
             n_done, model_file_n_tensor(q->f));
    if (n_done && q->o->note)
        q->o->note(q->o->user, words);
}

static int write_file(struct quantize *q, struct pool *pool, const char *to, struct lathe_err *err)
{
    struct gguf_write w = {.choose = choose,
                           .file_type = mix_file_type(q->mix.mix),
                           .encode = encode,
                           .remade = is_remade,
                           .vector = vector_of,
                           .tensor_done = tensor_done,
                           .progress = progress,
                           .user = q,
                           .pool = pool,
                           .begun = work_path(q->calibrated.work, WORK_OUT)};
    struct stat st;
    TRY(resume_tensors(q->calibrated.work, account, q, &w.n_done, err));
    say_resumed(q, w.n_done);
    TRY(gguf_write(q->f, &w, to, err));
    if (stat(to, &st) == 0)
        q->report->bytes_after = (uint64_t)st.st_size;
    return 0;
}

/* What an earlier run left is taken up if it is of this one. */
static int open_work(struct quantize *q, const struct lathe_quantize_options *o, const char *to,
                     struct work **out, struct lathe_err *err)
{
    return resume_open(o, q->f, q->type, q->mix.mix ? mix_file_type(q->mix.mix) : 0, to, out, err);
}

static int make_file(struct quantize *q, struct pool *pool, const struct lathe_quantize_options *o,
                     const char *from, const char *to, struct lathe_err *err)
{
    bool known = q->calibrated.importance != NULL; /* the same, whatever the types */
    begin_account(q);
    if (!known)
        calibrated_free(&q->calibrated, model_file_n_tensor(q->f));
    int rc = open_work(q, o, to, &q->calibrated.work, err);
    if (!rc && !known)
        rc = calibrate(o, from, to, q->f, q->type, pool, &q->calibrated, q->report, err);
    if (!rc)
        rc = write_file(q, pool, to, err);
    work_end(q->calibrated.work, rc);
    q->calibrated.work = NULL;
    return rc;
}

/* Makes the file in the folder of the work until it is as the target would have it. */
static int reach_target(struct quantize *q, struct mixed *m, struct work *w, struct pool *pool,
                        const char *from, const char *to, struct lathe_err *err)
{
    struct lathe_quantize_options o = *q->o;
    bool again = true;
    o.calib_text = mixed_text(m).p;
    o.n_calib_text = mixed_text(m).n;
    while (again) {
        TRY(mixed_choose(m, q->type, q->wanted, &q->mix.mix, q->report, err));
        if (!mixed_knows(m))
            TRY(make_file(q, pool, &o, from, work_beside(w), err));
        TRY(mixed_judge(m, work_beside(w), &again, q->report, err));
    }
    return new_file_move(work_beside(w), to, err);
}

static int make_mixed(struct quantize *q, struct pool *pool, const char *from, const char *to,
                      struct lathe_err *err)
{
    struct work *w;
    struct mixed *m = NULL;
    TRY(open_work(q, q->o, to, &w, err));
    int rc = mixed_new(q->o, from, to, q->f, &q->mix, w, pool, &m, err);
    if (!rc)
        rc = reach_target(q, m, w, pool, from, to, err);
    mixed_free(m);
    work_end(w, rc);
    return rc;
}

static int make(struct quantize *q, struct pool *pool, const char *from, const char *to,
                struct lathe_err *err)
{
    if (mixed_is(q->o))
        return make_mixed(q, pool, from, to, err);
    choose_types(q);
    return make_file(q, pool, q->o, from, to, err);
}

static int run(struct quantize *q, const char *from, const char *to, struct lathe_err *err)
{
    struct pool *pool;
    struct mf_identity id;
    uint64_t n = model_file_n_tensor(q->f);
    TRY(check_paths(q->f, to, err));
    TRY(mix_read(&q->mix, q->f, err));
    TRY(most_rows(q->f, &q->rows, err));
    for (int i = 0; model_file_identity(q->f, i, &id); i++)
        q->report->bytes_before += id.size;
    q->type = mem_new((n + 1) * sizeof *q->type);
    q->wanted = mem_new((n + 1) * sizeof *q->wanted);
    q->done = mem_new((n + 1) * sizeof *q->done);
    q->stages = stages_of(q->o, q->f);
    warn_of_input(q);
    TRY(pool_new(q->o->n_thread > 0 ? q->o->n_thread : cpu_count(), &pool, err));
    int rc = make(q, pool, from, to, err);
    pool_free(pool);
    if (!rc)
        end_account(q);
    return rc;
}

static int quantize_any(const char *from, const char *to, const struct lathe_quantize_options *opts,
                        struct lathe_quantize_report *report, struct lathe_err *err)
{
    struct lathe_quantize_report own = {0};
    struct quantize q = {.o = opts,
                         .report = report ? report : &own,
                         .mix = {.pure = opts->pure,
                                 .own = opts->tensor_types,
                                 .weighted = opts->calib_text || opts->imatrix}};
    struct model_file *f;
    char note[400];
    *q.report = (struct lathe_quantize_report){0};
    if (opts->types && !mixed_is(opts))
        return err_set(err, LATHE_E_USAGE, "types to choose from (%.40s) are for a target: name one",
                       opts->types);
    if (!mixed_is(opts) && quantize_folder_is(opts->type))
        return quantize_folder(from, to, opts, q.report, err);
    if (!mixed_is(opts))
        TRY(mix_find(opts->type ? opts->type : "", &q.mix.mix, err));
    TRY(gguf_write_open(from, &f, note, err));
    q.f = f;
    if (model_file_left_out(f) && opts->left_out)
        opts->left_out(opts->user, model_file_left_out(f));
    int rc = run(&q, from, to, err);
    if (!rc && note[0] && opts->note)
        opts->note(opts->user, note);
    calibrated_free(&q.calibrated, model_file_n_tensor(f));
    free(q.type);
    free(q.wanted);
    free(q.done);
    free(q.rows);
    model_file_free(f);
    return rc;
}

/* For all the tokens, in pieces of several chunks; the rest of a text is not looked at. A token is rarely more than a few bytes. */
static struct text_need calib_need(const struct lathe_quantize_options *o)
{
    enum { TOKEN_BYTES = 16, LEAST_BYTES = 1 << 20 };
    const size_t most = SIZE_MAX / 4 / TOKEN_BYTES, ctx = o->calib_ctx > 0 ? (size_t)o->calib_ctx : CALIB_CTX,
                 n = (uint64_t)o->calib_tokens < most ? (size_t)o->calib_tokens : most;
    return (struct text_need){LEAST_BYTES + TOKEN_BYTES * n, TOKEN_BYTES * ctx};
}

static int check_text(const struct lathe_quantize_options *o, struct lathe_err *err)
{
    return o->calib_text && o->calib_file
               ? err_set(err, LATHE_E_USAGE, "a calibration text and a file of one (%.200s): give one",
                         o->calib_file)
               : 0;
}

int lathe_quantize(const char *from, const char *to, const struct lathe_quantize_options *opts,
                   struct lathe_quantize_report *report, struct lathe_err *err)
{
    struct lathe_quantize_options o = *opts;
    char *text = NULL;
    o.calib_tokens = o.calib_tokens > 0 ? o.calib_tokens : CALIB_TOKENS;
    TRY(check_text(&o, err));
    if (o.calib_text || o.calib_file) {
        const struct text_source source = {o.calib_text, o.n_calib_text, o.calib_file};
        const struct text_need need = calib_need(&o);
        TRY(text_read(&source, &need, &text, &o.n_calib_text, err));
        o.calib_text = text ? text : o.calib_text;
    }
    int rc = quantize_any(from, to, &o, report, err);
    free(text);
    return rc;
}
