/* Tiny vocabularies for tests. */
#include "tiny_vocab.h"
#include <stdio.h>
#include <string.h>

const char *const tv_merges[TV_N_MERGE] = {
    "a b", "b c",   "ab c",   "a a", "aa aa", "\u0120 a",      "\u0120a b",     "l l",
    "h e", "he ll", "hell o", "1 2", "12 3",  "\u0120 \u0120", "\u00c3 \u00a9", "\u010a \u010a"};

/* How files spell a byte. */
static void spell(int b, char out[4])
{
    int shifted = b <= 32 ? 256 + b : b >= 127 && b <= 160 ? 256 + 33 + b - 127 : b == 173 ? 256 + 67 : b;
    if (shifted < 128)
        snprintf(out, 4, "%c", shifted);
    else
        snprintf(out, 4, "%c%c", 0xc0 | shifted >> 6, 0x80 | (shifted & 63));
}

struct gw *tv_bpe(const char *pre)
{
    static char text[TV_N_BPE][32];
    const char *token[TV_N_BPE];
    int32_t type[TV_N_BPE];
    for (int i = 0; i < TV_N_BPE; i++) {
        token[i] = text[i];
        type[i] = 1;
    }
    for (int i = 0; i < 256; i++)
        spell(i, text[i]);
    for (int i = 0; i < TV_N_MERGE; i++) {
        size_t n = strcspn(tv_merges[i], " ");
        snprintf(text[256 + i], sizeof text[0], "%.*s%s", (int)n, tv_merges[i], tv_merges[i] + n + 1);
    }
    strcpy(text[TV_BOS], "<|begin|>");
    strcpy(text[TV_END], "<|im_end|>");
    strcpy(text[TV_USER], "<u>");
    strcpy(text[TV_USER_LONG], "<u>>");
    type[TV_BOS] = type[TV_END] = 3;
    type[TV_USER] = type[TV_USER_LONG] = 4;
    struct gw *g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "gpt2");
    gw_str(g, "tokenizer.ggml.pre", pre);
    gw_strs(g, "tokenizer.ggml.tokens", token, TV_N_BPE);
    gw_i32s(g, "tokenizer.ggml.token_type", type, TV_N_BPE);
    gw_strs(g, "tokenizer.ggml.merges", tv_merges, TV_N_MERGE);
    gw_u32(g, "tokenizer.ggml.bos_token_id", TV_BOS);
    return g;
}

struct gw *tv_spm(void)
{
    static const struct {
        const char *text;
        float score;
    } piece[] = {{"\u2581", -1}, {"a", -2}, {"b", -3},  {"ab", -4},     {"\u2581a", -5}, {"\u2581ab", -6},
                 {"aba", -3.5f}, {"c", -9}, {"bc", -3}, {"\u00e9", -8}, {"<0x41>", 0},   {"</s", -1}};
    enum { N_PIECE = sizeof piece / sizeof *piece, N = TV_SPM_PIECE + N_PIECE };
    static char bytes[256][8];
    const char *token[N] = {"<unk>", "<s>", "</s>"};
    int32_t type[N] = {2, 3, 3};
    float score[N] = {0};
    for (int i = 0; i < 256; i++) {
        snprintf(bytes[i], sizeof bytes[i], "<0x%02X>", i);
        token[3 + i] = bytes[i];
        type[3 + i] = 6;
    }
    for (int i = 0; i < N_PIECE; i++) {
        token[TV_SPM_PIECE + i] = piece[i].text;
        type[TV_SPM_PIECE + i] = 1;
        score[TV_SPM_PIECE + i] = piece[i].score;
    }
    struct gw *g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "llama");
    gw_strs(g, "tokenizer.ggml.tokens", token, N);
    gw_i32s(g, "tokenizer.ggml.token_type", type, N);
    gw_f32s(g, "tokenizer.ggml.scores", score, N);
    return g;
}
