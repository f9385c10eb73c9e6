/* A Hugging Face folder of which the fuzzers change one file: opened, everything read, written as GGUF. */
#ifndef LATHE_TESTS_FUZZ_FOLDER_H
#define LATHE_TESTS_FUZZ_FOLDER_H
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "format/gguf_write.h"
#include "format/model_file.h"

static volatile uint64_t sink;
static char fuzz_dir[64];

static inline void folder_save(const char *name, const void *p, size_t n)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", fuzz_dir, name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f))
        abort();
}

/* The folder, in which `name` is the memory file whose descriptor is returned. */
static inline int folder_make(const char *name)
{
    char path[200], self[64];
    int fd = memfd_create("file", 0);
    snprintf(fuzz_dir, sizeof fuzz_dir, "/tmp/lathe-fuzz-%d", (int)getpid());
    mkdir(fuzz_dir, 0700);
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    snprintf(path, sizeof path, "%s/%s", fuzz_dir, name);
    unlink(path);
    if (fd < 0 || symlink(self, path))
        abort();
    folder_save("tokenizer.json", "{}", 2); /* which nothing here looks into */
    return fd;
}

static inline void folder_write(const struct model_file *f)
{
    char path[200];
    struct lathe_err err = {0};
    const struct gguf_write types[] = {{NULL, NULL, NULL}, {format_by_id(FORMAT_Q8_0), NULL, NULL}};
    snprintf(path, sizeof path, "%s/out.gguf", fuzz_dir);
    for (int i = 0; i < 2; i++) {
        struct model_file *back;
        int rc = gguf_write(f, &types[i], path, &err);
        if (rc && (!err.text[0] || err.code != rc))
            abort();
        if (rc)
            continue;
        if (model_file_n_tensor(f) && model_file_open(path, &back, &err)) { /* what is written can be read */
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
        if (model_file_n_tensor(f))
            model_file_free(back);
    }
}

/* First and last row of each matrix that is made when it is read. */
static inline void read_rows(const struct mf_tensor *t)
{
    const uint64_t n = t->n_bytes / t->dim[1] / t->dim[2];
    uint8_t *row = malloc(n);
    for (uint64_t k = 0; row && k < t->dim[2]; k++) {
        mf_tensor_row(t, k, 0, row);
        mf_tensor_row(t, k, t->dim[1] - 1, row);
        sink += row[0] + row[n - 1];
    }
    free(row);
}

/* Opens it and looks at every byte. */
static inline void folder_read(void)
{
    struct model_file *f;
    struct lathe_err err = {0};
    char text[64];
    int rc = model_file_open(fuzz_dir, &f, &err);
    if (rc) {
        if (f || !err.text[0] || err.code != rc)
            abort();
        return;
    }
    for (uint64_t i = 0; i < model_file_n_meta(f); i++)
        if (model_file_find(f, model_file_meta(f, i)->key.p) != model_file_meta(f, i))
            abort();
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        if (t->source) {
            read_rows(t);
            continue;
        }
        uint64_t n = t->n_bytes / t->dim[2];
        for (uint64_t k = 0; k < t->dim[2]; k++)
            sink += mf_tensor_piece(t, k)[0] + mf_tensor_piece(t, k)[n - 1];
    }
    folder_write(f);
    model_file_free(f);
    lathe_file *file;
    if (lathe_file_open(fuzz_dir, &file, NULL))
        abort();
    for (uint64_t i = 0; i < lathe_file_n_meta(file); i++)
        lathe_file_meta(file, i, text, sizeof text);
    lathe_file_free(file);
}

/* The bytes behind the first are its weights, the first one chooses its config.json. Returns 0. */
static inline int folder_fuzz_weights(const char *const *configs, size_t n_config, const uint8_t *data,
                                      size_t n)
{
    static int fd = -1;
    static size_t last = SIZE_MAX;
    if (fd < 0)
        fd = folder_make("model.safetensors");
    if (n < 1)
        return 0;
    size_t which = data[0] % n_config;
    if (which != last)
        folder_save("config.json", configs[which], strlen(configs[which]));
    last = which;
    if (ftruncate(fd, 0) || pwrite(fd, data + 1, n - 1, 0) != (ssize_t)(n - 1))
        abort();
    folder_read();
    return 0;
}
#endif
