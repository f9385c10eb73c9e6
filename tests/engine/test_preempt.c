/* Many requests, few pages: sequences give up their pages, by copy or by computing again, and go on with the same tokens and
 * logprobs. Who goes first: priorities, tenants' shares, deadlines, bounds of the queue. */
#include "engine/tiny.h"
#include <math.h>
#include <time.h>

enum { N_CTX = 320, N_REQUEST = 16, MAX_PREDICT = 150 };

static lathe_model *model;
static enum lathe_kv_type keys, values;
static int n_prompt_id = 256; /* that prompts are made of */

static int open_model(void **state)
{
    setenv("LATHE_POISON_KV", "1", 1); /* free pages hold NaN */
    model = tiny_model(gw_small(), 2, 3);
    return 0;
}

static int close_model(void **state)
{
    lathe_model_free(model);
    return 0;
}

/* What a request said. */
struct heard {
    int n_token, n_done, n_prompt_event, code;
    enum lathe_finish finish;
    struct lathe_timings timings;
    int32_t tokens[MAX_PREDICT];
    float logprobs[MAX_PREDICT], prompt_logprobs[N_CTX];
    struct lathe_logprob top[MAX_PREDICT][3];
    float embedding[64];
    double done_at; /* steps */
};

static void take_event(struct heard *h, const struct lathe_event *ev)
{
    switch (ev->kind) {
    case LATHE_EVENT_TOKEN:
        assert_true(h->n_token < MAX_PREDICT);
        memcpy(h->top[h->n_token], ev->top, (size_t)ev->n_top * sizeof *ev->top);
        h->logprobs[h->n_token] = ev->logprob;
        h->tokens[h->n_token++] = ev->token;
        break;
    case LATHE_EVENT_PROMPT:
        h->prompt_logprobs[h->n_prompt_event++] = ev->logprob;
        break;
    case LATHE_EVENT_DONE:
        h->n_done++;
        h->finish = ev->finish;
        h->code = ev->err.code;
        h->timings = ev->timings;
        if (ev->embedding)
            memcpy(h->embedding, ev->embedding, sizeof h->embedding);
    }
}

static void listen_to(lathe_engine *e, struct heard *by_id, int n_id, int step)
{
    struct lathe_event ev;
    while (lathe_engine_poll(e, &ev)) {
        assert_true(ev.id > 0 && ev.id <= (uint64_t)n_prompt_id);
        take_event(&by_id[ev.id], &ev);
        if (ev.kind == LATHE_EVENT_DONE)
            by_id[ev.id].done_at = step;
    }
}

static void run(lathe_engine *e, struct heard *by_id, int n_id)
{
    int step = 0, n_left;
    do {
        n_left = tiny_step(e);
        listen_to(e, by_id, n_id, ++step);
        assert_true(step < 100000);
    } while (n_left > 0);
}

static struct lathe_engine_options options(int n_seq, int n_page)
{
    struct lathe_engine_options o;
    lathe_engine_options_init(&o);
    o.n_ctx = N_CTX;
    o.n_seq = n_seq;
    o.n_thread = 2;
    o.n_chunk = 64;
    o.n_kv_token = n_page * 64;
    o.kv_type = keys;
    o.kv_value_type = LATHE_KV_VALUES(values);
    return o;
}

