/* The GGUF writer. What a view has of other containers is brought into the form that every reader of GGUF expects: one
 * file, rotary pairs of llama side by side, vectors in f32, experts as one tensor. */
#include "format/gguf_write.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "format/view.h"
#include "quant/encode.h"

enum {
    ALIGN = 32,
    MAX_HEAD = 1 << 30,
    ROWS_BYTES = 8 << 20,
    PIECE_N = 1 << 16 /* numbers that one thread makes at a time */
};

struct writer {
    const struct model_file *f;
    const struct gguf_write *o;
    uint32_t head_dim, n_half; /* of rotary halves; 0 without */
    char arch[64];
    const struct format **type; /* of each tensor as written; NULL: a type of unknown blocks, copied */
    uint64_t *n_bytes, n_all;
    struct buf head;
    struct new_file out;
    struct lathe_err *err;
};

/* ---- what is written ---- */

bool gguf_stays_f32(const struct mf_tensor *t)
{
    static const char *const ends[] = {"_norm.weight", "ffn_gate_inp.weight", "position_embd.weight",
                                       "token_types.weight"};
    size_t n = strlen(t->name);
    if (t->n_dim == 1 || (n > 5 && strcmp(t->name + n - 5, ".bias") == 0))
        return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (n >= strlen(ends[i]) && strcmp(t->name + n - strlen(ends[i]), ends[i]) == 0)
            return true;
    return false;
}

static int choose_type(struct writer *w, uint64_t i)
{
    const struct mf_tensor *t = model_file_tensor(w->f, i);
    const struct format *from = format_by_id(t->type), *to = from;
    if (gguf_stays_f32(t))
        to = format_is_float(t->type) ? format_by_id(FORMAT_F32) : from;
    else if (w->o->choose)
        to = w->o->choose(w->o->user, i, from);
    else if (w->o->type)
        to = t->dim[0] % (uint64_t)w->o->type->block_n ? format_by_id(FORMAT_F16) : w->o->type;
    if (to != from && (!from || !from->decode))
        return err_set(w->err, LATHE_E_UNSUPPORTED,
                       "tensor %.100s is %s, which cannot be decoded to make it %s", t->name,
                       from ? from->name : "of an unknown type", to->name);
    if (to && !format_in_gguf(to->id))
        return err_set(
            w->err, LATHE_E_UNSUPPORTED,
            "tensor %.100s is %s, which GGUF does not have: name a type for it, as in convert --type f16 or "
            "quantize --type q8_0",
            t->name, to->name);
    w->type[i] = to;
    w->n_bytes[i] = t->n_bytes;
    if (to != from)
        w->n_bytes[i] =
            t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3] / (uint64_t)to->block_n * (uint64_t)to->block_bytes;
    w->n_all += (w->n_bytes[i] + ALIGN - 1) / ALIGN * ALIGN;
    return 0;
}

/* The type that most bytes are in; NULL in a GGUF file, which has said so itself, or not. */
static const struct format *most(const struct writer *w)
{
    enum { N_TYPE = 64 };
    uint64_t sum[N_TYPE] = {0}, best = 0;
    const struct format *type = NULL;
    if (w->f->part.n >= 4 && memcmp(w->f->part.p, "GGUF", 4) == 0)
        return NULL;
    for (uint64_t i = 0; i < model_file_n_tensor(w->f); i++) {
        const struct format *f = w->type[i];
        if (f && f->id < N_TYPE && (sum[f->id] += w->n_bytes[i]) > best) {
            best = sum[f->id];
            type = f;
        }
    }
    return type;
}

