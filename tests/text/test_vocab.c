/* The tokenizer: tiny vocabularies, hostile ones, and the vectors of published ones. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <lathe.h>
#include "text/pretok.h"
#include "tiny_vocab.h"
#include "tmp_dir.h"

static struct lathe_err err;

static void expect_ids(const lathe_vocab *v, const char *text, int flags, const int32_t *want, size_t n_want)
{
    int32_t *ids;
    size_t n;
    assert_int_equal(lathe_tokenize(v, text, strlen(text), flags, &ids, &n, &err), 0);
    bool same = n == n_want && (n == 0 || memcmp(ids, want, n * sizeof *ids) == 0);
    for (size_t i = 0; !same && i < n; i++)
        print_error("%d ", ids[i]);
    if (!same)
        fail_msg("ids of '%s'", text);
    free(ids);
}
#define IDS(v, text, flags, ...)                               \
    expect_ids(v, text, flags, (const int32_t[]){__VA_ARGS__}, \
               sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t))

/* ---- byte-level ---- */

enum { AB = 256, BC, ABC, AA, AAAA, SP_A, SP_AB, LL, HE, HELL, HELLO, N12, N123, SP2, E_ACUTE, NL2 };

static void test_merges(void **state)
{
    lathe_vocab *v = tv_open(tv_bpe("gpt-2"), 0, &err);
    IDS(v, "abc", 0, ABC);
    IDS(v, "bc", 0, BC);
    IDS(v, "aab", 0, 'a', AB); /* rank before place */
    IDS(v, "aaaaa", 0, AAAA, 'a');
    IDS(v, "hello", 0, HELLO);
    IDS(v, "x abc", 0, 'x', ' ', ABC);
    IDS(v, " ab ab", 0, ' ', AB, ' ', AB); /* "a b" is rank 0 */
    IDS(v, "\xc3\xa9", 0, E_ACUTE);
    IDS(v, "\xff", 0, 0xff);
    expect_ids(v, "", 0, NULL, 0);
    lathe_vocab_free(v);
}

static void test_pre_tokenizers_differ(void **state)
{
    static const struct {
        const char *pre, *text;
        int32_t ids[8];
        size_t n;
    } rows[] = {
        {"gpt-2", "1234", {N123, '4'}, 2},           {"smollm", "123", {'1', '2', '3'}, 3},
        {"llama-bpe", "1231", {N123, '1'}, 2},       {"qwen2", "123", {'1', '2', '3'}, 3},
        {"gpt-2", "\n\nx", {'\n', '\n', 'x'}, 3},    {"qwen2", "\n\nx", {NL2, 'x'}, 2},
        {"deepseek-coder", "\n\n", {'\n', '\n'}, 2}, {"gpt-2", "x   y", {'x', SP2, ' ', 'y'}, 4},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        lathe_vocab *v = tv_open(tv_bpe(rows[i].pre), 0, &err);
        expect_ids(v, rows[i].text, 0, rows[i].ids, rows[i].n);
        lathe_vocab_free(v);
    }
}

static void test_ignore_merges(void **state)
{
    static const char *const merges[] = {"b c"};
    struct gw *g = gw_new();
    static const char *const token[] = {"a", "b", "c", "bc", "abc"};
    gw_str(g, "tokenizer.ggml.model", "gpt2");
    gw_str(g, "tokenizer.ggml.pre", "llama-bpe");
    gw_strs(g, "tokenizer.ggml.tokens", token, 5);
    gw_strs(g, "tokenizer.ggml.merges", merges, 1);
    lathe_vocab *v = tv_open(g, 0, &err);
    IDS(v, "abc", 0, 4); /* a word of the vocabulary that no merge makes */
    IDS(v, "cabc", 0, 2, 0, 3);
    IDS(v,
        "a\xff"
        "b",
        0, 0, 1); /* no such byte */
    lathe_vocab_free(v);
}

static void test_specials(void **state)
{
    struct gw *g = tv_bpe("gpt-2");
    gw_bool(g, "tokenizer.ggml.add_bos_token", true);
    lathe_vocab *v = tv_open(g, 0, &err);
    size_t n;
    IDS(v, "a<|im_end|>b", LATHE_TOK_SPECIAL, 'a', TV_END, 'b');
    IDS(v, "<|im", LATHE_TOK_SPECIAL, '<', '|', 'i', 'm');
    IDS(v, "<|im_end|>", 0, '<', '|', 'i', 'm', '_', 'e', 'n', 'd', '|', '>');
    IDS(v, "a<u>b", 0, 'a', TV_USER, 'b'); /* user-defined ones always */
    IDS(v, "<u>>", 0, TV_USER_LONG);       /* the longest */
    IDS(v, "a", LATHE_TOK_BOS, TV_BOS, 'a');
    IDS(v, "<|begin|>a", LATHE_TOK_BOS | LATHE_TOK_SPECIAL, TV_BOS, TV_BOS, 'a');
    assert_string_equal(lathe_token_text(v, TV_END, false, &n), "");
    assert_int_equal(n, 0);
    assert_memory_equal(lathe_token_text(v, TV_END, true, &n), "<|im_end|>", 10);
    assert_int_equal(n, 10);
    lathe_token_text(v, TV_USER, false, &n);
    assert_int_equal(n, 3);
    lathe_token_text(v, -1, true, &n);
    assert_int_equal(n, 0);
    lathe_token_text(v, TV_N_BPE, true, &n);
    assert_int_equal(n, 0);
    assert_true(lathe_vocab_is_eog(v, TV_END));
    assert_false(lathe_vocab_is_eog(v, TV_BOS));
    assert_false(lathe_vocab_is_eog(v, -1));
    assert_int_equal(lathe_vocab_bos(v), TV_BOS);
    assert_int_equal(lathe_vocab_eos(v), -1);
    assert_int_equal(lathe_vocab_size(v), TV_N_BPE);
    lathe_vocab_free(v);
}

