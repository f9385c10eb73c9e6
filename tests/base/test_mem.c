/* Memory: checked sizes, arenas, bounded buffers. */
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>
#include "unit.h"

static void sizes_are_checked(void **state)
{
    struct lathe_err err;
    void *p = &err;
    assert_int_equal(mem_try(SIZE_MAX / 2, 3, "a thing", &p, &err), LATHE_E_NOMEM);
    assert_null(p);
    assert_non_null(strstr(err.text, "a thing"));
    assert_int_equal(mem_try(SIZE_MAX, 1, "a thing", &p, &err), LATHE_E_NOMEM);
    assert_int_equal(mem_try((size_t)1 << 60, 1, "a thing", &p, &err), LATHE_E_NOMEM);
    assert_int_equal(mem_try(0, 8, "nothing", &p, &err), 0);
    free(p);
    assert_int_equal(mem_try(7, 33, "some", &p, &err), 0);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 7 * 33; i++)
        assert_int_equal(((char *)p)[i], 0);
    free(p);
    uint64_t v;
    assert_false(mem_mul(UINT64_MAX, 2, &v));
    assert_false(mem_add(UINT64_MAX, 1, &v));
    assert_true(mem_mul(1u << 31, 1u << 31, &v) && v == 1ull << 62);
    assert_true(mem_add(UINT64_MAX - 1, 1, &v) && v == UINT64_MAX);
}

static void maps(void **state)
{
    void *p;
    assert_int_equal(mem_map(0, "none", &p, NULL), 0);
    mem_unmap(p, 0);
    assert_int_equal(mem_map(5 << 20, "pages", &p, NULL), 0);
    assert_int_equal((uintptr_t)p % 4096, 0);
    assert_int_equal(((char *)p)[(5 << 20) - 1], 0);
    ((char *)p)[(5 << 20) - 1] = 1;
    mem_unmap(p, 5 << 20);
    struct lathe_err err;
    assert_int_equal(mem_map((size_t)1 << 60, "too much", &p, &err), LATHE_E_NOMEM);
    assert_null(p);
    mem_unmap(NULL, 10);
}

static void small_ones(void **state)
{
    char *p = mem_new(0);
    assert_non_null(p);
    p = mem_grow(p, 100);
    memset(p, 1, 100);
    free(p);
    p = mem_dup("ab\0cd", 5);
    assert_memory_equal(p, "ab\0cd", 6);
    free(p);
    p = mem_dup(NULL, 0);
    assert_string_equal(p, "");
    free(p);
}

static void arenas(void **state)
{
    struct arena a = {0};
    unsigned char *at[400];
    size_t size[400], total = 0;
    for (size_t i = 0; i < 400; i++) {
        size[i] = i % 50 == 49 ? 70000 : i * 7 % 300;
        at[i] = arena_alloc(&a, size[i]);
        assert_int_equal((uintptr_t)at[i] % 16, 0);
        for (size_t k = 0; k < size[i]; k++)
            assert_int_equal(at[i][k], 0);
        memset(at[i], (int)(i + 1), size[i]);
        total += size[i];
    }
    for (size_t i = 0; i < 400; i++) /* none overlaps another */
        for (size_t k = 0; k < size[i]; k++)
            assert_int_equal(at[i][k], (unsigned char)(i + 1));
    assert_true(a.total >= total && a.total < total + 400 * 16);
    assert_string_equal(arena_dup(&a, "text", 4), "text");
    arena_free(&a);
    assert_null(a.head);
    arena_free(&a);
}

static void buffers_stop_at_their_limit(void **state)
{
    struct buf b;
    buf_init(&b, 10);
    assert_int_equal(buf_puts(&b, "12345678"), 0);
    assert_int_equal(buf_put(&b, "abc", 3), LATHE_E_LIMIT); /* all or nothing */
    assert_true(b.full);
    assert_string_equal(b.p, "12345678");
    assert_int_equal(buf_put(&b, "ab", 2), 0);
    assert_int_equal(buf_putc(&b, 'x'), LATHE_E_LIMIT);
    assert_int_equal(buf_put(&b, NULL, 0), 0);
    assert_int_equal(buf_put(&b, "x", SIZE_MAX), LATHE_E_LIMIT);
    assert_int_equal(b.n, 10);
    buf_clear(&b);
    assert_false(b.full);
    assert_string_equal(b.p, "");
    assert_int_equal(buf_printf(&b, "%d-%s", 42, "abcdef"), 0);
    assert_int_equal(buf_printf(&b, "%d", 42), LATHE_E_LIMIT);
    assert_string_equal(b.p, "42-abcdef");
    size_t n;
    char *p = buf_take(&b, &n);
    assert_int_equal(n, 9);
    assert_null(b.p);
    free(p);
    p = buf_take(&b, &n); /* of an empty buffer: a text all the same */
    assert_string_equal(p, "");
    assert_int_equal(n, 0);
    free(p);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_putc(&b, (char)('a' + i % 26)), 0);
    assert_int_equal(b.n, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.p[i], 'a' + i % 26);
    buf_free(&b);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(maps),
        cmocka_unit_test(small_ones),
        cmocka_unit_test(arenas),
        cmocka_unit_test(buffers_stop_at_their_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
