/* The model of AMX's tiles: its products against sums written out, each fault that the manual names, and when tiles can be
 * used. What kernels make of it is checked by their twins (test_kcheck). */
#include "unit.h"
#include <math.h>
#include "base/amx.h"
#include "kern/kcheck_data.h"
#include "kern/x86/amx_model.h"

static struct amx_config config(int rows, int k_bytes)
{
    struct amx_config c = {.palette = 1};
    for (int t = 0; t < 3; t++) {
        c.rows[t] = (uint8_t)(t == 2 ? k_bytes / 4 : rows);
        c.colsb[t] = (uint16_t)(t == 1 ? k_bytes : 64);
    }
    return c;
}

/* Tile 0 += tile 1 x tile 2. */
static void products_of_bytes(void **state)
{
    for (int round = 0; round < 200; round++) {
        struct amx_model m = {0};
        int rows = (int)(rng() % 16) + 1, k_bytes = 4 * ((int)(rng() % 16) + 1);
        struct amx_config c = config(rows, k_bytes);
        int8_t a[16][64];
        uint8_t b[16][64];
        int32_t sum[16][16], want[16][16];
        for (int i = 0; i < 16 * 64; i++) {
            a[i / 64][i % 64] = (int8_t)(round ? rng() : 0x80);
            b[i / 64][i % 64] = (uint8_t)(round ? rng() : 0xff);
        }
        for (int r = 0; r < 16; r++)
            for (int n = 0; n < 16; n++) {
                sum[r][n] = want[r][n] = (int32_t)(uint32_t)rng() / 4;
                for (int k = 0; k < k_bytes && r < rows; k++)
                    want[r][n] += a[r][k] * b[k / 4][4 * n + k % 4];
            }
        amx_model_config(&m, &c);
        amx_model_load(&m, 0, sum, 64);
        amx_model_load(&m, 1, a, 64);
        amx_model_load(&m, 2, b, 64);
        amx_model_dpbsud(&m, 0, 1, 2);
        amx_model_store(&m, 0, sum, 64);
        assert_null(m.fault);
        assert_memory_equal(sum, want, sizeof sum); /* rows past the last are not stored */
        amx_model_zero(&m, 0);
        amx_model_store(&m, 0, sum, 64);
        for (int n = 0; n < 16; n++)
            assert_int_equal(sum[rows - 1][n], 0);
    }
}

static uint16_t bf16(float v)
{
    return (uint16_t)(scalar_bits(v) >> 16);
}

/* One output of a product of bf16: a . b, pairs in turns to two sums. */
static float of_pairs(const float *a, const float *b, int n_pair, float before)
{
    struct amx_model m = {0};
    struct amx_config c = config(1, 4 * n_pair);
    uint16_t av[32] = {0}, bv[16][32] = {{0}};
    float sum[16] = {before};
    for (int k = 0; k < 2 * n_pair; k++) {
        av[k] = bf16(a[k]);
        bv[k / 2][k % 2] = bf16(b[k]);
    }
    amx_model_config(&m, &c);
    amx_model_load(&m, 0, sum, 64);
    amx_model_load(&m, 1, av, 64);
    amx_model_load(&m, 2, bv, 64);
    amx_model_dpbf16ps(&m, 0, 1, 2);
    amx_model_store(&m, 0, sum, 64);
    assert_null(m.fault);
    return sum[0];
}

static void products_of_bf16(void **state)
{
    /* Even and odd products are summed apart: in one sum the ones would be lost beside 2^24. */
    assert_true(of_pairs((float[]){0x1p24f, 1, 1, 1}, (float[]){1, 1, 1, 1}, 2, 0) == 0x1p24f + 2);
    /* Each is fused: 1 + 2^-14 + 2^-16 less 1 keeps what rounding the product to nothing but bf16 would not. */
    assert_true(of_pairs((float[]){1, 0, 1 + 0x1p-7f, 0}, (float[]){-1, 0, 1 + 0x1p-7f, 0}, 2, 0) ==
                0x1p-6f + 0x1p-14f);
    /* To nearest even, when the sums are added to what was there. */
    assert_true(of_pairs((float[]){1, 0}, (float[]){1, 0}, 1, 0x1p24f) == 0x1p24f);
    assert_true(of_pairs((float[]){1, 0}, (float[]){1, 0}, 1, 0x1p24f + 2) == 0x1p24f + 4);
    /* Denormals are zero as factors, as what was there, and as results; the sign stays. */
    assert_true(of_pairs((float[]){0x1p-127f, 0}, (float[]){0x1p100f, 0}, 1, 0) == 0);
    assert_true(of_pairs((float[]){1, 0}, (float[]){0, 0}, 1, 0x1p-130f) == 0);
    float tiny = of_pairs((float[]){-0x1p-100f, 0}, (float[]){0x1p-30f, 0}, 1, -0.0f);
    assert_true(tiny == 0);
    assert_true(of_pairs((float[]){0x1p-100f, 0}, (float[]){0x1p-26f, 0}, 1, 0) == 0x1p-126f);
    assert_true(of_pairs((float[]){INFINITY, 0}, (float[]){2, 0}, 1, 1) == INFINITY);
    assert_true(isnan(of_pairs((float[]){INFINITY, 0}, (float[]){0x1p-127f, 0}, 1, 1)));
}

