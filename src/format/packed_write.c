/* The writer of quantized folders. What is quantized is every matrix of a layer that the view knows (no norm, no router, no head or
 * embedding); each tensor of the folder's files is either that or copied as it is, in the order of the files, to one file:
 *
 *     header first, since all sizes are known before anything is computed -> tensors, one after another
 *
 * That file gets its name last, so that what is there is whole; until then it may lie elsewhere, and be gone on with. */
#include "format/packed_write.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/new_file.h"
#include "format/gguf_write.h"
#include "format/packed_config.h"
#include "format/safetensors.h"
#include "format/view.h"
#include "quant/encode.h"

enum { MAX_PATH = 4200 };

/* A tensor of the folder's files. */
struct item {
    struct st_tensor t;
    const struct mf_tensor *view; /* what it is there, NULL: nothing; k: which matrix of it */
    uint64_t k;
    bool quantized; /* else it is copied */
};

struct writer {
    const struct packed_write *o;
    struct model_file *f;
    char from[MAX_PATH], to[MAX_PATH];
    struct item *item;
    uint64_t n, n_bytes, n_quantized, n_done;
    bool has_order;
    json_t *header, *kept;
    struct arena names;
    struct new_file out;
    struct lathe_err *err;
};

/* ---- what is quantized ---- */

static const uint8_t *data_of(const struct mf_tensor *t)
{
    return t->one_less ? t->one_less->data : t->data;
}

static int by_data(const void *a, const void *b)
{
    const struct mf_tensor *const *x = a, *const *y = b;
    return data_of(*x) < data_of(*y) ? -1 : data_of(*x) > data_of(*y);
}

/* Whether it is what layers multiply with. */
static bool is_layers(const struct mf_tensor *t)
{
    return strncmp(t->name, "blk.", 4) == 0 && (t->piece || (t->n_dim == 2 && t->data)) && !gguf_stays_f32(t);
}

/* Whether the layout has room for a matrix of this shape. */
static bool can_hold(const struct packed_write *o, uint64_t n_row, uint64_t n_col)
{
    uint64_t group = o->group < 0 ? n_col : (uint64_t)o->group;
    if (o->kind == WRITE_NF4)
        return n_col % 64 == 0;
    bool rows = o->kind == WRITE_BYTES || o->kind == WRITE_INTS || n_row % 8 == 0;
    return rows && n_col % 32 == 0 && n_col % group == 0;
}

bool packed_write_takes(const struct packed_write *o, const struct mf_tensor *t)
{
    return is_layers(t) && can_hold(o, t->dim[1], t->dim[0]);
}

void packed_write_holds(const struct mf_tensor *t, float *v)
{
    const struct format *f = format_by_id(t->one_less ? t->one_less->type : t->type);
    uint64_t n = t->dim[0];
    float less = t->one_less ? 1 : 0;
    uint8_t *room = mem_new(n * sizeof *v);
    for (uint64_t i = 0; i < n; i++)
        v[i] -= less;
    format_encode(f, v, NULL, room, 1, (int64_t)n);
    f->decode(room, v, (int64_t)n);
    for (uint64_t i = 0; i < n; i++)
        v[i] += less;
    free(room);
}

/* Experts are pieces of one tensor of the view. */
static void find_expert(const struct writer *w, struct item *x)
{
    for (uint64_t i = 0; i < model_file_n_tensor(w->f); i++) {
        const struct mf_tensor *t = model_file_tensor(w->f, i);
        for (uint64_t k = 0; t->piece && k < t->dim[2]; k++)
            if (t->piece[k] == x->t.data) {
                x->view = t;
                x->k = k;
                return;
            }
    }
}

static void keep(struct writer *w, const struct item *x)
{
    if (w->o->kept)
        w->o->kept(w->o->user, x->view->name, x->t.dim[0] * x->t.dim[1], x->t.n_bytes);
    size_t len = strlen(x->t.name), end = strlen(".weight");
    json_array_append_new(w->kept, json_stringn(x->t.name, len > end ? len - end : len));
}

