/* A kept file, mapped and read into memory: the same bytes; what is cut, of another kind or not there is refused by
 * both. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "model/cache_file.h"
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
    assert_true(cache_view_open(&mapped, path, &id));
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
    assert_false(cache_view_open(&v, what, &id));
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bytes), cmocka_unit_test(others_are_refused)};
    return cmocka_run_group_tests(tests, make, drop);
}
