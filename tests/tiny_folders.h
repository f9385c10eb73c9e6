/* Hugging Face folders of the smallest encoders and of a gpt-oss, all weights 0: what readers of them are tortured and fuzzed with. */
#ifndef LATHE_TESTS_TINY_FOLDERS_H
#define LATHE_TESTS_TINY_FOLDERS_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "gguf_write.h"

/* A safetensors file of zeros: the tensors' names, types and shapes as rows. */
struct tiny_row {
    const char *name, *dtype;
    int dim[4]; /* 0 ends */
};

static inline void tiny_save_tensors(const char *path, const struct tiny_row *rows, int n_row)
{
    static char file[1 << 16];
    size_t at = 8, data = 0;
    for (int i = 0; i < n_row; i++) {
        const struct tiny_row *r = &rows[i];
        size_t n = r->dtype[0] == 'U' ? 1 : r->dtype[0] == 'B' ? 2 : 4;
        at += (size_t)sprintf(file + at, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? ',' : '{', r->name,
                              r->dtype);
        for (int d = 0; d < 4 && r->dim[d]; d++) {
            at += (size_t)sprintf(file + at, d ? ",%d" : "%d", r->dim[d]);
            n *= (size_t)r->dim[d];
        }
        at += (size_t)sprintf(file + at, "],\"data_offsets\":[%zu,%zu]}", data, data + n);
        data += n;
    }
    file[at++] = '}';
    if (at + data > sizeof file)
        abort();
    memcpy(file, &(uint64_t){at - 8}, 8);
    memset(file + at, 0, data);
    gw_save_bytes(path, file, at + data);
}

static inline void tiny_save_text(const char *folder, const char *name, const char *text)
{
    char path[900];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gw_save_bytes(path, text, strlen(text));
}

#define LAYER "bert.encoder.layer.0."
#define DENSE(name, n_out, n_in)            \
    {name ".weight", "F32", {n_out, n_in}}, \
    {                                       \
        name ".bias", "F32",                \
        {                                   \
            n_out                           \
        }                                   \
    }
#define NORM(name)                \
    {name ".weight", "F32", {8}}, \
    {                             \
        name ".bias", "F32",      \
        {                         \
            8                     \
        }                         \
    }
static const struct tiny_row tiny_bert_rows[] = {
    {"bert.embeddings.word_embeddings.weight", "F32", {7, 8}},
    {"bert.embeddings.position_embeddings.weight", "F32", {16, 8}},
    {"bert.embeddings.token_type_embeddings.weight", "F32", {2, 8}},
    NORM("bert.embeddings.LayerNorm"),
    DENSE(LAYER "attention.self.query", 8, 8),
    DENSE(LAYER "attention.self.key", 8, 8),
    DENSE(LAYER "attention.self.value", 8, 8),
    DENSE(LAYER "attention.output.dense", 8, 8),
    NORM(LAYER "attention.output.LayerNorm"),
    DENSE(LAYER "intermediate.dense", 8, 8),
    DENSE(LAYER "output.dense", 8, 8),
    NORM(LAYER "output.LayerNorm"),
    /* of the classifier */
    DENSE("bert.pooler.dense", 8, 8),
    DENSE("classifier", 1, 8),
};
enum { N_BERT = sizeof tiny_bert_rows / sizeof *tiny_bert_rows, N_CLASSIFIER = 4 };

#define BERT_SIZES                                                                                 \
    "\"hidden_size\":8,\"num_hidden_layers\":1,\"intermediate_size\":8,\"num_attention_heads\":2," \
    "\"max_position_embeddings\":16,\"hidden_act\":\"gelu\",\"pad_token_id\":0"
