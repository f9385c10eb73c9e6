/* Tensors of a Hugging Face folder under GGUF's names, by the rows of hf_names.inc. They stay where they are: the experts
 * of a layer, which GGUF has as one tensor, become one in pieces. A '*' at the end of a row stands for anything. */
#include "format/hf_quant.h"
#include "quant/format.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ONE = 1, DROP = 2, HEAD = 4, FUSED = 8 };

struct name_row {
    uint32_t set;
    const char *from, *to;
    int flags;
};

static const struct name_row rows[] = {
#define NAME(set, from, to, flags) {set, from, to, flags},
#include "format/hf_names.inc"
#undef NAME
};

/* What is in front of a model's names where it is a part of something larger. */
static const struct {
    uint32_t set;
    const char *from, *to;
} prefixes[] = {
    {HF_ENCODER, "bert.", ""},
    {HF_OUTER, "language_model.model.", "model."},
    {HF_OUTER, "language_model.lm_head.", "lm_head."},
    {HF_OUTER, "model.language_model.", "model."},
};

/* A number without leading zeros; its digits' count, 0 if there is none. */
static size_t read_number(const char *p, uint64_t *out)
{
    size_t n = 0;
    *out = 0;
    while (p[n] >= '0' && p[n] <= '9' && n < 9)
        *out = *out * 10 + (uint64_t)(p[n++] - '0');
    return n > 1 && p[0] == '0' ? 0 : n;
}

static bool matches(const char *pattern, const char *name, uint64_t *layer, uint64_t *expert)
{
    while (*pattern && *name) {
        if (*pattern == '*')
            return true;
        if (*pattern == '%' || *pattern == '#') {
            size_t n = read_number(name, *pattern == '%' ? layer : expert);
            if (!n)
                return false;
            name += n;
            pattern++;
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return !*pattern && !*name;
}

static const struct name_row *find_row(const struct hf *h, const char *name, uint64_t *layer,
                                       uint64_t *expert)
{
    const uint32_t set = h->class->set | (h->is_outer ? HF_OUTER : 0);
    char inner[MF_MAX_NAME + 8];
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        size_t n = strlen(prefixes[i].from);
        if (prefixes[i].set & set && strncmp(name, prefixes[i].from, n) == 0) {
            snprintf(inner, sizeof inner, "%s%s", prefixes[i].to, name + n);
            name = inner;
            break;
        }
    }
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].set & set && matches(rows[i].from, name, layer, expert))
            return &rows[i];
    return NULL;
}

/* ---- one tensor ---- */

static int check_type(struct hf *h, const struct mf_part *part, const struct st_tensor *t)
{
    if (t->type == ST_NO_TYPE || !format_by_id(t->type) || !format_by_id(t->type)->runs)
        return err_set(h->err, LATHE_E_UNSUPPORTED,
                       "%s: tensor %.100s is %s, which cannot run; F32, F16 and BF16 can",
                       mf_path_tail(part->path), t->name, t->dtype);
    if (t->n_dim < 1 || t->n_dim > 4 || t->n_bytes == 0)
        return err_set(h->err, LATHE_E_FILE, "%s: tensor %.100s has %d dimensions and %" PRIu64 " bytes",
                       mf_path_tail(part->path), t->name, t->n_dim, t->n_bytes);
    return 0;
}

static void set_dims(struct mf_tensor *to, const struct st_tensor *t)
{
    to->n_dim = t->n_dim;
    for (int i = 0; i < 4; i++)
        to->dim[i] = i < t->n_dim ? t->dim[t->n_dim - 1 - i] : 1;
}

struct mf_tensor *hf_new_tensor(struct hf *h, const char *pattern, uint64_t layer)
{
    char name[80];
    const char *at = strchr(pattern, '%');
    if (at)
        snprintf(name, sizeof name, "%.*s%" PRIu64 "%s", (int)(at - pattern), pattern, layer, at + 1);
    else
        snprintf(name, sizeof name, "%s", pattern);
    struct mf_tensor *t = &h->f->tensor[h->f->n_tensor++];
    t->name = arena_dup(&h->f->arena, name, strlen(name));
    return t;
}

struct mf_tensor *hf_add_vector(struct hf *h, const char *name, const float *v, uint64_t n)
{
    struct mf_tensor *t = hf_new_tensor(h, name, 0);
    t->n_dim = 1;
    t->dim[0] = n;
    t->dim[1] = t->dim[2] = t->dim[3] = 1;
    t->n_bytes = n * sizeof *v;
    t->data = (const uint8_t *)arena_dup(&h->f->arena, (const char *)v, t->n_bytes);
    return t;
}

