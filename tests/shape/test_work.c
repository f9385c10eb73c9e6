/* What a run leaves behind: which of its notes count after it was ended at any byte, or something was changed. */
#include "shape/work.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tmp_dir.h"
#include "unit.h"

enum { N_GROUP = 3, ROW_BYTES = 1000 };

static const XXH128_hash_t key = {1, 2};
static char out[600], journal[700], rows[700], rounded[700];

static int open_one(struct work **w, enum work_state *state, XXH128_hash_t k)
{
    struct lathe_err err = {0};
    return work_open(out, k, w, state, &err);
}

static void put(const char *path, long at, int byte, long n)
{
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    fseek(f, at, SEEK_SET);
    for (long i = 0; i < n; i++)
        fputc(byte, f);
    fclose(f);
}

/* Three groups: each writes its rows over those of the group before the last, and 100 bytes of its own. */
static void make(void)
{
    struct work *w;
    struct lathe_err err;
    enum work_state state;
    int fd[2];
    assert_int_equal(open_one(&w, &state, key), 0);
    assert_int_equal(state, WORK_NEW);
    assert_int_equal(work_file(w, WORK_ROWS, 2 * ROW_BYTES, &fd[0], &err), 0);
    assert_int_equal(work_file(w, WORK_ROUNDED, 100 * N_GROUP, &fd[1], &err), 0);
    for (int i = 0; i < N_GROUP; i++) {
        put(rows, i % 2 * ROW_BYTES, 'a' + i, ROW_BYTES);
        put(rounded, i * 100, 'A' + i, 100);
        work_vouch(w, WORK_ROWS, (uint64_t)(i % 2 * ROW_BYTES), ROW_BYTES);
        work_vouch(w, WORK_ROUNDED, (uint64_t)i * 100, 100);
        work_note(w, 7, &i, sizeof i);
        assert_int_equal(work_commit(w, false, &err), 0);
    }
    work_note(w, 7, "lost", 4); /* not committed */
    close(fd[0]);
    close(fd[1]);
    work_end(w, LATHE_E_IO);
}

static bool is_left(void)
{
    char folder[700];
    snprintf(folder, sizeof folder, "%s.work", out);
    return access(folder, F_OK) == 0;
}

static int count(void *user, uint32_t kind, const uint8_t *p, size_t n, struct lathe_err *err)
{
    int *n_note = user, i;
    assert_int_equal(kind, 7);
    assert_int_equal(n, sizeof i);
    memcpy(&i, p, sizeof i);
    assert_int_equal(i, (*n_note)++);
    return 0;
}

/* Notes that count now; nothing is left of it afterwards. */
static int found(enum work_state *state)
{
    struct work *w;
    int n = 0;
    assert_int_equal(open_one(&w, state, key), 0);
    assert_int_equal(work_each(w, count, &n, NULL), 0);
    work_close(w, false);
    assert_false(is_left());
    return n;
}

static void everything_is_found_again(void **unused)
{
    enum work_state state;
    make();
    assert_int_equal(found(&state), N_GROUP);
    assert_int_equal(state, WORK_TAKEN_UP);
    assert_int_equal(found(&state), 0);
    assert_int_equal(state, WORK_NEW);
}

/* Rows of group 0 were written over by group 2, those of group 1 are still there. */
static void any_end_of_the_journal(void **unused)
{
    enum work_state state;
    struct stat st;
    int seen[N_GROUP + 1] = {0};
    make();
    assert_int_equal(stat(journal, &st), 0);
    for (long n = st.st_size; n >= 0; n -= n > 8 ? 7 : 1) {
        if (n < st.st_size)
            make();
        assert_int_equal(truncate(journal, n), 0);
        int k = found(&state);
        assert_true(k <= N_GROUP && k != 1);
        seen[k] = 1;
    }
    assert_true(seen[0] && seen[2] && seen[3]);
}

static void any_changed_byte(void **unused)
{
    enum work_state state;
    struct stat st;
    make();
    assert_int_equal(stat(journal, &st), 0);
    for (long at = 0; at < st.st_size; at += 5) {
        if (at)
            make();
        put(journal, at, 0x55, 1); /* none of its bytes is that, or it does not matter */
        assert_true(found(&state) <= N_GROUP);
    }
    static const struct {
        int file;
        long at;
        int n;
    } rows_of[] = {{0, 0, 0}, {0, ROW_BYTES, N_GROUP}, {1, 0, 0}, {1, 150, 0}, {1, 250, 2}};
    for (size_t i = 0; i < sizeof rows_of / sizeof *rows_of; i++) {
        make();
        put(rows_of[i].file ? rounded : rows, rows_of[i].at, '?', 1);
        assert_int_equal(found(&state), rows_of[i].n);
    }
}

static void another_key_and_another_process(void **unused)
{
    enum work_state state;
    struct work *w, *other;
    struct lathe_err err;
    make();
    assert_int_equal(open_one(&w, &state, (XXH128_hash_t){1, 3}), 0);
    assert_int_equal(state, WORK_OTHER);
    assert_int_not_equal(access(rows, F_OK), 0);
    assert_int_equal(work_open(out, key, &other, &state, &err), LATHE_E_FAILED);
    assert_non_null(strstr(err.text, "is being written by another process"));
    assert_int_equal(access(journal, F_OK), 0);
    work_close(w, false);
    assert_int_equal(work_open("/nowhere/at/all", key, &other, &state, &err), LATHE_E_IO);
    work_close(NULL, false);
}

/* What a run leaves: only where something was done and what ended it was no fault of what it was told. */
static void what_is_kept(void **unused)
{
    static const struct {
        bool done;
        int rc;
        bool kept;
    } ends[] = {{true, 0, false},
                {true, LATHE_E_FILE, false},
                {true, LATHE_E_IO, true},
                {true, LATHE_E_NOMEM, true},
                {false, LATHE_E_IO, false}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        struct work *w;
        enum work_state state;
        if (ends[i].done)
            make();
        assert_int_equal(open_one(&w, &state, key), 0);
        work_end(w, ends[i].rc);
        assert_int_equal(is_left(), ends[i].kept);
        if (ends[i].kept)
            found(&state);
    }
    work_end(NULL, LATHE_E_IO);
}

/* Goes on after it was taken up. */
static void notes_are_added(void **unused)
{
    enum work_state state;
    struct work *w;
    struct lathe_err err;
    int n = N_GROUP;
    make();
    assert_int_equal(open_one(&w, &state, key), 0);
    work_note(w, 7, &n, sizeof n);
    assert_int_equal(work_commit(w, true, &err), 0);
    work_close(w, true);
    assert_int_equal(found(&state), N_GROUP + 1);
}

int main(void)
{
    snprintf(out, sizeof out, "%s", tmp_path("o.gguf"));
    snprintf(journal, sizeof journal, "%s.work/journal", out);
    snprintf(rows, sizeof rows, "%s.work/rows", out);
    snprintf(rounded, sizeof rounded, "%s.work/rounded", out);
    const struct CMUnitTest tests[] = {cmocka_unit_test(everything_is_found_again),
                                       cmocka_unit_test(any_end_of_the_journal),
                                       cmocka_unit_test(any_changed_byte),
                                       cmocka_unit_test(another_key_and_another_process),
                                       cmocka_unit_test(what_is_kept),
                                       cmocka_unit_test(notes_are_added)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
