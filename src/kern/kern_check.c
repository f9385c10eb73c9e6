/* The check of a row: a few calls with generated inputs, compared with plain C bit for bit. All rows of one
 * instruction set take 25 ms (Zen 4), most of it plain C, so the shapes are the edges of the tiles and little
 * else; the tests run many more. */
#include "kern/kern_check.h"
#include <assert.h>
#include <fenv.h>
#include <stdlib.h>
#include "base/amx.h"
#include "base/mem.h"
#include "kern/kern_case.h"
#include "kern/kern_trap.h"

enum { SEED = 20, SCRATCH_BYTES = 128 << 10 };

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

/* Most cases are random, since only those show a wrong rounding; the others take turns. */
static enum kern_kind kind_at(bool special, int i)
{
    return special ? (enum kern_kind)(i % N_KIND) : KIND_RANDOM;
}

/* Both tiles: the token counts at which they change, each with odd and even n, without and with add. */
static bool tile_at(enum kern_op op, int block_n, int i, struct kern_shape *s)
{
    static const int tokens[] = {1, 2, 3, 4, 5, 8, 12}, columns[] = {1, 33, 3, 16, 17, 2};
    static const int x_row[] = {128, 64, 67};
    const bool large =
        op == KERN_TILE_DOT && block_n > ACT_BLOCK; /* a block is long: half as many cases of fewer */
    *s = (struct kern_shape){.n_tok = tokens[i % 7], .extra = large ? (i + i / 7) % 2 : i / 14};
    if (op == KERN_TILE_DOT) {
        s->n = large ? (1 + i % 3 % 2 + i % 7 / 6) * block_n / ACT_BLOCK : 1 + i / 7 % 2 + i % 2 * 2;
        s->x_gap = i % 2;
        s->stride = LANES + 3 * (i % 3);
    } else {
        s->n = columns[(i + i / 14) % 6];
        s->x_gap = x_row[i % 3] - s->n;
        s->n_group = 1 + (i + i / 7) % 6;
        s->stride = LANES * s->n_group + 5 * (i % 2);
    }
    s->kind = kind_at(i < 14 && i % 2, i / 2);
    return i < (large ? 14 : 28);
}

/* Strips of 1 to 4 groups, rows up to and past whole 16s. */
static bool strip_at(int i, struct kern_shape *s)
{
    static const int tokens[] = {1, 12, 2, 3, 7, 4, 6}, rows[] = {64, 1, 17, 24, 33};
    *s = (struct kern_shape){.n = rows[i % 5],
                             .n_tok = tokens[i % 7],
                             .n_group = 4 - i % 4,
                             .x_gap = i % 3,
                             .stride = LANES * (4 - i % 4) + 5 * (i % 2)};
    s->kind = kind_at(i % 3 == 2, i / 3);
    return i < 28;
}

static bool unpack_at(int step, int i, struct kern_shape *s)
{
    *s = (struct kern_shape){.n = (i % 3 + 1) * step, .n_tok = i, .extra = i / 3 % 3 * step};
    s->kind = kind_at(i % 3 == 0, i / 3);
    return i < 9;
}

static bool vector_at(int i, struct kern_shape *s)
{
    static const int lengths[] = {1, 7, 8, 15, 16, 17, 31, 33, 64, 97};
    *s = (struct kern_shape){.n = lengths[i % COUNT(lengths)], .extra = (i + i / COUNT(lengths)) % 2};
    s->kind = kind_at(i >= COUNT(lengths), i);
    return i < 5 * COUNT(lengths);
}

static bool span_at(enum kern_op op, int i, struct kern_shape *s)
{
    static const int lengths[] = {1, 16, 17, 64, 40}, queries[] = {12, 1, 5, 4};
    *s = (struct kern_shape){.n = lengths[i % 5], .n_tok = queries[i % 4], .extra = i / 3 % 4};
    s->kind = kind_at(i % 3 == 2, i / 3);
    if (op == KERN_SPAN_SOFTMAX) /* n: keys of the first query */
        s->extra = 0;
    return i < 20;
}

/* Shape i of an operation's check; false past the last. */
static bool shape_at(const struct kern_row *row, int i, struct kern_shape *s)
{
    switch (row->op) {
    case KERN_TILE_DOT:
    case KERN_TILE_F32:
        return tile_at(row->op, format_by_id((uint32_t)row->format)->block_n, i, s);
    case KERN_TILE_SPAN:
    case KERN_PACK_SPAN:
        return strip_at(i, s);
    case KERN_UNPACK:
        return unpack_at(format_by_id((uint32_t)row->format)->block_n, i, s);
    case KERN_QUANTIZE:
        *s = (struct kern_shape){
            kind_at(i % 3 == 2, i / 3), ACT_BLOCK * (1 + i / 4 % 3), i % 4 + 1, 0, 0, i % 2 * 5, 0};
        return i < 24;
    case KERN_BIAS:
        *s = (struct kern_shape){.kind = kind_at(i % 3 == 2, i / 3),
                                 .n = LANES,
                                 .n_tok = 1 + i,
                                 .extra = i % 2,
                                 .stride = LANES + i % 5};
        return i < 12;
    case KERN_SPAN_SOFTMAX:
    case KERN_SPAN_MERGE:
        return span_at(row->op, i, s);
    default:
        return vector_at(i, s);
    }
}

/* n_bytes of the scratch memory, on a cache line's start. */
static uint8_t *carve(uint8_t *scratch, size_t *used, size_t n_bytes)
{
    uint8_t *p = scratch + *used;
    *used += (n_bytes + 63) / 64 * 64;
    assert(*used <= SCRATCH_BYTES);
    return p;
}

struct check {
    const struct kern_row *row, *plain;
    uint8_t *scratch;
    bool same;
};

static void compare(void *arg)
{
    struct check *k = arg;
    uint64_t state = SEED;
    struct kern_shape s;
    bool same = true;
    for (int i = 0; same && shape_at(k->row, i, &s); i++) {
        struct kern_case c;
        size_t used = 0, at;
        kern_case_plan(&c, k->row, s);
        for (int n = 0; n < KERN_N_IN; n++)
            c.in[n] = carve(k->scratch, &used, c.in_bytes[n]);
        uint8_t *want = carve(k->scratch, &used, c.out_bytes), *got = carve(k->scratch, &used, c.out_bytes);
        kern_case_fill(&c, &state);
        kern_case_start(&c, want);
        kern_case_start(&c, got);
        kern_case_call(&c, k->plain, want);
        kern_case_call(&c, k->row, got);
        same = kern_case_same(&c, got, want, &at);
    }
    k->same = same;
}

bool kern_check_row(const struct kern_row *row, const struct kern_row *plain)
{
    uint8_t *room = mem_new(SCRATCH_BYTES + 64);
    struct check check = {row, plain, room + (64 - (uintptr_t)room % 64), false};
    fenv_t env; /* a caller that flushes denormals must not make a good row fail */
    fegetenv(&env);
    fesetenv(FE_DFL_ENV);
    bool whole = kern_trap(compare, &check);
    fesetenv(&env);
    amx_release();
    free(room);
    return whole && check.same;
}
