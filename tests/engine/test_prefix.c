/* The prefix cache: whatever is entered, held, dropped and evicted, a match is on pages that were computed from these very
 * tokens, counts agree, and what is cheap to compute goes first. */
#include "engine/prefix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "gguf_write.h"
#include "unit.h"

enum { N_PAGE = 40, MAX_TOKEN = 8 * SPAN };

static struct pages pages;
static struct prefix tree;

static void make_tree(double position_cost, bool off)
{
    struct lathe_err err;
    struct kv_form form = {.head_dim = 16,
                           .value_dim = 16,
                           .k.bytes = 2048,
                           .head_bytes = 4096,
                           .page_bytes = 4096,
                           .n_head = 1,
                           .n_layer = 1};
    assert_int_equal(pages_init(&pages, &form, N_PAGE, 1, true, &err), 0);
    assert_int_equal(prefix_init(&tree, &pages, position_cost, off, &err), 0);
}

static void free_tree(void)
{
    prefix_free(&tree);
    pages_free_all(&pages);
}

static void check_counts(int n_held)
{
    int n_node = 0, n_idle = 0, n_free = 0, n_leaf = 0;
    for (int i = 0; i < N_PAGE; i++) {
        bool idle = tree.nodes[i].n_token && pages.n_ref[i] == 1;
        n_node += tree.nodes[i].n_token > 0;
        n_idle += idle;
        n_free += pages.n_ref[i] == 0;
        n_leaf += idle && tree.nodes[i].first_child < 0;
        if (tree.nodes[i].heap_at >= 0 && tree.nodes[i].n_token)
            assert_int_equal(tree.heap[tree.nodes[i].heap_at], i);
    }
    assert_int_equal(tree.n_node, n_node);
    assert_int_equal(tree.n_idle, n_idle);
    assert_int_equal(tree.n_heap, n_leaf);
    assert_int_equal(pages.n_free, n_free);
    if (n_held == 0)
        assert_int_equal(n_free + n_idle, N_PAGE);
}

/* A sequence as the engine has it: the first 16 bytes of every page tell what it was computed from. */
struct run {
    uint64_t salt;
    int32_t tokens[MAX_TOKEN];
    int n, n_page;
    int32_t pages[MAX_TOKEN / SPAN];
};

static uint8_t *page_at(int32_t page)
{
    return pages.kv + (size_t)page * 4096;
}

static uint64_t content(const struct run *r, int n)
{
    return XXH3_64bits_withSeed(r->tokens, (size_t)n * sizeof *r->tokens, r->salt);
}

/* For every token of a page: what it and all before it were. */
static void compute(const struct run *r, int from)
{
    for (int i = from; i < r->n; i++) {
        uint64_t c = content(r, i + 1);
        memcpy(page_at(r->pages[i / SPAN]) + i % SPAN * 8, &c, 8);
    }
}

static void assert_computed(const struct run *r, int32_t page, int from, int to)
{
    for (int i = from; i < to; i++) {
        uint64_t c = content(r, i + 1);
        assert_memory_equal(page_at(page) + i % SPAN * 8, &c, 8);
    }
}

/* Takes over what there is; returns how many tokens that is, or -1 if there are no pages. */
static int begin(struct run *r)
{
    struct prefix_match m = prefix_match(&tree, r->salt, r->tokens, r->n - 1, r->pages);
    int n_past = m.n_page * SPAN + m.n_more, need = (r->n + SPAN - 1) / SPAN - m.n_page;
    for (int i = 0; i < m.n_page; i++)
        assert_computed(r, r->pages[i], i * SPAN, (i + 1) * SPAN);
    r->n_page = m.n_page;
    if (prefix_n_available(&tree) < need) {
        if (m.more >= 0)
            prefix_drop(&tree, m.more);
        while (r->n_page)
            prefix_drop(&tree, r->pages[--r->n_page]);
        return -1;
    }
    prefix_take(&tree, m.n_page ? r->pages[m.n_page - 1] : -1, need, r->pages + m.n_page);
    r->n_page += need;
    if (m.more >= 0) {
        assert_computed(r, m.more, m.n_page * SPAN, n_past);
        pages_copy(&pages, m.more, r->pages[m.n_page]);
        prefix_drop(&tree, m.more);
    }
    compute(r, n_past);
    return n_past;
}

static void end(struct run *r)
{
    for (int i = 0; i < r->n_page; i++) {
        int n = r->n - i * SPAN < SPAN ? r->n - i * SPAN : SPAN;
        r->pages[i] = prefix_insert(&tree, r->salt, i ? r->pages[i - 1] : -1, r->tokens + (size_t)i * SPAN, n,
                                    r->pages[i]);
    }
    while (r->n_page)
        prefix_drop(&tree, r->pages[--r->n_page]);
}

static void fill(struct run *r, uint64_t salt, int n, int first)
{
    *r = (struct run){.salt = salt, .n = n};
    for (int i = 0; i < n; i++)
        r->tokens[i] = first + i;
}

