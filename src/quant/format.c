/* The table of weight formats: finds a row by number or name; decodes blocks by their parts. */
#include "quant/format.h"
#include "quant/decode.h"
#include <stdio.h>
#include <string.h>

/* Rounded once, as a product is to which a zero is added. */
static void decode_16(float w, float m, const int16_t *q, float *y)
{
    if (m != 0)
        for (int k = 0; k < 16; k++)
            y[k] = __builtin_fmaf(w, (float)q[k], m);
    else
        for (int k = 0; k < 16; k++)
            y[k] = w * (float)q[k] + m;
}

void parts_decode(const struct format *f, const struct parts *p, int i, float *y)
{
    struct columns c;
    c.level = NULL;
    f->columns(p, i, &c);
    if (c.level)
        for (int k = 0; k < 32; k++)
            y[k] = c.d * c.level[p->q[32 * i + k]];
    else
        for (int h = 0; h < 2; h++)
            decode_16(c.w[h], c.m[h], c.q + 16 * h, y + 16 * h);
}

static void decode_blocks(const struct format *f, const uint8_t *x, float *y, int64_t n)
{
    struct parts p;
    for (int64_t b = 0; b < n / f->block_n; b++, x += f->block_bytes) {
        f->take(x, &p);
        for (int i = 0; i < f->block_n / 32; i++, y += 32)
            parts_decode(f, &p, i, y);
    }
}

#define DEFINE_FLOATS(name)
#define DEFINE_NO(name)
#define DEFINE_BLOCKS(name) DEFINE_TAKES(name)
#define DEFINE_TAKES(name)                                             \
    static void decode_##name(const void *x, float *y, int64_t n)      \
    {                                                                  \
        decode_blocks(format_by_id((uint32_t)FORMAT_##name), x, y, n); \
    }
#define X(name, id, block, bytes, kind) DEFINE_##kind(name)
FORMATS(X)
#undef X

#define ROW_FLOATS(name) true, decode_##name, NULL, NULL, NULL, NULL
#define ROW_TAKES(name) true, decode_##name, take_##name, columns_##name, NULL, NULL
#define ROW_BLOCKS(name) true, decode_##name, take_##name, columns_##name, put_##name, NULL
#define ROW_NO(name) false, NULL, NULL, NULL, NULL, NULL

static const struct format rows[] = {
#define X(name, id, block, bytes, kind) {#name, id, block, bytes, ROW_##kind(name)},
    FORMATS(X)
#undef X
};

const struct format *format_by_id(uint32_t id)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

const struct format *format_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}

bool format_is_float(uint32_t id)
{
    const struct format *f = format_by_id(id);
    return f && f->decode && !f->take;
}

void format_names(char *out, size_t n)
{
    size_t used = 0;
    *out = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && used < n; i++)
        if (rows[i].runs)
            used += (size_t)snprintf(out + used, n - used, "%s%s", used ? " " : "", rows[i].name);
}
