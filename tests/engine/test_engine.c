/* The life of requests: what submit refuses, cancelling, keeping and reusing pages, ends, the order of
 * events, many requests, damaged models. */
#include "engine/tiny.h"
#include <math.h>

enum { N_CTX = 200 };

static const int32_t prompt[] = {72, 101, 108, 108, 111, 32, 119, 111, 114, 108, 100};
enum { N_PROMPT = sizeof prompt / sizeof *prompt };

static lathe_model *model;

static int open_model(void **state)
{
    model = tiny_model(gw_small(), 2, 1);
    return 0;
}

static int close_model(void **state)
{
    lathe_model_free(model);
    return 0;
}

static struct lathe_request request(int n_predict)
{
    struct lathe_request r;
    lathe_request_init(&r);
    r.ids = prompt;
    r.n_ids = N_PROMPT;
    r.n_predict = n_predict;
    r.ignore_eos = true;
    return r;
}

/* Everything that a request said until it ended. */
struct heard {
    int n_token, n_done;
    enum lathe_finish finish;
    int code;
    struct lathe_timings timings;
    int32_t tokens[N_CTX];
    char text[4096];
    size_t n_text;
};

static void hear(lathe_engine *e, struct heard *by_id, uint64_t n_id)
{
    struct lathe_event ev;
    while (lathe_engine_poll(e, &ev)) {
        assert_true(ev.id > 0 && ev.id < n_id);
        struct heard *h = &by_id[ev.id];
        assert_int_equal(h->n_done, 0); /* nothing follows DONE */
        assert_non_null(ev.text);
        memcpy(h->text + h->n_text, ev.text, ev.n_text);
        h->n_text += ev.n_text;
        if (ev.kind == LATHE_EVENT_TOKEN) {
            h->tokens[h->n_token++] = ev.token;
            continue;
        }
        assert_int_equal(ev.kind, LATHE_EVENT_DONE);
        h->n_done++;
        h->finish = ev.finish;
        h->code = ev.err.code;
        h->timings = ev.timings;
    }
}

static void run(lathe_engine *e, struct heard *by_id, uint64_t n_id)
{
    while (tiny_step(e) > 0)
        hear(e, by_id, n_id);
    hear(e, by_id, n_id);
}

static void submit_refuses(void **state)
{
    lathe_engine *e = tiny_engine(model, 2, N_CTX, 1, 0);
    struct lathe_model_info info;
    lathe_model_get_info(model, &info);
    int32_t long_prompt[N_CTX + 1] = {0};
    const int32_t ids[2][2] = {{1, info.n_vocab}, {-1, 1}};
    const char *empty_stop[] = {""};
    const struct lathe_logit_bias bias = {info.n_vocab, 1};
    struct {
        struct lathe_request r;
        int code;
        const char *words; /* that the error must name */
    } bad[16];
    int n = 0;
#define BAD(change, CODE, WORDS)             \
    do {                                     \
        struct lathe_request r = request(1); \
        change;                              \
        bad[n].r = r;                        \
        bad[n].code = CODE;                  \
        bad[n++].words = WORDS;              \
    } while (0)
    BAD(r.n_ids = 0, LATHE_E_USAGE, "no tokens");
    BAD((r.ids = ids[0], r.n_ids = 2), LATHE_E_USAGE, "vocabulary");
    BAD((r.ids = ids[1], r.n_ids = 2), LATHE_E_USAGE, "-1");
    BAD((r.ids = long_prompt, r.n_ids = N_CTX + 1), LATHE_E_CONTEXT, "201");
    BAD(r.n_predict = N_CTX - N_PROMPT + 1, LATHE_E_CONTEXT, "190");
    BAD(r.n_predict = -2, LATHE_E_USAGE, "-2");
    BAD(r.n_logprob = 21, LATHE_E_USAGE, "21");
    BAD(r.sampling.temperature = -1, LATHE_E_USAGE, "temperature");
    BAD(r.sampling.top_p = NAN, LATHE_E_USAGE, "top_p");
    BAD((r.stop = empty_stop, r.n_stop = 1), LATHE_E_USAGE, "stop");
    BAD((r.sampling.bias = &bias, r.sampling.n_bias = 1), LATHE_E_USAGE, "bias");
    BAD((r.embed = true, r.n_dimension = -1), LATHE_E_USAGE, "n_dimension is -1");
    BAD((r.embed = true, r.n_dimension = 1 << 20), LATHE_E_USAGE, "n_dimension is 1048576");
#undef BAD
    for (int i = 0; i < n; i++) {
        struct lathe_err err = {0};
        uint64_t id = 0;
        assert_int_equal(lathe_engine_submit(e, &bad[i].r, &id, &err), bad[i].code);
        assert_int_equal(err.code, bad[i].code);
        if (!strstr(err.text, bad[i].words))
            fail_msg("\"%s\" does not name %s", err.text, bad[i].words);
    }
    assert_int_equal(tiny_step(e), 0); /* nothing was queued */
    lathe_engine_free(e);
}

