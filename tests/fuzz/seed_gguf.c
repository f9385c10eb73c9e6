/* Writes the seeds of fuzz_gguf: seed_gguf FOLDER. Small files that use every part of the format once. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"

static const float x[64] = {1, -1, 0.5f};

static void save(struct gw *g, const char *dir, const char *name)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    gw_save(g, path);
    gw_free(g);
}

static struct gw *values(uint32_t version)
{
    struct gw *g = gw_new();
    gw_header(g, version, 0, 0);
    for (uint32_t kind = 0; kind < MF_N_KIND; kind++) {
        static const int n[MF_N_KIND] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 0, 8, 8, 8};
        char key[8];
        snprintf(key, sizeof key, "k%u", kind);
        if (n[kind])
            gw_raw(g, key, strlen(key), kind, &(uint64_t){0}, (size_t)n[kind]);
    }
    gw_strs(g, "strs", (const char *[]){"a", "", "\xc3\xa4"}, 3);
    gw_i32s(g, "ints", (int32_t[]){1, -2}, 2);
    gw_raw(g, "nest", 4, MF_ARRAY, "\x9\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0ab", 26);
    return g;
}

int main(int argc, char **argv)
{
    static const uint32_t types[] = {FORMAT_F32,  FORMAT_F16,  FORMAT_BF16,
                                     FORMAT_Q4_0, FORMAT_Q4_1, FORMAT_Q8_0};
    if (argc != 2)
        return 2;
    save(values(2), argv[1], "values_v2");
    save(values(3), argv[1], "values_v3");
    struct gw *g = gw_new();
    gw_u32(g, "general.alignment", 32);
    for (int i = 0; i < 6; i++) {
        char name[8];
        snprintf(name, sizeof name, "t%d", i);
        gw_matrix(g, name, types[i], 32, 2, x);
    }
    gw_tensor(g, "unknown", 99, 4, (uint64_t[]){1, 2, 3, 4}, x, 64);
    save(g, argv[1], "tensors");
    g = gw_new();
    gw_raw(g, "split.no", 8, MF_U16, "\0\0", 2);
    gw_raw(g, "split.count", 11, MF_U16, "\2\0", 2);
    gw_raw(g, "split.tensors.count", 19, MF_I32, "\1\0\0\0", 4);
    gw_tensor(g, "t", 0, 1, (uint64_t[]){4}, x, 16);
    save(g, argv[1], "split");
    char path[1000];
    int32_t header[7] = {2, 1, 1, 1,
                         1, 1, 1}; /* the smallest llama2.c checkpoint: 2 + 2 + 16 + 2 + 6 + 2 + 2 floats */
    uint8_t checkpoint[sizeof header + 32 * 4] = {0};
    memcpy(checkpoint, header, sizeof header);
    snprintf(path, sizeof path, "%s/llama2c", argv[1]);
    gw_save_bytes(path, checkpoint, sizeof checkpoint);
    snprintf(path, sizeof path, "%s/lfs", argv[1]);
    gw_save_bytes(path, "version https://git-lfs.github.com/spec/v1\n", 43);
    return 0;
}