static void any_order_keeps_the_contents_true(void **state)
{
    enum { N_RUN = 8 };
    static struct run runs[N_RUN];
    uint64_t random = 5;
    int n_hit = 0, n_none = 0;
    memset(runs, 0, sizeof runs);
    make_tree(0.01, false);
    for (int step = 0; step < 20000; step++) {
        struct run *r = &runs[gw_next(&random) % N_RUN];
        if (r->n_page) {
            end(r);
        } else {
            int split = (int)(gw_next(&random) % 500), way = (int)(gw_next(&random) % 4);
            fill(r, gw_next(&random) % 2, 1 + (int)(gw_next(&random) % (MAX_TOKEN - 1)), 1000);
            for (int i = split; i < r->n; i++)
                r->tokens[i] += way;
            int n = begin(r);
            n_hit += n > 0;
            n_none += n < 0;
        }
        int n_held = 0;
        for (int i = 0; i < N_RUN; i++)
            n_held += runs[i].n_page;
        check_counts(n_held);
    }
    assert_true(n_hit > 1000 && n_none > 0 && tree.n_evicted > 1000);
    for (int i = 0; i < N_RUN; i++)
        end(&runs[i]);
    check_counts(0);
    free_tree();
}

static void a_second_time_all_but_the_last_token_is_there(void **state)
{
    static struct run r;
    make_tree(0, false);
    for (int n = 1; n <= 3 * SPAN; n++) {
        fill(&r, 0, n, n * 1000);
        assert_int_equal(begin(&r), 0);
        end(&r);
        int rest = (n - 1) % SPAN;
        assert_int_equal(begin(&r),
                         rest < 8 ? n - 1 - rest : n - 1); /* fewer than eight are not worth a copy */
        end(&r);
        r.salt = 9;
        assert_int_equal(begin(&r), 0);
        end(&r);
    }
    free_tree();
}

static void equal_hashes_are_not_equal_tokens(void **state)
{
    static struct run r;
    make_tree(0, false);
    fill(&r, 0, SPAN, 100);
    assert_int_equal(begin(&r), 0);
    end(&r);
    for (int i = 0; i < N_PAGE; i++)
        if (tree.nodes[i].n_token)
            tree.nodes[i].tokens[5]++; /* as a collision would look */
    r.n = SPAN + 1;
    assert_int_equal(prefix_child(&tree, 0, -1, r.tokens), -1);
    free_tree();
}

static void the_cheapest_goes_first_and_age_counts(void **state)
{
    static struct run long_one, short_ones[60];
    make_tree(1, false);
    fill(&long_one, 0, 4 * SPAN, 100);
    assert_int_equal(begin(&long_one), 0);
    end(&long_one);
    for (int i = 0; i < 60; i++) { /* more than fit */
        fill(&short_ones[i], 0, SPAN, 1000 * (i + 1));
        assert_int_equal(begin(&short_ones[i]), 0);
        end(&short_ones[i]);
    }
    /* the long one's pages at the back outlived newer, cheaper ones */
    assert_int_equal(begin(&long_one), 4 * SPAN - 1);
    end(&long_one);
    short_ones[0].n = SPAN + 1;
    assert_int_equal(prefix_child(&tree, 0, -1, short_ones[0].tokens), -1);
    for (int i = 0; i < 12000; i++) { /* but not for ever */
        fill(&short_ones[0], 0, SPAN, 100000 + 100 * i);
        begin(&short_ones[0]);
        end(&short_ones[0]);
    }
    assert_true(begin(&long_one) < 4 * SPAN - 1);
    end(&long_one);
    free_tree();
}

static void switched_off_it_keeps_nothing(void **state)
{
    static struct run r;
    make_tree(0, true);
    fill(&r, 0, 3 * SPAN, 5);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(begin(&r), 0);
        end(&r);
        assert_int_equal(pages.n_free, N_PAGE);
    }
    free_tree();
}

static void pages_of_a_sequence_are_neighbours(void **state)
{
    int32_t a[20], b[20];
    make_tree(0, true);
    pages_take(&pages, -1, 8, a);
    pages_take(&pages, -1, 8, b);
    for (int i = 1; i < 8; i++) {
        assert_int_equal(a[i], a[0] + i);
        assert_int_equal(b[i], b[0] + i);
    }
    pages_take(&pages, a[7], 4, a + 8); /* both have room to grow */
    pages_take(&pages, b[7], 4, b + 8);
    assert_int_equal(a[11], a[0] + 11);
    assert_int_equal(b[11], b[0] + 11);
    pages_take(&pages, a[11], pages.n_free, a);
    assert_int_equal(pages.n_free, 0);
    free_tree();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_keeps_the_contents_true),
        cmocka_unit_test(a_second_time_all_but_the_last_token_is_there),
        cmocka_unit_test(equal_hashes_are_not_equal_tokens),
        cmocka_unit_test(the_cheapest_goes_first_and_age_counts),
        cmocka_unit_test(switched_off_it_keeps_nothing),
        cmocka_unit_test(pages_of_a_sequence_are_neighbours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