static void choose(struct writer *w)
{
    uint64_t n = model_file_n_tensor(w->f), n_all = 0;
    const struct mf_tensor **all = mem_new((n + 1) * sizeof *all);
    bool has_experts = false;
    for (uint64_t i = 0; i < n; i++) {
        const struct mf_tensor *t = model_file_tensor(w->f, i);
        has_experts |= t->piece != NULL;
        if (data_of(t))
            all[n_all++] = t;
    }
    qsort(all, n_all, sizeof *all, by_data);
    for (uint64_t i = 0; i < w->n; i++) {
        struct item *x = &w->item[i];
        struct mf_tensor key = {.data = x->t.data}, *at = &key;
        if (!x->t.n_bytes)
            continue;
        const struct mf_tensor **found = bsearch(&at, all, n_all, sizeof *all, by_data);
        x->view = found ? *found : NULL;
        if (!found && has_experts && x->t.n_dim == 2)
            find_expert(w, x);
        if (x->t.n_dim != 2 || !x->view || !is_layers(x->view))
            continue;
        x->quantized = packed_write_takes(w->o, x->view);
        if (!x->quantized)
            keep(w, x);
    }
    free(all);
}

/* The folder's tensors: all its files' in turn. */
static int list(struct writer *w)
{
    for (int i = 0; i < w->f->n_more; i++) {
        const struct mf_part *part = &w->f->more[i]->part;
        struct st_tensor *t;
        uint64_t n;
        if (!safetensors_looks_like(part->p, part->n))
            continue;
        TRY(safetensors_read(part, &w->names, &t, &n, w->err));
        w->item = mem_grow(w->item, (size_t)(w->n + n + 1) * sizeof *w->item);
        for (uint64_t k = 0; k < n; k++)
            w->item[w->n++] = (struct item){.t = t[k]};
        free(t);
    }
    if (!w->n)
        return err_set(w->err, LATHE_E_UNSUPPORTED,
                       "%s is no folder of safetensors: a quantized folder is made from one, which has the "
                       "tokenizer and "
                       "the configuration",
                       mf_path_tail(w->from));
    choose(w);
    return 0;
}

/* ---- the header ---- */

uint32_t packed_write_scale(const struct packed_write *o, uint32_t type)
{
    bool own = o->kind == WRITE_INTS || o->kind == WRITE_BYTES || o->kind == WRITE_NF4;
    return own && type == FORMAT_BF16 ? FORMAT_BF16 : FORMAT_F16;
}

static void put_entry(struct writer *w, const char *name, const char *dtype, int n_dim, const uint64_t *dim,
                      uint64_t n_bytes)
{
    json_t *shape = json_array();
    for (int i = 0; i < n_dim; i++)
        json_array_append_new(shape, json_integer((json_int_t)dim[i]));
    json_object_set_new(w->header, name,
                        json_pack("{ss so s[II]}", "dtype", dtype, "shape", shape, "data_offsets",
                                  (json_int_t)w->n_bytes, (json_int_t)(w->n_bytes + n_bytes)));
    w->n_bytes += n_bytes;
}

static void put_entries(struct writer *w, const struct item *x)
{
    struct packed_part part[PACKED_MAX_PART];
    char name[MF_MAX_NAME + 64];
    if (!x->quantized) {
        put_entry(w, x->t.name, x->t.dtype, x->t.n_dim, x->t.dim, x->t.n_bytes);
        return;
    }
    int n = packed_parts(w->o, packed_write_scale(w->o, x->t.type), x->t.dim[0], x->t.dim[1], part);
    size_t stem = strlen(x->t.name) - strlen(".weight");
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%.*s%s", (int)stem, x->t.name, part[i].end);
        put_entry(w, name, part[i].dtype, part[i].n_dim, part[i].dim, part[i].n_bytes);
    }
}

static int count(struct writer *w)
{
    for (uint64_t i = 0; i < w->n; i++)
        w->n_quantized += w->item[i].quantized;
    return w->n_quantized
               ? 0
               : err_set(w->err, LATHE_E_UNSUPPORTED,
                         "%s has no matrix that this layout can hold: groups must divide their columns",
                         mf_path_tail(w->from));
}

