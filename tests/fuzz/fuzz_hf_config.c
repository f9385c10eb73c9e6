/* Fuzzes config.json of a Hugging Face folder through the real path; the tensors beside it are few. */
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void save_tensors(void)
{
    static const char head[] =
        "{\"model.embed_tokens.weight\":{\"dtype\":\"F32\",\"shape\":[2,8],\"data_offsets\":[0,64]},"
        "\"model.layers.0.self_attn.q_proj.weight\":{\"dtype\":\"F16\",\"shape\":[8,8],\"data_offsets\":[64,"
        "192]},"
        "\"model.norm.weight\":{\"dtype\":\"BF16\",\"shape\":[8],\"data_offsets\":[192,208]}}";
    uint8_t file[8 + sizeof head - 1 + 208] = {0};
    uint64_t n = sizeof head - 1;
    memcpy(file, &n, sizeof n);
    memcpy(file + 8, head, sizeof head - 1);
    folder_save("model.safetensors", file, sizeof file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    if (fd < 0) {
        fd = folder_make("config.json");
        save_tensors();
    }
    if (ftruncate(fd, 0) || pwrite(fd, data, n, 0) != (ssize_t)n)
        abort();
    folder_read();
    return 0;
}
