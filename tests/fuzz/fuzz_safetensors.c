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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    return folder_fuzz_weights(configs, sizeof configs / sizeof *configs, data, n);
}
