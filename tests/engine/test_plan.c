/* The memory plan: it fits its bound, gives the KV cache what is left, becomes smaller in an order, and is refused with its
 * numbers; what it says of buffers is what they take. */
#include "engine/tiny.h"
#include "engine/engine.h"

static const struct gw_shape shape = {.n_embd = 64,
                                      .n_ff = 96,
                                      .n_head = 4,
                                      .n_head_kv = 2,
                                      .head_dim = 24,
                                      .n_layer = 2,
                                      .n_vocab = 275,
                                      .n_ctx = 16384};
static lathe_model *model;

static int open_model(void **state)
{
    model = tiny_model(shape, 8, 3);
    return 0;
}

static int close_model(void **state)
{
    lathe_model_free(model);
    return 0;
}

static struct lathe_engine_options options(uint64_t memory)
{
    struct lathe_engine_options o;
    lathe_engine_options_init(&o);
    o.n_seq = 8;
    o.n_thread = 2;
    o.memory_bytes = memory;
    return o;
}

enum { RESIDENT = 20 << 20 };

/* Made for a process that has a fixed amount, so that the plan is a function of the options. */
static int make(struct lathe_engine_options o, struct lathe_engine_plan *p, struct lathe_err *err)
{
    static struct lathe_engine e;
    e = (struct lathe_engine){.model = model, .options = o};
    int rc = engine_plan(&e, RESIDENT, err);
    *p = e.plan;
    return rc;
}

static struct lathe_engine_plan plan(struct lathe_engine_options o)
{
    struct lathe_engine_plan p;
    struct lathe_err err;
    if (make(o, &p, &err))
        fail_msg("%s", err.text);
    assert_true(p.total_bytes == p.weight_bytes + p.kv_bytes + p.buffer_bytes);
    assert_true(p.n_kv_token == p.n_page * p.page_tokens);
    assert_true(!o.memory_bytes || p.total_bytes <= o.memory_bytes);
    return p;
}

static void refused(struct lathe_engine_options o, const char *words)
{
    struct lathe_engine_plan p;
    struct lathe_err err;
    lathe_engine *e;
    assert_int_equal(make(o, &p, &err), LATHE_E_NOMEM);
    if (!strstr(err.text, words) || !strstr(err.text, "weights") || !strstr(err.text, "MiB"))
        fail_msg("'%s' lacks '%s'", err.text, words);
    o.memory_bytes = 1; /* nor is an engine made */
    assert_int_equal(lathe_engine_new(model, &o, &e, &err), LATHE_E_NOMEM);
    assert_null(e);
}

/* Without a bound the options are taken as they are. */
static void without_a_bound(void **state)
{
    struct lathe_engine_plan p = plan(options(0));
    assert_int_equal(p.n_ctx, 16384);
    assert_int_equal(p.n_seq, 8);
    assert_int_equal(p.n_kv_token, 8 * 16384);
    assert_int_equal(p.n_chunk, 512);
    assert_int_equal(p.memory_bytes, 0);
}

/* From too little to plenty: every plan fits, more memory never means a smaller one, and nothing is wasted while more KV
 * could be used. */
static void every_bound(void **state)
{
    struct lathe_engine_plan full = plan(options(0)), last = {0};
    uint64_t page_bytes = full.kv_bytes / (uint64_t)full.n_page;
    int n_refused = 0, n_made = 0, n_small = 0;
    for (uint64_t bound = 1 << 20; bound < full.total_bytes + (8 << 20); bound += 1 << 20) {
        struct lathe_engine_options o = options(bound);
        struct lathe_engine_plan p;
        struct lathe_err err;
        if (make(o, &p, &err)) {
            assert_int_equal(n_made, 0);
            n_refused++;
            continue;
        }
        p = plan(o);
        n_made++;
        n_small += p.n_ctx < 16384;
        assert_true(p.n_ctx >= last.n_ctx && p.n_kv_token >= p.n_ctx);
        if (p.n_ctx == 16384 && p.n_seq == 8 && p.n_chunk == 512 && p.n_page < full.n_page)
            assert_true(bound - p.total_bytes < page_bytes);
        last = p;
    }
    assert_true(n_refused > 0 && n_made > 5 && n_small > 0);
    assert_int_equal(last.n_kv_token, full.n_kv_token);
    assert_int_equal(last.n_chunk, full.n_chunk);
}

/* What is firm stays, or there is no plan. */
static void firm(void **state)
{
    struct lathe_engine_plan full = plan(options(0));
    struct lathe_engine_options o = options(full.total_bytes - full.kv_bytes + full.kv_bytes / 16);
    struct lathe_engine_plan p = plan(o);
    assert_true(p.n_chunk < 512 && (p.n_ctx < 16384 || p.n_seq < 8 || p.n_kv_token == 16384));
    o.firm = LATHE_FIRM_CTX | LATHE_FIRM_SEQ | LATHE_FIRM_CHUNK;
    o.n_ctx = 16384;
    refused(o, "KV cache of 16384 tokens");
    o = options(full.total_bytes - full.kv_bytes + full.kv_bytes / 4);
    o.n_kv_token = full.n_kv_token;
    assert_true(plan(o).n_kv_token < full.n_kv_token);
    o.firm = LATHE_FIRM_KV;
    refused(o, "KV cache of 131072 tokens");
    o = options(2 << 20);
    refused(o, "more than the 2.0 MiB");
}

