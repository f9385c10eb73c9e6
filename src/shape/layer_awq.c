/* AWQ over all layers. What scales of columns are folded into, so that nothing is computed for them later:
 *
 *     q, k, v    the norm in front of attention
 *     o          rows of v (those of heads that share a value are scaled alike)
 *     gate, up   the norm in front of the feed-forward
 *     down       rows of up, which the activation does not touch
 *
 * Inputs without such a place (behind a bias, of experts, of an encoder) are rounded with the importance of their columns alone. */
#include "shape/layer_awq.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/pool.h"
#include "kern/panel.h"
#include "quant/encode.h"
#include "shape/awq.h"
#include "shape/layer_inputs.h"
#include "shape/layer_swap.h"

enum { N_SAMPLE = 192, N_SAMPLE_EXPERT = 48 };

/* What was seen of one input, and the scales of its columns. */
struct seen {
    float *square, *sample, *col;
    int64_t n_row;
    int n_sample, most;
};

struct awq_walk {
    struct calib *c;
    const struct by_layer_awq *o;
    struct pool *pool;
    struct made *made;
    struct layer_input *inputs;
    struct seen *seen;
    int n_input, layer;
    double errors[2]; /* of the input at hand: with scales, by rounding alone */
    struct layer_swap swap;
    struct lathe_err *err;
};

/* ---- what is seen ---- */

static void seen_new(struct seen *s, const struct layer_input *in)
{
    *s = (struct seen){.most = in->expert < 0 ? N_SAMPLE : N_SAMPLE_EXPERT};
    s->square = mem_new((size_t)in->n_col * sizeof *s->square);
    s->col = mem_new((size_t)in->n_col * sizeof *s->col);
    s->sample = mem_new((size_t)s->most * (size_t)in->n_col * sizeof *s->sample);
    for (int i = 0; i < in->n_col; i++)
        s->col[i] = 1;
}

static void seen_free(struct seen *s)
{
    free(s->square);
    free(s->sample);
    free(s->col);
    *s = (struct seen){0};
}

static void add_seen(void *user, enum pass_product product, int expert, const float *x, int64_t stride,
                     int n_row, int n_col)
{
    struct awq_walk *a = user;
    int64_t step = calib_n_token(a->c) / N_SAMPLE;
    int i = layer_inputs_find(a->inputs, a->n_input, product, expert);
    if (i < 0)
        return;
    struct seen *s = &a->seen[i];
    for (int r = 0; r < n_row; r++, s->n_row++) {
        const float *row = x + r * stride;
        for (int k = 0; k < n_col; k++)
            s->square[k] += row[k] * row[k];
        if (s->n_sample < s->most && (expert >= 0 || step < 1 || s->n_row % step == 0))
            memcpy(s->sample + (int64_t)s->n_sample++ * n_col, row, (size_t)n_col * sizeof *row);
    }
}

static void finish_seen(struct awq_walk *a)
{
    for (int i = 0; i < a->n_input; i++)
        for (int k = 0; k < a->inputs[i].n_col && a->seen[i].n_row; k++)
            a->seen[i].square[k] /= (float)a->seen[i].n_row;
}

/* ---- scales ---- */

/* Whether the scales of the input's columns have a place to go to. */
static bool can_fold(const struct awq_walk *a, const struct layer_input *in)
{
    const struct lathe_model *m = calib_model(a->c);
    const struct model_layer *y = &m->layers[a->layer];
    for (int i = 0; i < in->n_w; i++)
        if (!layer_input_type(a->o->type, a->o->user, in->w[i]))
            return false;
    switch (in->product) {
    case PASS_QKV:
        return y->attn_norm != NULL && !m->config.encoder;
    case PASS_O:
        return !y->v.bias && layer_input_type(a->o->type, a->o->user, &y->v);
    case PASS_GATE_UP:
        return y->ffn_norm != NULL && !m->config.encoder;
    case PASS_DOWN:
        return !y->up.bias && !m->config.encoder && layer_input_type(a->o->type, a->o->user, &y->up);
    default:
        return false;
    }
}

