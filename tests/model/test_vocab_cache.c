/* The vocabulary's index in the cache folder: the second start uses it; what is not intact, of another file or
 * cannot be written is gone around. */
#include "unit.h"
#include <dirent.h>
#include <fcntl.h>
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "gguf_write.h"
#include "model/cache_file.h"
#include "base/cache_folder.h"
#include "model/model.h"
#include "tmp_dir.h"

static struct lathe_err err;
static char gguf[400], cache[400], folder[440];

/* ---- the folder ---- */

static int with_suffix(const char *suffix, char *path, size_t n_path)
{
    DIR *d = opendir(folder);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t len = strlen(e->d_name), n_suffix = strlen(suffix);
        if (e->d_name[0] == '.' || len < n_suffix || strcmp(e->d_name + len - n_suffix, suffix) != 0)
            continue;
        snprintf(path, n_path, "%s/%s", folder, e->d_name);
        n++;
    }
    if (d)
        closedir(d);
    return n;
}

static int empty(void **state)
{
    char path[800];
    while (with_suffix("", path, sizeof path))
        assert_int_equal(remove(path), 0);
    rmdir(folder);
    rmdir(cache);
    return 0;
}

/* Path of the one index. */
static const char *kept_path(void)
{
    static char path[800];
    assert_int_equal(with_suffix(".idx", path, sizeof path), 1);
    return path;
}

static uint8_t *slurp(const char *path, size_t *n)
{
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    uint8_t *p = malloc(1 << 20);
    *n = fread(p, 1, 1 << 20, in);
    assert_true(*n > 0 && *n < 1 << 20);
    fclose(in);
    return p;
}

/* ---- the model ---- */

static lathe_model *start(bool no_cache)
{
    struct lathe_model_options o;
    lathe_model *m;
    lathe_model_options_init(&o);
    o.cache_dir = cache;
    o.no_cache = no_cache;
    o.n_thread = 1;
    if (lathe_model_open(gguf, &o, &m, &err))
        fail_msg("%s", err.text);
    return m;
}

/* Opens the model; whether its index was a kept one. Tokens must be right either way. */
static bool uses_kept(void)
{
    static const char text[] = "<|im_start|>the other and he will sing<|im_end|>";
    lathe_model *m = start(false);
    bool kept = m->vocab_index != NULL;
    int32_t *ids;
    size_t n;
    char back[200] = "";
    const lathe_vocab *v = lathe_model_vocab(m);
    assert_int_equal(lathe_tokenize(v, text, strlen(text), LATHE_TOK_SPECIAL, &ids, &n, &err), 0);
    assert_true(n > 5 && n < strlen(text));
    assert_int_equal(ids[0], 273);     /* <|im_start|> */
    assert_int_equal(ids[1], 257);     /* "the", merge 1 */
    assert_int_equal(ids[n - 1], 274); /* <|im_end|> */
    for (size_t i = 0; i < n; i++) {
        size_t len;
        const char *p = lathe_token_text(v, ids[i], true, &len);
        strncat(back, p, len);
    }
    assert_string_equal(back, text);
    free(ids);
    lathe_model_free(m);
    return kept;
}

/* ---- tests ---- */

static void second_start(void **state)
{
    char path[800];
    assert_false(uses_kept());
    assert_int_equal(with_suffix(".lay", path, sizeof path), 1);
    size_t n, n_again;
    uint8_t *p = slurp(kept_path(), &n);
    assert_true(uses_kept());
    assert_true(uses_kept());
    empty(NULL);
    assert_false(uses_kept());
    uint8_t *again = slurp(kept_path(), &n_again); /* the same bytes whenever it is made */
    assert_int_equal(n, n_again);
    assert_memory_equal(p, again, n);
    free(p);
    free(again);
    assert_int_equal(with_suffix(".part", path, sizeof path), 0);
}

