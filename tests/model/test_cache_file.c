/* A kept file, mapped and read into memory: the same bytes; what is cut, of another kind or not there is refused by
 * both. Kept in the background it is the same file. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "model/cache_file.h"
#include "model/layout_keep.h"
#include "tmp_dir.h"

enum { N_BYTES = (9 << 20) + 12345 }; /* more than four pieces, and a rest */

static struct cache_id id = {.magic = "LATHELAY", .suffix = ".lay", .version = 7};
static struct pool *pool;
static const char *path;
static uint8_t *content;

static int make(void **state)
{
    struct cache_writer w;
    path = tmp_path("kept.lay");
    content = malloc(N_BYTES);
    for (uint32_t i = 0, v = 1; i < N_BYTES; i++, v = v * 1664525u + 1013904223u)
        content[i] = (uint8_t)(v >> 24);
    assert_true(cache_write_start(&w, path));
    assert_true(cache_write(&w, content, N_BYTES));
    assert_true(cache_write_end(&w, &id, true));
    return pool_new(3, &pool, NULL);
}

static int drop(void **state)
{
    pool_free(pool);
    free(content);
    return 0;
}

static void same_bytes(void **state)
{
    struct cache_view mapped, loaded;
    assert_true(cache_view_open(&mapped, path, &id, true));
    assert_true(cache_view_load(&loaded, path, &id, pool));
    assert_int_equal((uintptr_t)loaded.map % (2 << 20), 0);
    assert_int_equal(cache_view_size(&mapped), N_BYTES);
    assert_int_equal(cache_view_size(&loaded), N_BYTES);
    assert_memory_equal(cache_view_bytes(&mapped), content, N_BYTES);
    assert_memory_equal(cache_view_bytes(&loaded), content, N_BYTES);
    assert_true(cache_view_intact(&mapped) && cache_view_intact(&loaded));
    cache_view_close(&mapped);
    loaded.map[CACHE_HEADER_BYTES] ^= 1;
    assert_false(cache_view_intact(&loaded));
    cache_view_close(&loaded);
}

static void refused(const char *what)
{
    struct cache_view v;
    assert_false(cache_view_open(&v, what, &id, true));
    assert_false(cache_view_load(&v, what, &id, pool));
}

static void others_are_refused(void **state)
{
    refused("/nowhere/at/all");
    refused("/"); /* a folder */
    id.version++;
    refused(path);
    id.version--;
    id.key.low64++;
    refused(path);
    id.key.low64--;
    assert_int_equal(truncate(path, CACHE_HEADER_BYTES + N_BYTES - 1), 0);
    refused(path);
    assert_int_equal(truncate(path, 10), 0);
    refused(path);
}

static void kept_in_the_background(void **state)
{
    struct cache_view v;
    const char *other = tmp_path("later.lay");
    struct layout_keep *k = layout_keep_start(other, &id, content, N_BYTES);
    assert_non_null(k);
    struct layout_keep *second = layout_keep_start(other, &id, content, N_BYTES);
    if (second) /* the first was done by then */
        assert_true(layout_keep_end(second));
    assert_true(layout_keep_end(k));
    assert_true(cache_view_open(&v, other, &id, true));
    assert_int_equal(cache_view_size(&v), N_BYTES);
    assert_memory_equal(cache_view_bytes(&v), content, N_BYTES);
    assert_true(cache_view_intact(&v));
    cache_view_close(&v);
    assert_null(layout_keep_start("/nowhere/at/all", &id, content, N_BYTES));
    assert_false(layout_keep_end(NULL));
}

static void nothing_is_left_where_the_disk_is_full(void **state)
{
    const char *name = tmp_path("full.lay");
    struct rlimit before, small = {1 << 20, 1 << 20};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_false(layout_keep_end(layout_keep_start(name, &id, content, N_BYTES)));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(access(name, F_OK), -1);
    assert_int_equal(access(tmp_path("full.lay.part"), F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bytes), cmocka_unit_test(kept_in_the_background),
                                       cmocka_unit_test(nothing_is_left_where_the_disk_is_full),
                                       cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, make, drop);
}