/* For each column of o the row of v that it is multiplied with. */
static int *value_rows(const struct model_config *c)
{
    int n = c->n_head * c->head_dim, group = c->n_head / c->n_head_kv,
        *out = mem_new((size_t)n * sizeof *out);
    for (int i = 0; i < n; i++)
        out[i] = i / c->head_dim / group * c->head_dim + i % c->head_dim;
    return out;
}

static void find_scales(struct awq_walk *a, int i)
{
    const struct layer_input *in = &a->inputs[i];
    struct seen *s = &a->seen[i];
    const struct format *type[3];
    if (!can_fold(a, in))
        return;
    int *share = in->product == PASS_O ? value_rows(&calib_model(a->c)->config) : NULL;
    struct awq_input seen = {in->n_col, s->square, s->sample, s->n_sample, share};
    for (int k = 0; k < in->n_w; k++)
        type[k] = layer_input_type(a->o->type, a->o->user, in->w[k]);
    awq_search(&seen, in->w, type, in->n_w, a->pool, s->col);
    free(share);
}

/* What the rows of w are divided by: the scales of the columns that they feed. NULL: nothing. */
static float *row_scales(const struct awq_walk *a, const struct matrix *w)
{
    const struct lathe_model *m = calib_model(a->c);
    const struct model_layer *y = &m->layers[a->layer];
    enum pass_product feeds = w == &y->v ? PASS_O : PASS_DOWN;
    int i = layer_inputs_find(a->inputs, a->n_input, feeds, -1);
    if ((w != &y->v && w != &y->up) || i < 0)
        return NULL;
    float *row = mem_new((size_t)w->n_row * sizeof *row);
    int *share = w == &y->v ? value_rows(&m->config) : NULL;
    for (int k = 0; k < a->inputs[i].n_col; k++)
        row[share ? share[k] : k] = a->seen[i].col[k];
    free(share);
    return row;
}

/* ---- rounding ---- */

struct awq_job {
    const struct awq_walk *a;
    const struct matrix *w;
    const struct format *type;
    const struct seen *seen;
    const float *row;  /* NULL: ones */
    float *importance; /* [n_col], of scaled columns */
    uint8_t *rows, *panels;
    size_t row_bytes, panel_bytes;
    double (*errors)[3]; /* [panel]: error, by rounding alone, of the products themselves */
};

/* What is left of x[n][n_col] after rounding, as the unscaled weights feel it: e[n_col][16]. */
static void round_rows(const struct awq_job *j, const float *x, int n, int first, bool scaled, uint8_t *y,
                       float *e)
{
    int n_col = j->w->n_col;
    float *v = mem_new((size_t)n * (size_t)n_col * sizeof *v),
          *back = mem_new((size_t)n * (size_t)n_col * sizeof *v);
    for (int r = 0; r < n; r++) {
        float row = scaled && j->row ? j->row[first + r] : 1;
        for (int k = 0; k < n_col; k++)
            v[(int64_t)r * n_col + k] =
                scaled ? x[(int64_t)r * n_col + k] * j->seen->col[k] / row : x[(int64_t)r * n_col + k];
    }
    format_encode(j->type, v, scaled ? j->importance : NULL, y, n, n_col);
    j->type->decode(y, back, (int64_t)n * n_col);
    for (int r = 0; e && r < n; r++) {
        float row = scaled && j->row ? j->row[first + r] : 1;
        for (int k = 0; k < n_col; k++)
            e[k * LANES + r] = (v[(int64_t)r * n_col + k] - back[(int64_t)r * n_col + k]) * row /
                               (scaled ? j->seen->col[k] : 1);
    }
    free(v);
    free(back);
}

