/* tokenizer.json: the answers of PyPI's `tokenizers` (tests/data/tokenizer_cases.jsonl), its way through the kept index, text that
 * grows, bytes that are no UTF-8 and
 * time. */
#include "unit.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <lathe.h>
#include "gguf_write.h"
#include "text/vocab.h"
#include "tmp_dir.h"

static struct lathe_err err;
static json_t *rows[200];
static int n_row;

static int read_rows(void **state)
{
    static char line[1 << 20];
    FILE *f = fopen(LATHE_TEST_DATA "/tokenizer_cases.jsonl", "r");
    if (!f)
        return -1;
    while (n_row < 200 && fgets(line, sizeof line, f))
        if (!(rows[n_row++] = json_loads(line, JSON_ALLOW_NUL, NULL)))
            return -1;
    fclose(f);
    return n_row < 80 || n_row == 200;
}

static int free_rows(void **state)
{
    while (n_row)
        json_decref(rows[--n_row]);
    return 0;
}

static const char *name_of(int i)
{
    return json_string_value(json_object_get(rows[i], "name"));
}

/* The tokenizer of a row; `changed` may be NULL for the row's own. */
static int load_json(const json_t *j, vocab **v)
{
    char *text = json_dumps(j, 0);
    int rc = vocab_load_json((struct str){text, strlen(text)}, v, &err);
    free(text);
    return rc;
}

static vocab *load_row(const char *name)
{
    vocab *v = NULL;
    for (int i = 0; i < n_row; i++)
        if (strcmp(name_of(i), name) == 0 && load_json(json_object_get(rows[i], "tokenizer"), &v))
            fail_msg("%s: %s", name, err.text);
    assert_non_null(v);
    return v;
}

static bool same_ids(const json_t *want, const int32_t *ids, size_t n)
{
    bool same = json_array_size(want) == n;
    for (size_t i = 0; same && i < n; i++)
        same = json_integer_value(json_array_get(want, i)) == ids[i];
    return same;
}

/* A text is its beginning, decoded, and the pieces of the other tokens. */
static void check_growth(const vocab *v, const int32_t *ids, size_t n, const char *whole, size_t n_whole)
{
    for (size_t k = 1; k < n; k += 1 + n / 5) {
        char *begin;
        size_t at;
        assert_int_equal(lathe_detokenize(v, ids, k, true, &begin, &at, &err), 0);
        assert_true(at <= n_whole);
        assert_memory_equal(begin, whole, at);
        for (size_t i = k; i < n; i++) {
            size_t n_piece;
            const char *piece = lathe_token_text(v, ids[i], true, &n_piece);
            assert_true(at + n_piece <= n_whole);
            assert_memory_equal(piece, whole + at, n_piece);
            at += n_piece;
        }
        assert_int_equal(at, n_whole);
        free(begin);
    }
}

static void check_case(const char *name, const vocab *v, const json_t *c)
{
    struct str text = {json_string_value(json_array_get(c, 0)), json_string_length(json_array_get(c, 0))};
    struct str back = {json_string_value(json_array_get(c, 3)), json_string_length(json_array_get(c, 3))};
    int32_t *ids;
    size_t n, n_got;
    char *got;
    for (int bos = 1; bos >= 0; bos--) {
        int flags = LATHE_TOK_SPECIAL | (bos ? LATHE_TOK_BOS : 0);
        if (bos == 0)
            free(ids);
        if (lathe_tokenize(v, text.p, text.n, flags, &ids, &n, &err))
            fail_msg("%s: '%s': %s", name, text.p, err.text);
        if (!same_ids(json_array_get(c, bos ? 2 : 1), ids, n))
            fail_msg("%s: ids of '%s'", name, text.p);
    }
    assert_int_equal(lathe_detokenize(v, ids, n, true, &got, &n_got, &err), 0);
    if (!memmem(back.p, back.n, "\xef\xbf\xbd", 3) && !str_eq(back, (struct str){got, n_got}))
        fail_msg("%s: text of the ids of '%s' is '%.*s', not '%s'", name, text.p, (int)n_got, got, back.p);
    if (strcmp(name, "gpt1") != 0) /* its last token reads otherwise: below */
        check_growth(v, ids, n, got, n_got);
    free(got);
    free(ids);
}

