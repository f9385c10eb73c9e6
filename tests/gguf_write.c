/* GGUF for tests: pieces, encoders and files. */
#include "gguf_write.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "quant/format.h"

struct bytes {
    uint8_t *p;
    size_t n, cap;
};

struct gw {
    struct bytes meta, info, data;
    uint64_t n_meta, n_tensor;
    uint32_t version;
    uint64_t n_meta_said, n_tensor_said;
};

static void die(const char *what)
{
    perror(what);
    exit(99);
}

static void put(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->cap) {
        b->cap = 2 * (b->n + n) + 256;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            die("gguf_write");
    }
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_u32(struct bytes *b, uint32_t v)
{
    put(b, &v, sizeof v);
}

static void put_u64(struct bytes *b, uint64_t v)
{
    put(b, &v, sizeof v);
}

static void put_str(struct bytes *b, const void *p, uint64_t n)
{
    put_u64(b, n);
    put(b, p, n);
}

static void pad(struct bytes *b, size_t to)
{
    static const uint8_t zero[64];
    while (b->n % to)
        put(b, zero, to - b->n % to < sizeof zero ? to - b->n % to : sizeof zero);
}

struct gw *gw_new(void)
{
    struct gw *g = calloc(1, sizeof *g);
    if (!g)
        die("gguf_write");
    g->version = 3;
    return g;
}

void gw_free(struct gw *g)
{
    if (!g)
        return;
    free(g->meta.p);
    free(g->info.p);
    free(g->data.p);
    free(g);
}

/* ---- metadata ---- */

void gw_raw(struct gw *g, const void *key, uint64_t n_key, uint32_t kind, const void *value, size_t n_value)
{
    put_str(&g->meta, key, n_key);
    put_u32(&g->meta, kind);
    put(&g->meta, value, n_value);
    g->n_meta++;
}

void gw_u32(struct gw *g, const char *key, uint32_t v)
{
    gw_raw(g, key, strlen(key), 4, &v, sizeof v);
}

void gw_f32(struct gw *g, const char *key, float v)
{
    gw_raw(g, key, strlen(key), 6, &v, sizeof v);
}

void gw_bool(struct gw *g, const char *key, bool v)
{
    uint8_t b = v;
    gw_raw(g, key, strlen(key), 7, &b, 1);
}

void gw_str(struct gw *g, const char *key, const char *v)
{
    gw_raw(g, key, strlen(key), 8, NULL, 0);
    put_str(&g->meta, v, strlen(v));
}

static void array(struct gw *g, const char *key, uint32_t kind, uint64_t n, const void *p, size_t n_bytes)
{
    gw_raw(g, key, strlen(key), 9, &kind, sizeof kind);
    put_u64(&g->meta, n);
    put(&g->meta, p, n_bytes);
}

void gw_strs(struct gw *g, const char *key, const char *const *v, uint64_t n)
{
    array(g, key, 8, n, NULL, 0);
    for (uint64_t i = 0; i < n; i++)
        put_str(&g->meta, v[i], strlen(v[i]));
}

void gw_i32s(struct gw *g, const char *key, const int32_t *v, uint64_t n)
{
    array(g, key, 5, n, v, n * sizeof *v);
}

void gw_f32s(struct gw *g, const char *key, const float *v, uint64_t n)
{
    array(g, key, 6, n, v, n * sizeof *v);
}

/* ---- encoders ---- */

static uint16_t to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static int clamp(float x, int lo, int hi)
{
    int q = (int)nearbyintf(x);
    return q < lo ? lo : q > hi ? hi : q;
}

/* A block's scale is the stored half, so that the rounding of the scale does not add to that of the values.
 */
static float put_scale(struct bytes *b, float d)
{
    uint16_t h = f32_to_f16(d);
    put(b, &h, sizeof h);
    return f16_to_f32(h);
}

