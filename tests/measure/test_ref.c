/* Tests of kept references: how near the divergence from a kept row is to that from the logits, and what becomes of damage. */
#include "unit.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "measure/ref_file.h"
#include "tmp_dir.h"

enum { N_VOCAB = 20000, N_ROW = 200 };

static uint64_t rnd_state = 99;
static double uniform(void)
{
    rnd_state = rnd_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(rnd_state >> 11) / (double)(1ull << 53);
}

/* Logits as language models have them: a few tokens take most, the others have a long tail; and a candidate near them, whose
 * tail is heavier: what a cut-off tail would get wrong. */
static void make_rows(float *x, float *y, double sharpness)
{
    for (int i = 0; i < N_VOCAB; i++) {
        x[i] = (float)(-sharpness * log(1 + N_VOCAB * uniform()));
        y[i] = x[i] + (float)(0.15 * (uniform() - 0.5)) - 0.004f * x[i];
    }
}

static void divergences_from_kept_rows_are_near(void **state)
{
    static float x[N_VOCAB], y[N_VOCAB], scratch[N_VOCAB];
    struct ref_row row = {.n_byte = 0};
    double sum = 0, kept_sum = 0, square = 0;
    size_t n_byte = 0;
    for (int i = 0; i < N_ROW; i++) {
        struct logits_norm p, q;
        double live, kept;
        make_rows(x, y, 1.2 + 0.01 * i);
        assert_true(logits_divergence(x, y, N_VOCAB, &p, &q, &live));
        ref_row_encode(&row, x, N_VOCAB, &p, (uint64_t)i, scratch);
        assert_true(ref_row_divergence(&row, y, N_VOCAB, &q, &kept));
        sum += live;
        kept_sum += kept;
        square += (live - kept) * (live - kept);
        n_byte += row.n_byte;
        assert_true(ref_row_divergence(&row, x, N_VOCAB, &p, &kept));
        assert_true(kept == 0); /* a row from itself */
    }
    /* Without bias, and so little off that the mean of 10^4 rows is within 1e-4 of its value. */
    double mean = sum / N_ROW, spread = sqrt(square / N_ROW);
    assert_true(mean > 5e-4 && mean < 0.1);
    assert_true(fabs(kept_sum / N_ROW - mean) < 3 * spread / sqrt(N_ROW));
    assert_true(spread / sqrt(1e4) < 1e-4 * mean);
    assert_true(n_byte / N_ROW < N_VOCAB / 8); /* a sixteenth of 16 bits a logit */
    free(row.code);
}

/* One token has all, all have the same, one token alone, the last one has all. */
static void extreme_rows(void **state)
{
    static float x[N_VOCAB], scratch[N_VOCAB];
    const struct {
        int n, top;
        float high;
    } rows[] = {{N_VOCAB, 77, 1000},          {N_VOCAB, 0, 0}, {1, 0, 3},
                {N_VOCAB, N_VOCAB - 1, 1000}, {2, 1, 200},     {17, 16, 1}};
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        struct ref_row row = {.n_byte = 0};
        struct logits_norm p;
        double kl;
        memset(x, 0, sizeof x);
        x[rows[k].top] = rows[k].high;
        assert_true(logits_normalize(x, rows[k].n, &p));
        ref_row_encode(&row, x, rows[k].n, &p, k, scratch);
        assert_true(ref_row_divergence(&row, x, rows[k].n, &p, &kl) && kl == 0 && row.top == rows[k].top);
        free(row.code);
    }
}

/* Over many starts the samples of each token are its probability. */
static void samples_have_no_bias(void **state)
{
    float x[8], y[8], scratch[8];
    struct ref_row row = {.n_byte = 0};
    struct logits_norm p, q;
    double sum = 0, live;
    for (int i = 0; i < 8; i++) {
        x[i] = i ? -10.0f - (float)i : 0; /* 1e-5 and less, some less than a sample */
        y[i] = i ? x[i] + 4 : 0;
    }
    assert_true(logits_divergence(x, y, 8, &p, &q, &live));
    enum { N = 20000 };
    for (int i = 0; i < N; i++) {
        double kept;
        ref_row_encode(&row, x, 8, &p, (uint64_t)i, scratch);
        assert_true(ref_row_divergence(&row, y, 8, &q, &kept));
        sum += kept / N;
    }
    assert_true(fabs(sum / live - 1) < 2e-3);
    free(row.code);
}

