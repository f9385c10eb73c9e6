/* The vocabulary's index as bytes: every vocabulary at hand behaves the same through it; cut, damaged and
 * hostile bytes are refused or give wrong tokens, and nothing worse. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <lathe.h>
#include "text/pretok.h"
#include "text/vocab.h"
#include "tiny_vocab.h"
#include "tmp_dir.h"

static struct lathe_err err;

static struct model_file *open_gw(struct gw *g)
{
    struct model_file *f;
    const char *path = tmp_path("vocab.gguf");
    gw_save(g, path);
    gw_free(g);
    if (model_file_open(path, &f, &err))
        fail_msg("%s", err.text);
    unlink(path); /* the next one is another file */
    return f;
}

static struct gw *bpe_with_keys(void)
{
    struct gw *g = tv_bpe("gpt-2");
    gw_str(g, "general.name", "Phi-3 mini"); /* special tokens eat space */
    gw_bool(g, "tokenizer.ggml.add_bos_token", true);
    return g;
}

/* A built vocabulary and its bytes, which end where no read is allowed any more. */
struct kept {
    struct model_file *file;
    vocab *built;
    uint8_t *room, *p;
    size_t room_bytes, n;
};

static struct kept keep(struct model_file *f)
{
    struct kept k = {.file = f};
    void *p;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (vocab_load(f, &k.built, &err) || vocab_index_save(k.built, &p, &k.n, &err))
        fail_msg("%s", err.text);
    assert_int_equal(k.n % 64, 0);
    size_t whole = (k.n + page - 1) / page * page;
    k.room_bytes = whole + page;
    k.room = mmap(NULL, k.room_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(k.room != MAP_FAILED);
    assert_int_equal(mprotect(k.room + whole, page, PROT_NONE), 0);
    k.p = k.room + whole - k.n;
    memcpy(k.p, p, k.n);
    free(p);
    return k;
}

static void drop(struct kept *k)
{
    vocab_free(k->built);
    munmap(k->room, k->room_bytes);
    model_file_free(k->file);
}

/* Text of bytes and pieces that the vocabularies have something for. */
static size_t random_text(uint64_t *seed, char *out, size_t limit)
{
    static const char *const parts[] = {"a",          "abc", " ab",  "hello", "\n\n",     "123",
                                        "<|im_end|>", "<u>", "<u>>", "</s>",  "\xc3\xa9", "\xe2\x96\x81",
                                        "\xff",       "the", " of",  "  ",    "<|begin|>"};
    size_t n = 0;
    while (n + 16 < limit) {
        uint64_t r = gw_next(seed);
        const char *p = parts[r % (sizeof parts / sizeof *parts)];
        size_t len = strlen(p);
        if (r >> 60 == 0)
            out[n++] = (char)(r >> 32);
        memcpy(out + n, p, len);
        n += len;
    }
    return n;
}

static void same_encoding(const vocab *a, const vocab *b, const char *text, size_t n)
{
    for (int flags = 0; flags <= (LATHE_TOK_BOS | LATHE_TOK_SPECIAL); flags++) {
        int32_t *x, *y;
        size_t nx, ny;
        assert_int_equal(vocab_encode(a, text, n, flags, &x, &nx, &err), 0);
        assert_int_equal(vocab_encode(b, text, n, flags, &y, &ny, &err), 0);
        assert_int_equal(nx, ny);
        assert_memory_equal(x, y, nx * sizeof *x);
        free(x);
        free(y);
    }
}

static void same_pieces(const vocab *a, const vocab *b)
{
    assert_int_equal(vocab_size(a), vocab_size(b));
    for (int32_t id = -1; id <= vocab_size(a); id++) {
        struct str x = vocab_piece(a, id, true), y = vocab_piece(b, id, true);
        assert_true(str_eq(x, y));
        assert_true(str_eq(vocab_piece(a, id, false), vocab_piece(b, id, false)));
        assert_int_equal(vocab_is_eog(a, id), vocab_is_eog(b, id));
    }
}

/* The file is the test's from here on. */
static void check_round_trip(struct model_file *f, int n_text)
{
    struct kept k = keep(f);
    vocab *v;
    void *again;
    size_t n;
    uint64_t seed = 3;
    char text[600];
    assert_int_equal(mprotect(k.room, (size_t)(k.p + k.n - k.room), PROT_READ), 0);
    if (vocab_load_index(f, k.p, k.n, &v, &err))
        fail_msg("%s", err.text);
    same_pieces(k.built, v);
    for (int i = 0; i < n_text; i++)
        same_encoding(k.built, v, text, random_text(&seed, text, sizeof text));
    same_encoding(k.built, v, "", 0);
    assert_int_equal(vocab_index_save(v, &again, &n, &err), 0);
    assert_int_equal(n, k.n);
    assert_memory_equal(again, k.p, n);
    free(again);
    vocab_free(v);
    drop(&k);
}

static void round_trip(void **state)
{
    const char *pre;
    int n = 0;
    for (; (pre = pretok_name(n)); n++)
        check_round_trip(open_gw(tv_bpe(pre)), 20);
    assert_true(n > 40);
    check_round_trip(open_gw(bpe_with_keys()), 50);
    check_round_trip(open_gw(tv_spm()), 50);
}

static void published(void **state)
{
    static const char *const names[] = {"deepseek-llm", "gpt-2",     "llama-bpe", "mpt",   "qwen2",
                                        "qwen35",       "starcoder", "llama-spm", "phi-3", "bert-bge"};
    const char *shared = getenv("LATHE_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/data/tokenizers", shared ? shared : "../shared");
    if (access(path, R_OK))
        skip();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct model_file *f;
        snprintf(path, sizeof path, "%s/data/tokenizers/%s.gguf", shared ? shared : "../shared", names[i]);
        if (model_file_open(path, &f, &err))
            fail_msg("%s", err.text);
        check_round_trip(f, 200);
    }
}

