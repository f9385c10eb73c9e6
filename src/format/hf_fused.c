/* Experts of gpt-oss: all of a layer are one tensor for each product, gate and up row by row in turn, in MXFP4 (blocks and scales
 * apart) or as floats with columns outermost. They stay where they are: rows are made when they are read. */
#include <inttypes.h>
#include <stdlib.h>
#include "format/hf.h"
#include "quant/format.h"

enum part { WHOLE, BLOCKS, SCALES, BIAS, N_PART };

struct product {
    struct st_tensor part[N_PART]; /* data NULL: not seen */
};

struct hf_fused {
    struct product gate_up, down;
};

static int damaged(struct hf *h, const struct mf_part *part, const struct st_tensor *t, const char *why)
{
    return mf_bad_tensor(h->err, mf_path_tail(part->path), t->name, "%s", why);
}

int hf_fused_take(struct hf *h, const char *what, uint64_t layer, const struct mf_part *part,
                  const struct st_tensor *t)
{
    static const char *const ends[N_PART] = {
        [WHOLE] = "proj", [BLOCKS] = "blocks", [SCALES] = "scales", [BIAS] = "bias"};
    if (!h->fused)
        h->fused = arena_alloc(&h->f->arena, h->n_layer * sizeof *h->fused);
    struct product *p = *what == 'g' ? &h->fused[layer].gate_up : &h->fused[layer].down;
    const char *end = strrchr(what, '_') + 1;
    int i = 0;
    while (strcmp(ends[i], end) != 0)
        i++;
    if (p->part[i].data)
        return damaged(h, part, t, "appears twice");
    p->part[i] = *t;
    return 0;
}

/* What the parts must be: n_expert matrices of n_row rows and n_col columns. */
static int check_part(struct hf *h, const struct st_tensor *t, bool is_right, const char *want)
{
    if (is_right)
        return 0;
    return err_set(h->err, t->data ? LATHE_E_FILE : LATHE_E_UNSUPPORTED,
                   "%s: tensor %.100s is no %s; the file is damaged or of another model", h->path,
                   t->name ? t->name : "of the experts", want);
}

static bool has_shape(const struct st_tensor *t, int n_dim, const uint64_t *dim)
{
    bool same = t->n_dim == n_dim;
    for (int i = 0; same && i < n_dim; i++)
        same = t->dim[i] == dim[i];
    return same;
}

/* Rows `first`, first + step, ... of a product's n_row as one tensor of GGUF. */
static void add_matrix(struct hf *h, const struct product *p, const char *name, uint64_t layer,
                       uint64_t n_col, uint64_t n_row, uint64_t step, uint64_t first)
{
    const bool packed = p->part[BLOCKS].data;
    struct mf_tensor *t = hf_new_tensor(h, name, layer);
    struct mf_source *s = arena_alloc(&h->f->arena, sizeof *s);
    *s = (struct mf_source){.form = packed ? MF_MXFP4_PARTS : MF_COLUMNS,
                            .data = p->part[packed ? BLOCKS : WHOLE].data,
                            .scales = p->part[SCALES].data,
                            .n_row = n_row,
                            .step = step,
                            .first = first,
                            .n_bytes = p->part[packed ? BLOCKS : WHOLE].n_bytes};
    t->n_dim = 3;
    t->dim[0] = n_col;
    t->dim[1] = n_row / step;
    t->dim[2] = h->n_expert;
    t->dim[3] = 1;
    t->type = packed ? (uint32_t)FORMAT_MXFP4 : p->part[WHOLE].type;
    const struct format *f = format_by_id(t->type);
    t->n_bytes = n_col / (uint64_t)f->block_n * (uint64_t)f->block_bytes * t->dim[1] * t->dim[2];
    t->source = s;
}