static void compare(const struct awq_job *j, const float *x, int n, int panel, float *e, uint8_t *room)
{
    int n_col = j->w->n_col;
    struct awq_input in = {n_col, j->seen->square, j->seen->sample, j->seen->n_sample, NULL};
    j->errors[panel][0] = awq_error(&in, e);
    round_rows(j, x, n, panel * LANES, false, room, e);
    j->errors[panel][1] = awq_error(&in, e);
    for (int r = 0; r < n; r++)
        for (int k = 0; k < n_col; k++)
            e[k * LANES + r] = x[(int64_t)r * n_col + k];
    j->errors[panel][2] = awq_error(&in, e);
}

static void round_panel(const struct pool_op *op, int panel, int worker)
{
    const struct awq_job *j = op->arg;
    int first = panel * LANES, n = j->w->n_row - first < LANES ? j->w->n_row - first : LANES,
        n_col = j->w->n_col;
    float *x = mem_new((size_t)n * (size_t)n_col * sizeof *x);
    float *e = j->a->o->compare ? mem_new((size_t)n_col * LANES * sizeof *e) : NULL;
    uint8_t *rows = mem_new((size_t)n * j->row_bytes), *room = mem_new((size_t)n * j->row_bytes);
    matrix_rows_f32(j->w, first, n, x);
    round_rows(j, x, n, first, true, rows, e);
    if (e)
        compare(j, x, n, panel, e, room);
    panel_pack((enum format_id)j->type->id, rows, j->row_bytes, n, n_col,
               j->panels + (size_t)panel * j->panel_bytes);
    for (int r = 0; r < n; r++)
        memcpy(j->rows + (size_t)layer_input_written_row(j->w, j->a->o->pairs, first + r) * j->row_bytes,
               rows + (size_t)r * j->row_bytes, j->row_bytes);
    free(room);
    free(rows);
    free(e);
    free(x);
}

static void tell(struct awq_walk *a, const struct awq_job *j, const char *name)
{
    double sum[3] = {0};
    for (int i = 0; i < j->w->n_panel; i++)
        for (int k = 0; k < 3; k++)
            sum[k] += j->errors[i][k];
    a->errors[0] += sum[0];
    a->errors[1] += sum[1];
    if (a->o->compare && sum[2] > 0)
        a->o->done(a->o->user, name, sum[0] / sum[2], sum[1] / sum[2]);
}

static int round_matrix(struct awq_walk *a, struct matrix *w, const struct format *type, const struct seen *s)
{
    int n_mat, k;
    const char *name = layer_input_tensor(w, &n_mat, &k);
    struct awq_job j = {.a = a, .w = w, .type = type, .seen = s};
    float *row = row_scales(a, w);
    j.row = row;
    j.rows = made_rows(a->made, name, matrix_first_row(w), &j.row_bytes);
    j.panel_bytes = panel_bytes((enum format_id)type->id, w->n_col);
    int rc = layer_swap_room(&a->swap, w, type, &j.panels, a->err);
    if (!rc) {
        j.errors = mem_new((size_t)w->n_panel * sizeof *j.errors);
        j.importance = mem_new((size_t)w->n_col * sizeof *j.importance);
        for (int i = 0; i < w->n_col; i++)
            j.importance[i] = s->square[i] / (s->col[i] * s->col[i]);
        struct pool_op op = {
            .run = round_panel, .arg = &j, .n_piece = w->n_panel, .layer = -1, .name = "awq"};
        pool_run(a->pool, &op, 1);
        pool_settle(a->pool);
        made_done(a->made, name, w->n_row);
        tell(a, &j, name);
        rc = layer_swap_matrix(&a->swap, w, type, a->err);
    }
    free(j.errors);
    free(j.importance);
    free(row);
    return rc;
}

static int round_input(struct awq_walk *a, int i)
{
    const struct layer_input *in = &a->inputs[i];
    bool any = false;
    a->errors[0] = a->errors[1] = 0;
    for (int k = 0; k < in->n_w; k++) {
        const struct format *type = layer_input_type(a->o->type, a->o->user, in->w[k]);
        if (type)
            TRY(round_matrix(a, in->w[k], type, &a->seen[i]));
        any |= type != NULL;
    }
    if (a->o->compare && any)
        a->o->input_done(a->o->user, a->errors[0], a->errors[1]);
    return 0;
}