static lathe_engine *engine_new(struct lathe_engine_options o)
{
    struct lathe_err err;
    lathe_engine *e;
    if (lathe_engine_new(model, &o, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

/* Request i: its own prompt of 20 .. 170 tokens but for a beginning that three share, greedy or sampled, with alternatives. */
static struct lathe_request request(int i, int32_t *ids)
{
    struct lathe_request r;
    uint64_t state = 1000 + (uint64_t)i;
    lathe_request_init(&r);
    r.n_ids = (size_t)(20 + i * 10);
    for (size_t k = 0; k < r.n_ids; k++)
        ids[k] = (int32_t)((k < 70 && i % 3 == 0 ? k + 5 : gw_next(&state)) % (uint64_t)n_prompt_id);
    r.ids = ids;
    r.n_predict = MAX_PREDICT - i;
    r.n_logprob = 3;
    r.ignore_eos = true;
    r.sampling.temperature = i % 2 ? 0.9f : 0;
    r.sampling.seed = (uint64_t)i;
    r.prompt_logprobs = i % 5 == 2;
    return r;
}

static void run_all(struct lathe_engine_options o, struct heard *h, struct lathe_engine_stats *stats)
{
    lathe_engine *e = engine_new(o);
    int32_t ids[N_CTX];
    memset(h, 0, (N_REQUEST + 1) * sizeof *h);
    for (int i = 0; i < N_REQUEST; i++) {
        struct lathe_request r = request(i, ids);
        assert_int_equal(tiny_submit(e, &r), i + 1);
        if (o.n_seq == 1)
            run(e, h, i + 1);
    }
    run(e, h, N_REQUEST);
    lathe_engine_get_stats(e, stats);
    assert_int_equal(stats->n_page_used, 0);
    assert_int_equal(stats->n_running + stats->n_waiting, 0);
    lathe_engine_free(e);
}

static void same(const struct heard *want, const struct heard *got)
{
    for (int i = 1; i <= N_REQUEST; i++) {
        assert_int_equal(got[i].n_done, 1);
        assert_int_equal(got[i].finish, LATHE_FINISH_LENGTH);
        assert_int_equal(got[i].n_token, MAX_PREDICT - (i - 1));
        assert_int_equal(got[i].n_prompt_event, want[i].n_prompt_event);
        assert_memory_equal(got[i].tokens, want[i].tokens, sizeof want[i].tokens);
        assert_memory_equal(got[i].logprobs, want[i].logprobs, sizeof want[i].logprobs);
        assert_memory_equal(got[i].top, want[i].top, sizeof want[i].top);
        assert_memory_equal(got[i].prompt_logprobs, want[i].prompt_logprobs, sizeof want[i].prompt_logprobs);
    }
}

static void few_pages(int n_way)
{
    static struct heard alone[N_REQUEST + 1], got[N_REQUEST + 1];
    struct lathe_engine_stats stats;
    struct lathe_engine_options o = options(1, 5);
    o.no_prefix_cache = true;
    run_all(o, alone, &stats);
    assert_int_equal(stats.n_preempt_recompute + stats.n_preempt_swap, 0);
    for (int way = 0; way < n_way; way++) {
        o = options(N_REQUEST, way < 6 ? 15 : 6); /* 15 pages: three of the longest sequences */
        o.preempt = way % 3 == 0   ? LATHE_PREEMPT_RECOMPUTE
                    : way % 3 == 1 ? LATHE_PREEMPT_SWAP
                                   : LATHE_PREEMPT_AUTO;
        o.swap_bytes = 64 << 20;
        o.no_prefix_cache = way / 3 % 2;
        run_all(o, got, &stats);
        same(alone, got);
        if (way % 3 < 2)
            assert_true((way % 3 ? stats.n_preempt_swap : stats.n_preempt_recompute) > 0);
        if (way % 3 == 0)
            assert_int_equal(stats.n_preempt_swap, 0);
    }
    o = options(N_REQUEST, 15); /* swap space for a page or two only: the rest is computed again */
    o.preempt = LATHE_PREEMPT_SWAP;
    o.swap_bytes = keys == LATHE_KV_F16 ? 100000 : 25000;
    run_all(o, got, &stats);
    same(alone, got);
    assert_true(stats.n_preempt_recompute > 0);
}

static void few_pages_give_the_same_answers(void **state)
{
    few_pages(12);
}

/* Of sequences with an open span whole pages are swapped, the rest is computed again. */
static void few_pages_of_integers_do_so_too(void **state)
{
    static const enum lathe_kv_type types[][2] = {{LATHE_KV_Q4, LATHE_KV_Q4},
                                                  {LATHE_KV_Q8_0, LATHE_KV_Q8_0},
                                                  {LATHE_KV_Q8_0, LATHE_KV_Q4},
                                                  {LATHE_KV_Q4, LATHE_KV_BF16}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        keys = types[i][0];
        values = types[i][1];
        few_pages(6);
    }
    keys = values = LATHE_KV_F16;
}

/* Windows, caps, two rotary sets, sinks, experts: what a layer is made of changes nothing in this. */
static void architectures(void)
{
#if defined(__x86_64__)
    static const char *const names[] = {"mistral_window", "gemma2_all",  "gemma3_all", "mixtral_experts",
                                        "qwen3moe_norm",  "gpt_oss_all", "q8_0_all",   "q4_1_all",
                                        "q4_k_q6_k",      "q2_k_q3_k"};
#else /* plain C under an emulator: minutes each */
    static const char *const names[] = {"mistral_window"};
#endif
    static struct heard alone[N_REQUEST + 1], got[N_REQUEST + 1];
    struct lathe_engine_stats stats;
    lathe_model *small = model;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[200];
        snprintf(path, sizeof path, "tests/fixtures/%s.gguf", names[i]);
        model = tiny_open(path);
        struct lathe_model_info info;
        lathe_model_get_info(model, &info);
        n_prompt_id = info.n_vocab;
        struct lathe_engine_options o = options(1, 5);
        o.no_prefix_cache = true;
        run_all(o, alone, &stats);
        const uint64_t one_by_one = stats.expert_bytes;
        assert_true((one_by_one > 0) == (info.expert_bytes > 0));
        for (int way = 0; way < 2; way++) {
            o = options(N_REQUEST, 15);
            o.preempt = way ? LATHE_PREEMPT_SWAP : LATHE_PREEMPT_RECOMPUTE;
            o.swap_bytes = 64 << 20;
            run_all(o, got, &stats);
            same(alone, got);
            assert_true((way ? stats.n_preempt_swap : stats.n_preempt_recompute) > 0);
            assert_true(stats.n_prefix_hit_token > 0 && stats.most_in_pass > 3);
            if (one_by_one) /* an expert's weights are read once for all rows */
                assert_true(stats.expert_bytes < one_by_one * 3 / 4);
        }
        lathe_model_free(model);
    }
    model = small;
    n_prompt_id = 256;
}

static void architectures_give_the_same_answers(void **state)
{
    architectures();
    keys = values = LATHE_KV_Q4;
    architectures();
    keys = values = LATHE_KV_F16;
}

static void prompt_logprobs_are_those_of_the_tokens(void **state)
{
    lathe_engine *e = engine_new(options(2, 10));
    static struct heard h[3];
    int32_t ids[N_CTX];
    struct lathe_request r = request(2, ids);
    memset(h, 0, sizeof h);
    r.n_predict = 0;
    tiny_submit(e, &r);
    r.n_predict = 3;
    tiny_submit(e, &r);
    run(e, h, 2);
    for (int i = 1; i <= 2; i++) {
        assert_int_equal(h[i].n_prompt_event, (int)r.n_ids);
        assert_true(isnan(h[i].prompt_logprobs[0]));
        for (size_t k = 1; k < r.n_ids; k++)
            assert_true(h[i].prompt_logprobs[k] < 0);
    }
    assert_int_equal(h[1].n_token, 0);
    assert_int_equal(h[2].n_token, 3);
    assert_memory_equal(h[1].prompt_logprobs + 1, h[2].prompt_logprobs + 1, (r.n_ids - 1) * sizeof(float));
    lathe_engine_free(e);
}

static void embeddings_are_of_length_one_and_the_same_in_any_company(void **state)
{
    static struct heard h[8];
    struct lathe_model_info info;
    int32_t ids[N_CTX];
    float first[64] = {0};
    lathe_model_get_info(model, &info);
    assert_true(info.n_embd <= 64);
    for (int alone = 0; alone < 2; alone++) {
        lathe_engine *e = engine_new(options(alone ? 1 : 7, 30));
        memset(h, 0, sizeof h);
        for (int i = 0; i < 7; i++) {
            struct lathe_request r = request(i + 3, ids);
            r.prompt_logprobs &= !alone; /* which an embedding does not heed */
            r.embed = i % 2 == 0;
            r.n_predict = 2;
            tiny_submit(e, &r);
        }
        run(e, h, 7);
        double sum = 0;
        for (int i = 0; i < info.n_embd; i++)
            sum += (double)h[5].embedding[i] * (double)h[5].embedding[i];
        assert_true(fabs(sum - 1) < 1e-5);
        assert_int_equal(h[5].n_token, 0);
        assert_int_equal(h[4].n_token, 2);
        if (alone)
            assert_memory_equal(first, h[5].embedding, sizeof first);
        memcpy(first, h[5].embedding, sizeof first);
        lathe_engine_free(e);
    }
}

/* Tokens that each of two tenants is served while both wait, a of 16 requests at once and b of 2. */
static void tenants_that_wait_get_equal_shares(void **state)
{
    enum { N_SLOT = 2, N_A = 16, N_B = 2, N_STEP = 1500 };
    lathe_engine *e = engine_new(options(N_SLOT, 60));
    struct lathe_event ev;
    int32_t ids[N_CTX];
    int n_served[2] = {0}, n_open[2] = {0};
    static uint8_t tenant_of[100000];
    for (int step = 0; step < N_STEP; step++) {
        for (int t = 0; t < 2; t++)
            while (n_open[t] < (t ? N_B : N_A)) {
                struct lathe_request r = request((step + n_open[t]) % N_REQUEST, ids);
                r.prompt_logprobs = false;
                r.n_predict = 10 + (step + n_open[t]) % 30;
                r.tenant = 10 + (uint64_t)t;
                r.salt = (uint64_t)(step * 100 + n_open[t] * 2 + t); /* nothing is free of cost */
                tenant_of[tiny_submit(e, &r)] = (uint8_t)t;
                n_open[t]++;
            }
        tiny_step(e);
        while (lathe_engine_poll(e, &ev)) {
            int t = tenant_of[ev.id];
            if (ev.kind != LATHE_EVENT_DONE)
                continue;
            n_open[t]--;
            n_served[t] += ev.timings.n_prompt + ev.timings.n_generated;
        }
    }
    assert_true(n_served[0] > 5000);
    assert_in_range(n_served[1] * 100 / n_served[0], 90, 110);
    lathe_engine_free(e);
}

static void a_flood_leaves_others_their_slots(void **state)
{
    lathe_engine *e = engine_new(options(4, 60));
    static struct heard h[64];
    struct lathe_engine_stats stats;
    int32_t ids[N_CTX];
    int step = 0;
    memset(h, 0, sizeof h);
    for (int i = 0; i < 40; i++) {
        struct lathe_request r = request(8, ids);
        r.salt = (uint64_t)i;
        tiny_submit(e, &r);
    }
    for (; step < 30; step++) {
        tiny_step(e);
        listen_to(e, h, 41, step);
    }
    struct lathe_request r = request(1, ids);
    r.tenant = 1;
    r.n_predict = 5;
    assert_int_equal(tiny_submit(e, &r), 41);
    for (; !h[41].n_done && step < 60; step++) {
        tiny_step(e);
        listen_to(e, h, 41, step);
    }
    assert_int_equal(h[41].n_done, 1);
    assert_true(h[41].done_at - 30 <= 6); /* its prompt in the next step, then a token a step */
    lathe_engine_get_stats(e, &stats);
    assert_int_equal(stats.n_preempt_recompute, 1);
    lathe_engine_free(e);
}

static void higher_priorities_go_first(void **state)
{
    lathe_engine *e = engine_new(options(1, 8));
    static struct heard h[8];
    int32_t ids[N_CTX];
    memset(h, 0, sizeof h);
    static const int priority[] = {0, -5, 0, 7, 100};
    for (int i = 0; i < 5; i++) {
        struct lathe_request r = request(1, ids);
        r.n_predict = 20;
        r.priority = priority[i];
        tiny_submit(e, &r);
        if (i == 0) /* it runs when the others come */
            tiny_step(e);
    }
    run(e, h, 5);
    assert_true(h[5].done_at < h[4].done_at && h[4].done_at < h[1].done_at && h[1].done_at < h[3].done_at &&
                h[3].done_at < h[2].done_at);
    lathe_engine_free(e);
}

static int refused(lathe_engine *e, const struct lathe_request *r, const char *words)
{
    struct lathe_err err;
    int rc = lathe_engine_submit(e, r, NULL, &err);
    if (rc && !strstr(err.text, words))
        fail_msg("'%s' lacks '%s'", err.text, words);
    return rc;
}

static void the_queue_is_bounded(void **state)
{
    struct lathe_engine_options o = options(1, 8);
    int32_t ids[N_CTX];
    static struct heard h[8];
    struct lathe_request r = request(3, ids); /* 50 tokens */
    o.n_queue = 3;
    lathe_engine *e = engine_new(o);
    memset(h, 0, sizeof h);
    for (int i = 0; i < 3; i++)
        tiny_submit(e, &r);
    assert_int_equal(refused(e, &r, "3 requests wait"), LATHE_E_BUSY);
    run(e, h, 3);
    tiny_submit(e, &r);
    lathe_engine_free(e);
    o.n_queue = 0;
    o.n_queue_token = 120;
    e = engine_new(o);
    tiny_submit(e, &r);
    tiny_submit(e, &r);
    assert_int_equal(refused(e, &r, "150 prompt tokens"), LATHE_E_BUSY);
    lathe_engine_free(e);
}

static void deadlines_end_requests(void **state)
{
    struct timespec pause = {.tv_nsec = 30000000};
    lathe_engine *e = engine_new(options(1, 8));
    static struct heard h[8];
    int32_t ids[N_CTX];
    memset(h, 0, sizeof h);
    struct lathe_request r = request(4, ids);
    r.priority = 1;
    tiny_submit(e, &r); /* runs and has no deadline */
    r.priority = 0;
    r.ttft_deadline_ms = 10;
    tiny_submit(e, &r); /* waits for it */
    tiny_step(e);
    r.ttft_deadline_ms = 0;
    r.timeout_ms = 1e6;
    tiny_submit(e, &r);
    r.timeout_ms = 10;
    r.priority = 2;
    tiny_submit(e, &r); /* runs at once */
    tiny_step(e);
    listen_to(e, h, 4, 0);
    nanosleep(&pause, NULL);
    run(e, h, 4);
    assert_int_equal(h[1].finish, LATHE_FINISH_LENGTH);
    assert_int_equal(h[2].code, LATHE_E_DEADLINE);
    assert_int_equal(h[2].n_token, 0);
    assert_int_equal(h[3].finish, LATHE_FINISH_LENGTH);
    assert_int_equal(h[4].code, LATHE_E_DEADLINE);
    assert_true(h[4].n_token > 0);
    for (int i = 0; i < 5; i++) { /* a queue that takes longer than the request has: refused at once */
        r = request(15, ids);
        tiny_submit(e, &r);
    }
    r.ttft_deadline_ms = 1e-3;
    assert_int_equal(refused(e, &r, "first token would come after"), LATHE_E_DEADLINE);
    r.ttft_deadline_ms = -1;
    assert_int_equal(refused(e, &r, "-1 ms"), LATHE_E_USAGE);
    lathe_engine_free(e);
}

static void requests_can_be_listed(void **state)
{
    lathe_engine *e = engine_new(options(2, 8));
    struct lathe_request_info info;
    int32_t ids[N_CTX];
    for (int i = 0; i < 3; i++) {
        struct lathe_request r = request(i ? 3 : 12, ids);
        r.tenant = (uint64_t)i;
        tiny_submit(e, &r);
    }
    tiny_step(e);
    tiny_step(e);
    static const enum lathe_request_state states[] = {LATHE_REQUEST_PREFILL, LATHE_REQUEST_DECODE,
                                                      LATHE_REQUEST_WAITING};
    for (int i = 0; i < 3; i++) {
        assert_true(lathe_engine_request(e, i, &info));
        assert_int_equal(info.id, i + 1);
        assert_int_equal(info.tenant, i);
        assert_int_equal(info.state, states[i]);
        assert_true(info.age_ms >= 0 && info.n_prompt > 0 && (i == 2) == (info.n_page == 0));
    }
    assert_false(lathe_engine_request(e, 3, &info));
    lathe_engine_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_pages_give_the_same_answers),
        cmocka_unit_test(few_pages_of_integers_do_so_too),
        cmocka_unit_test(architectures_give_the_same_answers),
        cmocka_unit_test(prompt_logprobs_are_those_of_the_tokens),
        cmocka_unit_test(embeddings_are_of_length_one_and_the_same_in_any_company),
        cmocka_unit_test(tenants_that_wait_get_equal_shares),
        cmocka_unit_test(a_flood_leaves_others_their_slots),
        cmocka_unit_test(higher_priorities_go_first),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(deadlines_end_requests),
        cmocka_unit_test(requests_can_be_listed),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
