/* put is the inverse of take, for every format that is written and whatever the bytes. */
#include "unit.h"
#include <string.h>
#include "gguf_write.h"
#include "quant/parts.h"

static void every_byte_comes_back(void **state)
{
    uint64_t seed = 1;
    uint8_t block[512], back[512];
    struct parts p;
    int n = 0;
    for (uint32_t id = 0; id < FORMAT_END; id++) {
        const struct format *f = format_by_id(id);
        if (!f || !f->put)
            continue;
        n++;
        for (int i = 0; i < 2000; i++) {
            for (int k = 0; k < f->block_bytes; k++)
                block[k] = (uint8_t)(i < 8 ? 1u << i : i == 8 ? 255 : i == 9 ? 0 : gw_next(&seed) >> 40);
            memset(&p, 0xa5, sizeof p);
            memset(back, (int)gw_next(&seed) & 255, sizeof back);
            uint8_t after = back[f->block_bytes];
            f->take(block, &p);
            f->put(&p, back);
            assert_memory_equal(block, back, (size_t)f->block_bytes);
            assert_int_equal(back[f->block_bytes], after);
        }
    }
    assert_int_equal(n, 19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_byte_comes_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