static int write_header(struct writer *w)
{
    w->header = json_pack("{s{ss}}", "__metadata__", "format", "pt");
    for (uint64_t i = 0; i < w->n; i++)
        put_entries(w, &w->item[i]);
    char path[MAX_PATH + 32], *text = json_dumps(w->header, JSON_COMPACT);
    static const char spaces[] = "       ";
    uint64_t n = strlen(text), pad = (8 - n % 8) % 8, all = n + pad;
    snprintf(path, sizeof path, "%s/model.safetensors", w->to);
    char *kept = arena_dup(&w->names, path, strlen(path));
    int rc = w->o->begun ? new_file_continue(&w->out, kept, w->o->begun, 8 + all + w->n_bytes, w->err)
                         : new_file_open(&w->out, kept, 8 + all + w->n_bytes, w->err);
    rc = rc ? rc : new_file_write(&w->out, &all, sizeof all, w->err);
    rc = rc ? rc : new_file_write(&w->out, text, n, w->err);
    rc = rc ? rc : new_file_write(&w->out, spaces, pad, w->err);
    free(text);
    return rc;
}

/* ---- tensors ---- */

static void values_free(struct packed_values *v)
{
    free(v->q);
    free(v->scale);
    free(v->zero);
    free(v->g_idx);
    free(v->code);
    free(v->nested);
}

static struct packed_values shape_of(const struct writer *w, const struct item *x)
{
    bool nf4 = w->o->kind == WRITE_NF4;
    uint64_t n_row = x->t.dim[0], n_col = x->t.dim[1];
    uint64_t group = nf4 ? 64 : w->o->group < 0 ? n_col : (uint64_t)w->o->group;
    return (struct packed_values){.n_row = n_row,
                                  .n_col = n_col,
                                  .scale_type = packed_write_scale(w->o, x->t.type),
                                  .group = group,
                                  .n_group = nf4 ? n_row * n_col / 64 : n_col / group};
}

static int values_new(const struct writer *w, const struct item *x, struct packed_values *v)
{
    bool nf4 = w->o->kind == WRITE_NF4;
    *v = shape_of(w, x);
    uint64_t n_row = v->n_row, n_col = v->n_col;
    uint64_t n_scale = nf4 ? v->n_group : n_row * v->n_group;
    static const char what[] = "a matrix that is quantized";
    TRY(mem_try(n_row * n_col, 1, what, (void **)&v->q, w->err));
    TRY(mem_try(n_scale, sizeof *v->scale, what, (void **)&v->scale, w->err));
    TRY(mem_try(n_scale, 1, what, (void **)&v->zero, w->err));
    TRY(mem_try(n_col, sizeof *v->g_idx, what, (void **)&v->g_idx, w->err));
    TRY(mem_try(nf4 ? v->n_group : 1, 1, what, (void **)&v->code, w->err));
    TRY(mem_try(nf4 ? (v->n_group + 255) / 256 : 1, sizeof *v->nested, what, (void **)&v->nested, w->err));
    for (uint64_t k = 0; k < n_col; k++)
        v->g_idx[k] = (int32_t)(k / v->group);
    return 0;
}

static int check_order(struct writer *w, const struct item *x, const struct packed_values *v)
{
    bool plain = true;
    for (uint64_t k = 0; k < v->n_col; k++)
        plain &= v->g_idx[k] == (int32_t)(k / v->group);
    w->has_order |= !plain;
    return plain || w->o->kind == WRITE_GPTQ
               ? 0
               : err_set(
                     w->err, LATHE_E_UNSUPPORTED,
                     "tensor %.100s has its columns in an order of their own, which only gptq's layout keeps",
                     x->view->name);
}

