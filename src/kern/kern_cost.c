/* The cost of kernel rows, measured. */
#include "kern/kern_cost.h"
#include <assert.h>
#include <stdlib.h>
#include "base/amx.h"
#include "base/clock.h"
#include "base/mem.h"
#include "kern/kern_case.h"
#include "kern/kern_trap.h"

/* Some 30 us a row and load, most of it for generating inputs: 10 ms for all rows of two instruction sets (Zen 4). */
enum { SEED = 21, N_ROUND = 5, ROUND_NS = 3000, MAX_LOOP = 64, SLOW_NS = 300000, N_COL = 1024 };

static bool is_tile(enum kern_op op)
{
    return op == KERN_TILE_DOT || op == KERN_TILE_F32 || op == KERN_TILE_SPAN;
}

static struct kern_shape shape_of(enum kern_op op)
{
    switch (op) {
    case KERN_TILE_DOT:
        return (struct kern_shape){KIND_RANDOM, N_COL / ACT_BLOCK, TILE_TOK, 0, LANES, 0, 0};
    case KERN_TILE_F32:
        return (struct kern_shape){KIND_RANDOM, 64, TILE_TOK, 0, 4 * LANES, 64, 4};
    case KERN_TILE_SPAN:
    case KERN_PACK_SPAN:
        return (struct kern_shape){KIND_RANDOM, 64, TILE_TOK, 0, 4 * LANES, 0, 4};
    case KERN_QUANTIZE:
        return (struct kern_shape){KIND_RANDOM, N_COL, ACT_GROUP, 0, 0, 0, 0};
    case KERN_SPAN_SOFTMAX:
    case KERN_SPAN_MERGE:
        return (struct kern_shape){KIND_RANDOM, 64, TILE_TOK, 0, 0, 0, 0};
    default:
        return (struct kern_shape){.kind = KIND_RANDOM, .n = N_COL};
    }
}

static uint64_t time_calls(const struct kern_case *c, const struct kern_row *row, int n_loop, uint8_t *out)
{
    uint64_t start = clock_ns();
    for (int i = 0; i < n_loop; i++)
        kern_case_call(c, row, out);
    return clock_ns() - start;
}

/* The case with each row, in turns. A row so slow that it cannot be chosen against any other gets one round. */
static void measure(const struct kern_case *c, const struct kern_row *const *rows, int n, enum kern_load load,
                    uint8_t *out, uint32_t (*cost_ps)[KERN_N_LOAD])
{
    int n_loop[KERN_COST_ROWS];
    double best[KERN_COST_ROWS];
    for (int i = 0; i < n; i++) { /* also brings code and data into the caches */
        uint64_t ns = time_calls(c, rows[i], 1, out);
        n_loop[i] = ns < ROUND_NS ? (int)(ROUND_NS / (ns + ROUND_NS / MAX_LOOP)) + 1 : 1;
        best[i] = (double)ns;
    }
    for (int round = 0; round < N_ROUND; round++)
        for (int i = 0; i < n; i++) {
            if (round > 0 && best[i] > SLOW_NS)
                continue;
            double ns = (double)time_calls(c, rows[i], n_loop[i], out) / n_loop[i];
            best[i] = ns < best[i] ? ns : best[i];
        }
    for (int i = 0; i < n; i++) {
        double ps = best[i] * 1000;
        cost_ps[i][load] = ps < 1 ? 1 : ps < UINT32_MAX ? (uint32_t)ps : UINT32_MAX;
    }
}

struct costing {
    const struct kern_row *const *rows;
    int n;
    struct kern_case c;
    uint8_t *out;
    uint32_t (*cost_ps)[KERN_N_LOAD];
};

static void measure_loads(void *arg)
{
    struct costing *k = arg;
    uint64_t state = SEED;
    kern_case_fill(&k->c, &state);
    kern_case_start(&k->c, k->out);
    measure(&k->c, k->rows, k->n, KERN_MANY, k->out, k->cost_ps);
    k->c.s.n_tok = 1;
    if (is_tile(k->c.row->op))
        measure(&k->c, k->rows, k->n, KERN_ONE, k->out, k->cost_ps);
    else
        for (int i = 0; i < k->n; i++)
            k->cost_ps[i][KERN_ONE] = k->cost_ps[i][KERN_MANY];
}

bool kern_cost_measure(const struct kern_row *const *rows, int n, uint32_t (*cost_ps)[KERN_N_LOAD])
{
    struct costing k = {.rows = rows, .n = n, .cost_ps = cost_ps};
    size_t n_bytes = 64, at = 0;
    assert(n > 0 && n <= KERN_COST_ROWS);
    kern_case_plan(&k.c, rows[0], shape_of(rows[0]->op));
    for (int i = 0; i < KERN_N_IN; i++)
        n_bytes += (k.c.in_bytes[i] + 63) / 64 * 64;
    uint8_t *room = mem_new(n_bytes + k.c.out_bytes), *from = room + (64 - (uintptr_t)room % 64);
    for (int i = 0; i < KERN_N_IN; i++) {
        k.c.in[i] = from + at;
        at += (k.c.in_bytes[i] + 63) / 64 * 64;
    }
    k.out = from + at;
    bool whole = kern_trap(measure_loads, &k);
    amx_release();
    free(room);
    return whole;
}
