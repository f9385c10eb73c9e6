/* Every fixture against the logits of another implementation, in exact mode and with quantized activations;
 * and every switch of the index proves that its feature is looked at.
 *
 * Bounds, relative to the largest logit. Exact mode: the fixtures' makers, one in f32 and one in f64, agree
 * to 2e-5, so do we. Fast path of float weights: keys and values are f16, off by 2^-12 of their size in the
 * mean, in 2 layers, each with a key and a value: 4 * 2^-12 at 2 sigma is 2e-3. Fast path of quantized
 * weights: an activation is off by at most half a step of 1/127 of its block's largest, so by 1/254/sqrt(3)
 * of it in the mean square; a dot product's relative error is that times the ratio of largest to root mean
 * square (about 2.2 in blocks of 32), 0.5 %, and 4 matrices deep in 2 layers the errors add in squares:
 * sqrt(8) * 0.5 % = 1.4 %. The largest of a few thousand logits lies 4 sigma out: 6 %. */
#include "unit.h"
#include <lathe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fixture_patch.h"
#include "gguf_write.h"
#include "tmp_dir.h"

#define EXACT_BOUND 2e-5
#define FLOAT_BOUND 2e-3
#define QUANT_BOUND 0.06

struct golden {
    uint32_t n_ids, n_pos, n_vocab;
    int32_t *ids, *pos;
    float *logits;
    double largest;
    uint8_t *raw;
};

struct diff {
    const struct golden *g;
    double worst;
    uint32_t n_seen;
};

static struct golden golden_read(const char *name)
{
    char path[200];
    size_t n;
    snprintf(path, sizeof path, "tests/fixtures/%s.logits", name);
    struct golden g = {.raw = fixture_read(path, &n)};
    memcpy(&g.n_ids, g.raw + 4, 12);
    g.ids = (int32_t *)(g.raw + 16);
    g.pos = g.ids + g.n_ids;
    g.logits = (float *)(g.pos + g.n_pos);
    for (size_t i = 0; i < (size_t)g.n_pos * g.n_vocab; i++)
        g.largest = fmax(g.largest, fabs((double)g.logits[i]));
    return g;
}

static void compare(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct diff *d = user;
    for (uint32_t i = 0; i < d->g->n_pos; i++) {
        if (d->g->pos[i] != position)
            continue;
        d->n_seen++;
        const float *want = d->g->logits + (size_t)i * d->g->n_vocab;
        for (uint32_t v = 0; v < d->g->n_vocab; v++) {
            double off = fabs((double)logits[v] - (double)want[v]);
            d->worst = off <= d->worst ? d->worst : off; /* NaN counts as worst */
        }
    }
}

/* Largest difference, of the largest logit; -1 if the file does not load. */
static double model_diff(const char *path, const struct golden *g, bool exact, struct lathe_err *err)
{
    struct lathe_model_options options;
    lathe_model *m;
    lathe_engine *e;
    lathe_model_options_init(&options);
    options.exact = exact;
    options.no_cache = true;
    if (lathe_model_open(path, &options, &m, err))
        return -1;
    struct lathe_engine_options engine_options;
    lathe_engine_options_init(&engine_options);
    engine_options.n_thread = 1;
    engine_options.n_ctx = (int)g->n_ids;
    if (lathe_engine_new(m, &engine_options, &e, err))
        fail_msg("%s", err->text);
    struct diff d = {.g = g};
    struct lathe_request r;
    lathe_request_init(&r);
    r.ids = g->ids;
    r.n_ids = g->n_ids;
    r.n_predict = 0;
    r.logits_from = 0;
    r.on_logits = compare;
    r.user = &d;
    struct lathe_model_info info;
    lathe_model_get_info(m, &info);
    assert_int_equal(info.n_vocab, g->n_vocab);
    if (lathe_engine_submit(e, &r, NULL, err))
        fail_msg("%s", err->text);
    int rc;
    while ((rc = lathe_engine_step(e, err)) > 0)
        ;
    assert_int_equal(rc, 0);
    assert_int_equal(d.n_seen, g->n_pos);
    lathe_engine_free(e);
    lathe_model_free(m);
    return d.worst / g->largest;
}

/* Largest difference with the feature switched off; path is that of a GGUF file or a folder. */
static double diff_without(const char *path, const char *switches, const struct golden *g,
                           struct lathe_err *err)
{
    size_t n, len = strlen(path);
    if (strcmp(path + len - 5, ".gguf") != 0) {
        assert_true(fixture_patch_folder(path, tmp_path("off"), switches) > 0);
        return model_diff(tmp_path("off"), g, true, err);
    }
    uint8_t *p = fixture_read(path, &n);
    assert_true(fixture_patch(p, n, switches) > 0);
    gw_save_bytes(tmp_path("off.gguf"), p, n);
    free(p);
    return model_diff(tmp_path("off.gguf"), g, true, err);
}

static bool is_quantized(const char *name)
{
    return strcmp(name, "mixed_types") == 0 || strncmp(name, "mxfp4", 5) == 0 ||
           (name[strspn(name, "it")] == 'q' && strncmp(name, "qwen", 4) != 0); /* q, iq, tq */
}

/* One line of the index. Returns whether it holds. */
static bool check_line(const char *name, const char *end, const char *feature, const char *switches,
                       const char *change)
{
    char path[200];
    struct lathe_err err = {0};
    struct golden g = golden_read(name);
    snprintf(path, sizeof path, "tests/fixtures/%s%s", name, end);
    double exact = model_diff(path, &g, true, &err), fast = model_diff(path, &g, false, &err), off = NAN;
    bool good = exact >= 0 && exact <= EXACT_BOUND && fast >= 0 &&
                fast <= (is_quantized(name) ? QUANT_BOUND : FLOAT_BOUND);
    if (exact < 0 || fast < 0)
        printf("%s: %s\n", name, err.text);
    if (strcmp(switches, "-") != 0) {
        off = diff_without(path, switches, &g, &err);
        /* a file that contradicts itself must not load; any other must give other logits, and about as other
         * as the makers found */
        good &=
            strcmp(change, "refused") == 0 ? off < 0 : off > 0.25 * atof(change) && off > 500 * EXACT_BOUND;
    }
    printf("%-20s exact %.1e fast %.1e  without %s: %.3g (%s)%s\n", name, exact, fast, feature, off, change,
           good ? "" : "  WRONG");
    free(g.raw);
    return good;
}

static void check_index(const char *path, const char *end, int least)
{
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    char line[1000], name[100], feature[200], switches[500], change[100];
    int n = 0, n_bad = 0;
    while (fgets(line, sizeof line, in)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(
            sscanf(line, "%99[^ ] | %199[^|] | %499[^|] | %99s", name, feature, switches, change), 4);
        switches[strlen(switches) - 1] = 0; /* the blank before the bar */
        n_bad += !check_line(name, end, feature, switches, change);
        n++;
    }
    fclose(in);
    assert_true(n > least);
    assert_int_equal(n_bad, 0);
}

static void llama(void **state)
{
    check_index("tests/fixtures/index.txt", ".gguf", 30);
}

static void decoders(void **state)
{
    check_index("tests/fixtures/index_decoders.txt", ".gguf", 15);
}

/* Folders as transformers saves them, each by another convention of names. */
static void checkpoints_that_see(void **state)
{
    check_index("tests/fixtures/index_outer.txt", "", 14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(llama), cmocka_unit_test(decoders),
                                       cmocka_unit_test(checkpoints_that_see)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