static void no_cache(void **state)
{
    char path[800];
    lathe_model *m = start(true);
    assert_null(m->vocab_index);
    lathe_model_free(m);
    assert_int_equal(with_suffix("", path, sizeof path), 0);
    assert_false(uses_kept());
    m = start(true); /* it does not read it either */
    assert_null(m->vocab_index);
    lathe_model_free(m);
}

/* Any damage is seen, gone around, and repaired by the same start. */
static void damaged(void **state)
{
    size_t n, n_again;
    assert_false(uses_kept());
    uint8_t *p = slurp(kept_path(), &n);
    for (size_t at = 0; at < n; at = at < 64 || (at >= 4096 && at < 4160) ? at + 3 : at + 97) {
        if ((at >= 12 && at < 16) || (at >= 56 && at < CACHE_HEADER_BYTES)) /* of the header: unused */
            continue;
        p[at] ^= (uint8_t)(1 << at % 8);
        gw_save_bytes(kept_path(), p, n);
        p[at] ^= (uint8_t)(1 << at % 8);
        if (uses_kept())
            fail_msg("byte %zu is wrong, and the index was used", at);
        uint8_t *again = slurp(kept_path(), &n_again);
        assert_int_equal(n, n_again);
        assert_memory_equal(p, again, n);
        free(again);
    }
    assert_true(uses_kept());
    free(p);
}

static void cut(void **state)
{
    size_t n;
    assert_false(uses_kept());
    uint8_t *p = slurp(kept_path(), &n);
    for (size_t len = 0; len <= n + 64; len += len < 4000 ? 1000 : 64) {
        if (len == n)
            continue;
        uint8_t longer[64] = {0};
        gw_save_bytes(kept_path(), p, len < n ? len : n);
        FILE *f = fopen(kept_path(), "ab");
        assert_non_null(f);
        fwrite(longer, 1, len > n ? len - n : 0, f);
        fclose(f);
        assert_false(uses_kept());
        assert_true(uses_kept());
    }
    free(p);
}

/* The digest is right, what it covers is not: nothing but wrong tokens may come of it. */
static void forged(void **state)
{
    enum { HEAD = 8 + 15 * 4 + 257 * 4 + 256 * 4 };
    size_t n;
    assert_false(uses_kept());
    uint8_t *p = slurp(kept_path(), &n);
    struct cache_id id = {.magic = "LATHEIDX", .suffix = ".idx", .version = VOCAB_INDEX_VERSION};
    memcpy(&id.key, p + 24, sizeof id.key);
    for (int fill = 0; fill < 256; fill += 51) {
        char path[800];
        struct cache_writer w;
        lathe_model *m;
        int32_t *ids;
        size_t n_ids;
        strcpy(path, kept_path());
        memset(p + CACHE_HEADER_BYTES + HEAD, fill, n - CACHE_HEADER_BYTES - HEAD);
        assert_true(cache_write_start(&w, path));
        assert_true(cache_write(&w, p + CACHE_HEADER_BYTES, n - CACHE_HEADER_BYTES));
        assert_true(cache_write_end(&w, &id, true));
        m = start(false);
        assert_non_null(m->vocab_index);
        const lathe_vocab *v = lathe_model_vocab(m);
        assert_int_equal(lathe_tokenize(v, "the end<|im_end|>", 17, 1, &ids, &n_ids, &err), 0);
        for (size_t i = 0; i < n_ids; i++)
            assert_true(ids[i] >= 0 && ids[i] < lathe_vocab_size(v));
        free(ids);
        lathe_model_free(m);
    }
    free(p);
}

/* The file shrinks under a running model: no crash, and the model knows. */
static void cut_while_mapped(void **state)
{
    assert_false(uses_kept());
    lathe_model *m = start(false);
    int32_t *ids;
    size_t n;
    assert_non_null(m->vocab_index);
    assert_false(model_damaged(m));
    assert_int_equal(truncate(kept_path(), CACHE_HEADER_BYTES), 0);
    assert_int_equal(lathe_tokenize(lathe_model_vocab(m), "the end", 7, 0, &ids, &n, &err), 0);
    free(ids);
    assert_true(model_damaged(m));
    lathe_model_free(m);
    assert_false(uses_kept());
    assert_true(uses_kept());
}

