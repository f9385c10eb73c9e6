/* Metadata that a reader makes. */
#include "format/meta_build.h"
#include <string.h>

enum { FIRST_ROOM = 32 };

static struct mf_meta *next(struct model_file *f, const char *key)
{
    uint64_t n = f->n_meta;
    if (n == 0 || (n >= FIRST_ROOM && (n & (n - 1)) == 0))
        f->meta = mem_grow(f->meta, (n ? 2 * n : FIRST_ROOM) * sizeof *f->meta);
    f->meta[n] = (struct mf_meta){.key = {arena_dup(&f->arena, key, strlen(key)), strlen(key)}, .n = 1};
    f->n_meta++;
    return &f->meta[n];
}

void meta_put(struct model_file *f, const char *key, enum mf_kind kind, const void *data, uint64_t n_bytes)
{
    struct mf_meta *m = next(f, key);
    m->kind = m->elem = kind;
    m->n_bytes = n_bytes;
    m->data = arena_dup(&f->arena, data, n_bytes);
}

void meta_put_u32(struct model_file *f, const char *key, uint64_t v)
{
    uint32_t u = (uint32_t)v;
    meta_put(f, key, MF_U32, &u, sizeof u);
}

void meta_put_f32(struct model_file *f, const char *key, float v)
{
    meta_put(f, key, MF_F32, &v, sizeof v);
}

void meta_put_bool(struct model_file *f, const char *key, bool v)
{
    uint8_t b = v;
    meta_put(f, key, MF_BOOL, &b, sizeof b);
}

void meta_put_str(struct model_file *f, const char *key, struct str v)
{
    meta_put_text(f, key, (struct str){arena_dup(&f->arena, v.p, v.n), v.n});
}

void meta_put_text(struct model_file *f, const char *key, struct str v)
{
    struct mf_meta *m = next(f, key);
    m->kind = m->elem = MF_STR;
    m->plain = true;
    m->data = v.p;
    m->n_bytes = v.n;
}

void meta_put_array(struct model_file *f, const char *key, enum mf_kind elem, uint64_t n, const void *data,
                    uint64_t n_bytes)
{
    meta_put(f, key, MF_ARRAY, data, n_bytes);
    f->meta[f->n_meta - 1].elem = elem;
    f->meta[f->n_meta - 1].n = n;
}