static int add_bias(struct hf *h, const struct product *p, const char *name, uint64_t layer, uint64_t n_row,
                    uint64_t step, uint64_t first)
{
    const struct st_tensor *b = &p->part[BIAS];
    uint64_t n = h->n_expert * n_row;
    void *room;
    TRY(mem_try(n, sizeof(float), "biases of experts", &room, h->err));
    float *v = room;
    format_by_id(b->type)->decode(b->data, v, (int64_t)n);
    for (uint64_t i = 0; i < n / step; i++)
        v[i] = v[i * step + first];
    struct mf_tensor *t = hf_new_tensor(h, name, layer);
    t->n_dim = 2;
    t->dim[0] = n_row / step;
    t->dim[1] = h->n_expert;
    t->dim[2] = t->dim[3] = 1;
    t->n_bytes = n / step * sizeof *v;
    t->data = (const uint8_t *)arena_dup(&h->f->arena, (const char *)v, t->n_bytes);
    free(room);
    return 0;
}

static int check_product(struct hf *h, const struct product *p, uint64_t n_col, uint64_t n_row)
{
    const struct st_tensor *whole = &p->part[WHOLE], *blocks = &p->part[BLOCKS], *scales = &p->part[SCALES],
                           *bias = &p->part[BIAS];
    uint64_t e = h->n_expert;
    if (!blocks->data && !whole->data)
        return err_set(h->err, LATHE_E_FILE, "%s: experts are missing; a file is missing or damaged",
                       h->path);
    if (blocks->data) {
        TRY(check_part(h, blocks,
                       !whole->data && n_col % 32 == 0 && strcmp(blocks->dtype, "U8") == 0 &&
                           has_shape(blocks, 4, (uint64_t[]){e, n_row, n_col / 32, 16}),
                       "MXFP4 of the experts' shape"));
        TRY(check_part(h, scales,
                       scales->data && strcmp(scales->dtype, "U8") == 0 &&
                           has_shape(scales, 3, (uint64_t[]){e, n_row, n_col / 32}),
                       "scale for each block of the experts"));
    } else {
        TRY(check_part(h, whole,
                       format_is_float(whole->type) && has_shape(whole, 3, (uint64_t[]){e, n_col, n_row}),
                       "matrix of floats of the experts' shape"));
    }
    return check_part(h, bias,
                      bias->data && format_is_float(bias->type) && has_shape(bias, 2, (uint64_t[]){e, n_row}),
                      "bias of the experts");
}

int hf_fused_end(struct hf *h)
{
    uint32_t ff = 0;
    char key[80];
    if (!(h->class->set & HF_GPTOSS))
        return 0;
    TRY(mf_u32(h->f, hf_key(h, "%.expert_feed_forward_length", key), &ff, NULL, h->err));
    if (!h->fused)
        return err_set(h->err, LATHE_E_FILE, "%s: experts are missing; a file is missing or damaged",
                       h->path);
    for (uint64_t i = 0; i < h->n_layer; i++) {
        const struct hf_fused *x = &h->fused[i];
        TRY(check_product(h, &x->gate_up, h->n_embd, 2 * (uint64_t)ff));
        TRY(check_product(h, &x->down, ff, h->n_embd));
        add_matrix(h, &x->gate_up, "blk.%.ffn_gate_exps.weight", i, h->n_embd, 2 * (uint64_t)ff, 2, 0);
        add_matrix(h, &x->gate_up, "blk.%.ffn_up_exps.weight", i, h->n_embd, 2 * (uint64_t)ff, 2, 1);
        add_matrix(h, &x->down, "blk.%.ffn_down_exps.weight", i, ff, h->n_embd, 1, 0);
        TRY(add_bias(h, &x->gate_up, "blk.%.ffn_gate_exps.bias", i, 2 * (uint64_t)ff, 2, 0));
        TRY(add_bias(h, &x->gate_up, "blk.%.ffn_up_exps.bias", i, 2 * (uint64_t)ff, 2, 1));
        TRY(add_bias(h, &x->down, "blk.%.ffn_down_exps.bias", i, h->n_embd, 1, 0));
    }
    return 0;
}