static void ends(void **state)
{
    lathe_engine *e = tiny_engine(model, 3, N_CTX, 1, 0);
    struct heard h[6] = {{0}};
    struct lathe_request r = request(5);
    tiny_submit(e, &r);
    r = request(0);
    tiny_submit(e, &r);
    r = request(-1);
    tiny_submit(e, &r);
    r = request(N_CTX - N_PROMPT); /* exactly full */
    tiny_submit(e, &r);
    run(e, h, 5);
    for (int i = 1; i < 5; i++) {
        assert_int_equal(h[i].n_done, 1);
        assert_int_equal(h[i].finish, LATHE_FINISH_LENGTH);
        assert_int_equal(h[i].timings.n_prompt, N_PROMPT);
        assert_int_equal(h[i].timings.n_generated, h[i].n_token);
        assert_true(h[i].timings.queue_ms >= 0 && h[i].timings.prefill_ms >= 0 &&
                    h[i].timings.decode_ms >= 0);
    }
    assert_int_equal(h[1].n_token, 5);
    assert_int_equal(h[2].n_token, 0);
    assert_int_equal(h[3].n_token, N_CTX - N_PROMPT);
    assert_memory_equal(h[3].tokens, h[4].tokens, sizeof h[3].tokens);
    assert_memory_equal(h[3].tokens, h[1].tokens, 5 * sizeof *h[1].tokens);
    lathe_engine_free(e);
}

struct scored {
    int next, n;
};

static void in_order(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct scored *s = user;
    assert_int_equal(position, s->next++);
    for (int i = 0; i < n_vocab; i++)
        assert_true(logits[i] == logits[i]);
    s->n++;
}

static void scoring(void **state)
{
    for (int from = 0; from < N_PROMPT; from += 3)
        for (int n_predict = 0; n_predict < 4; n_predict += 3)
            for (int chunk = 2; chunk < 20; chunk += 7) {
                lathe_engine *e = tiny_engine(model, 1, N_CTX, 1, chunk);
                struct scored s = {.next = from};
                struct heard h[2] = {{0}};
                struct lathe_request r = request(n_predict);
                r.logits_from = from;
                r.on_logits = in_order;
                r.user = &s;
                tiny_submit(e, &r);
                run(e, h, 2);
                assert_int_equal(s.n, N_PROMPT - from + (n_predict ? n_predict - 1 : 0));
                lathe_engine_free(e);
            }
}

static void cancelling(void **state)
{
    lathe_engine *e = tiny_engine(model, 2, N_CTX, 1, 0);
    struct heard h[6] = {{0}};
    struct lathe_request r = request(100);
    for (int i = 0; i < 5; i++) /* 1 and 2 run, 3 4 5 wait */
        tiny_submit(e, &r);
    tiny_step(e);
    hear(e, h, 6);
    lathe_engine_cancel(e, 2);
    lathe_engine_cancel(e, 2); /* twice is once */
    lathe_engine_cancel(e, 5);
    lathe_engine_cancel(e, 3);
    lathe_engine_cancel(e, 77);
    tiny_step(e);
    hear(e, h, 6);
    for (int i = 1; i < 6; i++)
        assert_int_equal(h[i].n_done, i == 2 || i == 3 || i == 5);
    run(e, h, 6);
    for (int i = 1; i < 6; i++) {
        assert_int_equal(h[i].n_done, 1);
        assert_int_equal(h[i].finish, i == 1 || i == 4 ? LATHE_FINISH_LENGTH : LATHE_FINISH_CANCELLED);
    }
    assert_int_equal(h[3].n_token, 0);
    int n_noted = 0;
    while (n_noted < 1000 && lathe_engine_cancel(e, (uint64_t)n_noted + 1)) /* long over, or never there */
        n_noted++;
    assert_int_equal(n_noted, 256);
    assert_true(lathe_engine_cancel(e, 5)); /* is noted already */
    tiny_step(e);
    assert_true(lathe_engine_cancel(e, 1000));
    r = request(1); /* the queue still works after its tail was cancelled */
    struct heard more[7] = {{0}};
    tiny_submit(e, &r);
    run(e, more, 7);
    assert_int_equal(more[6].n_token, 1);
    lathe_engine_free(e);
}

