/* The view of a model file: construction, indexes, accessors. */
#include "format/view.h"
#include "format/map_guard.h"
#include "format/packed.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>
#include <xxhash.h>

static const struct {
    const char *name;
    int n_bytes;
} kinds[MF_N_KIND] = {
    [MF_U8] = {"u8", 1},      [MF_I8] = {"i8", 1},       [MF_U16] = {"u16", 2}, [MF_I16] = {"i16", 2},
    [MF_U32] = {"u32", 4},    [MF_I32] = {"i32", 4},     [MF_F32] = {"f32", 4}, [MF_BOOL] = {"bool", 1},
    [MF_STR] = {"string", 0}, [MF_ARRAY] = {"array", 0}, [MF_U64] = {"u64", 8}, [MF_I64] = {"i64", 8},
    [MF_F64] = {"f64", 8},
};

int mf_kind_bytes(enum mf_kind kind)
{
    return kinds[kind].n_bytes;
}

const char *mf_kind_name(enum mf_kind kind)
{
    return kinds[kind].name;
}

struct model_file *mf_new(void)
{
    struct model_file *f = mem_new(sizeof *f);
    f->part.guard = -1;
    return f;
}

void model_file_free(struct model_file *f)
{
    if (!f)
        return;
    for (int i = 0; i < f->n_more; i++)
        model_file_free(f->more[i]);
    free(f->more);
    free(f->meta);
    free(f->tensor);
    free(f->meta_index.slot);
    free(f->tensor_index.slot);
    arena_free(&f->arena);
    mf_part_close(&f->part);
    free(f);
}

/* ---- hash index ---- */

static struct str meta_key(const struct model_file *f, uint64_t i)
{
    return f->meta[i].key;
}

static struct str tensor_key(const struct model_file *f, uint64_t i)
{
    return str_of(f->tensor[i].name);
}

typedef struct str key_fn(const struct model_file *f, uint64_t i);

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *index_slot(const struct mf_index *x, const struct model_file *f, key_fn *key_of,
                            struct str key)
{
    uint64_t at = XXH3_64bits_withSeed(key.p, key.n, x->seed);
    for (;; at++) {
        uint32_t *slot = &x->slot[at & x->mask];
        if (!*slot || str_eq(key_of(f, *slot - 1), key))
            return slot;
    }
}

/* The seed is random: a file cannot be made to collide. */
static int index_build(struct mf_index *x, const struct model_file *f, key_fn *key_of, uint64_t n,
                       const char *what, struct lathe_err *err)
{
    uint64_t size = 16;
    while (size < 2 * n)
        size *= 2;
    void *slot;
    TRY(mem_try(size, sizeof *x->slot, "index of the model file", &slot, err));
    free(x->slot);
    *x = (struct mf_index){.slot = slot, .mask = size - 1, .seed = 0x9e3779b97f4a7c15};
    if (getrandom(&x->seed, sizeof x->seed, GRND_NONBLOCK) < 0)
        x->seed ^= (uintptr_t)slot;
    for (uint64_t i = 0; i < n; i++) {
        struct str key = key_of(f, i);
        uint32_t *at = index_slot(x, f, key_of, key);
        if (*at)
            return err_set(err, LATHE_E_FILE, "%s: %s " STR_FMT " appears twice; the file is damaged",
                           mf_path_tail(f->part.path), what, STR_ARG(key));
        *at = (uint32_t)i + 1;
    }
    return 0;
}

int mf_index_meta(struct model_file *f, struct lathe_err *err)
{
    return index_build(&f->meta_index, f, meta_key, f->n_meta, "metadata key", err);
}

int mf_index_tensors(struct model_file *f, struct lathe_err *err)
{
    return index_build(&f->tensor_index, f, tensor_key, f->n_tensor, "tensor", err);
}

/* ---- accessors ---- */

const char *model_file_left_out(const struct model_file *f)
{
    return f->left_out;
}

const char *model_file_path(const struct model_file *f)
{
    return f->part.path;
}

static const struct mf_part *part_at(const struct model_file *f, int i)
{
    return i < 0 || i > f->n_more ? NULL : i == 0 ? &f->part : &f->more[i - 1]->part;
}

bool model_file_identity(const struct model_file *f, int part, struct mf_identity *out)
{
    const struct mf_part *p = part_at(f, part);
    if (p)
        *out = p->id;
    return p != NULL;
}

bool model_file_damaged(const struct model_file *f)
{
    const struct mf_part *p;
    for (int i = 0; (p = part_at(f, i)); i++)
        if (map_guard_damaged(p->guard))
            return true;
    return false;
}

uint64_t model_file_n_meta(const struct model_file *f)
{
    return f->n_meta;
}

const struct mf_meta *model_file_meta(const struct model_file *f, uint64_t i)
{
    return i < f->n_meta ? &f->meta[i] : NULL;
}

