/* The same bits, however a sequence is computed: together with 63 others or alone, in chunks of 1, 7, 64 or
 * 512, by 1, 2 or 3 threads, from kept pages or from scratch, with free pages poisoned, and on every level of
 * instructions that the CPU has; with keys and values in f16, in bf16 and in integers.
 *
 * Every position's logits are hashed. LATHE_CPU is read once per process, so the program runs itself per
 * level (--hashes prints). */
#include "engine/tiny.h"
#include "base/cpu.h"
#include "base/numa.h"
#include <unistd.h>
#include <xxhash.h>

enum { N_PROMPT = 64, MAX_LEN = 264, N_PREDICT = 3, N_CTX = MAX_LEN + N_PREDICT };

/* Lengths around the ends of pages; the rest short. */
static const int long_lengths[] = {63, 64, 65, 127, 128, 129, 192, 200, 257, MAX_LEN};

static struct {
    int32_t ids[MAX_LEN];
    int n;
} prompts[N_PROMPT];

struct hashes {
    uint64_t at[N_PROMPT][N_CTX]; /* 0: not computed */
    uint64_t id[N_PROMPT];
};

static bool score_less;

/* Keys and values. */
struct kv {
    enum lathe_kv_type k, v;
};
static const struct kv f16 = {LATHE_KV_F16, LATHE_KV_F16}, bf16 = {LATHE_KV_BF16, LATHE_KV_BF16},
                       q8 = {LATHE_KV_Q8_0, LATHE_KV_Q8_0}, q4 = {LATHE_KV_Q4, LATHE_KV_Q4},
                       q8_q4 = {LATHE_KV_Q8_0, LATHE_KV_Q4}, bf16_q4 = {LATHE_KV_BF16, LATHE_KV_Q4};
static struct kv kv;

struct one {
    struct hashes *h;
    int prompt;
};

static lathe_engine *engine(const lathe_model *m, int n_seq, int n_thread, int n_chunk)
{
    struct lathe_engine_options o;
    lathe_engine_options_init(&o);
    o.n_seq = n_seq;
    o.n_ctx = N_CTX;
    o.n_thread = n_thread;
    o.n_chunk = n_chunk;
    o.kv_type = kv.k;
    o.kv_value_type = LATHE_KV_VALUES(kv.v);
    return tiny_engine_of(m, &o);
}

static void make_prompts(int n_vocab)
{
    uint64_t state = 99;
    for (int p = 0; p < N_PROMPT; p++) {
        int n_long = (int)(sizeof long_lengths / sizeof *long_lengths);
        prompts[p].n = p % 6 == 5 && p / 6 < n_long ? long_lengths[p / 6] : 1 + (int)(gw_next(&state) % 24);
        for (int i = 0; i < prompts[p].n; i++)
            prompts[p].ids[i] = (int32_t)(gw_next(&state) % (uint64_t)n_vocab);
        if (p % 2) /* pairs share a beginning */
            memcpy(prompts[p].ids, prompts[p - 1].ids,
                   (size_t)(prompts[p].n < prompts[p - 1].n ? prompts[p].n : prompts[p - 1].n) * 4);
    }
}

static void keep_hash(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct one *o = user;
    o->h->at[o->prompt][position] = XXH3_64bits(logits, (size_t)n_vocab * sizeof *logits) | 1;
}

static struct lathe_request request(struct one *o, struct hashes *h, int prompt)
{
    struct lathe_request r;
    lathe_request_init(&r);
    *o = (struct one){h, prompt};
    r.ids = prompts[prompt].ids;
    r.n_ids = (size_t)prompts[prompt].n;
    r.n_predict = N_PREDICT;
    r.ignore_eos = true;
    /* all of the prompt, its end, or nothing but what is generated: the last layer leaves out the other rows */
    r.logits_from = !score_less ? 0 : prompt % 3 ? (int)r.n_ids - 1 : (int)r.n_ids / 2;
    r.on_logits = keep_hash;
    r.user = o;
    return r;
}

static void run_all(lathe_engine *e)
{
    struct lathe_event ev;
    while (tiny_step(e) > 0)
        while (lathe_engine_poll(e, &ev))
            assert_true(ev.kind != LATHE_EVENT_DONE || ev.finish == LATHE_FINISH_LENGTH);
}