static void another_file(void **state)
{
    static const struct timespec later[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000, .tv_nsec = 1}};
    char path[800];
    assert_false(uses_kept());
    assert_int_equal(utimensat(AT_FDCWD, gguf, later, 0), 0);
    assert_false(uses_kept()); /* a nanosecond counts */
    assert_true(uses_kept());
    assert_int_equal(with_suffix(".idx", path, sizeof path), 2);
}

static void cannot_be_written(void **state)
{
    char path[800], temp[820];
    assert_false(uses_kept());
    strcpy(path, kept_path());
    snprintf(temp, sizeof temp, "%s.part", path);
    assert_int_equal(remove(path), 0);
    assert_int_equal(mkdir(temp, 0755), 0); /* as unwritable as a full or read-only disk, for root too */
    assert_false(uses_kept());
    assert_false(uses_kept());
    assert_int_equal(rmdir(temp), 0);
    int fd = open(temp, O_RDWR | O_CREAT, 0644); /* somebody else is at it */
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    assert_false(uses_kept());
    assert_false(uses_kept());
    assert_int_equal(access(path, F_OK), -1);
    close(fd);
    assert_false(uses_kept()); /* what he left is no obstacle */
    assert_true(uses_kept());
    assert_int_equal(access(temp, F_OK), -1);
}

/* A folder that can only be read serves what is there. */
static void read_only(void **state)
{
    assert_false(uses_kept());
    assert_int_equal(chmod(folder, 0555), 0);
    assert_true(uses_kept());
    assert_int_equal(chmod(folder, 0755), 0);
}

/* Indices count in the folder's bound like layouts. */
static void bound(void **state)
{
    static const struct timespec long_ago[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}},
                                 longer_ago[2] = {{.tv_sec = 500}, {.tv_sec = 500}};
    char big[800], old[800];
    assert_false(uses_kept()); /* makes the folder */
    snprintf(big, sizeof big, "%s/big.lay", folder);
    snprintf(old, sizeof old, "%s/old.idx", folder);
    gw_save_bytes(big, "x", 1);
    gw_save_bytes(old, "x", 1);
    assert_int_equal(utimensat(AT_FDCWD, big, long_ago, 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, old, longer_ago, 0), 0);
    cache_trim(big);
    assert_int_equal(access(old, F_OK), 0);
    assert_int_equal(truncate(big, ((off_t)64 << 30) + 1), 0); /* without blocks */
    assert_int_equal(utimensat(AT_FDCWD, big, long_ago, 0), 0);
    cache_trim(old); /* kept as the newest, whatever its time says */
    assert_int_equal(access(big, F_OK), -1);
    assert_int_equal(access(old, F_OK), 0);
    gw_save_bytes(big, "x", 1);
    assert_int_equal(truncate(big, ((off_t)64 << 30) + 1), 0);
    assert_int_equal(utimensat(AT_FDCWD, big, long_ago, 0), 0);
    cache_trim(big);
    assert_int_equal(access(big, F_OK), 0);
    assert_int_equal(access(old, F_OK), -1);
}

int main(void)
{
    struct gw_shape s = {.n_embd = 32, .n_ff = 32, .n_head = 2, .n_head_kv = 1, .n_layer = 1};
    strcpy(gguf, tmp_path("m.gguf"));
    strcpy(cache, tmp_path("cache"));
    snprintf(folder, sizeof folder, "%s/layouts", cache);
    gw_random_llama(gguf, s, 2, 1);
#define CASE(f) cmocka_unit_test_teardown(f, empty)
    const struct CMUnitTest tests[] = {
        CASE(second_start),     CASE(no_cache),     CASE(damaged),           CASE(cut),       CASE(forged),
        CASE(cut_while_mapped), CASE(another_file), CASE(cannot_be_written), CASE(read_only), CASE(bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
