/* GGUF, versions 2 and 3: header and metadata. gguf_tensors.c reads what follows.
 *
 *     file   "GGUF" u32 version | u64 n_tensor | u64 n_meta | meta... | tensor info... | padding | data
 *     meta   str key, u32 kind, value
 *     str    u64 n, n bytes
 *     array  u32 kind, u64 n, n values
 *
 * The padding goes to a multiple of `general.alignment`.
 *
 * Every read goes through a cursor that knows the end of the file. Counts are compared with the bytes that
 * are left before anything is allocated for them, so memory is at most a small multiple of the file. */
#include "format/gguf_cursor.h"
#include <string.h>

int cursor_take(struct cursor *c, uint64_t n, const char *what, const uint8_t **out)
{
    if (n > c->n - c->pos) {
        err_set(c->err, LATHE_E_FILE,
                "%s: ends at byte %llu inside %s, which needs %llu bytes at %llu; the file is cut or "
                "damaged, download it again",
                c->path, (unsigned long long)c->n, what, (unsigned long long)n, (unsigned long long)c->pos);
        return LATHE_E_FILE;
    }
    *out = c->p + c->pos;
    c->pos += n;
    return 0;
}

int cursor_u32(struct cursor *c, const char *what, uint32_t *out)
{
    const uint8_t *p;
    TRY(cursor_take(c, sizeof *out, what, &p));
    memcpy(out, p, sizeof *out);
    return 0;
}

int cursor_u64(struct cursor *c, const char *what, uint64_t *out)
{
    const uint8_t *p;
    TRY(cursor_take(c, sizeof *out, what, &p));
    memcpy(out, p, sizeof *out);
    return 0;
}

int cursor_str(struct cursor *c, const char *what, struct str *out)
{
    uint64_t n;
    const uint8_t *p;
    TRY(cursor_u64(c, what, &n));
    TRY(cursor_take(c, n, what, &p));
    *out = (struct str){(const char *)p, (size_t)n};
    return 0;
}

/* Length of the UTF-8 character at p, 0 if it is malformed (overlong, surrogate, beyond U+10FFFF). */
static int utf8_len(const uint8_t *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return 1;
    int len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || (size_t)len > n)
        return 0;
    uint32_t u = p[0] & (0x7f >> len);
    for (int i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        u = u << 6 | (p[i] & 0x3f);
    }
    return u < least[len] || u > 0x10ffff || (u >= 0xd800 && u < 0xe000) ? 0 : len;
}

int cursor_name(struct cursor *c, const char *what, uint64_t max, struct str *out)
{
    uint64_t at = c->pos;
    TRY(cursor_str(c, what, out));
    if (out->n == 0 || out->n > max)
        return err_set(c->err, LATHE_E_FILE, "%s: %s at byte %llu has %llu bytes; 1 to %llu are allowed",
                       c->path, what, (unsigned long long)at, (unsigned long long)out->n,
                       (unsigned long long)max);
    for (size_t i = 0; i < out->n;) {
        int len = out->p[i] ? utf8_len((const uint8_t *)out->p + i, out->n - i) : 0;
        if (!len)
            return err_set(c->err, LATHE_E_FILE, "%s: %s at byte %llu has %s at its byte %zu", c->path, what,
                           (unsigned long long)at, out->p[i] ? "invalid UTF-8" : "a NUL", i);
        i += (size_t)len;
    }
    return 0;
}

static int check_bools(struct cursor *c, struct str key, const uint8_t *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i] > 1)
            return err_set(c->err, LATHE_E_FILE,
                           "%s: metadata " STR_FMT ": a bool is %d; only 0 and 1 are allowed", c->path,
                           STR_ARG(key), p[i]);
    return 0;
}

static int read_kind(struct cursor *c, struct str key, enum mf_kind *out)
{
    uint32_t kind;
    TRY(cursor_u32(c, "a metadata type", &kind));
    if (kind >= MF_N_KIND)
        return err_set(c->err, LATHE_E_FILE, "%s: metadata " STR_FMT " has type %u; types are 0 to %d",
                       c->path, STR_ARG(key), kind, MF_N_KIND - 1);
    *out = (enum mf_kind)kind;
    return 0;
}

