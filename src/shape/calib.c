/* The rows between two layers: for each token a power of two and n_embd numbers of f16 times it, in a file that has no name. What a
 * layer reads and what it writes are two halves of the file, taken in turn. */
#include "shape/calib.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file_at.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "text/vocab.h"

enum { TEXT_BYTES = 4 /* for a byte of text: itself, its tokens and what finds them (2.5 for wikitext-2) */ };
enum { LOGITS_ROWS = 16, LOGITS_SHARE = 8 /* of the memory, that they may take */ };
enum { ROW_HEAD = 4, TOP = 14 }; /* rows are brought to 2^14, where f16 has most of its range below */

struct calib {
    struct calib_options o;
    struct lathe_model *model;
    struct pool *pool;
    struct pass *pass;
    uint8_t *kv;
    size_t kv_bytes;
    int32_t *pages, *ids; /* [n_chunk][n_ctx] */
    int n_chunk, fd, half;
    size_t row_bytes;
    uint8_t *room; /* rows of a chunk as they are in the file */
};

/* ---- the text ---- */

static int take_chunks(struct calib *c, const int32_t *ids, size_t n, int32_t bos, struct lathe_err *err)
{
    size_t each = (size_t)c->o.n_ctx, all = n / each, wanted = (size_t)(c->o.n_token / c->o.n_ctx);
    if (!all)
        return err_set(err, LATHE_E_FILE, "the calibration text has %zu tokens, one chunk needs %d", n,
                       c->o.n_ctx);
    wanted = wanted < 1 ? 1 : wanted < all ? wanted : all;
    c->n_chunk = (int)wanted;
    c->ids = mem_new(wanted * each * sizeof *c->ids);
    for (size_t i = 0; i < wanted; i++) {
        memcpy(c->ids + i * each, ids + i * all / wanted * each, each * sizeof *ids);
        if (bos >= 0)
            c->ids[i * each] = bos;
    }
    return 0;
}

static int check_text(const struct calib *c, struct lathe_err *err)
{
    double all = (double)c->o.n_text * TEXT_BYTES;
    if (!c->o.memory_bytes || all <= (double)c->o.memory_bytes)
        return 0;
    return err_set(err, LATHE_E_LIMIT,
                   "the calibration text of %.1f MiB takes %.1f MiB of memory with its tokens, more than "
                   "the %.1f MiB that there are: choose a shorter one, or fewer tokens",
                   (double)c->o.n_text / 1048576, all / 1048576, (double)c->o.memory_bytes / 1048576);
}

static int read_text(struct calib *c, struct lathe_err *err)
{
    int32_t *ids;
    size_t n;
    const vocab *v = c->model->vocab;
    TRY(check_text(c, err));
    TRY(vocab_encode(v, c->o.text, c->o.n_text, LATHE_TOK_BOS, &ids, &n, err));
    int bos = lathe_vocab_bos(v);
    int rc = take_chunks(c, ids, n, n && bos >= 0 && ids[0] == bos ? bos : -1, err);
    free(ids);
    vocab_close(c->model); /* of a quarter of a million tokens it is 10 MiB */
    return rc;
}

/* ---- rows on disk ---- */

static int io_error(struct calib *c, const char *what, struct lathe_err *err)
{
    return err_set(err, LATHE_E_IO, "activations of the calibration text cannot be %s in %.200s: %s", what,
                   c->o.folder, strerror(errno));
}

static uint64_t half_bytes(const struct calib *c)
{
    return (uint64_t)c->n_chunk * (uint64_t)c->o.n_ctx * c->row_bytes;
}

static int open_rows(struct calib *c, struct lathe_err *err)
{
    if (c->o.work)
        return work_file(c->o.work, WORK_ROWS, 2 * half_bytes(c), &c->fd, err);
    c->fd = new_file_nameless(c->o.folder, 2 * half_bytes(c));
    if (c->fd >= 0)
        return 0;
    errno = -c->fd;
    return io_error(c, "kept", err);
}

static uint64_t chunk_at(const struct calib *c, int chunk, int half)
{
    return ((uint64_t)half * (uint64_t)c->n_chunk + (uint64_t)chunk) * (uint64_t)c->o.n_ctx * c->row_bytes;
}

