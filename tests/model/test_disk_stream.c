/* Weights of which a part is read from the disk for each pass: the same answers, while a thread reads and drops pages. */
#include "base/mem_room.h"
#include "engine/tiny.h"

enum { N_TOKEN = 10, N_PROMPT = 40, MIB = 1 << 20 };

struct answer {
    int32_t ids[N_TOKEN];
    float logprobs[N_TOKEN];
    struct lathe_engine_plan plan;
};

static lathe_model *open_model(uint64_t bound, bool stream)
{
    struct lathe_model_options o;
    struct lathe_err err;
    lathe_model *m;
    lathe_model_options_init(&o);
    o.cache_dir = tmp_path("cache");
    o.memory_bytes = bound;
    o.stream = stream;
    if (lathe_model_open(tmp_path("large.gguf"), &o, &m, &err))
        fail_msg("%s", err.text);
    return m;
}

static struct answer ask(const lathe_model *m, uint64_t bound)
{
    struct lathe_engine_options o;
    struct lathe_request r;
    struct lathe_event event;
    struct answer out = {0};
    int32_t prompt[N_PROMPT];
    int n = 0;
    lathe_engine_options_init(&o);
    o.n_ctx = 64;
    o.n_thread = 2;
    o.n_chunk = 16;
    o.memory_bytes = bound;
    lathe_engine *e = tiny_engine_of(m, &o);
    for (int i = 0; i < N_PROMPT; i++)
        prompt[i] = 7 * i % 250;
    lathe_request_init(&r);
    r.ids = prompt;
    r.n_ids = N_PROMPT;
    r.n_predict = N_TOKEN;
    r.n_logprob = 0;
    r.ignore_eos = true;
    tiny_submit(e, &r);
    do {
        int left = tiny_step(e);
        while (lathe_engine_poll(e, &event))
            if (event.kind == LATHE_EVENT_TOKEN && n < N_TOKEN) {
                out.ids[n] = event.token;
                out.logprobs[n++] = event.logprob;
            }
        if (!left)
            break;
    } while (true);
    assert_int_equal(n, N_TOKEN);
    lathe_engine_get_plan(e, &out.plan);
    lathe_engine_free(e);
    return out;
}

static void the_same_answer_from_the_disk(void **state)
{
    struct gw_shape shape = {
        .n_embd = 512, .n_ff = 1024, .n_head = 8, .n_head_kv = 8, .n_layer = 8, .n_ctx = 128};
    const char *path;
    struct lathe_err err;
    uint64_t n_bytes;
    gw_random_llama(tmp_path("large.gguf"), shape, 0, 5);
    lathe_model *m = open_model(0, false);
    struct answer want = ask(m, 0);
    assert_int_equal(lathe_model_verify(m, &path, &n_bytes, &err), 0); /* it is kept now */
    assert_non_null(path);
    assert_int_equal(want.plan.stream_bytes, 0);
    lathe_model_free(m);
    for (int mib = 48; mib <= 72; mib += 8) {
        m = open_model(mem_resident() + (uint64_t)mib * MIB, true);
        for (int again = 0; again < 2; again++) { /* engines share what was planned for the first */
            struct answer got = ask(m, mem_resident() + (uint64_t)mib * MIB);
            assert_memory_equal(got.ids, want.ids, sizeof want.ids);
            assert_memory_equal(got.logprobs, want.logprobs, sizeof want.logprobs);
            assert_true(got.plan.stream_bytes > 0 && got.plan.stream_bytes < n_bytes);
            assert_true(got.plan.stream_rate > 0);
        }
        lathe_model_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_same_answer_from_the_disk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