static lathe_engine *engine_of_pages(int n_seq, int n_page)
{
    struct lathe_engine_options o;
    struct lathe_err err;
    lathe_engine *e;
    lathe_engine_options_init(&o);
    o.n_ctx = N_CTX;
    o.n_seq = n_seq;
    o.n_thread = 1;
    o.n_kv_token = n_page * 64;
    assert_int_equal(lathe_engine_new(model, &o, &e, &err), 0);
    return e;
}

static void later_requests_take_over_what_is_computed(void **state)
{
    lathe_engine *e = engine_of_pages(2, 3);
    struct lathe_engine_stats stats;
    struct heard h[8] = {{0}};
    struct lathe_request r = request(60); /* 71 tokens: two pages */
    uint64_t first = tiny_submit(e, &r);
    run(e, h, 8);
    uint64_t second =
        tiny_submit(e, &r); /* of the prompt itself, the last token has to be computed for its logits */
    run(e, h, 8);
    assert_int_equal(h[first].timings.n_cached, 0);
    assert_int_equal(h[second].timings.n_cached, N_PROMPT - 1);
    assert_memory_equal(h[second].tokens, h[first].tokens, sizeof h[first].tokens);
    /* a longer prompt over both pages, the last of them not full, computes only what is new */
    int32_t longer[N_PROMPT + 59];
    memcpy(longer, prompt, sizeof prompt);
    memcpy(longer + N_PROMPT, h[second].tokens, 59 * sizeof *longer);
    r.ids = longer;
    r.n_ids = N_PROMPT + 59;
    r.n_predict = 1;
    uint64_t third = tiny_submit(e, &r);
    run(e, h, 8);
    assert_int_equal(h[third].timings.n_cached, 64); /* three pages do not suffice for a copy of the second */
    assert_int_equal(h[third].tokens[0], h[second].tokens[59]);
    /* another salt sees nothing of it */
    r.salt = 1;
    uint64_t fourth = tiny_submit(e, &r);
    run(e, h, 8);
    assert_int_equal(h[fourth].timings.n_cached, 0);
    assert_int_equal(h[fourth].tokens[0], h[third].tokens[0]);
    lathe_engine_get_stats(e, &stats);
    assert_int_equal(stats.n_page_used, 0);
    assert_true(stats.n_page_cached > 0 && stats.n_prefix_evicted > 0);
    assert_int_equal(stats.n_prefix_hit_token, N_PROMPT - 1 + 64);
    assert_int_equal(stats.n_prefix_query_token, 2 * N_PROMPT + 2 * (N_PROMPT + 59));
    /* what is kept gives way: all pages can be had */
    r = request(181);
    uint64_t fifth = tiny_submit(e, &r);
    run(e, h, 8);
    assert_int_equal(h[fifth].n_token, 181);
    lathe_engine_free(e);
}

/* Nothing is kept free for sequences that have all the pages they may need; for others a page each is. */
static void sequences_that_fill_all_pages_run_at_once(void **state)
{
    static const struct {
        int n_predict, most;
    } rows[] = {{2, 4}, {60, 2}}; /* a page, two pages */
    for (int i = 0; i < 2; i++) {
        lathe_engine *e = engine_of_pages(4, 4);
        struct lathe_engine_stats stats;
        struct heard h[5] = {{0}};
        struct lathe_request r = request(rows[i].n_predict);
        for (int k = 0; k < 4; k++) {
            r.salt = (uint64_t)k;
            tiny_submit(e, &r);
        }
        run(e, h, 5);
        lathe_engine_get_stats(e, &stats);
        assert_int_equal(stats.most_in_pass, rows[i].most);
        assert_int_equal(stats.n_preempt_swap + stats.n_preempt_recompute, 0);
        lathe_engine_free(e);
    }
}

static void a_page_is_computed_once_for_all_that_wait_for_it(void **state)
{
    enum { N = 4, LENGTH = 150 };
    lathe_engine *e = tiny_engine(model, N, N_CTX, 2, 512);
    struct lathe_engine_stats stats;
    struct heard h[N + 1] = {{0}};
    int32_t ids[LENGTH];
    for (int i = 0; i < LENGTH; i++)
        ids[i] = 5 + i % 7;
    for (int i = 0; i < N; i++) {
        struct lathe_request r = request(2);
        r.ids = ids;
        r.n_ids = LENGTH;
        tiny_submit(e, &r);
    }
    run(e, h, N + 1);
    for (int i = 0; i < N; i++)
        assert_int_equal(h[i + 1].timings.n_cached, i ? 128 : 0);
    lathe_engine_get_stats(e, &stats);
    assert_int_equal(stats.n_prompt_token, LENGTH + (N - 1) * (LENGTH - 128));
    lathe_engine_free(e);
}