static void damaged_code_is_found(void **state)
{
    static float x[N_VOCAB], y[N_VOCAB], scratch[N_VOCAB];
    struct ref_row row = {.n_byte = 0};
    struct logits_norm p;
    int n_found = 0;
    double kl;
    make_rows(x, y, 2);
    assert_true(logits_normalize(x, N_VOCAB, &p));
    ref_row_encode(&row, x, N_VOCAB, &p, 1, scratch);
    for (int i = 0; i < 1000;
         i++) { /* never read or written elsewhere, which the sanitizers see; nearly always found */
        uint8_t *at = &row.code[(size_t)(uniform() * (double)row.n_byte)], before = *at;
        *at ^= (uint8_t)(1 << i % 8);
        n_found += !ref_row_divergence(&row, y, N_VOCAB, &p, &kl);
        *at = before;
    }
    assert_true(n_found > 100);
    memset(row.code, 0, row.n_byte);
    assert_false(ref_row_divergence(&row, y, N_VOCAB, &p, &kl));
    memset(row.code, 0xff, row.n_byte);
    assert_false(ref_row_divergence(&row, y, 100, &p, &kl));
    free(row.code);
}

static void write_file(const char *path, int n_row)
{
    static float x[N_VOCAB], y[N_VOCAB], scratch[N_VOCAB];
    struct ref_head head = {.n_vocab = N_VOCAB, .n_chunk = 1, .chunk_tokens = n_row + 1, .name = "a model"};
    struct ref_writer w;
    struct ref_row row = {.n_byte = 0};
    struct logits_norm p;
    struct lathe_err err;
    assert_int_equal(ref_create(&w, path, &head, &err), 0);
    assert_int_equal(ref_write_chunk(&w, 4711, &err), 0);
    assert_int_not_equal(access(path, F_OK), 0); /* not before it is complete */
    for (int i = 0; i < n_row; i++) {
        make_rows(x, y, 2);
        assert_true(logits_normalize(x, N_VOCAB, &p));
        ref_row_encode(&row, x, N_VOCAB, &p, (uint64_t)i, scratch);
        row.nll = (float)i;
        assert_int_equal(ref_write_row(&w, &row, &err), 0);
    }
    assert_int_equal(ref_close(&w, 0, &err), 0);
    free(row.code);
}

/* Rows that can be read of the file, and the code of what ended it. */
static int read_file(const char *path, int *n_row)
{
    struct ref_reader r = {NULL};
    struct ref_row row = {.n_byte = 0};
    uint64_t hash = 0;
    struct lathe_err err;
    *n_row = 0;
    int rc = ref_open(&r, path, &err);
    if (!rc)
        rc = ref_read_chunk(&r, &hash, &err);
    while (!rc) {
        rc = ref_read_row(&r, &row, &err);
        if (!rc)
            assert_true(hash == 4711 && row.nll == (float)(*n_row)++);
    }
    ref_reader_close(&r);
    free(row.code);
    return rc;
}

static void flip(const char *path, long at)
{
    FILE *f = fopen(path, "r+b");
    fseek(f, at, at < 0 ? SEEK_END : SEEK_SET);
    int c = fgetc(f);
    fseek(f, -1, SEEK_CUR);
    fputc(c ^ 4, f);
    fclose(f);
}

static void files_are_read_back_and_checked(void **state)
{
    const char *path = tmp_path("kept");
    int n;
    assert_false(ref_is_kept(path));
    write_file(path, 5);
    assert_true(ref_is_kept(path));
    assert_int_equal(read_file(path, &n), LATHE_E_FILE);
    assert_int_equal(n, 5);
    flip(path, -100); /* in the last row */
    assert_int_equal(read_file(path, &n), LATHE_E_FILE);
    assert_int_equal(n, 4);
    assert_int_equal(truncate(path, 8 + 232 + 8 + 24 + 10), 0);
    assert_int_equal(read_file(path, &n), LATHE_E_FILE);
    assert_int_equal(n, 0);
    flip(path, 7); /* the version */
    assert_true(ref_is_kept(path));
    assert_int_equal(read_file(path, &n), LATHE_E_FILE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divergences_from_kept_rows_are_near),
        cmocka_unit_test(extreme_rows),
        cmocka_unit_test(samples_have_no_bias),
        cmocka_unit_test(damaged_code_is_found),
        cmocka_unit_test(files_are_read_back_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
