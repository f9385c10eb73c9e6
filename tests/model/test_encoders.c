/* Encoders against another implementation, and what only they do: whole texts, both ways, pooled, in one pass with others.
 *
 * Bounds as in test_fixtures.c, relative to the largest number of the result: 2e-6 in exact mode, which decoders reach too; f16 keys and
 * values, and int8 activations, as there. */
#include "unit.h"
#include <lathe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fixture_patch.h"
#include "gguf_write.h"
#include "tmp_dir.h"

#define EXACT_BOUND 2e-6
#define FLOAT_BOUND 2e-3
#define QUANT_BOUND 0.06

enum { MOST = 128, N_TEXT = 24 };

struct golden {
    uint32_t n_ids, n_out;
    int32_t *ids;
    int second_at;
    float *want;
    double largest;
    uint8_t *raw;
};

static struct golden golden_read(const char *name)
{
    char path[200];
    size_t n;
    uint32_t n_pos;
    snprintf(path, sizeof path, "tests/fixtures/%s.logits", name);
    struct golden g = {.raw = fixture_read(path, &n)};
    memcpy(&g.n_ids, g.raw + 4, 4);
    memcpy(&n_pos, g.raw + 8, 4);
    memcpy(&g.n_out, g.raw + 12, 4);
    assert_int_equal(n_pos, 1);
    assert_true(g.n_out <= MOST);
    g.ids = (int32_t *)(g.raw + 16);
    g.second_at = g.ids[g.n_ids];
    g.want = (float *)(g.ids + g.n_ids + 1);
    for (uint32_t i = 0; i < g.n_out; i++)
        g.largest = fmax(g.largest, fabs((double)g.want[i]));
    return g;
}

static lathe_model *open_model(const char *path, bool exact, const char *load_as, struct lathe_err *err)
{
    struct lathe_model_options o;
    lathe_model *m = NULL;
    lathe_model_options_init(&o);
    o.exact = exact;
    o.no_cache = true;
    o.load_as = load_as;
    return lathe_model_open(path, &o, &m, err) ? NULL : m;
}

static struct lathe_request request_of(const int32_t *ids, size_t n_ids, int second_at)
{
    struct lathe_request r;
    lathe_request_init(&r);
    r.ids = ids;
    r.n_ids = n_ids;
    r.n_predict = 0;
    r.embed = true;
    r.not_normalized = true;
    r.second_at = second_at;
    return r;
}

