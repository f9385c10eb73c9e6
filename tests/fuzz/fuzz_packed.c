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
    MODEL "\"gptq\",\"bits\":8,\"group_size\":32}}",
    MODEL GROUPS("pack-quantized", "8", "\"strategy\":\"channel\""),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return folder_fuzz_weights(configs, sizeof configs / sizeof *configs, data, n);
}
