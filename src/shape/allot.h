/* What each of several things is to be, so that their costs are least while their sizes together stay within a budget. */
#ifndef LATHE_SHAPE_ALLOT_H
#define LATHE_SHAPE_ALLOT_H
#include <stdbool.h>
#include <stdint.h>

enum { ALLOT_MAX_WAY = 32 };

/* A thing: n_way ways it can be, each of a size and a cost, none negative. */
struct allot_item {
    int n_way;
    uint64_t size[ALLOT_MAX_WAY];
    double cost[ALLOT_MAX_WAY];
};

struct allot_sum {
    uint64_t size;
    double cost;
};

/* The least size that all can have. */
uint64_t allot_least(const struct allot_item *items, int n);
/* way[n]: a way for each, of sizes that add up to at most `size`; false if even the least is more. A larger size never costs more, and the
 * cost is above the least possible one by less than the first step that did not fit would have saved. */
bool allot_within(const struct allot_item *items, int n, uint64_t size, int *way, struct allot_sum *out);
/* The smallest that costs at most `cost`, by the same steps; false if all of them are not enough, with the ways after the last. */
bool allot_for(const struct allot_item *items, int n, double cost, int *way, struct allot_sum *out);
#endif