/* ---- layers ---- */

/* The scale that a norm's element took over: the file may hold it to few digits, and columns have to make up for exactly that. One
 * that it cannot hold, or far from what it should be, stays as it was. */
static float held_scale(float *now, float was, float wanted)
{
    float scale = *now != 0 ? was / *now : 0;
    if (scale == wanted || (scale > 0.5f * wanted && scale < 2 * wanted))
        return scale;
    *now = was;
    return 1;
}

static void fold_into_norm(struct awq_walk *a, enum pass_product product, const float **norm,
                           const char *name)
{
    char tensor[64];
    int i = layer_inputs_find(a->inputs, a->n_input, product, -1);
    if (i < 0 || !can_fold(a, &a->inputs[i]))
        return;
    int n = a->inputs[i].n_col;
    float *now = mem_new((size_t)(n + LANES) * sizeof *now), *col = a->seen[i].col;
    for (int k = 0; k < n; k++)
        now[k] = (*norm)[k] / col[k];
    snprintf(tensor, sizeof tensor, "blk.%d.%s.weight", a->layer, name);
    if (a->o->hold) {
        a->o->hold(a->o->user, tensor, now);
        for (int k = 0; k < n; k++)
            col[k] = held_scale(&now[k], (*norm)[k], col[k]);
    }
    a->o->vector(a->o->user, tensor, now, n);
    layer_swap_vector(&a->swap, norm, now);
}

static int round_layer(struct awq_walk *a)
{
    struct lathe_model *m = calib_model(a->c);
    struct model_layer *y = &m->layers[a->layer];
    TRY(calib_layer(a->c, a->layer, false, add_seen, a, a->err));
    finish_seen(a);
    for (int i = 0; i < a->n_input; i++)
        find_scales(a, i);
    fold_into_norm(a, PASS_QKV, &y->attn_norm, "attn_norm");
    fold_into_norm(a, PASS_GATE_UP, &y->ffn_norm, "ffn_norm");
    for (int i = 0; i < a->n_input; i++)
        TRY(round_input(a, i));
    if (a->layer + 1 == m->config.n_layer)
        return 0;
    layer_swap_apply(&a->swap);
    pass_layer_changed(calib_pass(a->c), a->layer);
    return calib_layer(a->c, a->layer, true, NULL, NULL, a->err);
}

int by_layer_awq(struct calib *c, const struct by_layer_awq *o, struct pool *pool, struct made *made,
                 struct lathe_err *err)
{
    struct lathe_model *m = calib_model(c);
    size_t most = (size_t)layer_inputs_most(m);
    struct awq_walk a = {.c = c, .o = o, .pool = pool, .made = made, .err = err};
    int rc = 0;
    a.inputs = mem_new(most * sizeof *a.inputs);
    a.seen = mem_new(most * sizeof *a.seen);
    layer_swap_init(&a.swap, m, 3 * (int)most, o->folder);
    for (a.layer = calib_first(c); a.layer < m->config.n_layer && !rc; a.layer++) {
        calib_progress(c, "scaling and rounding", (double)a.layer / m->config.n_layer);
        a.n_input = layer_inputs(m, a.layer, a.inputs);
        for (int i = 0; i < a.n_input; i++)
            seen_new(&a.seen[i], &a.inputs[i]);
        rc = round_layer(&a);
        if (!rc)
            rc = calib_layer_done(c, a.layer, err);
        for (int i = 0; i < a.n_input; i++)
            seen_free(&a.seen[i]);
        layer_swap_back(&a.swap);
        pass_layer_changed(calib_pass(c), a.layer);
    }
    free(a.inputs);
    free(a.seen);
    layer_swap_free(&a.swap);
    return rc;
}