/* Gemma's norms: the folder has w where the model computes with 1 + w, which GGUF has. */
static int add_one(struct hf *h, const struct name_row *row, uint64_t layer, const struct mf_part *part,
                   const struct st_tensor *t)
{
    char name[80];
    const char *at = strchr(row->to, '%');
    if (t->n_dim != 1 || t->dim[0] > 1 << 20)
        return err_set(h->err, LATHE_E_FILE, "%s: tensor %.100s is no vector", mf_path_tail(part->path),
                       t->name);
    if (at)
        snprintf(name, sizeof name, "%.*s%" PRIu64 "%s", (int)(at - row->to), row->to, layer, at + 1);
    else
        snprintf(name, sizeof name, "%s", row->to);
    float *v = mem_new(t->dim[0] * sizeof *v);
    format_by_id(t->type)->decode(t->data, v, (int64_t)t->dim[0]);
    for (uint64_t i = 0; i < t->dim[0]; i++)
        v[i] += 1.0f;
    struct mf_tensor *to = hf_add_vector(h, name, v, t->dim[0]);
    struct mf_one_less *less = arena_alloc(&h->f->arena, sizeof *less);
    *less = (struct mf_one_less){t->data, t->type};
    to->one_less = less;
    free(v);
    return 0;
}

/* ---- experts ---- */

/* The tensor that the experts of this row and layer make up: the first one that is seen makes it. */
static struct mf_tensor *whole_tensor(struct hf *h, const struct name_row *row, uint64_t layer,
                                      const struct st_tensor *t)
{
    size_t at = (size_t)(row - rows) * h->n_layer + layer;
    if (!h->experts)
        h->experts = arena_alloc(&h->f->arena, sizeof rows / sizeof *rows * h->n_layer * sizeof *h->experts);
    if (!h->experts[at]) {
        struct mf_tensor *whole = h->experts[at] = hf_new_tensor(h, row->to, layer);
        set_dims(whole, t);
        whole->type = t->type;
        whole->n_dim = 3;
        whole->dim[2] = h->n_expert;
        whole->n_bytes = t->n_bytes * h->n_expert;
        whole->piece = arena_alloc(&h->f->arena, h->n_expert * sizeof *whole->piece);
    }
    return h->experts[at];
}

static int add_expert(struct hf *h, const struct name_row *row, uint64_t layer, uint64_t expert,
                      const struct mf_part *part, const struct st_tensor *t)
{
    const char *path = mf_path_tail(part->path);
    if (expert >= h->n_expert)
        return err_set(h->err, LATHE_E_FILE,
                       "%s: tensor %.100s is of an expert that config.json has not: it has %" PRIu64, path,
                       t->name, h->n_expert);
    struct mf_tensor *whole = whole_tensor(h, row, layer, t);
    if (t->n_dim != 2 || !whole->piece || t->type != whole->type || t->dim[1] != whole->dim[0] ||
        t->dim[0] != whole->dim[1])
        return err_set(h->err, LATHE_E_FILE,
                       "%s: tensor %.100s is of another shape or type than those of other experts", path,
                       t->name);
    const uint8_t **piece = (const uint8_t **)whole->piece;
    if (piece[expert])
        return err_set(h->err, LATHE_E_FILE, "%s: tensor %.100s appears twice; the file is damaged", path,
                       t->name);
    piece[expert] = t->data;
    return 0;
}

/* The row of a name; *row is NULL if the tensor is dropped. */
static int place_of(struct hf *h, const char *path, const char *name, const struct name_row **row,
                    uint64_t *layer, uint64_t *expert)
{
    *layer = *expert = 0;
    *row = find_row(h, name, layer, expert);
    if (!*row)
        return err_set(h->err, LATHE_E_UNSUPPORTED,
                       "%s: tensor %.100s is nothing that a %s of this program has", path, name,
                       h->class->name);
    if ((*row)->flags & DROP || ((*row)->flags & HEAD && h->tied && !h->takes_head)) {
        *row = NULL;
        return 0;
    }
    if (*layer >= h->n_layer)
        return err_set(h->err, LATHE_E_FILE,
                       "%s: tensor %.100s is of a layer that config.json has not: it has %" PRIu64 " layers",
                       path, name, h->n_layer);
    return 0;
}

static int add_tensor(struct hf *h, const struct mf_part *part, const struct st_tensor *t)
{
    uint64_t layer, expert;
    const struct name_row *row;
    if (hf_quant_take(h, part, t))
        return 0;
    TRY(place_of(h, mf_path_tail(part->path), t->name, &row, &layer, &expert));
    if (!row)
        return 0;
    if (row->flags & FUSED)
        return hf_fused_take(h, row->to, layer, part, t);
    TRY(check_type(h, part, t));
    h->has_head |= (row->flags & HEAD) != 0;
    if (row->flags & ONE)
        return add_one(h, row, layer, part, t);
    if (strchr(row->from, '#'))
        return add_expert(h, row, layer, expert, part, t);
    struct mf_tensor *to = hf_new_tensor(h, row->to, layer);
    set_dims(to, t);
    to->type = t->type;
    to->data = t->data;
    to->n_bytes = t->n_bytes;
    return 0;
}

