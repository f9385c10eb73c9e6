/* Fuzzes safetensors through the real path: the bytes are the model.safetensors of a folder. The first one chooses whose. */
#include "fuzz_folder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define SIZES                                                                                            \
    "\"hidden_size\":8,\"num_hidden_layers\":2,\"intermediate_size\":8,\"num_attention_heads\":2,\"tie_" \
    "word_embeddings\":true"
static const char *const configs[] = {
    "{\"architectures\":[\"LlamaForCausalLM\"]," SIZES "}",
    "{\"architectures\":[\"MixtralForCausalLM\"],\"num_local_experts\":3,\"num_experts_per_tok\":1," SIZES
    "}",
    "{\"architectures\":[\"Gemma3ForCausalLM\"],\"head_dim\":4," SIZES "}",
    "{\"architectures\":[\"BertForSequenceClassification\"]," SIZES "}",
    "{\"architectures\":[\"GptOssForCausalLM\"],\"num_local_experts\":2,\"num_experts_per_tok\":1,\"head_"
    "dim\":16,\"hidden_size\":32,"
    "\"num_hidden_layers\":1,\"intermediate_size\":32,\"num_attention_heads\":2,\"num_key_value_heads\":1,"
    "\"tie_word_embeddings\":true,"
    "\"quantization_config\":{\"quant_method\":\"mxfp4\"}}",
    "{\"architectures\":[\"Gemma3ForConditionalGeneration\"],\"text_config\":{\"model_type\":\"gemma3_text\","
    "\"head_dim\":4," SIZES "}}",
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