/* Places to wait are given up before rows of a pass are, unless they were asked for. */
static void queue(void **state)
{
    struct lathe_engine_options o = options(0);
    o.n_queue = 4096;
    struct lathe_engine_plan full = plan(o);
    assert_int_equal(full.n_queue, 4096);
    assert_int_equal(full.n_queue_token, 4096 * 1024);
    o.memory_bytes = full.total_bytes - full.kv_bytes + full.kv_bytes / 16;
    struct lathe_engine_plan less = plan(o);
    assert_true(less.n_queue < 4096 && less.n_queue >= 64 && less.n_chunk == 512);
    o.firm = LATHE_FIRM_QUEUE;
    less = plan(o);
    assert_true(less.n_queue == 4096 && less.n_chunk < 512);
    o = options(0);
    o.n_queue = 2;
    assert_int_equal(plan(o).n_queue_token, 16 * 16384);
    o.n_queue_token = 5;
    assert_int_equal(plan(o).n_queue_token, 5);
    o.n_queue = 0;
    assert_int_equal(plan(options(0)).n_queue_token, 0);
}

/* What others take of the same memory counts. */
static void reserve(void **state)
{
    struct lathe_engine_options o = options(plan(options(0)).total_bytes);
    int n = plan(o).n_kv_token;
    o.reserve_bytes = 4 << 20;
    assert_true(plan(o).n_kv_token < n);
    o.reserve_bytes = o.memory_bytes;
    refused(o, "buffers");
}

static void bf16_is_as_large_as_f16(void **state)
{
    struct lathe_engine_options o = options(0);
    uint64_t n = plan(o).kv_bytes;
    o.kv_type = LATHE_KV_BF16;
    assert_true(plan(o).kv_bytes == n);
    struct lathe_err err;
    lathe_engine *e;
    o.kv_type = (enum lathe_kv_type)7;
    assert_int_equal(lathe_engine_new(model, &o, &e, &err), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "kv_type is 7"));
    o.kv_type = LATHE_KV_Q4;
    o.kv_value_type = 5;
    assert_int_equal(lathe_engine_new(model, &o, &e, &err), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "kv_value_type is 5"));
}

/* In the same memory, with what sequences have open counted. */
static void integers_hold_more_tokens(void **state)
{
    struct lathe_engine_options o = options(0);
    const struct lathe_engine_plan full = plan(o);
    o = options(full.total_bytes - full.kv_bytes + full.kv_bytes / 8);
    o.n_seq = 1;
    o.n_ctx = 4096;
    o.n_kv_token = full.n_kv_token;
    const double f16 = plan(o).n_kv_token;
    assert_true(f16 < full.n_kv_token);
    o.kv_type = LATHE_KV_Q8_0;
    assert_true(plan(o).n_kv_token > 1.7 * f16);
    o.kv_value_type = LATHE_KV_VALUES(LATHE_KV_Q4);
    assert_true(plan(o).n_kv_token > 2.2 * f16);
    o.kv_type = LATHE_KV_Q4;
    o.kv_value_type = 0;
    assert_true(plan(o).n_kv_token > 2.9 * f16 && plan(o).n_kv_token <= full.n_kv_token);
}

/* The buffers that are counted are those that are made. */
static void counted_as_made(void **state)
{
    static const int n_ctx[] = {64, 1000, 16384}, n_seq[] = {1, 8, 70}, n_chunk[] = {1, 64, 512},
                     n_thread[] = {1, 3};
    for (int i = 0; i < 3 * 3 * 3 * 2 * 2; i++) {
        struct lathe_engine_options o = options(0);
        lathe_engine *e;
        struct lathe_err err;
        o.n_ctx = n_ctx[i % 3];
        o.n_seq = n_seq[i / 3 % 3];
        o.n_chunk = n_chunk[i / 9 % 3];
        o.n_thread = n_thread[i / 27 % 2];
        o.no_fusion = i / 54;
        o.n_kv_token = 64;
        assert_int_equal(lathe_engine_new(model, &o, &e, &err), 0);
        struct pass_limits limits = engine_pass_limits(e);
        assert_true(pass_bytes(model, o.n_thread, &limits) == pass_buffer_bytes(e->pass));
        assert_true(pass_buffer_bytes(e->pass) < e->plan.buffer_bytes);
        lathe_engine_free(e);
    }
}

/* Attention's partial results do not grow with all rows times the context: beyond some length they are for one row. */
static void partials_are_bounded(void **state)
{
    struct pass_limits l = {.n_row = 512, .n_seq = 4, .n_out = 16, .n_ctx = 1 << 16, .n_page = 1};
    uint64_t rope = (uint64_t)shape.head_dim * 4, at = pass_bytes(model, 32, &l);
    l.n_ctx = 1 << 17;
    uint64_t more = pass_bytes(model, 32, &l) - at - (rope << 16);
    assert_true(more <= (uint64_t)shape.n_head * (32 + 2) * 4
                            << 10); /* one row's spans of another 65536 tokens */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_bound),
        cmocka_unit_test(every_bound),
        cmocka_unit_test(firm),
        cmocka_unit_test(queue),
        cmocka_unit_test(reserve),
        cmocka_unit_test(counted_as_made),
        cmocka_unit_test(partials_are_bounded),
        cmocka_unit_test(bf16_is_as_large_as_f16),
        cmocka_unit_test(integers_hold_more_tokens),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