static void oracle(void **state)
{
    for (int i = 0; i < n_row; i++) {
        const json_t *cases = json_object_get(rows[i], "cases");
        vocab *v = load_row(name_of(i));
        assert_true(json_array_size(cases) > 30);
        for (size_t k = 0; k < json_array_size(cases); k++)
            check_case(name_of(i), v, json_array_get(cases, k));
        vocab_free(v);
    }
}

/* A GGUF that carries the tokenizer.json, with keys that have the last word. */
static struct model_file *open_row(const char *name, struct gw *g)
{
    struct model_file *f;
    const char *path = tmp_path("json.gguf");
    for (int i = 0; i < n_row; i++)
        if (strcmp(name_of(i), name) == 0) {
            char *text = json_dumps(json_object_get(rows[i], "tokenizer"), 0);
            gw_str(g, "tokenizer.huggingface.json", text);
            free(text);
        }
    gw_save(g, path);
    gw_free(g);
    if (model_file_open(path, &f, &err))
        fail_msg("%s", err.text);
    return f;
}

static void kept_index(void **state)
{
    for (int i = 0; i < n_row; i++) {
        const json_t *cases = json_object_get(rows[i], "cases");
        struct model_file *f = open_row(name_of(i), gw_new());
        vocab *built, *v;
        void *bytes, *again;
        size_t n, n_again;
        if (vocab_load(f, &built, &err) || vocab_index_save(built, &bytes, &n, &err) ||
            vocab_load_index(f, bytes, n, &v, &err))
            fail_msg("%s: %s", name_of(i), err.text);
        for (size_t k = 0; k < json_array_size(cases); k++)
            check_case(name_of(i), v, json_array_get(cases, k));
        assert_int_equal(vocab_index_save(v, &again, &n_again, &err), 0);
        assert_int_equal(n, n_again);
        assert_memory_equal(bytes, again, n);
        vocab_free(v);
        vocab_free(built);
        free(bytes);
        free(again);
        model_file_free(f);
    }
}

/* What gets past the digest gives wrong tokens and nothing worse. */
static void damaged_index(void **state)
{
    static const char *const names[] = {"llama2", "unigram", "bert", "pre_bert", "roberta"};
    static const char text[] = "the cat <s> \u2581 low\xff lower \u4f60 [SEP] don't <mask> WORLD";
    uint64_t seed = 9;
    int n_taken = 0, n_refused = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct model_file *f = open_row(names[i], gw_new());
        vocab *v;
        void *bytes, *copy;
        size_t n, n_ids;
        assert_int_equal(vocab_load(f, &v, &err), 0);
        assert_int_equal(vocab_index_save(v, &bytes, &n, &err), 0);
        vocab_free(v);
        copy = malloc(n);
        for (int round = 0; round < 2000; round++) {
            int32_t *ids;
            memcpy(copy, bytes, n);
            for (size_t at = gw_next(&seed) % n, k = gw_next(&seed) % 300; k && at < n; at++, k--)
                ((uint8_t *)copy)[at] = (uint8_t)(round % 3 ? gw_next(&seed) : round % 2 ? 0 : 255);
            if (vocab_load_index(f, copy, n, &v, &err)) {
                n_refused++;
                continue;
            }
            n_taken++;
            if (vocab_encode(v, text, sizeof text - 1, 3, &ids, &n_ids, &err) == 0) {
                for (size_t k = 0; k < n_ids; k++) {
                    assert_true(ids[k] >= 0 && ids[k] < vocab_size(v));
                    assert_true(vocab_piece(v, ids[k], true).n < 1000000);
                }
                free(ids);
            }
            vocab_free(v);
        }
        free(copy);
        free(bytes);
        model_file_free(f);
    }
    assert_true(n_taken > 1000 && n_refused > 100);
}

