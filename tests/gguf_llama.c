/* Whole random llama models for tests: weights, a byte-level vocabulary, a chat template. */
#include "gguf_write.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char template_chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
    "'<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/* Each merges two tokens that exist by then; a blank before a word is U+0120, as byte-level BPE spells it. */
static const char *const merges[16] = {"h e",        "t he",       "i n",          "e r",       "o n",  "a t",
                                       "\xc4\xa0 t", "\xc4\xa0 a", "\xc4\xa0t he", "a n",       "an d", "o u",
                                       "\xc4\xa0 w", "l l",        "in g",         "\xc4\xa0 s"};
static const char *const specials[3] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};

/* The spelling of a byte in byte-level BPE: printable Latin-1 as itself, the others in order from U+0100. */
static void byte_token(int byte, char out[4])
{
    int code = byte, n_before = 0;
    for (int b = 0; b <= byte; b++) {
        bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b != 0xad);
        if (b == byte && !plain)
            code = 256 + n_before;
        n_before += !plain;
    }
    if (code < 0x80)
        snprintf(out, 4, "%c", code);
    else
        snprintf(out, 4, "%c%c", 0xc0 | code >> 6, 0x80 | (code & 0x3f));
}

static void add_vocab(struct gw *g, int n_vocab)
{
    enum { N = 24 };
    char(*text)[N] = calloc((size_t)n_vocab, N);
    const char **token = calloc((size_t)n_vocab, sizeof *token);
    int32_t *type = calloc((size_t)n_vocab, sizeof *type);
    if (!text || !token || !type)
        exit(99);
    for (int i = 0; i < n_vocab; i++) {
        token[i] = text[i];
        type[i] = i < 272 ? 1 : i < GW_N_VOCAB ? 3 : 5; /* normal, control, unused */
        if (i < 256) {
            byte_token(i, text[i]);
        } else if (i < 272) {
            const char *m = merges[i - 256], *gap = strchr(m, ' ');
            snprintf(text[i], N, "%.*s%s", (int)(gap - m), m, gap + 1);
        } else if (i < GW_N_VOCAB) {
            snprintf(text[i], N, "%s", specials[i - 272]);
        } else {
            snprintf(text[i], N, "[unused%d]", i - GW_N_VOCAB);
        }
    }
    gw_str(g, "tokenizer.ggml.model", "gpt2");
    gw_str(g, "tokenizer.ggml.pre", "gpt-2");
    gw_strs(g, "tokenizer.ggml.tokens", token, (uint64_t)n_vocab);
    gw_i32s(g, "tokenizer.ggml.token_type", type, (uint64_t)n_vocab);
    gw_strs(g, "tokenizer.ggml.merges", merges, 16);
    gw_u32(g, "tokenizer.ggml.bos_token_id", 272);
    gw_u32(g, "tokenizer.ggml.eos_token_id", 274);
    gw_bool(g, "tokenizer.ggml.add_bos_token", false);
    gw_str(g, "tokenizer.chat_template", template_chatml);
    free(text);
    free(token);
    free(type);
}

/* A matrix of variance gain^2 / cols: outputs are as large as inputs. With `around` 1 it is a norm's weight.
 */
static void add_random(struct gw *g, const char *name, int type, int cols, int rows, float gain, float around,
                       uint64_t *state)
{
    size_t n = (size_t)cols * (size_t)rows;
    float *x = malloc(n * sizeof *x), scale = around != 0 ? gain : gain * sqrtf(3.0f / (float)cols);
    if (!x)
        exit(99);
    for (size_t i = 0; i < n; i++)
        x[i] = around + scale * gw_uniform(state);
    gw_matrix(g, name, (uint32_t)type, (uint64_t)cols, (uint64_t)rows, x);
    free(x);
}