/* Steps over n values of a kind. Arrays nest at most MF_MAX_DEPTH deep. */
static int skip_values(struct cursor *c, struct str key, enum mf_kind kind, uint64_t n, int depth)
{
    uint64_t least = kind == MF_STR ? 8 : kind == MF_ARRAY ? 12 : (uint64_t)mf_kind_bytes(kind);
    if (n > (c->n - c->pos) / least)
        return err_set(c->err, LATHE_E_FILE,
                       "%s: metadata " STR_FMT
                       " has %llu values of type %s, more than the rest of the file (%llu bytes) can hold",
                       c->path, STR_ARG(key), (unsigned long long)n, mf_kind_name(kind),
                       (unsigned long long)(c->n - c->pos));
    if (kind == MF_STR) {
        struct str s;
        for (uint64_t i = 0; i < n; i++)
            TRY(cursor_str(c, "a metadata string", &s));
        return 0;
    }
    if (kind != MF_ARRAY) {
        const uint8_t *p;
        TRY(cursor_take(c, n * least, "a metadata value", &p));
        return kind == MF_BOOL ? check_bools(c, key, p, n) : 0;
    }
    if (depth >= MF_MAX_DEPTH)
        return err_set(c->err, LATHE_E_FILE, "%s: metadata " STR_FMT " nests arrays deeper than %d", c->path,
                       STR_ARG(key), MF_MAX_DEPTH);
    for (uint64_t i = 0; i < n; i++) {
        enum mf_kind elem = MF_U8;
        uint64_t count;
        TRY(read_kind(c, key, &elem));
        TRY(cursor_u64(c, "an array's count", &count));
        TRY(skip_values(c, key, elem, count, depth + 1));
    }
    return 0;
}

static int read_meta(struct cursor *c, struct arena *arena, struct mf_meta *m)
{
    TRY(cursor_name(c, "a metadata key", MF_MAX_KEY, &m->key));
    m->key.p = arena_dup(arena, m->key.p, m->key.n);
    TRY(read_kind(c, m->key, &m->kind));
    m->elem = m->kind;
    m->n = 1;
    if (m->kind == MF_ARRAY) {
        TRY(read_kind(c, m->key, &m->elem));
        TRY(cursor_u64(c, "an array's count", &m->n));
    }
    uint64_t start = c->pos;
    TRY(skip_values(c, m->key, m->elem, m->n, 1));
    m->data = c->p + start;
    m->n_bytes = c->pos - start;
    return 0;
}

static int read_header(struct cursor *c, uint64_t *n_tensor, uint64_t *n_meta)
{
    uint32_t magic, version;
    TRY(cursor_u32(c, "the header", &magic));
    TRY(cursor_u32(c, "the header", &version));
    if (version != 2 && version != 3) {
        bool swapped = version && !(version & 0xffff);
        return err_set(c->err,
                       swapped        ? LATHE_E_UNSUPPORTED
                       : version == 1 ? LATHE_E_UNSUPPORTED
                                      : LATHE_E_FILE,
                       swapped ? "%s is a big-endian GGUF file (version %u), which is not supported; get the "
                                 "little-endian one"
                               : "%s has GGUF version %u; versions 2 and 3 are read, convert it again with a "
                                 "current converter",
                       c->path, swapped ? __builtin_bswap32(version) : version);
    }
    TRY(cursor_u64(c, "the header", n_tensor));
    TRY(cursor_u64(c, "the header", n_meta));
    /* the smallest metadata entry has 8 + 1 + 4 + 1 bytes, the smallest tensor 8 + 1 + 4 + 8 + 4 + 8 */
    uint64_t left = c->n - c->pos;
    if (*n_meta > MF_MAX_META || *n_meta > left / 14)
        return err_set(c->err, LATHE_E_FILE,
                       "%s claims %llu metadata entries; its %llu bytes can hold %llu and %d are allowed",
                       c->path, (unsigned long long)*n_meta, (unsigned long long)c->n,
                       (unsigned long long)(left / 14), MF_MAX_META);
    if (*n_tensor > MF_MAX_TENSOR || *n_tensor > left / 33)
        return err_set(c->err, LATHE_E_FILE,
                       "%s claims %llu tensors; its %llu bytes can hold %llu and %d are allowed", c->path,
                       (unsigned long long)*n_tensor, (unsigned long long)c->n,
                       (unsigned long long)(left / 33), MF_MAX_TENSOR);
    return 0;
}

int gguf_read(struct model_file *f, struct lathe_err *err)
{
    struct cursor c = {.p = f->part.p, .n = f->part.n, .path = mf_path_tail(f->part.path), .err = err};
    uint64_t n_tensor, n_meta;
    void *meta;
    TRY(read_header(&c, &n_tensor, &n_meta));
    TRY(mem_try(n_meta, sizeof *f->meta, "metadata of the model file", &meta, err));
    f->meta = meta;
    for (uint64_t i = 0; i < n_meta; i++) {
        TRY(read_meta(&c, &f->arena, &f->meta[i]));
        f->n_meta = i + 1;
    }
    TRY(mf_index_meta(f, err));
    return gguf_read_tensors(f, c.pos, n_tensor, err);
}
