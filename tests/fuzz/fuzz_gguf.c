/* Fuzzes the readers of model files through the real path: bytes in a memory file, opened by name, everything
 * read. */
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "format/model_file.h"
#include "quant/format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static volatile uint64_t sink;

static void read_metadata(const struct model_file *f)
{
    for (uint64_t i = 0; i < model_file_n_meta(f); i++) {
        const struct mf_meta *m = model_file_meta(f, i);
        uint64_t u = 0, n_str, n_int, n_float;
        uint32_t w = 0;
        float x = 0;
        bool b = false;
        struct str s = {0}, *strs;
        int32_t *ints;
        float *floats;
        if (model_file_find(f, m->key.p) != m)
            abort();
        mf_u64(f, m->key.p, &u, NULL, NULL);
        mf_u32(f, m->key.p, &w, NULL, NULL);
        mf_f32(f, m->key.p, &x, NULL, NULL);
        mf_bool(f, m->key.p, &b, NULL, NULL);
        mf_str(f, m->key.p, &s, NULL, NULL);
        for (size_t k = 0; k < s.n; k++)
            sink += (uint8_t)s.p[k];
        if (!mf_strs(f, m->key.p, &strs, &n_str, NULL))
            for (uint64_t k = 0; k < n_str; k++)
                sink += strs[k].n ? (uint8_t)strs[k].p[strs[k].n - 1] : 0;
        mf_i32s(f, m->key.p, &ints, &n_int, NULL);
        mf_f32s(f, m->key.p, &floats, &n_float, NULL);
        free(strs);
        free(ints);
        free(floats);
    }
}

static void read_tensors(const struct model_file *f)
{
    float y[256];
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        const struct format *fmt = format_by_id(t->type);
        if (model_file_tensor_find(f, t->name) != t)
            abort();
        for (uint64_t k = 0; k < t->n_bytes; k += 64)
            sink += t->data[k];
        sink += t->data[t->n_bytes - 1];
        if (fmt && fmt->runs)
            fmt->decode(t->data + t->n_bytes - (size_t)fmt->block_bytes, y, fmt->block_n);
    }
}

static void read_public(const char *path)
{
    lathe_file *f;
    char text[64];
    struct lathe_file_tensor t;
    if (lathe_file_open(path, &f, NULL))
        abort(); /* it opened a moment ago */
    for (uint64_t i = 0; i < lathe_file_n_meta(f); i++)
        if (!lathe_file_meta(f, i, text, i % sizeof text) ||
            (i % sizeof text && strlen(text) >= i % sizeof text))
            abort();
    for (uint64_t i = 0; i < lathe_file_n_tensor(f); i++)
        if (lathe_file_tensor_at(f, i, &t))
            abort();
    lathe_file_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    char path[64];
    struct model_file *f;
    struct lathe_err err = {0};
    if (fd < 0)
        fd = memfd_create("model", 0);
    if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int rc = model_file_open(path, &f, &err);
    if (rc) {
        if (f || !err.text[0] || err.code != rc)
            abort();
        return 0;
    }
    read_metadata(f);
    read_tensors(f);
    model_file_free(f);
    read_public(path);
    return 0;
}