/* ---- quantized matrices ---- */

static void make_packed(struct hf *h, struct mf_tensor *t, uint32_t type, const struct mf_packed *p,
                        uint64_t n)
{
    const struct format *f = format_by_id(type);
    struct mf_source *s = arena_alloc(&h->f->arena, sizeof *s);
    struct mf_packed *all = arena_alloc(&h->f->arena, n * sizeof *all);
    *s = (struct mf_source){.form = MF_PACKED, .packed = all};
    t->n_dim = n > 1 ? 3 : 2;
    t->dim[0] = p->n_col;
    t->dim[1] = p->n_row;
    t->dim[2] = n;
    t->dim[3] = 1;
    t->type = type;
    t->n_bytes = p->n_col / (uint64_t)f->block_n * (uint64_t)f->block_bytes * p->n_row * n;
    t->source = s;
    t->order = p->order;
}

/* One of the experts that this row and layer make up. */
static int add_packed_expert(struct hf *h, const struct name_row *row, uint64_t layer, uint64_t expert,
                             const char *stem, const char *path, uint32_t type, const struct mf_packed *p)
{
    size_t at = (size_t)(row - rows) * h->n_layer + layer;
    if (expert >= h->n_expert || p->order)
        return err_set(h->err, p->order ? LATHE_E_UNSUPPORTED : LATHE_E_FILE, "%s: tensor %.100s is %s", path,
                       stem,
                       p->order ? "of an expert whose columns are in an order of their own, which cannot run"
                                : "of an expert that config.json has not");
    if (!h->experts)
        h->experts = arena_alloc(&h->f->arena, sizeof rows / sizeof *rows * h->n_layer * sizeof *h->experts);
    if (!h->experts[at])
        make_packed(h, h->experts[at] = hf_new_tensor(h, row->to, layer), type, p, h->n_expert);
    struct mf_tensor *t = h->experts[at];
    if (!t->source || t->type != type || t->dim[0] != p->n_col || t->dim[1] != p->n_row)
        return err_set(h->err, LATHE_E_FILE,
                       "%s: tensor %.100s is of another shape or type than those of other experts", path,
                       stem);
    ((struct mf_packed *)t->source->packed)[expert] = *p;
    return 0;
}

int hf_add_packed(struct hf *h, const char *stem, const char *path, uint32_t type, const struct mf_packed *p)
{
    uint64_t layer, expert;
    const struct name_row *row;
    char name[MF_MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.weight", stem);
    TRY(place_of(h, path, name, &row, &layer, &expert));
    if (!row)
        return 0;
    if (row->flags & (FUSED | ONE))
        return err_set(h->err, LATHE_E_UNSUPPORTED, "%s: tensor %.100s cannot run quantized", path, name);
    h->has_head |= (row->flags & HEAD) != 0;
    if (strchr(row->from, '#'))
        return add_packed_expert(h, row, layer, expert, stem, path, type, p);
    struct mf_tensor *t = hf_new_tensor(h, row->to, layer);
    make_packed(h, t, type, p, 1);
    *(struct mf_packed *)t->source->packed = *p;
    return 0;
}

int hf_tensors(struct hf *h, const struct mf_part *part, const struct st_tensor *t, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        TRY(add_tensor(h, part, &t[i]));
    return 0;
}

int hf_tensors_end(struct hf *h)
{
    TRY(hf_fused_end(h));
    TRY(hf_quant_end(h));
    for (uint64_t i = 0; i < h->f->n_tensor; i++) {
        const struct mf_tensor *t = &h->f->tensor[i];
        const struct mf_packed *packed = t->source && t->source->form == MF_PACKED ? t->source->packed : NULL;
        for (uint64_t k = 0; (t->piece || packed) && k < t->dim[2]; k++)
            if (packed ? !packed[k].q : !t->piece[k])
                return err_set(h->err, LATHE_E_FILE,
                               "%s: expert %" PRIu64 " of %s is missing; a file is missing or damaged",
                               h->path, k, t->name);
    }
    if (!h->tied && !h->has_head && h->class->set & HF_DECODER)
        return err_set(h->err, LATHE_E_FILE,
                       "%s: lm_head.weight is missing, and config.json does not tie the head to the "
                       "embedding; a file is "
                       "missing or damaged",
                       h->path);
    return 0;
}
