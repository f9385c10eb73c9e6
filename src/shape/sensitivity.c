/* The divergence of a model's answers from its own grows with the error of one of its matrices as a square does, and those of several
 * matrices add up, as long as all are small (Dong et al. 2019, HAWQ; Frantar and Alistarh 2022, SPDY, section 3). So one measurement for
 * each matrix says what every type costs in it, as far as the errors of types are known.
 *
 * The noise is larger than rounding would be, since activations of 8 bits are noise themselves: whatever changes in a layer, their
 * roundings fall otherwise from there on. What that does is measured for each layer (a matrix in 8 bits, without noise) and taken off.
 *
 * The text is computed once up to a layer, and from there for each of its matrices. */
#include "shape/sensitivity.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "kern/panel.h"
#include "quant/encode.h"
#include "shape/answers.h"
#include "shape/layer_inputs.h"
#include "shape/layer_swap.h"

/* Of the weights. SmolLM2-135M: the divergence over the error is the same from an eighth to a half, within a few percent, while the
 * divergence is below a tenth. */
#define NOISE_MOST 0.5f
#define NOISE_LEAST 0.03f
#define DIVERGENCE_MOST 0.1
/* The share of the floor that is the least to be told from it. */
#define FLOOR_NOISE 0.02

struct walk {
    const struct sensitivity_options *o;
    struct calib *c;
    struct pool *pool;
    struct answers *answers;
    struct sensitivity *v;
    struct imatrix *importance;
    struct layer_input *inputs;
    int n_input;
    struct layer_swap swap;
    double floor; /* divergence without noise; below 0: not measured in this layer */
    int n_done, n_wanted;
    struct lathe_err *err;
};

/* ---- importances ---- */

static void add_importance(void *user, enum pass_product product, int expert, const float *x, int64_t stride,
                           int n_row, int n_col)
{
    struct walk *a = user;
    layer_inputs_importance(a->inputs, a->n_input, a->importance, product, expert, x, stride, n_row, n_col);
}

/* ---- a matrix with noise ---- */

struct noisy {
    const struct matrix *w;
    const struct format *type;
    const struct noise *noise;
    const float *importance;
    int64_t first_row; /* of its tensor */
    uint8_t *panels;
    size_t panel_bytes, row_bytes;
    struct {
        double error, value;
    } * sums; /* of each panel */
};

static void noisy_panel(const struct pool_op *op, int panel, int worker)
{
    const struct noisy *j = op->arg;
    int first = panel * LANES, n_col = j->w->n_col,
        n = j->w->n_row - first < LANES ? j->w->n_row - first : LANES;
    float *x = mem_new(((size_t)n + 1) * (size_t)n_col * sizeof *x), *was = x + (size_t)n * (size_t)n_col;
    uint8_t *rows = mem_new((size_t)n * j->row_bytes);
    matrix_rows_f32(j->w, first, n, x);
    for (int r = 0; r < n; r++) {
        float *now = x + (size_t)r * (size_t)n_col;
        memcpy(was, now, (size_t)n_col * sizeof *x);
        noise_add(j->noise, j->first_row + first + r, now, n_col);
        for (int c = 0; c < n_col; c++) {
            double h = j->importance ? (double)j->importance[c] : 1, d = (double)now[c] - (double)was[c];
            j->sums[panel].error += h * d * d;
            j->sums[panel].value += h * (double)was[c] * (double)was[c];
        }
    }
    format_encode(j->type, x, NULL, rows, n, n_col);
    panel_pack((enum format_id)j->type->id, rows, j->row_bytes, n, n_col,
               j->panels + (size_t)panel * j->panel_bytes);
    free(rows);
    free(x);
}

static int put_noise(struct walk *a, struct matrix *w, const struct noise *noise, double *error,
                     double *value)
{
    int n_mat, k;
    const char *name = layer_input_tensor(w, &n_mat, &k);
    struct noisy j = {.w = w,
                      .type = format_by_id(FORMAT_Q8_0),
                      .noise = noise,
                      .importance = imatrix_find(a->importance, name, k, w->n_col),
                      .first_row = matrix_first_row(w)};
    j.row_bytes = (size_t)(w->n_col / j.type->block_n) * (size_t)j.type->block_bytes;
    j.panel_bytes = panel_bytes((enum format_id)j.type->id, w->n_col);
    TRY(layer_swap_room(&a->swap, w, j.type, &j.panels, a->err));
    j.sums = mem_new((size_t)w->n_panel * sizeof *j.sums);
    struct pool_op op = {.run = noisy_panel, .arg = &j, .n_piece = w->n_panel, .layer = -1, .name = "noise"};
    pool_run(a->pool, &op, 1);
    pool_settle(a->pool);
    for (int i = 0; i < w->n_panel; i++) {
        *error += j.sums[i].error;
        *value += j.sums[i].value;
    }
    free(j.sums);
    return layer_swap_matrix(&a->swap, w, j.type, a->err);
}

