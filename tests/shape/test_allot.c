/* The choice under a budget against all choices there are. */
#include "unit.h"
#include <float.h>
#include <math.h>
#include "base/splitmix.h"
#include "shape/allot.h"

enum { N = 6, N_WAY = 5, N_CASE = 300 };

static struct allot_item items[N];

static void make_items(uint64_t seed)
{
    uint64_t state = seed;
    for (int i = 0; i < N; i++) {
        items[i].n_way = 1 + (int)(splitmix_next(&state) % N_WAY);
        for (int k = 0; k < items[i].n_way; k++) {
            items[i].size[k] = 1 + splitmix_next(&state) % 40;
            items[i].cost[k] = (double)(splitmix_next(&state) % 1000);
        }
    }
}

/* Calls fn with every choice of ways. */
static void each_choice(void (*fn)(uint64_t size, double cost, double limit, double *best), double limit,
                        double *best)
{
    int way[N] = {0};
    for (;;) {
        uint64_t size = 0;
        double cost = 0;
        for (int i = 0; i < N; i++) {
            size += items[i].size[way[i]];
            cost += items[i].cost[way[i]];
        }
        fn(size, cost, limit, best);
        int i = 0;
        while (i < N && ++way[i] == items[i].n_way)
            way[i++] = 0;
        if (i == N)
            return;
    }
}

static void cheaper(uint64_t size, double cost, double limit, double *best)
{
    if ((double)size <= limit && cost < *best)
        *best = cost;
}

static void smaller(uint64_t size, double cost, double limit, double *best)
{
    if (cost <= limit && (double)size < *best)
        *best = (double)size;
}

static struct allot_sum sum_of(const int *way)
{
    struct allot_sum s = {0};
    for (int i = 0; i < N; i++) {
        assert_in_range(way[i], 0, items[i].n_way - 1);
        s.size += items[i].size[way[i]];
        s.cost += items[i].cost[way[i]];
    }
    return s;
}

/* The most that one step can save. */
static double longest(void)
{
    double most = 0;
    for (int i = 0; i < N; i++)
        for (int a = 0; a < items[i].n_way; a++)
            for (int b = 0; b < items[i].n_way; b++)
                if (items[i].size[b] > items[i].size[a])
                    most = fmax(most, items[i].cost[a] - items[i].cost[b]);
    return most;
}

static void within_a_size(void **state)
{
    int way[N], n_best = 0, n_all = 0;
    for (uint64_t seed = 0; seed < N_CASE; seed++) {
        make_items(seed);
        uint64_t least = allot_least(items, N), most = 0;
        double before = DBL_MAX, best = DBL_MAX;
        struct allot_sum got;
        for (int i = 0; i < N; i++)
            for (int k = 0; k < items[i].n_way; k++)
                most += items[i].size[k];
        each_choice(smaller, DBL_MAX, &best);
        assert_true((double)least == best);
        assert_false(allot_within(items, N, least - 1, way, &got));
        for (uint64_t size = least; size <= most; size++) {
            best = DBL_MAX;
            assert_true(allot_within(items, N, size, way, &got));
            struct allot_sum again = sum_of(way);
            assert_true(got.size <= size && again.size == got.size && again.cost == got.cost);
            assert_true(got.cost <= before);
            before = got.cost;
            if (size % 7)
                continue;
            each_choice(cheaper, (double)size, &best);
            assert_true(got.cost >= best && got.cost - best <= longest());
            n_best += got.cost == best;
            n_all++;
        }
        best = DBL_MAX;
        each_choice(cheaper, DBL_MAX, &best);
        assert_true(before == best); /* with room for everything */
    }
    assert_true(n_best * 10 > n_all * 7);
}

static void for_a_cost(void **state)
{
    int way[N];
    struct allot_sum got;
    for (uint64_t seed = 0; seed < N_CASE; seed++) {
        make_items(seed);
        double least = DBL_MAX, best;
        each_choice(cheaper, DBL_MAX, &least);
        assert_false(allot_for(items, N, least - 1, way, &got));
        assert_true(got.cost == least && sum_of(way).cost == least);
        uint64_t before = UINT64_MAX;
        for (double cost = least; cost < least + 4000; cost += 97) {
            best = DBL_MAX;
            assert_true(allot_for(items, N, cost, way, &got));
            assert_true(got.cost <= cost && sum_of(way).size == got.size && got.size <= before);
            each_choice(smaller, cost, &best);
            assert_true((double)got.size >= best && (double)got.size <= best + 40);
            before = got.size;
        }
    }
}

/* Of equals the first things are given more, however they are asked. */
static void ties(void **state)
{
    int way[N];
    struct allot_sum got;
    for (int i = 0; i < N; i++)
        items[i] = (struct allot_item){2, {10, 20}, {5, 1}};
    assert_true(allot_within(items, N, 85, way, &got));
    for (int i = 0; i < N; i++)
        assert_int_equal(way[i], i < 2);
    assert_int_equal(got.size, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(within_a_size),
        cmocka_unit_test(for_a_cost),
        cmocka_unit_test(ties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