static lathe_engine *new_engine(lathe_model *m, const struct lathe_engine_options *o)
{
    struct lathe_err err;
    lathe_engine *e;
    if (lathe_engine_new(m, o, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

struct vector {
    int n, code;
    float v[MOST];
};

/* Runs n requests together; out[i] is what became of the i-th. */
static void run(lathe_engine *e, const struct lathe_request *r, int n, struct vector *out)
{
    struct lathe_err err;
    uint64_t first = 0, id;
    struct lathe_event ev;
    for (int i = 0; i < n; i++) {
        if (lathe_engine_submit(e, &r[i], &id, &err))
            fail_msg("%s", err.text);
        first = i ? first : id;
    }
    int left;
    do {
        left = lathe_engine_step(e, &err);
        assert_true(left >= 0);
        while (lathe_engine_poll(e, &ev)) {
            struct vector *v = &out[ev.id - first];
            assert_int_equal(ev.kind, LATHE_EVENT_DONE);
            v->code = ev.err.code;
            v->n = ev.n_embedding;
            assert_true(v->n <= MOST);
            memcpy(v->v, ev.embedding, (size_t)v->n * sizeof *v->v);
        }
    } while (left > 0);
}

/* Largest difference, of the largest number; -1 if the file does not load. */
static double distance(const char *path, const struct golden *g, bool exact, struct lathe_err *err)
{
    struct lathe_engine_options o;
    struct vector got;
    double worst = 0;
    lathe_model *m = open_model(path, exact, NULL, err);
    if (!m)
        return -1;
    lathe_engine_options_init(&o);
    o.n_thread = 1;
    lathe_engine *e = new_engine(m, &o);
    struct lathe_request r = request_of(g->ids, g->n_ids, g->second_at);
    run(e, &r, 1, &got);
    assert_int_equal(got.n, g->n_out);
    for (uint32_t i = 0; i < g->n_out; i++) {
        double off = fabs((double)got.v[i] - (double)g->want[i]);
        worst = off <= worst ? worst : off;
    }
    lathe_engine_free(e);
    lathe_model_free(m);
    return worst / g->largest;
}

static bool check_line(const char *name, const char *feature, const char *switches, const char *change)
{
    char path[200];
    struct lathe_err err = {0};
    struct golden g = golden_read(name);
    snprintf(path, sizeof path, "tests/fixtures/%s.gguf", name);
    double exact = distance(path, &g, true, &err), fast = distance(path, &g, false, &err);
    double bound = strstr(name, "_q8") ? QUANT_BOUND : FLOAT_BOUND;
    bool good = exact >= 0 && exact <= EXACT_BOUND && fast >= 0 && fast <= bound;
    size_t n;
    uint8_t *p = fixture_read(path, &n);
    assert_true(fixture_patch(p, n, switches) > 0);
    gw_save_bytes(tmp_path("off.gguf"), p, n);
    free(p);
    double off = distance(tmp_path("off.gguf"), &g, true, &err);
    good &= strcmp(change, "refused") == 0 ? off < 0 : off > 0.25 * atof(change);
    printf("%-16s exact %.1e fast %.1e  without %s: %.3g (%s)%s\n", name, exact, fast, feature, off, change,
           good ? "" : "  WRONG");
    free(g.raw);
    return good;
}

static void another_implementation(void **state)
{
    FILE *in = fopen("tests/fixtures/index_encoders.txt", "r");
    char line[1000], name[100], feature[200], switches[500], change[100];
    int n = 0, n_bad = 0;
    assert_non_null(in);
    while (fgets(line, sizeof line, in)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(
            sscanf(line, "%99[^ ] | %199[^|] | %499[^|] | %99s", name, feature, switches, change), 4);
        switches[strlen(switches) - 1] = 0;
        n_bad += !check_line(name, feature, switches, change);
        n++;
    }
    fclose(in);
    assert_true(n > 15);
    assert_int_equal(n_bad, 0);
}

/* ---- in company ---- */

/* Texts of 1 to 150 ids, some of them pairs. */
static void make_texts(int32_t ids[N_TEXT][160], struct lathe_request r[N_TEXT])
{
    for (int i = 0; i < N_TEXT; i++) {
        int n = 1 + (i * 37) % 150;
        for (int k = 0; k < n; k++)
            ids[i][k] = 2 + (i * 131 + k * 17) % 88;
        r[i] = request_of(ids[i], (size_t)n, i % 3 == 2 && n > 2 ? n / 2 : 0);
    }
}

/* Each text alone on one thread, and all of them together in several kinds of engine, with pools of pages that hold NaN. */
static void company(const char *name, const char *load_as)
{
    static int32_t ids[N_TEXT][160];
    static struct vector alone[N_TEXT], together[N_TEXT];
    struct lathe_request r[N_TEXT];
    struct lathe_err err;
    char path[200];
    snprintf(path, sizeof path, "tests/fixtures/%s.gguf", name);
    lathe_model *m = open_model(path, false, load_as, &err);
    assert_non_null(m);
    make_texts(ids, r);
    memset(alone, 0, sizeof alone);
    struct lathe_engine_options o;
    lathe_engine_options_init(&o);
    o.n_thread = 1;
    lathe_engine *e = new_engine(m, &o);
    for (int i = 0; i < N_TEXT; i++)
        run(e, &r[i], 1, &alone[i]);
    lathe_engine_free(e);
    for (int kind = 0; kind < 12; kind++) {
        o.n_thread = 1 + kind % 2;
        o.n_seq = kind % 3 == 0 ? 3 : N_TEXT;
        o.n_chunk = kind < 6 ? 160 : 600;
        o.no_fusion = kind % 4 == 3;
        o.n_kv_token = kind % 5 == 4 ? 3 * 192 : 0;
        e = new_engine(m, &o);
        memset(together, 0, sizeof together);
        run(e, r, N_TEXT, together);
        for (int i = 0; i < N_TEXT; i++)
            assert_memory_equal(&alone[i], &together[i], sizeof alone[i]);
        lathe_engine_free(e);
    }
    lathe_model_free(m);
}

static void the_same_in_company(void **state)
{
    setenv("LATHE_POISON_KV", "1", 1);
    company("bert_mean", NULL);
    company("bert_cls_tanh", NULL);
    company("bert_last_pair", "q8_0");
    company("bert_cross", NULL);
    company("bert_cross", "q8_0");
    company("bert_q8_0", NULL);
    unsetenv("LATHE_POISON_KV");
}

static void fused_is_not_fused(void **state)
{
    static struct vector v[2];
    struct golden g = golden_read("bert_q8_0");
    struct lathe_request r = request_of(g.ids, g.n_ids, 0);
    struct lathe_err err;
    lathe_model *m = open_model("tests/fixtures/bert_q8_0.gguf", false, NULL, &err);
    for (int i = 0; i < 2; i++) {
        struct lathe_engine_options o;
        lathe_engine_options_init(&o);
        o.no_fusion = i;
        lathe_engine *e = new_engine(m, &o);
        run(e, &r, 1, &v[i]);
        lathe_engine_free(e);
    }
    assert_memory_equal(&v[0], &v[1], sizeof v[0]);
    lathe_model_free(m);
    free(g.raw);
}

/* ---- what a caller may ask ---- */

static lathe_engine *of_fixture(const char *path, lathe_model **m)
{
    struct lathe_engine_options o;
    struct lathe_err err;
    *m = open_model(path, false, NULL, &err);
    assert_non_null(*m);
    lathe_engine_options_init(&o);
    return new_engine(*m, &o);
}

static void refused(lathe_engine *e, const struct lathe_request *r, int code, const char *word)
{
    struct lathe_err err = {0};
    assert_int_equal(lathe_engine_submit(e, r, NULL, &err), code);
    if (!strstr(err.text, word))
        fail_msg("%s", err.text);
}

static void bad_requests(void **state)
{
    int32_t ids[200];
    lathe_model *m;
    for (int i = 0; i < 200; i++)
        ids[i] = 2 + i % 80;
    lathe_engine *e = of_fixture("tests/fixtures/bert_mean.gguf", &m);
    struct lathe_request r = request_of(ids, 20, 0);
    r.embed = false;
    refused(e, &r, LATHE_E_USAGE, "generates nothing");
    r = request_of(ids, 161, 0);
    refused(e, &r, LATHE_E_CONTEXT, "161 tokens, the context 160");
    r = request_of(ids, 20, 21);
    refused(e, &r, LATHE_E_USAGE, "second_at is 21");
    r.second_at = -1;
    refused(e, &r, LATHE_E_USAGE, "second_at is -1");
    r = request_of(ids, 20, 0);
    r.pooling = LATHE_POOL_CLASSES;
    refused(e, &r, LATHE_E_USAGE, "no classes");
    r.pooling = (enum lathe_pooling)5;
    refused(e, &r, LATHE_E_USAGE, "pooling is 5");
    r.pooling = (enum lathe_pooling) - 1;
    refused(e, &r, LATHE_E_USAGE, "pooling is -1");
    lathe_engine_free(e);
    struct lathe_engine_options o;
    struct lathe_err err = {0};
    lathe_engine_options_init(&o);
    o.n_ctx = 161;
    assert_int_equal(lathe_engine_new(m, &o, &e, &err), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "160 positions"));
    lathe_model_free(m);
}

/* Pooling of the request wins, of models that generate too; the mean is that of what one gets of each position. */
static void pooling(const char *path, int n_ids)
{
    static struct vector v[4], prefix;
    int32_t ids[64];
    lathe_model *m;
    lathe_engine *e = of_fixture(path, &m);
    struct lathe_model_info info;
    lathe_model_get_info(m, &info);
    for (int i = 0; i < n_ids; i++)
        ids[i] = 2 + i * 7 % 80;
    for (int kind = LATHE_POOL_MEAN; kind <= LATHE_POOL_LAST; kind++) {
        struct lathe_request r = request_of(ids, (size_t)n_ids, 0);
        r.pooling = (enum lathe_pooling)kind;
        run(e, &r, 1, &v[kind]);
        assert_int_equal(v[kind].n, info.n_embd);
    }
    double sum[MOST] = {0};
    for (int n = 1; n <= n_ids && info.generates;
         n++) { /* of a causal model the last of each prefix is its position's */
        struct lathe_request r = request_of(ids, (size_t)n, 0);
        r.pooling = LATHE_POOL_LAST;
        run(e, &r, 1, &prefix);
        if (n == 1)
            assert_memory_equal(prefix.v, v[LATHE_POOL_CLS].v, (size_t)info.n_embd * 4);
        for (int i = 0; i < info.n_embd; i++)
            sum[i] += (double)prefix.v[i] / n_ids;
    }
    for (int i = 0; i < info.n_embd && info.generates; i++)
        assert_true(fabs(sum[i] - (double)v[LATHE_POOL_MEAN].v[i]) < 1e-5);
    assert_true(memcmp(v[1].v, v[2].v, 32) && memcmp(v[2].v, v[3].v, 32));
    struct lathe_request r = request_of(ids, (size_t)n_ids, 0);
    r.not_normalized = false;
    run(e, &r, 1, &prefix);
    double squares = 0;
    for (int i = 0; i < prefix.n; i++)
        squares += (double)prefix.v[i] * (double)prefix.v[i];
    assert_true(fabs(squares - 1) < 1e-6);
    lathe_engine_free(e);
    lathe_model_free(m);
}

static void poolings(void **state)
{
    pooling("tests/fixtures/bert_mean.gguf", 40);
    pooling("tests/fixtures/qwen2_bias.gguf", 40);
    pooling("tests/fixtures/gemma2_all.gguf", 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_implementation), cmocka_unit_test(the_same_in_company),
        cmocka_unit_test(fused_is_not_fused), cmocka_unit_test(bad_requests), cmocka_unit_test(poolings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
