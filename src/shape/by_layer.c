/* The walk over the layers. Of each: the text goes through it as it is, while the second moments of its inputs are summed; its
 * matrices are rounded; the text goes through it again, rounded, and on. Where the moments of all inputs are more than the memory
 * that is allowed, they are summed in several rounds; those of one input that are more by themselves lie in a file (hessian.h). */
#include "shape/by_layer.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "kern/panel.h"
#include "shape/gptq.h"
#include "shape/layer_inputs.h"
#include "shape/layer_swap.h"

/* Least size of a window of second moments: pages that the system can take back; the smaller, the oftener layers are computed. */
enum { WINDOW_BYTES = 16 << 20 };

static void show_progress(struct calib *c, const char *what, int layer, double share)
{
    calib_progress(c, what, ((double)layer + share) / calib_model(c)->config.n_layer);
}

/* ---- importances ---- */

struct importance {
    struct imatrix *out;
    struct layer_input *inputs;
    int n;
};

static void add_importance(void *user, enum pass_product product, int expert, const float *x, int64_t stride,
                           int n_row, int n_col)
{
    struct importance *a = user;
    layer_inputs_importance(a->inputs, a->n, a->out, product, expert, x, stride, n_row, n_col);
}

int by_layer_importance(struct calib *c, struct imatrix *out, struct lathe_err *err)
{
    struct lathe_model *m = calib_model(c);
    struct importance a = {.out = out};
    int rc = 0;
    a.inputs = mem_new((size_t)layer_inputs_most(m) * sizeof *a.inputs);
    for (int i = calib_first(c); i < m->config.n_layer && !rc; i++) {
        show_progress(c, "calibrating", i, 0);
        a.n = layer_inputs(m, i, a.inputs);
        rc = calib_layer(c, i, true, add_importance, &a, err);
        if (!rc)
            rc = calib_layer_done(c, i, err);
    }
    free(a.inputs);
    return rc;
}

/* ---- GPTQ ---- */

struct gptq_walk {
    struct calib *c;
    const struct by_layer_gptq *o;
    struct pool *pool;
    struct made *made;
    struct layer_input *inputs;
    struct hessian *h; /* of inputs [first, first + n) */
    int first, n, n_input;
    struct layer_swap swap;
    struct lathe_err *err;
};

static void add_moments(void *user, enum pass_product product, int expert, const float *x, int64_t stride,
                        int n_row, int n_col)
{
    struct gptq_walk *a = user;
    int i = layer_inputs_find(a->inputs + a->first, a->n, product, expert);
    if (i >= 0)
        hessian_add(&a->h[i], a->pool, x, stride, n_row);
}

/* Rows of one matrix, 16 at a time, in windows of positions while the second moments are. */
struct matrix_job {
    const struct gptq_walk *a;
    const struct matrix *w;
    const struct format *type, *as; /* what it is rounded to, and what panels of that are computed with */
    const struct gptq_input *in;
    int first, last;        /* positions */
    uint8_t *rows, *panels; /* where the tensor's rows go, from that of the matrix on */
    size_t row_bytes, panel_bytes;
    uint8_t *state;            /* [n_panel][state_bytes]: between two windows; NULL: there is only one */
    struct gptq_error *errors; /* of each piece */
};

/* Of 16 rows: what each position lost, and the rows. */
static size_t state_bytes(const struct matrix_job *j)
{
    return GPTQ_ROWS * ((size_t)j->w->n_col * sizeof(float) + j->row_bytes);
}

/* Rows whose columns are in an order of their own are computed with as f32, in the matrix's order. */
static void pack_in_order(const struct matrix_job *j, const uint8_t *rows, int n, uint8_t *panel)
{
    size_t n_col = (size_t)j->w->n_col;
    float *coded = mem_new((size_t)n * n_col * sizeof *coded),
          *plain = mem_new((size_t)n * n_col * sizeof *plain);
    j->type->decode(rows, coded, (int64_t)n * j->w->n_col);
    for (size_t r = 0; r < (size_t)n; r++)
        for (size_t k = 0; k < n_col; k++)
            plain[r * n_col + (size_t)j->in->perm[k]] = coded[r * n_col + k];
    panel_pack(FORMAT_F32, (const uint8_t *)plain, n_col * sizeof *plain, n, j->w->n_col, panel);
    free(coded);
    free(plain);
}