static void pack_row(const struct pool_op *op, int row, int worker)
{
    const struct calib *c = op->arg;
    int64_t stride;
    const float *x = pass_rows(c->pass, &stride);
    uint8_t *to = c->room + (size_t)row * c->row_bytes;
    int n = c->model->config.n_embd, e = 0;
    float most = 0;
    x += row * stride;
    for (int i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    if (most > 0 && isfinite(most))
        frexpf(most, &e);
    float scale = ldexpf(1, e - TOP), inverse = ldexpf(1, TOP - e);
    memcpy(to, &scale, sizeof scale);
    for (int i = 0; i < n; i++) {
        uint16_t h = f32_to_f16(x[i] * inverse);
        memcpy(to + ROW_HEAD + 2 * i, &h, sizeof h);
    }
}

static void unpack_row(const struct pool_op *op, int row, int worker)
{
    const struct calib *c = op->arg;
    int64_t stride;
    float *x = pass_rows(c->pass, &stride), scale;
    const uint8_t *from = c->room + (size_t)row * c->row_bytes;
    int n = c->model->config.n_embd;
    x += row * stride;
    memcpy(&scale, from, sizeof scale);
    format_by_id(FORMAT_F16)->decode(from + ROW_HEAD, x, n);
    for (int i = 0; i < n; i++)
        x[i] *= scale;
}

static void each_row(struct calib *c, void (*run)(const struct pool_op *, int, int))
{
    struct pool_op op = {.run = run, .arg = c, .n_piece = c->o.n_ctx, .layer = -1, .name = "rows"};
    pool_run(c->pool, &op, 1);
    pool_settle(c->pool);
}

static int save_rows(struct calib *c, int chunk, int half, struct lathe_err *err)
{
    each_row(c, pack_row);
    if (!file_write_at(c->fd, c->room, (size_t)c->o.n_ctx * c->row_bytes, chunk_at(c, chunk, half)))
        return io_error(c, "kept", err);
    return 0;
}

static int load_rows(struct calib *c, int chunk, struct lathe_err *err)
{
    if (!file_read_at(c->fd, c->room, (size_t)c->o.n_ctx * c->row_bytes, chunk_at(c, chunk, c->half)))
        return io_error(c, "read", err);
    each_row(c, unpack_row);
    return 0;
}

/* ---- passes ---- */

static int check_room(const struct calib *c, uint64_t n_bytes, struct lathe_err *err)
{
    if (!c->o.memory_bytes || n_bytes <= c->o.memory_bytes)
        return 0;
    return err_set(
        err, LATHE_E_LIMIT,
        "chunks of %d tokens of the calibration text take %.1f MiB, more than the %.1f MiB that there "
        "are for it: choose a smaller --calib-ctx",
        c->o.n_ctx, (double)n_bytes / 1048576, (double)c->o.memory_bytes / 1048576);
}

int calib_n_out(const struct calib *c)
{
    if (!c->o.has_logits)
        return 1;
    uint64_t n = c->o.memory_bytes / LOGITS_SHARE / ((uint64_t)c->model->config.n_vocab * sizeof(float));
    return !c->o.memory_bytes || n > LOGITS_ROWS ? LOGITS_ROWS : n ? (int)n : 1;
}

static int make_pass(struct calib *c, struct lathe_err *err)
{
    int n_page = (c->o.n_ctx + SPAN - 1) / SPAN;
    struct pass_limits limits = {.n_row = c->o.n_ctx,
                                 .n_seq = 1,
                                 .n_ctx = c->o.n_ctx,
                                 .n_out = calib_n_out(c),
                                 .n_page = n_page,
                                 .by_layer = true};
    struct kv_form form = kv_form_of(c->model, limits.kv_types);
    void *p;
    c->kv_bytes = form.page_bytes / (size_t)form.n_layer * (size_t)n_page;
    TRY(check_room(c, pass_bytes(c->model, pool_n_worker(c->pool), &limits) + c->kv_bytes, err));
    TRY(mem_try(c->kv_bytes, 1, "keys and values of a chunk", &p, err));
    c->kv = p;
    c->pages = mem_new((size_t)n_page * sizeof *c->pages);
    for (int i = 0; i < n_page; i++)
        c->pages[i] = i;
    return pass_new(c->model, c->pool, &limits, c->kv, &c->pass, err);
}

static struct pass_seq whole_chunk(const struct calib *c)
{
    return (struct pass_seq){
        .n_row = c->o.n_ctx, .pages = c->pages, .n_key = c->model->config.encoder ? c->o.n_ctx : 0};
}

static int embed(struct calib *c, struct lathe_err *err)
{
    struct pass_seq seq = whole_chunk(c);
    for (int i = 0; i < c->n_chunk; i++) {
        struct pass_batch b = {
            .n_row = c->o.n_ctx, .tokens = c->ids + (size_t)i * (size_t)c->o.n_ctx, .n_seq = 1, .seqs = &seq};
        pass_embed(c->pass, &b);
        TRY(save_rows(c, i, 0, err));
    }
    return 0;
}

int calib_layer(struct calib *c, int layer, bool next, pass_tap_fn *tap, void *user, struct lathe_err *err)
{
    struct pass_seq seq = whole_chunk(c);
    for (int i = 0; i < c->n_chunk; i++) {
        struct pass_batch b = {
            .n_row = c->o.n_ctx, .tokens = c->ids + (size_t)i * (size_t)c->o.n_ctx, .n_seq = 1, .seqs = &seq};
        TRY(load_rows(c, i, err));
        pass_layer(c->pass, &b, layer, tap, user);
        if (next)
            TRY(save_rows(c, i, 1 - c->half, err));
    }
    if (next)
        c->half = 1 - c->half;
    return 0;
}

int calib_first(const struct calib *c)
{
    return c->o.first;
}

int calib_half(const struct calib *c)
{
    return c->half;
}

int calib_layer_done(struct calib *c, int layer, struct lathe_err *err)
{
    if (!c->o.work)
        return 0;
    if (layer + 1 < c->model->config.n_layer)
        work_vouch(c->o.work, WORK_ROWS, (uint64_t)chunk_at(c, 0, c->half), half_bytes(c));
    if (c->o.layer_done)
        c->o.layer_done(c->o.layer_user, c, layer);
    return work_commit(c->o.work, true, err);
}

int calib_rest(struct calib *c, int chunk, int layer, calib_rows_fn *before, void *user,
               struct lathe_err *err)
{
    struct pass_seq seq = whole_chunk(c);
    const int32_t *ids = c->ids + (size_t)chunk * (size_t)c->o.n_ctx;
    struct pass_batch b = {.n_row = c->o.n_ctx, .tokens = ids, .n_seq = 1, .seqs = &seq};
    TRY(load_rows(c, chunk, err));
    if (before)
        before(user, ids);
    for (int l = layer; l < c->model->config.n_layer; l++)
        pass_layer(c->pass, &b, l, NULL, NULL);
    return 0;
}

/* What inputs are measured, and matrices made again, in is the order of the model; one whose columns are in another is quantized
 * already, and by a method of its own. */
static int check_orders(const struct model_file *f, struct lathe_err *err)
{
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        if (model_file_tensor(f, i)->order)
            return err_set(
                err, LATHE_E_UNSUPPORTED,
                "tensor %.100s has its columns in an order of its own (act-order) and cannot be calibrated",
                model_file_tensor(f, i)->name);
    return 0;
}

static int open_all(struct calib *c, const char *path, struct lathe_err *err)
{
    struct lathe_model_options mo;
    lathe_model_options_init(&mo);
    mo.load_as = c->o.as_it_is ? NULL : "q8_0";
    mo.spill_folder = c->o.folder;
    mo.n_thread = pool_n_worker(c->pool);
    mo.progress = c->o.progress;
    mo.user = c->o.user;
    TRY(lathe_model_open(path, &mo, &c->model, err));
    TRY(check_orders(c->model->file, err));
    if (c->o.n_ctx > c->model->config.n_ctx_train && c->model->config.n_ctx_train > 0)
        c->o.n_ctx = c->model->config.n_ctx_train;
    c->row_bytes = ROW_HEAD + 2 * (size_t)c->model->config.n_embd;
    TRY(read_text(c, err));
    void *p;
    TRY(mem_try((size_t)c->o.n_ctx, c->row_bytes, "rows of a chunk", &p, err));
    c->room = p;
    TRY(make_pass(c, err));
    TRY(open_rows(c, err));
    return c->o.first ? 0 : embed(c, err);
}

int calib_new(const char *path, const struct calib_options *o, struct pool *pool, struct calib **out,
              struct lathe_err *err)
{
    struct calib *c = mem_new(sizeof *c);
    *c = (struct calib){.o = *o, .pool = pool, .fd = -1, .half = o->half};
    *out = NULL;
    int rc = open_all(c, path, err);
    if (rc) {
        calib_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void calib_free(struct calib *c)
{
    if (!c)
        return;
    pass_free(c->pass);
    lathe_model_free(c->model);
    if (c->fd >= 0)
        close(c->fd);
    free(c->kv);
    free(c->pages);
    free(c->ids);
    free(c->room);
    free(c);
}

struct lathe_model *calib_model(struct calib *c)
{
    return c->model;
}

struct pass *calib_pass(struct calib *c)
{
    return c->pass;
}

int calib_ctx(const struct calib *c)
{
    return c->o.n_ctx;
}

int64_t calib_n_token(const struct calib *c)
{
    return (int64_t)c->n_chunk * c->o.n_ctx;
}

void calib_progress(const struct calib *c, const char *what, double share)
{
    if (c->o.progress)
        c->o.progress(c->o.user, what, share);
}