#define PIECE(name, kind) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":" kind "}}"
#define TEXT(name, kind) "{\"Sequence\":{\"id\":\"" name "\",\"type_id\":" kind "}}"
static const char tiny_word_pieces[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":12,\"strategy\":\"LongestFirst\",\"stride\":0,"
    "\"direction\":\"Right\"},"
    "\"padding\":null,\"added_tokens\":[],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":"
    "\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" PIECE("[CLS]", "0") "," TEXT(
        "A", "0") "," PIECE("[SEP]",
                            "0") "],"
                                 "\"pair\":[" PIECE("[CLS]", "0") "," TEXT("A", "0") "," PIECE(
                                     "[SEP]",
                                     "0") "," TEXT("B",
                                                   "1") "," PIECE("[SEP]",
                                                                  "1") "],"
                                                                       "\"special_tokens\":{\"[CLS]\":{"
                                                                       "\"id\":\"[CLS]\",\"ids\":[2],"
                                                                       "\"tokens\":[\"[CLS]\"]},"
                                                                       "\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":["
                                                                       "3],\"tokens\":[\"[SEP]\"]}}},"
                                                                       "\"decoder\":{\"type\":\"WordPiece\","
                                                                       "\"prefix\":\"##\",\"cleanup\":true},"
                                                                       "\"model\":{\"type\":\"WordPiece\","
                                                                       "\"unk_token\":\"[UNK]\",\"continuing_"
                                                                       "subword_prefix\":\"##\",\"max_input_"
                                                                       "chars_per_word\":100,"
                                                                       "\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,"
                                                                       "\"[CLS]\":2,\"[SEP]\":3,\"the\":4,"
                                                                       "\"cat\":5,\"##s\":6}}}";
static const char tiny_unigram[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\",\"split\":"
    "true},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\",\"split\":true},"
    "\"model\":{\"type\":\"Unigram\","
    "\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"_\",-2.0],[\"_the\",-3.0],[\"_c\",-3.0],[\"at\",-3.0],[\"s\","
    "-4.0],[\"a\",-5.0]],"
    "\"byte_fallback\":false}}";

static inline void tiny_cross_encoder(const char *folder)
{
    char path[500];
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tiny_save_tensors(path, tiny_bert_rows, N_BERT);
    tiny_save_text(
        folder, "config.json",
        "{\"architectures\":[\"BertForSequenceClassification\"],\"id2label\":{\"0\":\"L\"}," BERT_SIZES "}");
    tiny_save_text(folder, "tokenizer.json", tiny_word_pieces);
    tiny_save_text(folder, "tokenizer_config.json", "{\"model_max_length\":14}");
}

static inline void tiny_sentence_encoder(const char *folder)
{
    char path[500];
    struct tiny_row rows[N_BERT];
    memcpy(rows, tiny_bert_rows, sizeof rows);
    for (int i = 0; i < N_BERT - N_CLASSIFIER; i++)
        rows[i].name += strlen("bert.");
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tiny_save_tensors(path, rows, N_BERT - N_CLASSIFIER);
    tiny_save_text(folder, "config.json", "{\"architectures\":[\"BertModel\"]," BERT_SIZES "}");
    tiny_save_text(folder, "tokenizer.json", tiny_unigram);
    tiny_save_text(folder, "sentence_bert_config.json", "{\"max_seq_length\":10}");
    tiny_save_text(folder, "modules.json",
                   "[{\"type\":\"sentence_transformers.models.Transformer\"},{\"type\":\"x.Pooling\"}]");
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    mkdir(path, 0700);
    tiny_save_text(path, "config.json", "{\"pooling_mode_mean_tokens\":true}");
}

#define GPT "model.layers.0."
static const struct tiny_row tiny_gpt_rows[] = {
    {"model.embed_tokens.weight", "BF16", {7, 32}},
    {"model.norm.weight", "BF16", {32}},
    {"lm_head.weight", "BF16", {7, 32}},
    {GPT "input_layernorm.weight", "BF16", {32}},
    {GPT "post_attention_layernorm.weight", "BF16", {32}},
    {GPT "self_attn.q_proj.weight", "BF16", {32, 32}},
    {GPT "self_attn.q_proj.bias", "BF16", {32}},
    {GPT "self_attn.k_proj.weight", "BF16", {16, 32}},
    {GPT "self_attn.k_proj.bias", "BF16", {16}},
    {GPT "self_attn.v_proj.weight", "BF16", {16, 32}},
    {GPT "self_attn.v_proj.bias", "BF16", {16}},
    {GPT "self_attn.o_proj.weight", "BF16", {32, 32}},
    {GPT "self_attn.o_proj.bias", "BF16", {32}},
    {GPT "self_attn.sinks", "BF16", {2}},
    {GPT "mlp.router.weight", "BF16", {2, 32}},
    {GPT "mlp.router.bias", "BF16", {2}},
    {GPT "mlp.experts.gate_up_proj_blocks", "U8", {2, 64, 1, 16}},
    {GPT "mlp.experts.gate_up_proj_scales", "U8", {2, 64, 1}},
    {GPT "mlp.experts.gate_up_proj_bias", "BF16", {2, 64}},
    {GPT "mlp.experts.down_proj_blocks", "U8", {2, 32, 1, 16}},
    {GPT "mlp.experts.down_proj_scales", "U8", {2, 32, 1}},
    {GPT "mlp.experts.down_proj_bias", "BF16", {2, 32}},
};

static inline void tiny_gpt_oss(const char *folder)
{
    char path[500];
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    tiny_save_tensors(path, tiny_gpt_rows, sizeof tiny_gpt_rows / sizeof *tiny_gpt_rows);
    tiny_save_text(
        folder, "config.json",
        "{\"architectures\":[\"GptOssForCausalLM\"],\"hidden_size\":32,\"intermediate_size\":32,\"num_"
        "hidden_layers\":1,"
        "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":16,\"num_local_experts\":2,"
        "\"num_experts_per_tok\":1,"
        "\"max_position_embeddings\":128,\"tie_word_embeddings\":false,\"quantization_config\":{"
        "\"quant_method\":\"mxfp4\"}}");
    tiny_save_text(folder, "tokenizer.json", tiny_unigram);
}
#undef LAYER
#undef DENSE
#undef NORM
#undef BERT_SIZES
#undef PIECE
#undef TEXT
#undef GPT
#endif