static void put_panel(const struct matrix_job *j, int panel, int n, const uint8_t *rows)
{
    uint8_t *to = j->panels + (size_t)panel * j->panel_bytes;
    if (j->in->perm)
        pack_in_order(j, rows, n, to);
    else
        panel_pack((enum format_id)j->type->id, rows, j->row_bytes, n, j->w->n_col, to);
    for (int r = 0; r < n; r++)
        memcpy(j->rows +
                   (size_t)layer_input_written_row(j->w, j->a->o->pairs, panel * LANES + r) * j->row_bytes,
               rows + (size_t)r * j->row_bytes, j->row_bytes);
}

/* The rows of a panel as floats, *n of them; to be freed. */
static float *rows_of(const struct matrix_job *j, int panel, int *n)
{
    int first = panel * LANES;
    *n = j->w->n_row - first < LANES ? j->w->n_row - first : LANES;
    float *x = mem_new((size_t)*n * (size_t)j->w->n_col * sizeof *x);
    matrix_rows_f32(j->w, first, *n, x);
    return x;
}

static void round_panel(const struct pool_op *op, int panel, int worker)
{
    const struct matrix_job *j = op->arg;
    int n;
    float *x = rows_of(j, panel, &n);
    uint8_t *state = j->state ? j->state + (size_t)panel * state_bytes(j) : mem_new(state_bytes(j));
    uint8_t *rows = state + GPTQ_ROWS * (size_t)j->w->n_col * sizeof(float);
    gptq_rows(j->type, j->in, x, n, j->first, j->last, (float(*)[GPTQ_ROWS])(void *)state, rows,
              &j->errors[panel]);
    if (!j->first)
        put_panel(j, panel, n, rows);
    if (!j->state)
        free(state);
    free(x);
}

static void compare_panel(const struct pool_op *op, int panel, int worker)
{
    const struct matrix_job *j = op->arg;
    int n;
    float *x = rows_of(j, panel, &n);
    gptq_compare(j->type, j->in, x, n, j->first, j->last, &j->errors[panel]);
    free(x);
}

static void each_panel(struct matrix_job *j, void (*run)(const struct pool_op *, int, int))
{
    struct pool_op op = {.run = run, .arg = j, .n_piece = j->w->n_panel, .layer = -1, .name = "gptq"};
    pool_run(j->a->pool, &op, 1);
    pool_settle(j->a->pool);
}

/* Window by window, so that each part of the factor is read once for all rows: comparing goes up, rounding down. */
static int each_window(struct matrix_job *j)
{
    const struct hessian *h = j->in->h;
    int n = 0, *ends = mem_new(((size_t)h->n / GPTQ_EACH + 2) * sizeof *ends), rc = 0;
    for (int at = 0; at < h->n; at = ends[n++])
        ends[n] = hessian_window(h, at, GPTQ_EACH);
    void *state = NULL;
    size_t bytes = (size_t)j->w->n_panel * state_bytes(j);
    if (n > 1)
        rc = new_file_map(j->a->o->folder, bytes, "a matrix that is rounded", &state, j->a->err);
    j->state = state;
    for (int i = 0; i < n && !rc && j->a->o->compare; i++) {
        j->first = i ? ends[i - 1] : 0;
        j->last = ends[i];
        each_panel(j, compare_panel);
    }
    for (int i = n - 1; i >= 0 && !rc; i--) {
        j->first = i ? ends[i - 1] : 0;
        j->last = ends[i];
        each_panel(j, round_panel);
    }
    if (state)
        munmap(state, bytes);
    free(ends);
    return rc;
}

static void tell(struct gptq_walk *a, const char *name, const struct gptq_error *e, int n)
{
    struct gptq_error sum = {0};
    for (int i = 0; i < n; i++) {
        sum.error += e[i].error;
        sum.plain += e[i].plain;
        sum.value += e[i].value;
    }
    if (a->o->done && a->o->compare)
        a->o->done(a->o->user, name, sum.value > 0 ? sum.error / sum.value : 0,
                   sum.value > 0 ? sum.plain / sum.value : 0);
}