/* Any bytes come back under every pre-tokenizer, cut into words or not. */
static void test_round_trip(void **state)
{
    static const char *const parts[] = {"a",
                                        "B",
                                        " ",
                                        "  ",
                                        "\n",
                                        "\r\n",
                                        "\xc3\xa9",
                                        "\xc3",
                                        "\xe4\xb8\xad",
                                        "\xf0\x9f\x99\x82",
                                        "\xff",
                                        "12",
                                        "'s",
                                        "!?",
                                        "\xe2\x80\x83",
                                        "\xed\xa0\x80",
                                        "\0",
                                        "\xcc\x81",
                                        "abc",
                                        "<u>"};
    uint64_t seed = 7;
    const char *pre;
    int n_pre = 0;
    for (; (pre = pretok_name(n_pre)); n_pre++) {
        lathe_vocab *v = tv_open(tv_bpe(pre), 0, &err);
        for (int k = 0; k < 40; k++) {
            char text[2048];
            size_t n = 0, m = 0, n_ids, n_piece;
            int32_t *ids;
            for (int i = 0; i < 200; i++) {
                const char *p = parts[gw_next(&seed) % (sizeof parts / sizeof *parts)];
                size_t len = *p ? strlen(p) : 1;
                memcpy(text + n, p, len);
                n += len;
            }
            assert_int_equal(lathe_tokenize(v, text, n, 0, &ids, &n_ids, &err), 0);
            for (size_t i = 0; i < n_ids; i++, m += n_piece) {
                const char *piece = lathe_token_text(v, ids[i], true, &n_piece);
                assert_true(m + n_piece <= n);
                assert_memory_equal(text + m, piece, n_piece);
            }
            assert_int_equal(m, n);
            free(ids);
        }
        lathe_vocab_free(v);
    }
    assert_true(n_pre > 40);
}

/* The definition: join the leftmost pair of lowest rank, until there is none. */
static size_t naive(const char *text, size_t n, int32_t *id)
{
    static const int pairs[TV_N_MERGE][2] = {
        {'a', 'b'}, {'b', 'c'}, {AB, 'c'},   {'a', 'a'}, {AA, AA},   {' ', 'a'}, {SP_A, 'b'},  {'l', 'l'},
        {'h', 'e'}, {HE, LL},   {HELL, 'o'}, {'1', '2'}, {N12, '3'}, {' ', ' '}, {0xc3, 0xa9}, {'\n', '\n'}};
    for (size_t i = 0; i < n; i++)
        id[i] = (unsigned char)text[i];
    for (int rank = 0; rank < TV_N_MERGE; rank++)
        for (size_t i = 0; i + 1 < n; i++)
            if (id[i] == pairs[rank][0] && id[i + 1] == pairs[rank][1]) {
                id[i] = 256 + rank;
                memmove(id + i + 1, id + i + 2, (n - i - 2) * sizeof *id);
                n--;
                rank = -1; /* lower ranks may apply again */
                break;
            }
    return n;
}

static void test_merge_order(void **state)
{
    lathe_vocab *v = tv_open(tv_bpe("gpt-2"), 0, &err);
    uint64_t seed = 11;
    for (int k = 0; k < 300; k++) {
        char text[400];
        int32_t want[400], *ids;
        size_t n = 1 + gw_next(&seed) % 300, n_ids, n_want;
        for (size_t i = 0; i < n; i++)
            text[i] =
                "aaabbchello"[gw_next(&seed) % 11]; /* one word: the heap above 32 letters, the scan below */
        n_want = naive(text, n, want);
        assert_int_equal(lathe_tokenize(v, text, n, 0, &ids, &n_ids, &err), 0);
        assert_int_equal(n_ids, n_want);
        assert_memory_equal(ids, want, n_want * sizeof *ids);
        free(ids);
    }
    lathe_vocab_free(v);
}