/* ---- bytes that are not what was written ---- */

static void refused(const struct kept *k, const void *p, size_t n)
{
    vocab *v = (vocab *)k; /* must be overwritten */
    assert_int_equal(vocab_load_index(k->file, p, n, &v, &err), LATHE_E_FILE);
    assert_null(v);
}

static void cuts(void **state)
{
    struct kept k[] = {keep(open_gw(tv_bpe("gpt-2"))), keep(open_gw(tv_spm()))};
    for (int i = 0; i < 2; i++) {
        for (size_t n = 0; n < k[i].n; n += 64) {
            /* the cut bytes end at the guard page */
            uint8_t *whole = malloc(k[i].n);
            memcpy(whole, k[i].p, k[i].n);
            memmove(k[i].p + k[i].n - n, k[i].p, n);
            refused(&k[i], k[i].p + k[i].n - n, n);
            memcpy(k[i].p, whole, k[i].n);
            free(whole);
        }
        refused(&k[i], k[i].p, k[i].n - 1);
        refused(&k[i], k[i].p, k[i].n + 64);
        refused(&k[i], k[i].p + 4, k[i].n - 64); /* not aligned */
        refused(&k[1 - i], k[i].p, k[i].n);      /* of another vocabulary */
    }
    drop(&k[0]);
    drop(&k[1]);
}

/* Whether the bytes are taken; if so, everything is tried with them. */
static bool survives(const struct kept *k)
{
    static const char text[] = "abc hello aaaaa<|im_end|> \n<u>><|begin|>x 123 \xc3\xa9\xff</s> \xe2\x96\x81"
                               "ab aba hellohellohellohellohellohello";
    vocab *v;
    size_t n_sum = 0;
    if (vocab_load_index(k->file, k->p, k->n, &v, &err)) {
        assert_int_equal(err.code, LATHE_E_FILE);
        return false;
    }
    for (int flags = 0; flags <= (LATHE_TOK_BOS | LATHE_TOK_SPECIAL); flags += LATHE_TOK_SPECIAL) {
        int32_t *ids;
        size_t n;
        assert_int_equal(vocab_encode(v, text, sizeof text - 1, flags, &ids, &n, &err), 0);
        assert_true(n <= 2 * sizeof text);
        for (size_t i = 0; i < n; i++)
            assert_true(ids[i] >= 0 && ids[i] < vocab_size(v));
        free(ids);
    }
    for (int32_t id = -1; id <= vocab_size(v); id++) {
        struct str s = vocab_piece(v, id, true);
        for (size_t i = 0; i < s.n; i++)
            n_sum += (unsigned char)s.p[i];
        n_sum += vocab_is_eog(v, id);
    }
    assert_true(n_sum < SIZE_MAX / 2);
    vocab_free(v);
    return true;
}

static void flips(void **state)
{
    struct kept k[] = {keep(open_gw(tv_bpe("gpt-2"))), keep(open_gw(tv_bpe("llama-bpe"))),
                       keep(open_gw(tv_spm()))};
    for (int i = 0; i < 3; i++) {
        int n_taken = 0, n_refused = 0;
        for (size_t at = 0; at < k[i].n; at++)
            for (int bit = (int)(at % 4); bit < 8; bit += 4) {
                k[i].p[at] ^= (uint8_t)(1 << bit);
                bool taken = survives(&k[i]);
                n_taken += taken;
                n_refused += !taken;
                k[i].p[at] ^= (uint8_t)(1 << bit);
            }
        assert_true(survives(&k[i]));
        assert_true(n_taken > 1000 && n_refused > 100);
        drop(&k[i]);
    }
}

/* The head is right, the tables are anything: what a cut file reads as, full hashes, ids and offsets from
 * everywhere. */
static void hostile_tables(void **state)
{
    enum { HEAD = 8 + 15 * 4 + 257 * 4 + 256 * 4 };
    uint64_t seed = 5;
    for (int i = 0; i < 2; i++) {
        struct kept k = keep(open_gw(i ? tv_spm() : tv_bpe("llama-bpe")));
        for (int fill = 0; fill < 256; fill++) {
            memset(k.p + HEAD, fill, k.n - HEAD);
            assert_true(survives(&k));
        }
        for (int round = 0; round < 200; round++) {
            for (size_t at = HEAD; at + 4 <= k.n; at += 4) {
                uint64_t r = gw_next(&seed);
                uint32_t word = (uint32_t)(r & 1 ? r >> 32 : (r >> 32) % 300); /* wild, or a plausible id */
                memcpy(k.p + at, &word, 4);
            }
            assert_true(survives(&k));
        }
        drop(&k);
    }
}

/* Tables that are right but for hashes without an empty slot: a search must end. */
static void full_hash(void **state)
{
    struct kept k = keep(open_gw(tv_bpe("gpt-2")));
    int32_t *p = (int32_t *)k.p;
    for (size_t i = (8 + 10 * 4 + 257 * 4 + 256 * 4) / 4; i < k.n / 4; i++)
        if (p[i] == 0)
            p[i] = INT32_MIN;
    assert_true(survives(&k));
    drop(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(published),      cmocka_unit_test(cuts),
        cmocka_unit_test(flips),      cmocka_unit_test(hostile_tables), cmocka_unit_test(full_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