static int write_parts(struct writer *w, const struct item *x, const struct packed_values *v)
{
    struct packed_part part[PACKED_MAX_PART];
    int n = packed_parts(w->o, v->scale_type, v->n_row, v->n_col, part), rc = 0;
    for (int i = 0; !rc && i < n; i++) {
        void *room;
        TRY(mem_try(part[i].n_bytes, 1, "a tensor of the file", &room, w->err));
        packed_put(w->o, v, i, room);
        rc = new_file_write(&w->out, room, part[i].n_bytes, w->err);
        free(room);
    }
    return rc;
}

static int write_matrix(struct writer *w, const struct item *x)
{
    struct packed_values v;
    void *rows = NULL;
    uint64_t n = x->t.dim[0] * x->t.dim[1];
    int rc;
    TRY_GOTO(values_new(w, x, &v));
    TRY_GOTO(mem_try(n, sizeof(float), "a matrix that is quantized", &rows, w->err));
    format_by_id(x->t.type)->decode(x->t.data, rows, (int64_t)n);
    struct packed_source s = {x->view->name, x->k, rows, x->t.n_bytes};
    TRY_GOTO(w->o->fill(w->o->user, &s, &v, w->err));
    TRY_GOTO(check_order(w, x, &v));
    rc = write_parts(w, x, &v);
done:
    free(rows);
    values_free(&v);
    return rc;
}

/* A tensor that is not quantized: as it is, or the vector that it became. */
static int write_copy(struct writer *w, const struct item *x)
{
    const float *v =
        w->o->vector && x->view && x->t.n_dim == 1 ? w->o->vector(w->o->user, x->view->name) : NULL;
    if (!v)
        return new_file_write(&w->out, x->t.data, x->t.n_bytes, w->err);
    uint64_t n = x->t.dim[0];
    float *as_file = mem_new(n * sizeof *as_file);
    uint8_t *room = mem_new(x->t.n_bytes);
    for (uint64_t i = 0; i < n; i++)
        as_file[i] = x->view->one_less ? v[i] - 1 : v[i];
    format_encode(format_by_id(x->t.type), as_file, NULL, room, 1, (int64_t)n);
    int rc = new_file_write(&w->out, room, x->t.n_bytes, w->err);
    free(as_file);
    free(room);
    return rc;
}

/* One that an earlier run wrote. */
static void pass_over(struct writer *w, uint64_t i)
{
    const struct item *x = &w->item[i];
    struct packed_part part[PACKED_MAX_PART];
    if (!x->quantized) {
        w->out.n_bytes += x->t.n_bytes;
        return;
    }
    const struct packed_values v = shape_of(w, x);
    const struct packed_source s = {.name = x->view->name, .k = x->k};
    int n = packed_parts(w->o, v.scale_type, v.n_row, v.n_col, part);
    for (int k = 0; k < n; k++)
        w->out.n_bytes += part[k].n_bytes;
    w->has_order |= w->o->was_done(w->o->user, i, &s, &v);
}

static int write_tensors(struct writer *w)
{
    for (uint64_t i = 0; i < w->n; i++) {
        const struct item *x = &w->item[i];
        const uint64_t first = w->out.n_bytes;
        w->n_done += x->quantized;
        if (i < w->o->n_done) {
            pass_over(w, i);
            continue;
        }
        TRY(x->quantized ? write_matrix(w, x) : write_copy(w, x));
        if (w->o->tensor_done)
            TRY(w->o->tensor_done(w->o->user, i, first, w->out.n_bytes, w->err));
        if (w->o->progress && x->quantized)
            w->o->progress(w->o->user, (double)w->n_done / (double)w->n_quantized);
    }
    return model_file_damaged(w->f)
               ? err_set(w->err, LATHE_E_FILE, "%s was cut while it was read", mf_path_tail(w->from))
               : 0;
}

/* ---- the other files ---- */

static int write_all(const char *path, const void *p, size_t n, struct lathe_err *err)
{
    struct new_file out = {.fd = -1};
    TRY(new_file_open(&out, path, n, err));
    return new_file_close(&out, new_file_write(&out, p, n, err), err);
}

