/* Fuzzes folders of quantized weights through the real path: the bytes are the model.safetensors, the first one chooses how it is
 * quantized. */
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define MODEL                                                                                              \
    "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":64,\"num_hidden_layers\":1,\"intermediate_" \
    "size\":64,\"num_attention_heads\":4,\"tie_word_embeddings\":true,\"quantization_config\":{\"quant_"   \
    "method\":"
#define GROUPS(format, bits, strategy)            \
    "\"compressed-tensors\",\"format\":\"" format \
    "\",\"config_groups\":{\"g\":{\"weights\":{\"num_bits\":" bits ",\"type\":\"int\"," strategy "}}}}}"
static const char *const configs[] = {
    MODEL "\"gptq\",\"bits\":4,\"group_size\":32}}",
    MODEL "\"gptq\",\"bits\":4,\"group_size\":-1,\"checkpoint_format\":\"gptq_v2\"}}",
    MODEL "\"awq\",\"bits\":4,\"group_size\":32}}",
    MODEL GROUPS("pack-quantized", "4", "\"strategy\":\"group\",\"group_size\":32"),
    MODEL GROUPS("int-quantized", "8", "\"strategy\":\"channel\""),
    MODEL "\"bitsandbytes\",\"load_in_4bit\":true}}",
};
enum { N_CONFIG = sizeof configs / sizeof *configs };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1, last = -1;
    if (fd < 0)
        fd = folder_make("model.safetensors");
    if (n < 1)
        return 0;
    int which = data[0] % N_CONFIG;
    if (which != last)
        folder_save("config.json", configs[which], strlen(configs[which]));
    last = which;
    if (ftruncate(fd, 0) || pwrite(fd, data + 1, n - 1, 0) != (ssize_t)(n - 1))
        abort();
    folder_read();
    return 0;
}