static void encode_block(uint32_t type, const float *x, struct bytes *b)
{
    float lo = x[0], hi = x[0], m = 0;
    for (int i = 1; i < 32; i++) {
        lo = fminf(lo, x[i]);
        hi = fmaxf(hi, x[i]);
    }
    float top = -lo > hi ? lo : hi; /* the one of largest magnitude, with its sign */
    float d = put_scale(b, type == FORMAT_Q8_0   ? fabsf(top) / 127
                           : type == FORMAT_Q4_0 ? top / -8
                                                 : (hi - lo) / 15);
    if (type == FORMAT_Q4_1)
        m = put_scale(b, lo);
    float inv = d != 0 ? 1 / d : 0;
    uint8_t q[32];
    for (int i = 0; i < 32; i++)
        q[i] = type == FORMAT_Q8_0   ? (uint8_t)clamp(x[i] * inv, -127, 127)
               : type == FORMAT_Q4_0 ? (uint8_t)(clamp(x[i] * inv, -8, 7) + 8)
                                     : (uint8_t)clamp((x[i] - m) * inv, 0, 15);
    if (type != FORMAT_Q8_0)
        for (int i = 0; i < 16; i++)
            q[i] = (uint8_t)(q[i] | q[i + 16] << 4);
    put(b, q, type == FORMAT_Q8_0 ? 32 : 16);
}

static void encode(uint32_t type, const float *x, size_t n, struct bytes *b)
{
    if (type == FORMAT_F32)
        put(b, x, n * sizeof *x);
    for (size_t i = 0; (type == FORMAT_F16 || type == FORMAT_BF16) && i < n; i++) {
        uint16_t h = type == FORMAT_F16 ? f32_to_f16(x[i]) : to_bf16(x[i]);
        put(b, &h, sizeof h);
    }
    for (size_t i = 0; (type == FORMAT_Q4_0 || type == FORMAT_Q4_1 || type == FORMAT_Q8_0) && i < n; i += 32)
        encode_block(type, x + i, b);
}

size_t gw_encode(uint32_t type, const float *x, size_t n, void *out)
{
    struct bytes b = {0};
    encode(type, x, n, &b);
    if (b.n)
        memcpy(out, b.p, b.n);
    free(b.p);
    return b.n;
}

/* ---- tensors ---- */

void gw_tensor_raw(struct gw *g, const void *name, uint64_t n_name, uint32_t n_dim, const uint64_t *dim,
                   uint32_t type, uint64_t offset)
{
    put_str(&g->info, name, n_name);
    put_u32(&g->info, n_dim);
    put(&g->info, dim, n_dim * sizeof *dim);
    put_u32(&g->info, type);
    put_u64(&g->info, offset);
    g->n_tensor++;
}

void gw_tensor(struct gw *g, const char *name, uint32_t type, int n_dim, const uint64_t *dim,
               const void *data, size_t n_bytes)
{
    pad(&g->data, 32);
    gw_tensor_raw(g, name, strlen(name), (uint32_t)n_dim, dim, type, g->data.n);
    put(&g->data, data, n_bytes);
}

void gw_matrix(struct gw *g, const char *name, uint32_t type, uint64_t cols, uint64_t rows, const float *x)
{
    uint64_t dim[2] = {cols, rows};
    pad(&g->data, 32);
    gw_tensor_raw(g, name, strlen(name), rows == 1 ? 1 : 2, dim, type, g->data.n);
    encode(type, x, cols * rows, &g->data);
}

/* ---- files ---- */

void gw_header(struct gw *g, uint32_t version, uint64_t n_tensor, uint64_t n_meta)
{
    g->version = version ? version : g->version;
    g->n_tensor_said = n_tensor;
    g->n_meta_said = n_meta;
}

uint8_t *gw_bytes(const struct gw *g, size_t *n)
{
    struct bytes b = {0};
    put(&b, "GGUF", 4);
    put_u32(&b, g->version);
    put_u64(&b, g->n_tensor_said ? g->n_tensor_said : g->n_tensor);
    put_u64(&b, g->n_meta_said ? g->n_meta_said : g->n_meta);
    put(&b, g->meta.p, g->meta.n);
    put(&b, g->info.p, g->info.n);
    pad(&b, 32);
    put(&b, g->data.p, g->data.n);
    *n = b.n;
    return b.p;
}

void gw_save_bytes(const char *path, const void *p, size_t n)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(p, 1, n, out) != n || fclose(out))
        die(path);
}

void gw_save(const struct gw *g, const char *path)
{
    size_t n;
    uint8_t *p = gw_bytes(g, &n);
    gw_save_bytes(path, p, n);
    free(p);
}

/* ---- random numbers ---- */

uint64_t gw_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

float gw_uniform(uint64_t *state)
{
    return (float)(int32_t)(gw_next(state) >> 40) * 0x1p-23f - 1;
}
