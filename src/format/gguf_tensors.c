/* GGUF: the table of tensors and the checks of where their data lies.
 *
 *     str name | u32 n_dim | u64 dim[n_dim], innermost first | u32 type | u64 offset into the data section
 *
 * After it every tensor's bytes are inside the file, aligned, and nobody else's. */
#include "format/gguf_cursor.h"
#include "quant/format.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct place {
    uint64_t offset;
    struct mf_tensor *t;
};

static int read_dims(struct cursor *c, struct mf_tensor *t, uint64_t *n_elem)
{
    uint32_t n_dim;
    TRY(cursor_u32(c, "a tensor's dimensions", &n_dim));
    if (n_dim < 1 || n_dim > 4)
        return mf_bad_tensor(c->err, c->path, t->name, "has %u dimensions; 1 to 4 are allowed", n_dim);
    t->n_dim = (int)n_dim;
    for (uint32_t i = 0; i < 4; i++) {
        t->dim[i] = 1;
        if (i >= n_dim)
            continue;
        TRY(cursor_u64(c, "a tensor's dimensions", &t->dim[i]));
        if (t->dim[i] == 0)
            return mf_bad_tensor(c->err, c->path, t->name, "has dimension %u of size 0", i);
        if (!mem_mul(*n_elem, t->dim[i], n_elem) || *n_elem > INT64_MAX)
            return mf_bad_tensor(c->err, c->path, t->name,
                                 "has more elements than 2^63 (dimension %u is %" PRIu64 ")", i, t->dim[i]);
    }
    return 0;
}

static int read_tensor(struct cursor *c, struct arena *arena, struct mf_tensor *t, uint64_t *offset)
{
    struct str name;
    uint64_t n_elem = 1;
    TRY(cursor_name(c, "a tensor name", MF_MAX_NAME, &name));
    t->name = arena_dup(arena, name.p, name.n);
    TRY(read_dims(c, t, &n_elem));
    TRY(cursor_u32(c, "a tensor's type", &t->type));
    TRY(cursor_u64(c, "a tensor's offset", offset));
    const struct format *fmt = format_by_id(t->type);
    if (!fmt)
        return 0;
    if (t->dim[0] % (uint64_t)fmt->block_n)
        return mf_bad_tensor(c->err, c->path, t->name,
                             "has rows of %" PRIu64 " elements, which are not whole blocks of %d", t->dim[0],
                             fmt->block_n);
    if (!mem_mul(n_elem / (uint64_t)fmt->block_n, (uint64_t)fmt->block_bytes, &t->n_bytes))
        return mf_bad_tensor(c->err, c->path, t->name, "has %" PRIu64 " elements of %s, more than 2^64 bytes",
                             n_elem, fmt->name);
    return 0;
}

static int place_cmp(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Gives each tensor its data; `place` is sorted by offset. */
static int place_tensors(struct cursor *c, struct place *place, uint64_t n, uint64_t start, uint64_t align)
{
    uint64_t n_data = start < c->n ? c->n - start : 0;
    for (uint64_t i = 0; i < n; i++) {
        struct mf_tensor *t = place[i].t;
        uint64_t offset = place[i].offset, end = i + 1 < n ? place[i + 1].offset : n_data;
        if (offset % align)
            return mf_bad_tensor(c->err, c->path, t->name,
                                 "starts at offset %" PRIu64
                                 ", which is not a multiple of the alignment %" PRIu64,
                                 offset, align);
        if (offset > n_data || t->n_bytes > n_data - offset || offset == n_data)
            return mf_bad_tensor(c->err, c->path, t->name,
                                 "lies at bytes %" PRIu64 " + %" PRIu64
                                 " of the data, which ends at %" PRIu64,
                                 offset, t->n_bytes, n_data);
        if (end <= offset || t->n_bytes > end - offset)
            return mf_bad_tensor(c->err, c->path, t->name,
                                 "has its data at offset %" PRIu64
                                 ", and the next tensor starts inside it at %" PRIu64,
                                 offset, end);
        if (!t->n_bytes) /* of a type whose size nobody here knows */
            t->n_bytes = end - offset;
        t->data = c->p + start + offset;
    }
    return 0;
}

static int read_alignment(const struct model_file *f, uint32_t *align, struct lathe_err *err)
{
    *align = 32;
    TRY(mf_u32(f, "general.alignment", align, NULL, err));
    if (*align < 8 || *align > 1u << 20 || (*align & (*align - 1)))
        return err_set(err, LATHE_E_FILE,
                       "%s: general.alignment is %u; it must be a power of two from 8 to 1048576",
                       mf_path_tail(f->part.path), *align);
    return 0;
}

int gguf_read_tensors(struct model_file *f, uint64_t pos, uint64_t n_tensor, struct lathe_err *err)
{
    struct cursor c = {
        .p = f->part.p, .n = f->part.n, .pos = pos, .path = mf_path_tail(f->part.path), .err = err};
    void *tensor, *place = NULL;
    uint32_t align;
    TRY(read_alignment(f, &align, err));
    TRY(mem_try(n_tensor, sizeof *f->tensor, "tensor table of the model file", &tensor, err));
    f->tensor = tensor;
    f->n_tensor = n_tensor;
    int rc;
    TRY_GOTO(mem_try(n_tensor, sizeof(struct place), "tensor table of the model file", &place, err));
    struct place *places = place;
    for (uint64_t i = 0; i < n_tensor; i++) {
        places[i].t = &f->tensor[i];
        TRY_GOTO(read_tensor(&c, &f->arena, &f->tensor[i], &places[i].offset));
    }
    TRY_GOTO(mf_index_tensors(f, err));
    qsort(places, n_tensor, sizeof *places, place_cmp);
    TRY_GOTO(place_tensors(&c, places, n_tensor, (c.pos + align - 1) / align * align, align));
done:
    free(place);
    return rc;
}