static void keys_of_the_file(void **state)
{
    struct gw *g = gw_new();
    gw_u32(g, "tokenizer.ggml.eos_token_id", 4);
    gw_i32s(g, "tokenizer.ggml.eog_token_ids", (const int32_t[]){4, 7}, 2);
    struct model_file *f = open_row("bert", g);
    vocab *v;
    assert_int_equal(vocab_load(f, &v, &err), 0);
    assert_int_equal(lathe_vocab_bos(v), 2); /* [CLS], of the post-processor */
    assert_int_equal(lathe_vocab_eos(v), 4);
    assert_true(lathe_vocab_is_eog(v, 4));
    assert_true(lathe_vocab_is_eog(v, 7));
    assert_false(lathe_vocab_is_eog(v, 6));
    assert_true(str_eq(vocab_spelling(v, 2), STR("[CLS]"))); /* as a piece it has a space in front */
    assert_true(str_eq(vocab_piece(v, 2, true), STR(" [CLS]")));
    vocab_free(v);
    model_file_free(f);
    g = gw_new();
    gw_i32s(g, "tokenizer.ggml.eog_token_ids", (const int32_t[]){4, 77777}, 2);
    f = open_row("bert", g);
    assert_int_equal(vocab_load(f, &v, &err), LATHE_E_FILE);
    assert_non_null(strstr(err.text, "77777"));
    model_file_free(f);
    g = gw_new();
    gw_u32(g, "tokenizer.ggml.eos_token_id", 99999);
    f = open_row("bert", g);
    assert_int_equal(vocab_load(f, &v, &err), LATHE_E_FILE);
    assert_non_null(strstr(err.text, "99999"));
    model_file_free(f);
}

static void last_word(void **state)
{
    vocab *v = load_row("gpt1");
    int32_t *ids;
    size_t n, n_text, at = 0, n_piece;
    char *text;
    assert_int_equal(lathe_tokenize(v, "the cat sat", 11, 0, &ids, &n, &err), 0);
    assert_int_equal(lathe_detokenize(v, ids, n, true, &text, &n_text, &err), 0);
    assert_int_equal(n_text, 11);
    assert_memory_equal(text, "the cat sat", 11);
    for (size_t i = 0; i < n; i++) {
        const char *p = lathe_token_text(v, ids[i], true, &n_piece);
        assert_memory_equal(p, &"the cat sat "[at], n_piece);
        at += n_piece;
    }
    assert_int_equal(at, 12); /* a space behind every word */
    free(ids);
    free(text);
    vocab_free(v);
}

static void special_as_text(void **state)
{
    vocab *v = load_row("roberta");
    int32_t *ids, *plain;
    size_t n, n_plain;
    assert_int_equal(lathe_tokenize(v, "a  <mask>", 9, LATHE_TOK_SPECIAL, &ids, &n, &err), 0);
    assert_int_equal(n, 2); /* it takes the spaces in front */
    assert_int_equal(lathe_tokenize(v, "a  <mask>", 9, 0, &plain, &n_plain, &err), 0);
    assert_true(n_plain > 4);
    for (size_t i = 0; i < n_plain; i++)
        assert_int_not_equal(plain[i], ids[1]);
    lathe_token_text(v, ids[1], false, &n);
    assert_int_equal(n, 0);
    assert_memory_equal(lathe_token_text(v, ids[1], true, &n), "<mask>", 6);
    free(ids);
    free(plain);
    vocab_free(v);
}

/* From every mark on the ids are those of the whole text. */
static void going_on(void **state)
{
    static const char *const names[] = {"llama2", "mistral", "roberta", "bert", "t5", "added_normalized"};
    static const char text[] =
        "<s>the cat</s> low <mask>low [SEP]sat on<s>World the  [MASK] \n</s>ADD ADD<s> x";
    size_t n_mark = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vocab *v = load_row(names[i]);
        struct vocab_marks marks = {0}, again = {0};
        int32_t *ids, *rest;
        size_t n, n_rest;
        assert_int_equal(vocab_encode_from(v, text, sizeof text - 1, 3, (struct vocab_mark){0}, NULL, &marks,
                                           &ids, &n, &err),
                         0);
        for (size_t k = 0; k < marks.n; k++, n_mark++) {
            assert_int_equal(text[marks.p[k].byte] == '<' || text[marks.p[k].byte] == '[', 1);
            assert_int_equal(
                vocab_encode_from(v, text, sizeof text - 1, 3, marks.p[k], ids, &again, &rest, &n_rest, &err),
                0);
            assert_int_equal(n, n_rest);
            assert_memory_equal(ids, rest, n * sizeof *ids);
            free(rest);
        }
        free(marks.p);
        free(again.p);
        free(ids);
        vocab_free(v);
    }
    assert_true(n_mark > 10);
}

