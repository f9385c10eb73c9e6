/* tokenizer.json that is malformed, or asks for what is not known here: refused by name. And the vocabularies of GGUF that are
 * pipelines, with their own mistakes. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <lathe.h>
#include "text/vocab.h"
#include "tiny_vocab.h"

static struct lathe_err err;

static int load(const char *json, size_t n)
{
    vocab *v = (vocab *)&err; /* must be overwritten */
    int rc = vocab_load_json((struct str){json, n}, &v, &err);
    if (rc)
        assert_null(v);
    else
        vocab_free(v);
    return rc;
}

static void expect(const char *json, int code, const char *words)
{
    int rc = load(json, strlen(json));
    if (rc != code || (rc && !strstr(err.text, words)))
        fail_msg("%s\n  gives %d '%s', not %d with '%s'", json, rc, rc ? err.text : "", code, words);
}

#define LEVEL "\"type\":\"WordLevel\",\"unk_token\":\"u\",\"vocab\":{\"u\":0,\"a\":1}"
#define MODEL "\"model\":{" LEVEL "}"
#define BPE(rest) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}" rest "}}"
#define UNIGRAM(rest) "{\"model\":{\"type\":\"Unigram\"" rest "}}"
#define NORM(step) "{" MODEL ",\"normalizer\":" step "}"
#define PRE(step) "{" MODEL ",\"pre_tokenizer\":" step "}"
#define DEC(step) "{" MODEL ",\"decoder\":" step "}"
#define POST(step) "{" MODEL ",\"post_processor\":" step "}"
#define ADDED(list) "{" MODEL ",\"added_tokens\":" list "}"
#define REGEX(re) PRE("{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" re "\"}}")
#define DECS(list) DEC("{\"type\":\"Sequence\",\"decoders\":[" list "]}")