static void test_long_words(void **state)
{
    static const char *const pres[] = {"gpt-2", "llama-bpe", "gpt-4o", "deepseek-llm", "falcon", "bloom"};
    enum { N = 1000000 };
    char *text = malloc(N);
    for (size_t k = 0; k < sizeof pres / sizeof *pres; k++) {
        lathe_vocab *v = tv_open(tv_bpe(pres[k]), 0, &err);
        for (const char *c = "a A1\n.\xff"; *c; c++) {
            int32_t *ids;
            size_t n;
            clock_t from = clock();
            memset(text, *c, N);
            text[N - 1] = 'x';
            assert_int_equal(lathe_tokenize(v, text, N, 0, &ids, &n, &err), 0);
            double seconds = (double)(clock() - from) / CLOCKS_PER_SEC;
            if (seconds > 8) /* a second in the release build; quadratic time would take hours */
                fail_msg("%s: a megabyte of byte %d takes %.1f s", pres[k], *c, seconds);
            free(ids);
        }
        lathe_vocab_free(v);
    }
    free(text);
}

/* ---- SentencePiece ---- */

static void test_spm(void **state)
{
    lathe_vocab *v = tv_open(tv_spm(), 0, &err);
    enum { SP = TV_SPM_PIECE, A, B, S_AB, SP_A_, SP_AB_, ABA, C, BC_, E_ };
    IDS(v, "ab", 0, SP_AB_);
    IDS(v, "ab", LATHE_TOK_BOS, 1, SP_AB_);
    IDS(v, "x", 0, SP, 3 + 'x'); /* bytes for what is no piece */
    IDS(v, "\xc3\xa9\xff", 0, SP, E_, 3 + 0xff);
    IDS(v, "A", 0, SP, 3 + 'A');
    IDS(v, "<0x41>", 0, SP, 3 + '<', 3 + '0', 3 + 'x', 3 + '4', 3 + '1', 3 + '>');
    IDS(v, "</s>", 0, SP, 3 + '<', 3 + '/', 3 + 's', 3 + '>');
    IDS(v, "a</s>a", LATHE_TOK_SPECIAL, SP_A_, 2, SP_A_); /* a space in front of each stretch */
    expect_ids(v, "", 0, NULL, 0);
    assert_true(lathe_vocab_is_eog(v, 2));
    lathe_vocab_free(v);
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
    struct gw *g = tv_bpe("no-such-pre");
    tv_open(g, LATHE_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.text, "no-such-pre"));
    g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "rwkv");
    tv_open(g, LATHE_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.text, "rwkv"));
    tv_open(gw_new(), LATHE_E_FILE, &err);
    g = tv_bpe("gpt-2");
    gw_u32(g, "tokenizer.ggml.eos_token_id", 99999);
    tv_open(g, LATHE_E_FILE, &err);
    assert_non_null(strstr(err.text, "99999"));
    g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "gpt2");
    gw_strs(g, "tokenizer.ggml.tokens", (const char *const[]){"a"}, 1);
    tv_open(g, LATHE_E_FILE, &err);
    g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "llama");
    gw_strs(g, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "c"}, 3);
    gw_f32s(g, "tokenizer.ggml.scores", (const float[]){1, 2}, 2);
    tv_open(g, LATHE_E_FILE, &err);
}

/* ---- published vocabularies ---- */

static const char *shared(void)
{
    const char *s = getenv("LATHE_SHARED");
    return s ? s : "../shared";
}

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *p = calloc(1, 1 << 16);
    size_t n = fread(p, 1, (1 << 16) - 1, f);
    p[n] = 0;
    fclose(f);
    return p;
}

static void check_vectors(const char *name)
{
    char path[1024];
    lathe_vocab *v;
    snprintf(path, sizeof path, "%s/data/tokenizers/%s.gguf", shared(), name);
    assert_int_equal(lathe_vocab_open(path, &v, &err), 0);
    strcat(path, ".inp");
    char *inputs = read_all(path), *text = inputs;
    strcpy(path + strlen(path) - 4, ".out");
    char *outputs = read_all(path), *line = outputs;
    assert_true(inputs && outputs);
    int n_case = 0;
    for (char *end; text && *line; text = end ? end + 21 : NULL, line += strcspn(line, "\n") + 1, n_case++) {
        int32_t want[1024];
        size_t n = 0;
        end = strstr(text, "\n__ggml_vocab_test__\n");
        if (end)
            *end = 0;
        for (char *p = line, *q; *p && *p != '\n'; p = q) {
            want[n++] = (int32_t)strtol(p, &q, 10);
            if (q == p) {
                n--;
                break;
            }
        }
        expect_ids(v, text, 0, want, n);
    }
    assert_true(n_case > 40);
    free(inputs);
    free(outputs);
    lathe_vocab_free(v);
}

static void test_published(void **state)
{
    static const char *const names[] = {"deepseek-llm", "gpt-2",     "llama-bpe", "mpt",   "qwen2",
                                        "qwen35",       "starcoder", "llama-spm", "phi-3", "bert-bge"};
    char path[1024];
    snprintf(path, sizeof path, "%s/data/tokenizers", shared());
    if (access(path, R_OK))
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_vectors(names[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges),        cmocka_unit_test(test_pre_tokenizers_differ),
        cmocka_unit_test(test_ignore_merges), cmocka_unit_test(test_specials),
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_merge_order),
        cmocka_unit_test(test_long_words),    cmocka_unit_test(test_spm),
        cmocka_unit_test(test_refusals),      cmocka_unit_test(test_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