static void more_requests_than_slots(void **state)
{
    enum { N = 300 };
    lathe_engine *e = tiny_engine(model, 7, N_CTX, 2, 16);
    struct heard *h = calloc(N + 1, sizeof *h);
    for (int i = 0; i < N; i++) {
        struct lathe_request r = request(1 + i % 9);
        r.n_ids = (size_t)(1 + i % N_PROMPT);
        r.sampling.temperature = i % 3 ? 1 : 0;
        r.sampling.seed = (uint64_t)(i % 9 + 100 * (i % N_PROMPT));
        assert_int_equal(tiny_submit(e, &r), i + 1);
    }
    run(e, h, N + 1);
    for (int i = 0; i < N; i++) {
        assert_int_equal(h[i + 1].n_done, 1);
        assert_int_equal(h[i + 1].n_token, 1 + i % 9);
        int twin = i + 9 * N_PROMPT; /* the same prompt, length, seed; other neighbours */
        if (twin < N && i % 3 == twin % 3)
            assert_memory_equal(h[i + 1].tokens, h[twin + 1].tokens, sizeof h[1].tokens);
    }
    free(h);
    lathe_engine_free(e);
}

/* Stop strings: text of another run gives one that must occur; it ends the answer and is not part of it. */
static void stop_strings(void **state)
{
    lathe_engine *e = tiny_engine(model, 1, N_CTX, 1, 0);
    struct heard h[4] = {{0}};
    struct lathe_request r = request(60);
    r.sampling.temperature = 1;
    r.sampling.seed = 11;
    tiny_submit(e, &r);
    run(e, h, 4);
    assert_true(h[1].n_text > 12);
    char stop[4] = {0}, late[4] = {0};
    memcpy(stop, h[1].text + 8, 3);
    memcpy(late, h[1].text + 9, 3); /* overlaps the first and ends later */
    assert_int_equal(strlen(stop), 3);
    const char *stops[] = {late, stop};
    r.stop = stops;
    r.n_stop = 2;
    tiny_submit(e, &r);
    run(e, h, 4);
    const char *at = memmem(h[1].text, h[1].n_text, stop, 3);
    assert_int_equal(h[2].finish, LATHE_FINISH_STOP);
    assert_true(h[2].n_text <= (size_t)(at - h[1].text));
    assert_memory_equal(h[2].text, h[1].text, h[2].n_text);
    assert_true(h[2].n_token < 60);
    lathe_engine_free(e);
}

/* All of the output norm's bytes become 0xff: NaN. */
static void a_damaged_model_ends_with_an_error(void **state)
{
    gw_random_llama(tmp_path("nan.gguf"), gw_small(), 0, 3);
    struct lathe_err err;
    lathe_file *f;
    size_t n = 1 << 22;
    uint8_t *bytes = malloc(n);
    FILE *in = fopen(tmp_path("nan.gguf"), "rb");
    n = fread(bytes, 1, n, in);
    fclose(in);
    assert_true(n > 8192 && n < 1 << 22);
    memset(bytes + n - 4096, 0xff, 4096); /* the end of the last tensor */
    gw_save_bytes(tmp_path("nan.gguf"), bytes, n);
    free(bytes);
    assert_int_equal(lathe_file_open(tmp_path("nan.gguf"), &f, &err),
                     0); /* damage in tensor data alone still opens */
    lathe_file_free(f);
    lathe_model *m = tiny_open(tmp_path("nan.gguf"));
    for (int hot = 0; hot < 2; hot++) {
        lathe_engine *e = tiny_engine(m, 2, N_CTX, 1, 0);
        struct heard h[3] = {{0}};
        struct lathe_request r = request(10);
        r.sampling.temperature = (float)hot;
        tiny_submit(e, &r);
        tiny_submit(e, &r);
        run(e, h, 3);
        for (int i = 1; i < 3; i++) {
            assert_int_equal(h[i].finish, LATHE_FINISH_ERROR);
            assert_int_equal(h[i].code, LATHE_E_NUMERIC);
            assert_int_equal(h[i].n_token, 0);
        }
        lathe_engine_free(e);
    }
    lathe_model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(submit_refuses),
        cmocka_unit_test(ends),
        cmocka_unit_test(scoring),
        cmocka_unit_test(cancelling),
        cmocka_unit_test(later_requests_take_over_what_is_computed),
        cmocka_unit_test(sequences_that_fill_all_pages_run_at_once),
        cmocka_unit_test(a_page_is_computed_once_for_all_that_wait_for_it),
        cmocka_unit_test(more_requests_than_slots),
        cmocka_unit_test(stop_strings),
        cmocka_unit_test(a_damaged_model_ends_with_an_error),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