static void add_layer(struct gw *g, const struct gw_shape *s, int layer, int type, uint64_t *state)
{
    const int n_q = s->n_head * s->head_dim, n_kv = s->n_head_kv * s->head_dim;
    const struct {
        const char *name;
        int cols, rows;
        bool matrix;
    } row[] = {
        {"attn_norm", s->n_embd, 1, false},     {"attn_q", s->n_embd, n_q, true},
        {"attn_k", s->n_embd, n_kv, true},      {"attn_v", s->n_embd, n_kv, true},
        {"attn_output", n_q, s->n_embd, true},  {"ffn_norm", s->n_embd, 1, false},
        {"ffn_gate", s->n_embd, s->n_ff, true}, {"ffn_up", s->n_embd, s->n_ff, true},
        {"ffn_down", s->n_ff, s->n_embd, true},
    };
    char name[64];
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        snprintf(name, sizeof name, "blk.%d.%s.weight", layer, row[i].name);
        add_random(g, name, row[i].matrix ? type : 0, row[i].cols, row[i].rows, row[i].matrix ? 1.0f : 0.2f,
                   row[i].matrix ? 0.0f : 1.0f, state);
        if (!s->bias || !row[i].matrix)
            continue;
        snprintf(name, sizeof name, "blk.%d.%s.bias", layer, row[i].name);
        add_random(g, name, 0, row[i].rows, 1, 0.1f * sqrtf((float)row[i].rows), 0, state);
    }
}

static void add_shape(struct gw *g, const struct gw_shape *s, int type)
{
    gw_str(g, "general.architecture", "llama");
    gw_str(g, "general.name", "random llama");
    gw_u32(g, "general.file_type", type == 30 ? 32 : type == 8 ? 7 : (uint32_t)type);
    gw_u32(g, "llama.block_count", (uint32_t)s->n_layer);
    gw_u32(g, "llama.context_length", (uint32_t)s->n_ctx);
    gw_u32(g, "llama.embedding_length", (uint32_t)s->n_embd);
    gw_u32(g, "llama.feed_forward_length", (uint32_t)s->n_ff);
    gw_u32(g, "llama.attention.head_count", (uint32_t)s->n_head);
    gw_u32(g, "llama.attention.head_count_kv", (uint32_t)s->n_head_kv);
    gw_u32(g, "llama.attention.key_length", (uint32_t)s->head_dim);
    gw_u32(g, "llama.attention.value_length", (uint32_t)s->head_dim);
    gw_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
    gw_u32(g, "llama.rope.dimension_count", (uint32_t)s->head_dim);
    gw_f32(g, "llama.rope.freq_base", 10000.0f);
    gw_u32(g, "llama.vocab_size", (uint32_t)s->n_vocab);
}

struct gw_shape gw_small(void)
{
    return (struct gw_shape){.n_embd = 64, .n_ff = 160, .n_head = 4, .n_head_kv = 2, .n_layer = 2};
}

void gw_random_llama(const char *path, struct gw_shape s, int type, uint64_t seed)
{
    s.head_dim = s.head_dim ? s.head_dim : s.n_embd / s.n_head;
    s.n_vocab = s.n_vocab > GW_N_VOCAB ? s.n_vocab : GW_N_VOCAB;
    s.n_ctx = s.n_ctx ? s.n_ctx : 2048;
    struct gw *g = gw_new();
    add_shape(g, &s, type);
    add_vocab(g, s.n_vocab);
    uint64_t state = seed;
    add_random(g, "token_embd.weight", type, s.n_embd, s.n_vocab, sqrtf((float)s.n_embd), 0, &state);
    for (int i = 0; i < s.n_layer; i++)
        add_layer(g, &s, i, type, &state);
    add_random(g, "output_norm.weight", 0, s.n_embd, 1, 0.2f, 1, &state);
    if (s.untied)
        add_random(g, "output.weight", type, s.n_embd, s.n_vocab, 1.5f, 0, &state);
    gw_save(g, path);
    gw_free(g);
}