/* Prompts from..to. */
static void run_some(const lathe_model *m, int from, int to, int n_seq, int n_thread, int n_chunk,
                     struct hashes *h)
{
    lathe_engine *e = engine(m, n_seq, n_thread, n_chunk);
    struct one ones[N_PROMPT];
    memset(h, 0, sizeof *h);
    for (int p = from; p < to; p++) {
        struct lathe_request r = request(&ones[p], h, p);
        tiny_submit(e, &r);
    }
    run_all(e);
    lathe_engine_free(e);
}

static void run_together(const lathe_model *m, int n_seq, int n_thread, int n_chunk, struct hashes *h)
{
    run_some(m, 0, N_PROMPT, n_seq, n_thread, n_chunk, h);
}

static void run_alone(const lathe_model *m, struct hashes *h)
{
    struct lathe_engine_options options;
    struct one o;
    lathe_engine_options_init(&options);
    options.n_ctx = N_CTX;
    options.n_thread = 1;
    options.no_prefix_cache = true;
    options.kv_type = kv.k;
    options.kv_value_type = LATHE_KV_VALUES(kv.v);
    lathe_engine *e = tiny_engine_of(m, &options);
    memset(h, 0, sizeof *h);
    for (int p = 0; p < N_PROMPT; p++) {
        struct lathe_request r = request(&o, h, p);
        tiny_submit(e, &r);
        run_all(e);
    }
    lathe_engine_free(e);
}

static bool is_integer(struct kv t)
{
    return t.k >= LATHE_KV_Q8_0 || t.v >= LATHE_KV_Q8_0;
}

/* Every prompt takes over what others before it computed, as far as they agree; of integers whole pages alone, which all have
 * when they are asked for a second time. */
static void run_cached(const lathe_model *m, struct hashes *h)
{
    lathe_engine *e = engine(m, 2, 2, 64);
    struct one o;
    struct lathe_event ev;
    struct lathe_engine_stats stats;
    memset(h, 0, sizeof *h);
    const int n_time = 1 + is_integer(kv);
    for (int i = 0; i < N_PROMPT * n_time; i++) {
        const int p = i / n_time;
        struct lathe_request r = request(&o, h, p);
        r.logits_from = (int)r.n_ids - 1;
        tiny_submit(e, &r);
        while (tiny_step(e) > 0)
            while (lathe_engine_poll(e, &ev))
                ;
    }
    lathe_engine_get_stats(e, &stats);
    assert_true(stats.n_prefix_hit_token > 100);
    lathe_engine_free(e);
}

/* Every position that `got` has must equal `want`; `whole`: got must have all. */
static bool same(const struct hashes *want, const struct hashes *got, bool whole, const char *what)
{
    int n = 0;
    for (int p = 0; p < N_PROMPT; p++)
        for (int i = 0; i < prompts[p].n + N_PREDICT - 1; i++) {
            if (!got->at[p][i] && !whole)
                continue;
            n++;
            if (!want->at[p][i] || got->at[p][i] != want->at[p][i]) {
                fprintf(stderr, "%s: prompt %d of %d tokens differs at position %d\n", what, p, prompts[p].n,
                        i);
                return false;
            }
        }
    return n > 0;
}

static bool check_model(const lathe_model *m)
{
    struct hashes *want = malloc(sizeof *want), *got = malloc(sizeof *got);
    run_alone(m, want);
    bool good = same(want, want, true, "alone");
    static const struct {
        int n_seq, n_thread, n_chunk;
    } ways[] = {{64, 1, 512}, {64, 2, 512}, {5, 2, 1}, {64, 2, 7}, {3, 3, 7}, {64, 3, 64}, {1, 2, 64}};
    for (size_t i = 0; i < 2 * (sizeof ways / sizeof *ways); i++) {
        const int w = (int)i / 2;
        char what[100];
        score_less = i % 2;
        snprintf(what, sizeof what, "%d at once, %d threads, chunks of %d%s", ways[w].n_seq, ways[w].n_thread,
                 ways[w].n_chunk, score_less ? ", some positions scored" : "");
        run_together(m, ways[w].n_seq, ways[w].n_thread, ways[w].n_chunk, got);
        good &= same(want, got, !score_less, what);
    }
    score_less = false;
    run_cached(m, got);
    good &= same(want, got, false, "reused pages");
    setenv("LATHE_POISON_KV", "1", 1);
    run_together(m, 7, 2, 64, got);
    good &= same(want, got, true, "poisoned pages");
    run_cached(m, got);
    good &= same(want, got, false, "poisoned and reused pages");
    unsetenv("LATHE_POISON_KV");
    free(want);
    free(got);
    return good;
}