/* Each changes a good configuration so that LDTILECFG faults. */
static void configurations_that_fault(void **state)
{
    static const struct {
        size_t at; /* byte of the 64 */
        uint8_t value;
        const char *fault;
    } bad[] = {
        {0, 2, "#GP: palette"},
        {2, 1, "#GP: reserved bytes"},
        {15, 255, "#GP: reserved bytes"},
        {16, 65, "#GP: bytes of a row"},
        {17, 1, "#GP: bytes of a row"}, /* 256 + 64 */
        {48, 17, "#GP: rows"},
        {48, 0, "#GP: rows without bytes or bytes without rows"},
        {16, 0, "#GP: rows without bytes or bytes without rows"},
        {16 + 6, 64, "#GP: rows without bytes or bytes without rows"},
        {16 + 16, 64, "#GP: tile that does not exist"},
        {48 + 15, 1, "#GP: tile that does not exist"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct amx_model m = {0};
        struct amx_config c = config(4, 32);
        ((uint8_t *)&c)[bad[i].at] = bad[i].value;
        amx_model_config(&m, &c);
        assert_non_null(m.fault);
        assert_string_equal(m.fault, bad[i].fault);
        assert_false(m.configured);
    }
    struct amx_model m = {0};
    struct amx_config c = config(4, 32), none = {0};
    amx_model_config(&m, &c);
    assert_true(m.configured);
    amx_model_config(&m, &none); /* palette 0 releases */
    assert_true(!m.configured && !m.fault);
}

static void products_that_fault(void **state)
{
    static const struct {
        int tile, rows, colsb; /* of one tile of the good configuration */
        int dst, a, b;
        const char *fault;
    } bad[] = {
        {0, 4, 64, 0, 1, 1, "#UD: a tile twice"},
        {0, 4, 64, 1, 1, 2, "#UD: a tile twice"},
        {0, 4, 64, 0, 1, 3, "#UD: tile is not configured"},
        {0, 4, 64, 0, 1, 8, "#UD: tile is not configured"},
        {0, 5, 64, 0, 1, 2, "#UD: rows of the sums and of the first factor"},
        {1, 4, 36, 0, 1, 2, "#UD: words of the first factor, rows of the second"},
        {2, 8, 60, 0, 1, 2, "#UD: bytes of the sums and of the second factor"},
        {1, 4, 33, 0, 1, 2, "#UD: bytes of a row are no words"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct amx_model m = {0};
        struct amx_config c = config(4, 32);
        c.rows[bad[i].tile] = (uint8_t)bad[i].rows;
        c.colsb[bad[i].tile] = (uint16_t)bad[i].colsb;
        amx_model_config(&m, &c);
        assert_null(m.fault);
        amx_model_dpbsud(&m, bad[i].dst, bad[i].a, bad[i].b);
        assert_non_null(m.fault);
        assert_string_equal(m.fault, bad[i].fault);
        m.fault = NULL;
        amx_model_dpbf16ps(&m, bad[i].dst, bad[i].a, bad[i].b);
        assert_string_equal(m.fault, bad[i].fault);
    }
    struct amx_model m = {0};
    amx_model_zero(&m, 0);
    assert_string_equal(m.fault, "#UD: tiles are not configured");
}

static void usable_only_with_all_of_it(void **state)
{
    const unsigned all = AMX_TILE | AMX_INT8 | AMX_BF16;
    const uint64_t tiles = XCR0_TILES, avx = 7;
    assert_true(amx_usable(all, AMX_INT8, tiles | avx, true));
    assert_true(amx_usable(AMX_TILE | AMX_BF16, AMX_BF16, tiles | avx, true));
    assert_false(amx_usable(AMX_TILE | AMX_BF16, AMX_INT8, tiles | avx, true)); /* another kind */
    assert_false(amx_usable(AMX_INT8, AMX_INT8, tiles | avx, true));            /* no tiles */
    assert_false(amx_usable(all, AMX_INT8, avx, true));           /* the system does not save them, */
    assert_false(amx_usable(all, AMX_INT8, avx | 1 << 17, true)); /* or only their configuration */
    assert_false(amx_usable(all, AMX_INT8, tiles | avx, false));  /* or refuses */
    amx_release(); /* nothing is configured: no instruction that this CPU may not have */
    assert_null(amx_configured);
}

int main(void)
{
    rng_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_bytes),          cmocka_unit_test(products_of_bf16),
        cmocka_unit_test(configurations_that_fault),  cmocka_unit_test(products_that_fault),
        cmocka_unit_test(usable_only_with_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