static const struct {
    const char *json;
    int code;
    const char *words;
} rows[] = {
    {"{" MODEL "}", 0, ""},
    {"", LATHE_E_FILE, "line 1"},
    {"[]", LATHE_E_FILE, "no JSON object"},
    {"{}", LATHE_E_FILE, "no model"},
    {"{\"model\":[]}", LATHE_E_FILE, "no model"},
    {"{\"version\":\"2.0\"," MODEL "}", LATHE_E_UNSUPPORTED, "version"},
    {"{\"surprise\":1," MODEL "}", LATHE_E_UNSUPPORTED, "surprise"},
    {"{" MODEL ",\"truncation\":{\"max_length\":1},\"padding\":null}", 0, ""},

    {"{\"model\":{\"type\":\"Magic\",\"vocab\":{}}}", LATHE_E_UNSUPPORTED, "Magic"},
    {"{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"u\"}}", LATHE_E_FILE, "vocab"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}", LATHE_E_FILE, "0 tokens"},
    {"{\"model\":{" LEVEL ",\"extra\":0}}", LATHE_E_UNSUPPORTED, "extra"},
    {"{\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"x\",\"vocab\":{\"a\":0}}}", LATHE_E_FILE, "'x'"},
    {"{\"model\":{\"type\":\"WordLevel\",\"unk_token\":7,\"vocab\":{\"a\":0}}}", LATHE_E_FILE, "unk_token"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0,\"b\":0}}}", LATHE_E_FILE, "both have the id 0"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":-1}}}", LATHE_E_FILE, "'a'"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":0.5}}}", LATHE_E_FILE, "'a'"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":\"0\"}}}", LATHE_E_FILE, "'a'"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":4294967296}}}", LATHE_E_FILE, "'a'"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":99999999999999999999}}}", LATHE_E_FILE, "too big"},
    {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"a\":9999999}}}", LATHE_E_FILE, "ids up to 9999999"},

    {BPE(",\"merges\":[\"a b\"]"), 0, ""},
    {BPE(",\"merges\":[[\"a\",\"b\"]],\"dropout\":0.0"), 0, ""},
    {BPE(",\"merges\":[],\"dropout\":0.1"), LATHE_E_UNSUPPORTED, "dropout"},
    {BPE(""), LATHE_E_FILE, "merges"},
    {BPE(",\"merges\":[\"a x\"]"), LATHE_E_FILE, "'x'"},
    {BPE(",\"merges\":[\"b a\"]"), LATHE_E_FILE, "'ba'"},
    {BPE(",\"merges\":[\"ab\"]"), LATHE_E_FILE, "merge 0"},
    {BPE(",\"merges\":[\"a b\",\"a b c\"]"), LATHE_E_FILE, "merge 1"},
    {BPE(",\"merges\":[[\"a\"]]"), LATHE_E_FILE, "no pair"},
    {BPE(",\"merges\":[[\"a\",1]]"), LATHE_E_FILE, "no pair"},
    {BPE(",\"merges\":[[\"\",\"a\"]]"), LATHE_E_FILE, "merge 0"},
    {BPE(",\"merges\":[],\"unk_token\":\"?\""), LATHE_E_FILE, "'?'"},
    {BPE(",\"merges\":[],\"fuse_unk\":1"), LATHE_E_FILE, "fuse_unk"},

    {UNIGRAM(",\"vocab\":[[\"a\",-1.5],[\"b\",-2]],\"unk_id\":0"), 0, ""},
    {UNIGRAM(",\"vocab\":[[\"a\",-1.5]],\"unk_id\":7"), LATHE_E_FILE, "unk_id is 7"},
    {UNIGRAM(",\"vocab\":[[\"a\",-1.5]],\"unk_id\":-7"), LATHE_E_FILE, "unk_id"},
    {UNIGRAM(",\"vocab\":[[\"a\",NaN]]"), LATHE_E_FILE, "line 1"},
    {UNIGRAM(",\"vocab\":[[\"a\",1e999]]"), LATHE_E_FILE, "line 1"},
    {UNIGRAM(",\"vocab\":[[\"a\",null]]"), LATHE_E_FILE, "token 0"},
    {UNIGRAM(",\"vocab\":[[\"a\",1],\"b\"]"), LATHE_E_FILE, "token 1"},
    {UNIGRAM(",\"vocab\":[]"), LATHE_E_FILE, "0 tokens"},
    {UNIGRAM(",\"vocab\":{\"a\":0}"), LATHE_E_FILE, "Unigram"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", LATHE_E_FILE, "[UNK]"},
    {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0},\"max_input_chars_per_word\":-1}}",
     LATHE_E_FILE, "max_input"},

    {NORM("{\"type\":\"Magic\"}"), LATHE_E_UNSUPPORTED, "normalizer 'Magic'"},
    {NORM("{}"), LATHE_E_FILE, "type"},
    {NORM("[]"), LATHE_E_FILE, "type"},
    {NORM("null"), 0, ""},
    {NORM("{\"type\":\"NFC\",\"form\":1}"), LATHE_E_UNSUPPORTED, "form"},
    {NORM("{\"type\":\"Sequence\"}"), LATHE_E_FILE, "normalizers"},
    {NORM("{\"type\":\"Sequence\",\"normalizers\":[],\"x\":1}"), LATHE_E_UNSUPPORTED, "'x'"},
    {NORM("{\"type\":\"Sequence\",\"normalizers\":[1]}"), LATHE_E_FILE, "type"},
    {NORM("{\"type\":\"Strip\",\"strip_left\":\"yes\"}"), LATHE_E_FILE, "strip_left"},
    {NORM("{\"type\":\"Replace\",\"content\":\"\"}"), LATHE_E_FILE, "pattern"},
    {NORM("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}"), LATHE_E_UNSUPPORTED,
     "empty"},
    {NORM("{\"type\":\"Replace\",\"pattern\":{\"Glob\":\"*\"},\"content\":\"\"}"), LATHE_E_FILE, "pattern"},
    {NORM("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"*\"}"), LATHE_E_FILE, "base64"},
    {NORM("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAA\"}"), LATHE_E_FILE, "charsmap"},
    {NORM("{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"////fwAAAAA=\"}"), LATHE_E_FILE, "charsmap"},

    {PRE("{\"type\":\"UnicodeScripts\"}"), LATHE_E_UNSUPPORTED, "UnicodeScripts"},
    {PRE("{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Shredded\"}"),
     LATHE_E_UNSUPPORTED, "Shredded"},
    {PRE("{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"}}"), LATHE_E_UNSUPPORTED, "behavior"},
    {PRE("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"), LATHE_E_FILE, "replacement"},
    {PRE("{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"last\"}"), LATHE_E_UNSUPPORTED,
     "last"},
    {PRE("{\"type\":\"CharDelimiterSplit\"}"), LATHE_E_FILE, "delimiter"},
    {REGEX("(a"), LATHE_E_UNSUPPORTED, "(a"},
    {REGEX("[a&&b]"), LATHE_E_UNSUPPORTED, "&&"},
    {REGEX("[^a&&[b]]"), LATHE_E_UNSUPPORTED, "&&"},
    {REGEX("[a&&[b]&&[c]]"), LATHE_E_UNSUPPORTED, "&&"},
    {REGEX("[a&&[b&&[c]]]"), LATHE_E_UNSUPPORTED, "&&"},
    {REGEX("[a&&"), LATHE_E_UNSUPPORTED, "compile"},
    {REGEX("[a[^bc]]"), LATHE_E_UNSUPPORTED, "set within a set"},
    {REGEX("[a[bc]]"), 0, ""},
    {REGEX("(?m:a)"), LATHE_E_UNSUPPORTED, "group"},
    {REGEX("(?<n>a)"), LATHE_E_UNSUPPORTED, "group"},
    {REGEX("(*F)"), LATHE_E_UNSUPPORTED, "group"},
    {REGEX("\\\\X"), LATHE_E_UNSUPPORTED, "\\X"},
    {REGEX("[\\\\W]"), LATHE_E_UNSUPPORTED, "\\W"},
    {REGEX("\\\\u12"), LATHE_E_UNSUPPORTED, "four digits"},
    {REGEX("\\\\xff"), LATHE_E_UNSUPPORTED, "\\x"},
    {REGEX("\\\\p{Klingon}"), LATHE_E_UNSUPPORTED, "Klingon"},
    {REGEX("a{2,3}+"), LATHE_E_UNSUPPORTED, "two and more"},
    {REGEX("a\\\\"), LATHE_E_UNSUPPORTED, "backslash"},

    {DEC("{\"type\":\"CTC\"}"), LATHE_E_UNSUPPORTED, "CTC"},
    {DEC("{\"type\":\"Strip\",\"content\":\"ab\",\"start\":1,\"stop\":0}"), LATHE_E_FILE, "content"},
    {DEC("{\"type\":\"BPEDecoder\",\"suffix\":\"\"}"), LATHE_E_UNSUPPORTED, "suffix"},
    {DECS("{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}"), 0, ""},
    {DECS("{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":0,\"stop\":1}"),
     LATHE_E_UNSUPPORTED, "Strip"},
    {DECS("{\"type\":\"Fuse\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"\"}"),
     LATHE_E_UNSUPPORTED, "Replace"},

    {POST("{\"type\":\"Magic\"}"), LATHE_E_UNSUPPORTED, "Magic"},
    {POST("{\"type\":\"BertProcessing\",\"cls\":[\"a\",1],\"sep\":[\"b\",9]}"), LATHE_E_FILE, "id 9"},
    {POST("{\"type\":\"BertProcessing\",\"cls\":[\"a\",1]}"), LATHE_E_FILE, "sep"},
    {POST("{\"type\":\"TemplateProcessing\"}"), LATHE_E_FILE, "single"},
    {POST("{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"B\"}}]}"),
     LATHE_E_UNSUPPORTED, "text A"},
    {POST("{\"type\":\"TemplateProcessing\",\"single\":[]}"), LATHE_E_UNSUPPORTED, "0 times"},
    {POST("{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"z\"}}]}"), LATHE_E_FILE,
     "'z'"},

    {ADDED("{}"), LATHE_E_FILE, "added_tokens"},
    {ADDED("[1]"), LATHE_E_FILE, "added token 0"},
    {ADDED("[{\"content\":\"x\"}]"), LATHE_E_FILE, "id"},
    {ADDED("[{\"id\":2}]"), LATHE_E_FILE, "content"},
    {ADDED("[{\"id\":2,\"content\":\"\"}]"), LATHE_E_FILE, "content"},
    {ADDED("[{\"id\":-2,\"content\":\"x\"}]"), LATHE_E_FILE, "id"},
    {ADDED("[{\"id\":1,\"content\":\"x\"}]"), LATHE_E_FILE, "'x' has the id 1, which is 'a'"},
    {ADDED("[{\"id\":2,\"content\":\"x\"},{\"id\":2,\"content\":\"y\"}]"), LATHE_E_FILE, "'y'"},
    {ADDED("[{\"id\":2,\"content\":\"x\",\"color\":1}]"), LATHE_E_UNSUPPORTED, "color"},
    {ADDED("[{\"id\":2,\"content\":\"x\"},{\"id\":3,\"content\":\"x\"}]"), 0, ""},
};

static void refusals(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(rows[i].json, rows[i].code, rows[i].words);
}

/* A thousand times the same thing, and what closes it. */
static void deep_and_many(void **state)
{
    static const struct {
        const char *open, *each, *each_end, *close;
        int code;
        const char *words;
    } kinds[] = {
        {"", "{\"type\":\"Sequence\",\"normalizers\":[", "]}", "}", LATHE_E_FILE, "more than 32"},
        {"{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"}", ",{\"type\":\"NFC\"}", "", "]}}",
         LATHE_E_LIMIT, "more than 32"},
        {"", "[", "", "}", LATHE_E_FILE, "line"},
        {"", "[[[", "]]]", "}", LATHE_E_FILE, "line"},
    };
    char *json = malloc(1 << 20);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t n = (size_t)sprintf(json, "{" MODEL ",\"normalizer\":%s", kinds[k].open);
        for (int i = 0; i < 1000; i++)
            n += (size_t)sprintf(json + n, "%s", kinds[k].each);
        for (int i = 0; i < 1000; i++)
            n += (size_t)sprintf(json + n, "%s", kinds[k].each_end);
        strcpy(json + n, kinds[k].close);
        expect(json, kinds[k].code, kinds[k].words);
    }
    free(json);
}

/* Every beginning of a file is an error, and every byte of it may be another one. */
static void cuts_and_flips(void **state)
{
    static const char json[] = "{" MODEL ",\"added_tokens\":[{\"id\":2,\"content\":\"<s>\",\"special\":true}]"
                               ",\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":"
                               "[{\"type\":\"NFKC\"},{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"\\\\s+$|["
                               "^\\\\S\\\\n]{2,}\"},\"content\":\" \"}]},\"pre_tokenizer\":{\"type\":"
                               "\"Metaspace\",\"replacement\":\"_\"},\"decoder\":{\"type\":\"Metaspace\"},"
                               "\"post_processor\":{\"type\":\"BertProcessing\",\"cls\":[\"u\",0],\"sep\":"
                               "[\"a\",1]}}";
    char *p = malloc(sizeof json);
    assert_int_equal(load(json, sizeof json - 1), 0);
    for (size_t n = 0; n < sizeof json - 1; n++) {
        char *cut = malloc(n + 1);
        memcpy(cut, json, n);
        assert_int_equal(load(cut, n), LATHE_E_FILE);
        free(cut);
    }
    int n_refused = 0;
    for (size_t i = 0; i < sizeof json - 1; i++)
        for (int bit = 0; bit < 8; bit++) {
            memcpy(p, json, sizeof json);
            p[i] ^= (char)(1 << bit);
            n_refused += load(p, sizeof json - 1) != 0;
        }
    assert_true(n_refused > 1000);
    free(p);
}

/* ---- GGUF ---- */

static struct gw *t5(void)
{
    static const char *const token[] = {"<pad>", "</s>", "<unk>", "\u2581", "a", "b", "\u2581a", "ab", "<x>"};
    static const int32_t type[] = {3, 3, 2, 1, 1, 1, 1, 1, 4};
    static const float score[] = {0, 0, 0, -2, -3, -3, -4, -3.5f, 0};
    struct gw *g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "t5");
    gw_strs(g, "tokenizer.ggml.tokens", token, 9);
    gw_i32s(g, "tokenizer.ggml.token_type", type, 9);
    gw_f32s(g, "tokenizer.ggml.scores", score, 9);
    return g;
}

static void expect_ids(const vocab *v, const char *text, int flags, const char *want)
{
    int32_t *ids;
    size_t n;
    char got[256] = "";
    assert_int_equal(lathe_tokenize(v, text, strlen(text), flags, &ids, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        sprintf(got + strlen(got), "%s%d", i ? " " : "", ids[i]);
    assert_string_equal(got, want);
    free(ids);
}

static void gguf_t5(void **state)
{
    vocab *v = tv_open(t5(), 0, &err);
    size_t n;
    char *text;
    expect_ids(v, "a", 0, "6");
    expect_ids(v, "ab", 0, "3 7"); /* -5.5 beats -7 */
    expect_ids(v, "a  ab", LATHE_TOK_BOS, "6 3 3 7 1");
    expect_ids(v, "a<x>b", 0, "6 8 3 5");
    expect_ids(v, "xyz", 0, "3 2"); /* one for all that is unknown */
    expect_ids(v, "a</s>", LATHE_TOK_SPECIAL, "6 1");
    assert_int_equal(lathe_detokenize(v, (const int32_t[]){6, 6, 5}, 3, true, &text, &n, &err), 0);
    assert_int_equal(n, 4);
    assert_memory_equal(text, "a ab", 4);
    assert_true(lathe_vocab_is_eog(v, 1));
    free(text);
    vocab_free(v);
    struct gw *g = t5();
    gw_bool(g, "tokenizer.ggml.remove_extra_whitespaces", true);
    gw_bool(g, "tokenizer.ggml.add_eos_token", false);
    v = tv_open(g, 0, &err);
    expect_ids(v, "  a   b ", LATHE_TOK_BOS, "6 3 5");
    vocab_free(v);
    g = t5();
    gw_bool(g, "tokenizer.ggml.add_space_prefix", false);
    v = tv_open(g, 0, &err);
    expect_ids(v, "a b", 0, "4 3 5");
    vocab_free(v);
}

static void gguf_refusals(void **state)
{
    struct gw *g = t5();
    gw_bool(g, "tokenizer.ggml.treat_whitespace_as_suffix", true);
    tv_open(g, LATHE_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.text, "treat_whitespace_as_suffix"));
    g = t5();
    gw_str(g, "tokenizer.ggml.precompiled_charsmap", "abc");
    tv_open(g, LATHE_E_FILE, &err);
    assert_non_null(strstr(err.text, "precompiled_charsmap"));
    g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "t5");
    gw_strs(g, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "c"}, 3);
    gw_f32s(g, "tokenizer.ggml.scores", (const float[]){1, 0.0f / 0.0f, 2}, 3);
    tv_open(g, LATHE_E_FILE, &err);
    assert_non_null(strstr(err.text, "nan"));
    g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "t5");
    gw_strs(g, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "c"}, 3);
    gw_f32s(g, "tokenizer.ggml.scores", (const float[]){1, 2}, 2);
    tv_open(g, LATHE_E_FILE, &err);
    assert_non_null(strstr(err.text, "2 values for 3"));
    g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "bert");
    gw_strs(g, "tokenizer.ggml.tokens", (const char *const[]){"a", "b", "c"}, 3);
    tv_open(g, LATHE_E_FILE, &err); /* its ids are 100 and more unless the file says */
    assert_non_null(strstr(err.text, "bos_token_id is 101"));
    g = gw_new();
    gw_str(g, "tokenizer.huggingface.json", "{\"model\":{\"type\":\"Magic\"}}");
    tv_open(g, LATHE_E_UNSUPPORTED, &err);
    assert_non_null(strstr(err.text, "Magic"));
}

