/* Fuzzes the weight formats: any bytes are a block. What is decoded, packed into a panel and read back in every way is the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "kern/panel.h"

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

/* The panel against the file's own weights; rows past n_row are zero. */
static void compare(const struct format *f, const uint8_t *rows, size_t row_bytes, int n_row, int n_col)
{
    size_t n = (size_t)n_col * LANES;
    float *want = mem_new((size_t)n_col * sizeof *want), *row = mem_new((size_t)n_col * sizeof *row);
    float *all = mem_new(n * sizeof *all);
    uint8_t *panel = aligned_alloc(64, panel_bytes((enum format_id)f->id, n_col));
    panel_pack((enum format_id)f->id, rows, row_bytes, n_row, n_col, panel);
    ((unpack_fn *)kern_choose(KERN_UNPACK, (enum format_id)f->id, KERN_MANY)->fn)(panel, 0, n_col, all);
    for (int r = 0; r < n_row; r++) {
        f->decode(rows + (size_t)r * row_bytes, want, n_col);
        panel_row((enum format_id)f->id, panel, r, n_col, row);
        for (int k = 0; k < n_col; k++)
            if (!same(want[k], row[k]) || !same(want[k], all[k * LANES + r]))
                abort();
    }
    free(panel);
    free(all);
    free(row);
    free(want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2)
        return 0;
    const struct format *f = format_by_id(data[0] % 40);
    if (!f || !f->take)
        return 0;
    size_t n_block = (n - 2) / (size_t)f->block_bytes;
    int n_row = data[1] % LANES + 1;
    size_t per_row = n_block / (size_t)n_row;
    if (per_row == 0)
        return 0;
    compare(f, data + 2, per_row * (size_t)f->block_bytes, n_row, (int)per_row * f->block_n);
    return 0;
}