/* general.file_type: what most weights are. Numbers of llama.cpp. */
static uint32_t file_type(const struct writer *w, bool *has)
{
    static const struct {
        uint32_t type, number;
    } rows[] = {{FORMAT_F32, 0}, {FORMAT_F16, 1}, {FORMAT_Q8_0, 7}, {FORMAT_BF16, 32}, {FORMAT_MXFP4, 38}};
    uint32_t number = 0;
    *has = w->o->choose != NULL;
    if (*has)
        return w->o->file_type;
    mf_u32(w->f, "general.file_type", &number, has, NULL);
    const struct format *type = w->o->type ? w->o->type : *has ? NULL : most(w);
    for (size_t i = 0; type && i < sizeof rows / sizeof *rows; i++)
        if (rows[i].type == type->id) {
            *has = true;
            return rows[i].number;
        }
    return number;
}

/* ---- the header ---- */

static void put(struct writer *w, const void *p, size_t n)
{
    buf_put(&w->head, p, n);
}

static void put_u32(struct writer *w, uint32_t v)
{
    put(w, &v, sizeof v);
}

static void put_u64(struct writer *w, uint64_t v)
{
    put(w, &v, sizeof v);
}

static void put_str(struct writer *w, struct str s)
{
    put_u64(w, s.n);
    put(w, s.p, s.n);
}

static void put_meta(struct writer *w, const struct mf_meta *m)
{
    put_str(w, m->key);
    put_u32(w, m->kind);
    if (m->kind == MF_ARRAY) {
        put_u32(w, m->elem);
        put_u64(w, m->n);
    }
    if (m->kind == MF_STR)
        put_str(w, mf_meta_str(m));
    else
        put(w, m->data, m->n_bytes);
}

static void put_meta_u32(struct writer *w, struct str key, uint32_t v)
{
    put_str(w, key);
    put_u32(w, MF_U32);
    put_u32(w, v);
}

/* Whether quantized tensors were made here. */
static bool has_blocks(const struct writer *w)
{
    for (uint64_t i = 0; i < model_file_n_tensor(w->f); i++)
        if (w->type[i] && w->type[i]->block_n > 1 &&
            (w->type[i]->id != model_file_tensor(w->f, i)->type || model_file_tensor(w->f, i)->source))
            return true;
    return false;
}