/* Noise on all matrices of a tensor that are in the layer. */
static int try_noise(struct walk *a, int layer, const struct mf_tensor *t, float size,
                     struct sensitivity *out)
{
    struct noise noise = {.seed = model_file_tensor_index(a->o->f, t->name), .size = size};
    double error = 0, value = 0;
    int rc = 0;
    for (int i = 0; i < a->n_input && !rc; i++)
        for (int k = 0; k < a->inputs[i].n_w && !rc; k++)
            if (a->inputs[i].w[k]->tensor == t)
                rc = put_noise(a, a->inputs[i].w[k], &noise, &error, &value);
    layer_swap_apply(&a->swap);
    pass_layer_changed(calib_pass(a->c), layer);
    if (!rc)
        rc = answers_divergence(a->answers, layer, NULL, NULL, &out->divergence, a->err);
    layer_swap_back(&a->swap);
    pass_layer_changed(calib_pass(a->c), layer);
    out->error = value > 0 ? error / value : 0;
    return rc;
}

/* ---- the walk ---- */

/* Half the noise while the divergence is too large to grow as a square does. */
static bool too_much(const struct sensitivity *s, float *size)
{
    if (s->divergence <= DIVERGENCE_MOST || *size / 2 < NOISE_LEAST)
        return false;
    *size /= 2;
    return true;
}

static void take_off_floor(const struct walk *a, struct sensitivity *s)
{
    double least = FLOOR_NOISE * a->floor, over = s->divergence - a->floor;
    s->divergence = over > least ? over : least;
}

static void show_progress(struct walk *a)
{
    calib_progress(a->c, "measuring", (double)a->n_done++ / (a->n_wanted + 1));
}

static int note(const struct walk *a, uint64_t i)
{
    return a->o->measured(a->o->user, i, &a->v[i], a->err);
}

static int measure_tensor(struct walk *a, int layer, const struct mf_tensor *t)
{
    struct sensitivity *s = &a->v[model_file_tensor_index(a->o->f, t->name)];
    float size = NOISE_MOST;
    show_progress(a);
    if (a->floor < 0) {
        TRY(try_noise(a, layer, t, 0, s));
        a->floor = s->divergence;
    }
    do
        TRY(try_noise(a, layer, t, size, s));
    while (too_much(s, &size));
    take_off_floor(a, s);
    s->floor = a->floor;
    return note(a, (uint64_t)(s - a->v));
}

/* A tensor of which rows are looked up, or the output head, or both. */
static int measure_outer(struct walk *a, const struct mf_tensor *t, bool embedding, bool head)
{
    uint64_t i = model_file_tensor_index(a->o->f, t->name);
    float size = NOISE_MOST;
    if (i == model_file_n_tensor(a->o->f) || !a->o->wanted[i] || a->v[i].error > 0)
        return 0;
    show_progress(a);
    do {
        struct noise noise = {.seed = i, .size = size};
        TRY(answers_divergence(a->answers, 0, embedding ? &noise : NULL, head ? &noise : NULL,
                               &a->v[i].divergence, a->err));
        a->v[i].error = (double)size * (double)size;
    } while (too_much(&a->v[i], &size));
    return note(a, i);
}

/* Each tensor once, though several matrices of the layer may be in it. */
static int measure_layer(struct walk *a, int layer)
{
    a->n_input = layer_inputs(calib_model(a->c), layer, a->inputs);
    a->floor = -1;
    TRY(calib_layer(a->c, layer, false, add_importance, a, a->err));
    imatrix_done(a->importance);
    for (int i = 0; i < a->n_input; i++)
        for (int k = 0; k < a->inputs[i].n_w; k++) {
            const struct mf_tensor *t = a->inputs[i].w[k]->tensor;
            uint64_t at = model_file_tensor_index(a->o->f, t->name);
            if (at >= model_file_n_tensor(a->o->f) || !a->o->wanted[at])
                continue;
            if (a->v[at].error == 0)
                TRY(measure_tensor(a, layer, t));
            else
                a->floor = a->v[at].floor; /* measured before */
        }
    return calib_layer(a->c, layer, true, NULL, NULL, a->err);
}

static int measure_all(struct walk *a)
{
    struct lathe_model *m = calib_model(a->c);
    size_t most = (size_t)layer_inputs_most(m);
    int rc = measure_outer(a, m->embd.tensor, true, m->tied);
    if (!rc && !m->tied)
        rc = measure_outer(a, m->head->tensor, false, true);
    a->inputs = mem_new(most * sizeof *a->inputs);
    layer_swap_init(&a->swap, m, 3 * (int)most, a->o->calib->folder);
    for (int i = 0; i < m->config.n_layer && !rc; i++)
        rc = measure_layer(a, i);
    layer_swap_free(&a->swap);
    free(a->inputs);
    return rc;
}

int sensitivity_measure(const char *path, const struct sensitivity_options *o, struct pool *pool,
                        struct sensitivity *v, struct imatrix *importance, struct lathe_err *err)
{
    struct walk a = {.o = o, .pool = pool, .v = v, .importance = importance, .err = err};
    struct calib_options co = *o->calib;
    co.has_logits = true;
    for (uint64_t i = 0; i < model_file_n_tensor(o->f); i++)
        a.n_wanted += o->wanted[i];
    TRY(calib_new(path, &co, pool, &a.c, err));
    int rc = answers_new(a.c, pool, &a.answers, err);
    if (!rc)
        rc = measure_all(&a);
    answers_free(a.answers);
    calib_free(a.c);
    return rc;
}