const struct mf_meta *model_file_find(const struct model_file *f, const char *key)
{
    if (!f->meta_index.slot)
        return NULL;
    uint32_t slot = *index_slot(&f->meta_index, f, meta_key, str_of(key));
    return slot ? &f->meta[slot - 1] : NULL;
}

uint64_t model_file_n_tensor(const struct model_file *f)
{
    return f->n_tensor;
}

const struct mf_tensor *model_file_tensor(const struct model_file *f, uint64_t i)
{
    return i < f->n_tensor ? &f->tensor[i] : NULL;
}

const struct mf_tensor *model_file_tensor_find(const struct model_file *f, const char *name)
{
    if (!f->tensor_index.slot)
        return NULL;
    uint32_t slot = *index_slot(&f->tensor_index, f, tensor_key, str_of(name));
    return slot ? &f->tensor[slot - 1] : NULL;
}

uint64_t model_file_tensor_index(const struct model_file *f, const char *name)
{
    const struct mf_tensor *t = model_file_tensor_find(f, name);
    return t ? (uint64_t)(t - model_file_tensor(f, 0)) : model_file_n_tensor(f);
}

/* ---- paging ---- */

void model_file_populate(const struct model_file *f)
{
    const struct mf_part *p;
    for (int i = 0; (p = part_at(f, i)); i++)
        if (madvise((void *)p->p, p->n, MADV_POPULATE_READ)) /* Linux before 5.14 does not know it */
            madvise((void *)p->p, p->n, MADV_WILLNEED);
}

/* Only whole pages: the neighbours may still be in use. */
static void drop_bytes(const uint8_t *p, uint64_t n_bytes)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)p + page - 1) & ~(page - 1),
              to = ((uintptr_t)p + n_bytes) & ~(page - 1);
    if (from < to)
        madvise((void *)from, to - from, MADV_DONTNEED);
}

/* What a reader made in memory must stay: dropped, it would read as zeros. */
static void drop_mapped(const struct model_file *f, const uint8_t *at, uint64_t n_bytes)
{
    const struct mf_part *p;
    for (int i = 0; (p = part_at(f, i)); i++)
        if (at >= p->p && at < p->p + p->n)
            drop_bytes(at, n_bytes);
}

void model_file_drop(const struct model_file *f, const struct mf_tensor *t)
{
    const bool packed = t->source && t->source->form == MF_PACKED;
    uint64_t n = t->piece || packed ? t->dim[2] : 1;
    for (uint64_t k = 0; k < n && packed; k++)
        drop_mapped(f, t->source->packed[k].q, t->source->packed[k].q_bytes);
    for (uint64_t k = 0; k < n && !packed; k++)
        drop_mapped(f,
                    t->source  ? t->source->data
                    : t->piece ? t->piece[k]
                               : t->data,
                    t->source ? t->source->n_bytes : t->n_bytes / n);
}

void model_file_drop_rows(const struct model_file *f, const struct mf_tensor *t, uint64_t n_row)
{
    uint64_t n_all = t->dim[1] * t->dim[2] * t->dim[3];
    if (t->data)
        drop_mapped(f, t->data, t->n_bytes / n_all * (n_row < n_all ? n_row : n_all));
}

/* Elements 2 i and 2 i + 1 of a block are byte i; in GGUF elements i and i + 16 are. */
static void mxfp4_row(const struct mf_source *s, uint64_t row, uint64_t n_block, uint8_t *out)
{
    const uint8_t *from = s->data + row * n_block * 16, *scale = s->scales + row * n_block;
    for (uint64_t b = 0; b < n_block; b++, from += 16) {
        *out++ = scale[b];
        for (int i = 0; i < 16; i++) {
            int low = from[i / 2] >> i % 2 * 4 & 15, high = from[8 + i / 2] >> i % 2 * 4 & 15;
            *out++ = (uint8_t)(low | high << 4);
        }
    }
}

void mf_tensor_row(const struct mf_tensor *t, uint64_t i, uint64_t row, uint8_t *out)
{
    const struct mf_source *s = t->source;
    if (s->form == MF_PACKED) {
        packed_row(&s->packed[i], t->type, row, out);
        return;
    }
    uint64_t there = row * s->step + s->first;
    if (s->form == MF_MXFP4_PARTS) {
        mxfp4_row(s, i * s->n_row + there, t->dim[0] / 32, out);
        return;
    }
    uint64_t size = t->n_bytes / (t->dim[0] * t->dim[1] * t->dim[2]);
    const uint8_t *from = s->data + (i * t->dim[0] * s->n_row + there) * size;
    for (uint64_t c = 0; c < t->dim[0]; c++, from += s->n_row * size, out += size)
        memcpy(out, from, size);
}

int mf_bad_tensor(struct lathe_err *err, const char *path, const char *name, const char *fmt, ...)
{
    char why[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return err_set(err, LATHE_E_FILE, "%s: tensor %.100s %s; the file is damaged, download it again", path,
                   name, why);
}