static bool is_dropped(const struct mf_meta *m)
{
    static const char *const keys[] = {"general.alignment", "general.file_type", "split.no", "split.count",
                                       "split.tensors.count"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (str_is(m->key, keys[i]))
            return true;
    size_t n = strlen(".rope.halves");
    return m->key.n > n && memcmp(m->key.p + m->key.n - n, ".rope.halves", n) == 0;
}

static void put_metadata(struct writer *w)
{
    bool has_type;
    uint32_t type = file_type(w, &has_type);
    bool has_version = has_blocks(w) && !model_file_find(w->f, "general.quantization_version");
    uint64_t n = (uint64_t)has_type + has_version;
    for (uint64_t i = 0; i < model_file_n_meta(w->f); i++)
        n += !is_dropped(model_file_meta(w->f, i));
    put_u64(w, n);
    for (uint64_t i = 0; i < model_file_n_meta(w->f); i++)
        if (!is_dropped(model_file_meta(w->f, i)))
            put_meta(w, model_file_meta(w->f, i));
    if (has_type)
        put_meta_u32(w, STR("general.file_type"), type);
    if (has_version)
        put_meta_u32(w, STR("general.quantization_version"), 2);
}

static int put_head(struct writer *w)
{
    static const char zeros[ALIGN];
    uint64_t offset = 0;
    put(w, "GGUF", 4);
    put_u32(w, 3);
    put_u64(w, model_file_n_tensor(w->f));
    put_metadata(w);
    for (uint64_t i = 0; i < model_file_n_tensor(w->f); i++) {
        const struct mf_tensor *t = model_file_tensor(w->f, i);
        put_str(w, str_of(t->name));
        put_u32(w, (uint32_t)t->n_dim);
        put(w, t->dim, (size_t)t->n_dim * sizeof *t->dim);
        put_u32(w, w->type[i] ? w->type[i]->id : t->type);
        put_u64(w, offset);
        offset += (w->n_bytes[i] + ALIGN - 1) / ALIGN * ALIGN;
    }
    put(w, zeros, (ALIGN - w->head.n % ALIGN) % ALIGN);
    if (w->head.full)
        return err_set(w->err, LATHE_E_LIMIT, "%s: its metadata have more than %d bytes",
                       mf_path_tail(model_file_path(w->f)), MAX_HEAD);
    return 0;
}

/* ---- the data ---- */

static bool has_halves(const struct writer *w, const struct mf_tensor *t)
{
    return w->n_half && (strstr(t->name, ".attn_q.") || strstr(t->name, ".attn_k."));
}

/* Rows of one tensor on their way to the file. */
struct job {
    bool encodes; /* rows are not taken as they are */
    const struct writer *w;
    uint64_t i, k, first, n, n_row, n_col; /* rows [first, first + n) of n_row */
    uint64_t from_bytes, to_bytes, step;   /* of a row; rows of a piece */
    uint8_t *room, *made;                  /* of the rows; of one row for each worker */
    float *values;                         /* of a piece for each worker */
};

/* Columns of a decoded row from the view's order to the matrix's. */
static void put_in_order(const int32_t *order, float *values, uint64_t n)
{
    float *room = mem_new(n * sizeof *room);
    for (uint64_t k = 0; k < n; k++)
        room[order[k]] = values[k];
    memcpy(values, room, n * sizeof *room);
    free(room);
}

/* Rows [at, at + n) of the job. Vectors count as rows of one element when they are reordered. */
static void take_rows(const struct job *j, uint64_t at, uint64_t n, float *values, uint8_t *made)
{
    const struct writer *w = j->w;
    const struct mf_tensor *t = model_file_tensor(w->f, j->i);
    const struct format *from = format_by_id(t->type), *to = w->type[j->i];
    bool halves = has_halves(w, t);
    for (uint64_t r = 0; r < n; r++) {
        uint64_t row = j->first + at + r;
        row = halves ? mf_half_row(row, w->head_dim, w->n_half) : row;
        if (t->source)
            mf_tensor_row(t, j->k, row, made);
        const uint8_t *p = t->source ? made : mf_tensor_piece(t, j->k) + row * j->from_bytes;
        if (!j->encodes)
            memcpy(j->room + (at + r) * j->to_bytes, p, j->to_bytes);
        else
            from->decode(p, values + r * j->n_col, (int64_t)j->n_col);
        if (j->encodes && t->order)
            put_in_order(t->order, values + r * j->n_col, j->n_col);
    }
    struct gguf_rows rows = {
        j->i, j->k, j->first + at, (int64_t)n, (int64_t)j->n_col, to, values, j->room + at * j->to_bytes};
    if (j->encodes && w->o->encode)
        w->o->encode(w->o->user, &rows);
    else if (j->encodes)
        format_encode(to, values, NULL, rows.y, rows.n_row, rows.n_col);
}

static void run_piece(const struct pool_op *op, int piece, int worker)
{
    const struct job *j = op->arg;
    uint64_t at = (uint64_t)piece * j->step, n = j->step < j->n - at ? j->step : j->n - at;
    take_rows(j, at, n, j->values + (uint64_t)worker * j->step * j->n_col,
              j->made + (uint64_t)worker * j->from_bytes);
}

static int write_job(struct writer *w, struct job *j, uint64_t at_once)
{
    for (j->first = 0; j->first < j->n_row; j->first += at_once) {
        j->n = at_once < j->n_row - j->first ? at_once : j->n_row - j->first;
        struct pool_op op = {.run = run_piece,
                             .arg = j,
                             .n_piece = (int)((j->n + j->step - 1) / j->step),
                             .layer = -1,
                             .name = "rows"};
        for (int piece = 0; !w->o->pool && piece < op.n_piece; piece++)
            run_piece(&op, piece, 0);
        if (w->o->pool) {
            pool_run(w->o->pool, &op, 1);
            pool_settle(w->o->pool);
        }
        TRY(new_file_write(&w->out, j->room, j->n * j->to_bytes, w->err));
        if (w->o->progress)
            w->o->progress(w->o->user, "writing", (double)w->out.n_bytes / (double)(w->head.n + w->n_all));
    }
    return 0;
}

static bool is_remade(const struct writer *w, uint64_t i)
{
    return w->type[i] && w->o->encode && w->o->remade && w->o->remade(w->o->user, i);
}

static int write_rows(struct writer *w, uint64_t i, uint64_t k)
{
    const struct mf_tensor *t = model_file_tensor(w->f, i);
    const struct format *from = format_by_id(t->type), *to = w->type[i];
    bool vector = t->n_dim == 1 && has_halves(w, t);
    struct job j = {
        .w = w, .i = i, .k = k, .n_row = vector ? t->dim[0] : t->dim[1], .n_col = vector ? 1 : t->dim[0]};
    j.encodes = from != to || is_remade(w, i);
    j.from_bytes = j.n_col / (uint64_t)from->block_n * (uint64_t)from->block_bytes;
    j.to_bytes = j.n_col / (uint64_t)to->block_n * (uint64_t)to->block_bytes;
    j.step = j.n_col < PIECE_N ? PIECE_N / j.n_col : 1;
    j.step = j.step < j.n_row ? j.step : j.n_row;
    uint64_t at_once =
                 j.to_bytes * j.step < ROWS_BYTES ? ROWS_BYTES / (j.to_bytes * j.step) * j.step : j.step,
             n_worker = w->o->pool ? (uint64_t)pool_n_worker(w->o->pool) : 1;
    void *room, *values = NULL, *made = NULL;
    int rc = mem_try(at_once < j.n_row ? at_once : j.n_row, j.to_bytes, "rows of a tensor", &room, w->err);
    if (!rc)
        rc = mem_try(n_worker * j.step * j.n_col, sizeof(float), "a row of a tensor", &values, w->err);
    if (!rc)
        rc = mem_try(n_worker, j.from_bytes, "a row of a tensor", &made, w->err);
    j.room = room;
    j.values = values;
    j.made = made;
    if (!rc)
        rc = write_job(w, &j, at_once);
    free(room);
    free(values);
    free(made);
    return rc;
}

static int write_tensor(struct writer *w, uint64_t i)
{
    static const char zeros[ALIGN];
    const struct mf_tensor *t = model_file_tensor(w->f, i);
    bool as_it_is =
        (!w->type[i] || w->type[i]->id == t->type) && !has_halves(w, t) && !t->source && !is_remade(w, i);
    uint64_t n_matrix = t->dim[2];
    const float *vector = w->o->vector && w->type[i] && w->type[i]->id == FORMAT_F32 && t->n_dim == 1
                              ? w->o->vector(w->o->user, i)
                              : NULL;
    if (vector) {
        TRY(new_file_write(&w->out, vector, w->n_bytes[i], w->err));
        return new_file_write(&w->out, zeros, (ALIGN - w->n_bytes[i] % ALIGN) % ALIGN, w->err);
    }
    if (t->dim[3] > 1 && !as_it_is)
        return err_set(w->err, LATHE_E_UNSUPPORTED,
                       "tensor %.100s has 4 dimensions and cannot change its type", t->name);
    if (as_it_is && !t->piece)
        n_matrix = 1;
    for (uint64_t k = 0; k < n_matrix; k++)
        TRY(as_it_is ? new_file_write(&w->out, mf_tensor_piece(t, k), t->n_bytes / n_matrix, w->err)
                     : write_rows(w, i, k));
    TRY(new_file_write(&w->out, zeros, (ALIGN - w->n_bytes[i] % ALIGN) % ALIGN, w->err));
    model_file_drop(w->f, t);
    return 0;
}

static int write_all(struct writer *w)
{
    TRY(new_file_write(&w->out, w->head.p, w->head.n, w->err));
    for (uint64_t i = 0; i < model_file_n_tensor(w->f); i++) {
        uint64_t first = w->out.n_bytes;
        if (i < w->o->n_done) {
            w->out.n_bytes += (w->n_bytes[i] + ALIGN - 1) / ALIGN * ALIGN;
            continue;
        }
        TRY(write_tensor(w, i));
        if (w->o->tensor_done)
            TRY(w->o->tensor_done(w->o->user, i, first, w->out.n_bytes, w->err));
        if (w->o->progress)
            w->o->progress(w->o->user, "writing", (double)w->out.n_bytes / (double)(w->head.n + w->n_all));
    }
    if (model_file_damaged(w->f))
        return err_set(w->err, LATHE_E_FILE, "%s was cut while it was read",
                       mf_path_tail(model_file_path(w->f)));
    return 0;
}

/* Rotary halves are an affair of the view; in the file there are pairs. */
static int read_halves(struct writer *w)
{
    struct str arch = {0};
    char key[128];
    bool halves = false;
    TRY(mf_str(w->f, "general.architecture", &arch, NULL, w->err));
    snprintf(w->arch, sizeof w->arch, STR_FMT, (int)(arch.n < 60 ? arch.n : 60), arch.p);
    snprintf(key, sizeof key, "%s.rope.halves", w->arch);
    TRY(mf_bool(w->f, key, &halves, NULL, w->err));
    if (!halves)
        return 0;
    snprintf(key, sizeof key, "%s.attention.key_length", w->arch);
    TRY(mf_u32(w->f, key, &w->head_dim, NULL, w->err));
    snprintf(key, sizeof key, "%s.rope.dimension_count", w->arch);
    TRY(mf_u32(w->f, key, &w->n_half, NULL, w->err));
    if (!w->head_dim || w->n_half > w->head_dim || w->n_half % 2)
        return err_set(w->err, LATHE_E_FILE, "metadata %s is %u of heads of %u, which cannot be halves", key,
                       w->n_half, w->head_dim);
    for (uint64_t i = 0; i < model_file_n_tensor(w->f); i++) {
        const struct mf_tensor *t = model_file_tensor(w->f, i);
        if (has_halves(w, t) && t->dim[t->n_dim == 1 ? 0 : 1] % w->head_dim)
            return err_set(w->err, LATHE_E_FILE,
                           "tensor %.100s has %" PRIu64 " rows, which are not heads of %u", t->name,
                           t->dim[t->n_dim == 1 ? 0 : 1], w->head_dim);
    }
    return 0;
}

/* Everything but the data. */
static int prepare(struct writer *w)
{
    uint64_t n = model_file_n_tensor(w->f);
    buf_init(&w->head, MAX_HEAD);
    w->type = mem_new((n + 1) * sizeof *w->type);
    w->n_bytes = mem_new((n + 1) * sizeof *w->n_bytes);
    TRY(read_halves(w));
    for (uint64_t i = 0; i < n; i++)
        TRY(choose_type(w, i));
    return put_head(w);
}

static void writer_free(struct writer *w)
{
    buf_free(&w->head);
    free(w->type);
    free(w->n_bytes);
}

int gguf_write_bytes(const struct model_file *f, const struct gguf_write *o, uint64_t *out,
                     struct lathe_err *err)
{
    struct writer w = {.f = f, .o = o, .err = err, .out.fd = -1};
    int rc = prepare(&w);
    *out = w.head.n + w.n_all;
    writer_free(&w);
    return rc;
}

int gguf_write(const struct model_file *f, const struct gguf_write *o, const char *path,
               struct lathe_err *err)
{
    struct writer w = {.f = f, .o = o, .err = err, .out.fd = -1};
    int rc;
    TRY_GOTO(prepare(&w));
    TRY_GOTO(o->begun ? new_file_continue(&w.out, path, o->begun, w.head.n + w.n_all, err)
                      : new_file_open(&w.out, path, w.head.n + w.n_all, err));
    rc = new_file_close(&w.out, write_all(&w), err);
done:
    writer_free(&w);
    return rc;
}