static void gguf_bert(void **state)
{
    static const char *const token[] = {"[PAD]",     "[UNK]", "[CLS]",   "[SEP]",
                                        "\u2581low", "er",    "\u2581,", "\u2581\u4f60"};
    static const int32_t type[] = {3, 3, 3, 3, 1, 1, 1, 1};
    struct gw *g = gw_new();
    gw_str(g, "tokenizer.ggml.model", "bert");
    gw_strs(g, "tokenizer.ggml.tokens", token, 8);
    gw_i32s(g, "tokenizer.ggml.token_type", type, 8);
    gw_u32(g, "tokenizer.ggml.unknown_token_id", 1);
    gw_u32(g, "tokenizer.ggml.cls_token_id", 2);
    gw_u32(g, "tokenizer.ggml.seperator_token_id", 3);
    vocab *v = tv_open(g, 0, &err);
    size_t n;
    char *text;
    expect_ids(v, "Lower,LOW\u4f60\u597d", LATHE_TOK_BOS, "2 4 5 6 4 7 1 3");
    expect_ids(v, "[SEP]low", LATHE_TOK_SPECIAL, "3 4");
    assert_int_equal(lathe_detokenize(v, (const int32_t[]){4, 5, 6, 4}, 4, true, &text, &n, &err), 0);
    assert_int_equal(n, 10);
    assert_memory_equal(text, "lower, low", 10);
    free(text);
    vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals), cmocka_unit_test(deep_and_many), cmocka_unit_test(cuts_and_flips),
        cmocka_unit_test(gguf_t5),  cmocka_unit_test(gguf_refusals), cmocka_unit_test(gguf_bert),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