/* ---- bytes that are no UTF-8 ---- */

static void any_bytes_come_back(void **state)
{
    static const char *const names[] = {"byte_level", "llama3",  "byte_level_normalizer",
                                        "llama2",     "mistral", "metaspace_never"};
    static const char text[] = "a\xff\xc3 \xe2\x82 b\xf4\x8f\xbd\x81\xed\xa0\x80\xf0\x9f\x99\x82 \x80";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        vocab *v = load_row(names[i]);
        int32_t *ids;
        size_t n, n_got;
        char *got;
        assert_int_equal(lathe_tokenize(v, text, sizeof text - 1, 0, &ids, &n, &err), 0);
        assert_int_equal(lathe_detokenize(v, ids, n, true, &got, &n_got, &err), 0);
        bool whole = n_got == sizeof text - 1 && memcmp(got, text, n_got) == 0;
        if (!whole && strcmp(names[i], "byte_level_normalizer") != 0) /* Whitespace takes its spaces */
            fail_msg("%s: %zu bytes come back as %zu", names[i], sizeof text - 1, n_got);
        assert_non_null(memmem(got, n_got, "a\xff\xc3", 3));
        free(ids);
        free(got);
        vocab_free(v);
    }
}

static void other_bytes_are_replaced(void **state)
{
    static const char *const names[] = {"bert", "bert_cased", "unigram", "t5", "pre_whitespace", "gpt1"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        static const char broken[] = "the\xff\xe2\x82 cat\xc3", clean[] = "the\ufffd\ufffd\ufffd cat\ufffd";
        vocab *v = load_row(names[i]);
        int32_t *a, *b;
        size_t n, n_b;
        assert_int_equal(lathe_tokenize(v, broken, sizeof broken - 1, 0, &a, &n, &err), 0);
        assert_int_equal(lathe_tokenize(v, clean, sizeof clean - 1, 0, &b, &n_b, &err), 0);
        assert_int_equal(n, n_b);
        assert_memory_equal(a, b, n * sizeof *a);
        free(a);
        free(b);
        vocab_free(v);
    }
}

/* ---- time ---- */

static void long_texts(void **state)
{
    static const char *const names[] = {"byte_level",    "llama3",
                                        "deepseek",      "llama2",
                                        "mistral",       "metaspace_never",
                                        "gpt1",          "bpe_prefix",
                                        "bert",          "unigram",
                                        "unigram_bytes", "t5",
                                        "norm_nfc",      "norm_nfkd",
                                        "roberta",       "norm_precompiled",
                                        "regex_16",      "pre_regex_merged_with_next"};
    static const char *const parts[] = {
        "the cat sat on the mat. ", "a", " ",     "\n",     " \n", "!", "\xff", "\u4e2d", "\u0301\u0323",
        "\U0001f642\u200d",         "1", "<mask", "\u2581", "a "};
#ifdef LATHE_CHECK_BUILD
    enum { N = 100000 };
#else
    enum { N = 1000000 };
#endif
    char *text = malloc(N);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        vocab *v = load_row(names[k]);
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            int32_t *ids;
            size_t n, n_part = strlen(parts[i]);
            clock_t from = clock();
            for (size_t at = 0; at < N; at++)
                text[at] = parts[i][at % n_part];
            assert_int_equal(lathe_tokenize(v, text, N - 1, 1, &ids, &n, &err), 0);
            double seconds = (double)(clock() - from) / CLOCKS_PER_SEC;
            if (getenv("LATHE_TEST_TIMES"))
                print_message("%s: a megabyte of '%.20s' takes %.3f s\n", names[k], parts[i], seconds);
            if (seconds > 10) /* under a second in the release build; quadratic time would take hours */
                fail_msg("%s: a megabyte of '%s' takes %.1f s", names[k], parts[i], seconds);
            free(ids);
        }
        vocab_free(v);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(oracle),
        cmocka_unit_test(kept_index),
        cmocka_unit_test(damaged_index),
        cmocka_unit_test(keys_of_the_file),
        cmocka_unit_test(last_word),
        cmocka_unit_test(special_as_text),
        cmocka_unit_test(going_on),
        cmocka_unit_test(any_bytes_come_back),
        cmocka_unit_test(other_bytes_are_replaced),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, read_rows, free_rows);
}