static int write_config(struct writer *w)
{
    char path[MAX_PATH + 32];
    json_error_t why;
    json_t *config = json_loadb((const char *)w->f->part.p, w->f->part.n, 0, &why);
    if (!json_is_object(config)) {
        json_decref(config);
        return err_set(w->err, LATHE_E_FILE, "%sconfig.json was changed while it was read",
                       mf_path_tail(w->from));
    }
    json_object_set_new(config, "quantization_config", packed_config(w->o, w->kept, w->has_order));
    char *text = json_dumps(config, JSON_INDENT(2));
    json_decref(config);
    snprintf(path, sizeof path, "%s/config.json", w->to);
    int rc = text ? write_all(path, text, strlen(text), w->err) : LATHE_E_FAILED;
    free(text);
    return rc;
}

/* Those that the view has read, which are all that belong to the model. */
static int copy_others(struct writer *w)
{
    char path[MAX_PATH + 300];
    for (int i = 0; i < w->f->n_more; i++) {
        const struct mf_part *part = &w->f->more[i]->part;
        const char *slash = strrchr(part->path, '/'), *name = slash ? slash + 1 : part->path;
        if (safetensors_looks_like(part->p, part->n) || strstr(name, ".safetensors"))
            continue;
        snprintf(path, sizeof path, "%s/%.256s", w->to, name);
        TRY(write_all(path, part->p, part->n, w->err));
    }
    return 0;
}

/* ---- all ---- */

/* What is not there is empty. */
static bool is_empty(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    while (d && n < 3 && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n < 3; /* itself and the one that it is in */
}

static int check_folder(const struct writer *w)
{
    char path[MAX_PATH + 32];
    struct stat st;
    snprintf(path, sizeof path, "%s/config.json", w->to);
    if (stat(w->to, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(w->err, LATHE_E_USAGE, "%s is no folder: a quantized model in safetensors is one",
                       mf_path_tail(w->to));
    if (stat(path, &st) == 0)
        return err_set(w->err, LATHE_E_USAGE, "%s has a model already: name another folder to write",
                       mf_path_tail(w->to));
    return is_empty(w->to)
               ? 0
               : err_set(w->err, LATHE_E_USAGE, "%s has files already: name another folder to write",
                         mf_path_tail(w->to));
}

static int make_folder(const struct writer *w)
{
    if (mkdir(w->to, 0777) && errno != EEXIST)
        return err_set(w->err, LATHE_E_IO, "cannot make the folder %s: %s", mf_path_tail(w->to),
                       strerror(errno));
    return check_folder(w);
}

static int check(struct writer *w)
{
    TRY(list(w));
    TRY(check_folder(w));
    return count(w);
}

static int run(struct writer *w)
{
    TRY(list(w));
    TRY(make_folder(w));
    TRY(count(w));
    int rc = write_header(w);
    if (!rc)
        rc = write_tensors(w);
    if (!rc)
        rc = copy_others(w);
    if (!rc)
        rc = write_config(w);
    return w->out.fd < 0 ? rc : new_file_close(&w->out, rc, w->err);
}

static int with_writer(const char *from, const struct packed_write *o, const char *to,
                       int (*what)(struct writer *), struct lathe_err *err)
{
    struct writer w = {.o = o, .err = err, .out.fd = -1, .kept = json_array()};
    snprintf(w.from, sizeof w.from, "%s", from);
    snprintf(w.to, sizeof w.to, "%s", to);
    int rc = model_file_open(from, &w.f, err);
    if (!rc)
        rc = what(&w);
    json_decref(w.header);
    json_decref(w.kept);
    free(w.item);
    arena_free(&w.names);
    model_file_free(w.f);
    return rc;
}

int packed_write(const char *from, const struct packed_write *o, const char *to, struct lathe_err *err)
{
    return with_writer(from, o, to, run, err);
}

int packed_write_check(const char *from, const struct packed_write *o, const char *to, struct lathe_err *err)
{
    struct packed_write silent = *o;
    silent.kept = NULL;
    return with_writer(from, &silent, to, check, err);
}