static const int types[] = {0, 1, 30, 2, 3, 8};
static const struct gw_shape shapes[] = {
    {.n_embd = 64,
     .n_ff = 96,
     .n_head = 4,
     .n_head_kv = 2,
     .head_dim = 24,
     .n_layer = 2,
     .n_vocab = 275,
     .n_ctx = 512},
    {.n_embd = 96,
     .n_ff = 224,
     .n_head = 5,
     .n_head_kv = 1,
     .head_dim = 64,
     .n_layer = 2,
     .n_vocab = 283,
     .n_ctx = 512,
     .untied = true},
    {.n_embd = 160,
     .n_ff = 64,
     .n_head = 2,
     .n_head_kv = 2,
     .head_dim = 80,
     .n_layer = 1,
     .n_vocab = 305,
     .n_ctx = 512,
     .bias = true},
};
enum { N_TYPE = sizeof types / sizeof *types, N_SHAPE = sizeof shapes / sizeof *shapes };

/* The thread sanitizer looks for races and not for bits. */
static bool threads_only(void)
{
    const char *kind = getenv("LATHE_CHECK_KIND");
    return kind && strcmp(kind, "tsan") == 0;
}

/* Under an emulator, where a case takes a minute, one shape of one int8 type; under the thread sanitizer two. */
static bool left_out(int type, int shape)
{
    int n_shape = getenv("LATHE_EMULATED") ? 1 : threads_only() ? 2 : N_SHAPE;
    return n_shape < N_SHAPE && (types[type] != 2 || shape >= n_shape);
}

static void every_way(struct kv type)
{
    int n_bad = 0;
    kv = type;
    for (int t = 0; t < N_TYPE; t++)
        for (int s = 0; s < N_SHAPE; s++) {
            /* how the weights are kept has no bearing on the cache: of bf16 one type of each numeric class,
             * of integers one */
            if (left_out(t, s) ||
                (type.k != LATHE_KV_F16 && types[t] != 2 && (types[t] != 0 || is_integer(type))))
                continue;
            make_prompts(shapes[s].n_vocab);
            lathe_model *m = tiny_model(shapes[s], types[t], 7);
            if (!check_model(m)) {
                fprintf(stderr, "    in the model of type %d and shape %d\n", types[t], s);
                n_bad++;
            }
            lathe_model_free(m);
        }
    assert_int_equal(n_bad, 0);
}

static void every_way_of_computing(void **state)
{
    every_way(f16);
}

static void every_way_with_bf16_keys_and_values(void **state)
{
    every_way(bf16);
}

static void every_way_with_integers(void **state)
{
    every_way(q8);
    every_way(q4);
}

static void every_way_with_one_half_in_integers(void **state)
{
    every_way(q8_q4);
    every_way(bf16_q4);
}

/* The span that a token is in is in f16 for it, those before are not. */
static void integers_begin_with_the_second_span(void **state)
{
    struct hashes *want = malloc(sizeof *want), *got = malloc(sizeof *got);
    make_prompts(shapes[0].n_vocab);
    lathe_model *m = tiny_model(shapes[0], types[0], 7);
    kv = f16;
    run_alone(m, want);
    for (int i = 0; i < 2; i++) {
        kv = i ? q8 : q4;
        run_alone(m, got);
        int n = 0;
        for (int p = 0; p < N_PROMPT; p++)
            for (int k = 0; k < prompts[p].n; k++, n++)
                assert_true((want->at[p][k] == got->at[p][k]) == (k < 64));
        assert_true(n > 1000);
    }
    lathe_model_free(m);
    free(want);
    free(got);
}

/* The choice has an effect: the two types round differently. */
static void types_differ(void **state)
{
    struct hashes *one = malloc(sizeof *one), *other = malloc(sizeof *other);
    make_prompts(shapes[0].n_vocab);
    lathe_model *m = tiny_model(shapes[0], types[0], 7);
    kv = f16;
    run_alone(m, one);
    kv = bf16;
    run_alone(m, other);
    assert_memory_not_equal(one->at, other->at, sizeof one->at);
    lathe_model_free(m);
    free(one);
    free(other);
}