static int round_matrix(struct gptq_walk *a, struct matrix *w, const struct format *type,
                        const struct gptq_input *in)
{
    int n_mat, k;
    const char *name = layer_input_tensor(w, &n_mat, &k);
    struct matrix_job j = {
        .a = a, .w = w, .type = type, .as = in->perm ? format_by_id(FORMAT_F32) : type, .in = in};
    j.rows = made_rows(a->made, name, matrix_first_row(w), &j.row_bytes);
    j.panel_bytes = panel_bytes((enum format_id)j.as->id, w->n_col);
    TRY(layer_swap_room(&a->swap, w, j.as, &j.panels, a->err));
    j.errors = mem_new((size_t)w->n_panel * sizeof *j.errors);
    int rc = each_window(&j);
    if (!rc) {
        made_done(a->made, name, w->n_row);
        if (in->perm)
            a->o->order(a->o->user, name, in->perm, in->n);
        tell(a, name, j.errors, w->n_panel);
    }
    free(j.errors);
    return rc ? rc : layer_swap_matrix(&a->swap, w, j.as, a->err);
}

static int round_input(struct gptq_walk *a, const struct layer_input *in, struct hessian *h)
{
    struct gptq_input g;
    if (in->n_col % 32)
        return 0;
    TRY(gptq_prepare(h, a->pool, a->o->damping, a->o->order && in->expert < 0, &g, a->err));
    int rc = 0;
    for (int i = 0; i < in->n_w && !rc; i++) {
        const struct format *type = layer_input_type(a->o->type, a->o->user, in->w[i]);
        if (type)
            rc = round_matrix(a, in->w[i], type, &g);
    }
    gptq_input_free(&g);
    return rc;
}

/* Whether the moments of an input that lie in a file have a window more. */
static bool next_windows(struct gptq_walk *a)
{
    bool more = false;
    for (int i = 0; i < a->n; i++)
        more |= hessian_next(&a->h[i]);
    return more;
}

/* Sums the moments of as many inputs as memory bears, from a->first on, and rounds their matrices. */
static int round_some(struct gptq_walk *a, int layer)
{
    const struct hessian_room room = {.memory_bytes = a->o->memory_bytes,
                                      .window_bytes = a->o->memory_bytes > WINDOW_BYTES ? a->o->memory_bytes
                                                                                        : WINDOW_BYTES,
                                      .folder = a->o->folder};
    uint64_t bytes = 0;
    int rc = 0;
    a->n = 0;
    while (a->first + a->n < a->n_input) {
        bytes += hessian_bytes(a->inputs[a->first + a->n].n_col);
        if (a->n && bytes > a->o->memory_bytes)
            break;
        a->n++;
    }
    for (int i = 0; i < a->n && !rc; i++)
        rc = hessian_new(a->inputs[a->first + i].n_col, &room, &a->h[i], a->err);
    bool more = true;
    while (more && !rc) {
        rc = calib_layer(a->c, layer, false, add_moments, a, a->err);
        more = next_windows(a);
    }
    for (int i = 0; i < a->n && !rc; i++)
        rc = round_input(a, &a->inputs[a->first + i], &a->h[i]);
    for (int i = 0; i < a->n; i++)
        hessian_free(&a->h[i]);
    a->first += a->n;
    return rc;
}

static int round_layer(struct gptq_walk *a, int layer)
{
    struct pass *p = calib_pass(a->c);
    struct lathe_model *m = calib_model(a->c);
    bool last = layer + 1 == m->config.n_layer;
    a->n_input = layer_inputs(m, layer, a->inputs);
    for (a->first = 0; a->first < a->n_input;) {
        show_progress(a->c, "rounding", layer, 0.8 * a->first / a->n_input);
        TRY(round_some(a, layer));
    }
    show_progress(a->c, "rounding", layer, 0.8);
    if (last)
        return 0;
    layer_swap_apply(&a->swap);
    pass_layer_changed(p, layer);
    return calib_layer(a->c, layer, true, NULL, NULL, a->err);
}

int by_layer_gptq(struct calib *c, const struct by_layer_gptq *o, struct pool *pool, struct made *made,
                  struct lathe_err *err)
{
    struct lathe_model *m = calib_model(c);
    size_t most = (size_t)layer_inputs_most(m);
    struct gptq_walk a = {.c = c, .o = o, .pool = pool, .made = made, .err = err};
    int rc = 0;
    a.inputs = mem_new(most * sizeof *a.inputs);
    a.h = mem_new(most * sizeof *a.h);
    layer_swap_init(&a.swap, m, 3 * (int)most, o->folder);
    for (int i = calib_first(c); i < m->config.n_layer && !rc; i++) {
        rc = round_layer(&a, i);
        if (!rc)
            rc = calib_layer_done(c, i, err);
        layer_swap_back(&a.swap);
        pass_layer_changed(calib_pass(c), i);
    }
    free(a.inputs);
    free(a.h);
    layer_swap_free(&a.swap);
    return rc;
}