/* ---- instruction sets ---- */

static int print_hashes(void)
{
    struct hashes *h = malloc(sizeof *h);
    const struct kv each[] = {f16, bf16, q8, q4};
    for (int i = 0; i < 4 * N_TYPE; i++)
        for (int s = 0; s < N_SHAPE; s++) {
            int t = i / 4;
            kv = each[i % 4];
            if (left_out(t, s) || (is_integer(kv) && types[t] != 2) || (threads_only() && s))
                continue;
            make_prompts(shapes[s].n_vocab);
            lathe_model *m = tiny_model(shapes[s], types[t], 7);
            run_some(m, 30, 50, 20, 2, 64, h); /* 3 of them of several pages: plain C is slow */
            printf("type %d shape %d KV %d: %016llx\n", types[t], s, (int)kv.k,
                   (unsigned long long)XXH3_64bits(h->at, sizeof h->at));
            lathe_model_free(m);
        }
    free(h);
    printf("%s\n", lathe_isa());
    return 0;
}

/* What this program prints on a level; false if the CPU does not have it. */
static bool hashes_on(const char *level, char *out, size_t n)
{
    char command[4200], self[4000];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(len > 0);
    self[len] = 0;
    snprintf(command, sizeof command, "LATHE_CPU=%s '%s' --hashes", level, self);
    FILE *in = popen(command, "r");
    assert_non_null(in);
    size_t got = fread(out, 1, n - 1, in);
    out[got] = 0;
    assert_int_equal(pclose(in), 0);
    char *isa = strrchr(out, ':');
    assert_non_null(isa);
    isa = strchr(isa, '\n') + 1;
    bool has = strncmp(isa, level, strlen(level)) == 0; /* the widest in use comes first */
    *isa = 0;
    return has;
}

static void level(const char *name)
{
    static char plain[1 << 14], wide[1 << 14];
    for (int i = 0; i < CPU_N_ISA; i++)
        if (strcmp(cpu_isa_name((enum cpu_isa)i), name) == 0 && !cpu_supports((enum cpu_isa)i))
            skip();
    if (getenv("LATHE_EMULATED")) /* the program cannot start itself */
        skip();
    if (!plain[0])
        assert_true(hashes_on("c", plain, sizeof plain));
    if (!hashes_on(name, wide, sizeof wide))
        skip();
    assert_string_equal(wide, plain);
}

#define LEVEL(name)                                 \
    static void name##_equals_plain_c(void **state) \
    {                                               \
        level(#name);                               \
    }
LEVEL(avx2)
LEVEL(avx512vnni)
LEVEL(neon)
LEVEL(dotprod)
LEVEL(i8mm)

/* Several NUMA nodes: attention is shared out by heads. */
static void nodes_do_not_matter(void **state)
{
    static char one[1 << 14], two[1 << 14];
    static struct numa_topology t;
    const char *isa = "c";
    if (getenv("LATHE_EMULATED")) /* the program cannot start itself */
        skip();
    for (int i = 0; i < CPU_N_ISA; i++)
        if (cpu_supports((enum cpu_isa)i))
            isa = cpu_isa_name((enum cpu_isa)i);
    assert_true(hashes_on(isa, one, sizeof one));
    setenv("HWLOC_SYNTHETIC", "numa:2 core:2 pu:1", 1);
    setenv("HWLOC_THISSYSTEM", "0", 1);
    numa_topology(&t);
    hashes_on(isa, two, sizeof two);
    unsetenv("HWLOC_SYNTHETIC");
    unsetenv("HWLOC_THISSYSTEM");
    if (t.n_node != 2)
        skip();
    assert_string_equal(one, two);
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--hashes"))
        return print_hashes();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_of_computing),
        cmocka_unit_test(every_way_with_bf16_keys_and_values),
        cmocka_unit_test(every_way_with_integers),
        cmocka_unit_test(every_way_with_one_half_in_integers),
        cmocka_unit_test(integers_begin_with_the_second_span),
        cmocka_unit_test(types_differ),
        cmocka_unit_test(avx2_equals_plain_c),
        cmocka_unit_test(neon_equals_plain_c),
        cmocka_unit_test(dotprod_equals_plain_c),
        cmocka_unit_test(i8mm_equals_plain_c),
        cmocka_unit_test(avx512vnni_equals_plain_c),
        cmocka_unit_test(nodes_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
