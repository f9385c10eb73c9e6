/* Text that is safe to show: random texts in random pieces against a model that looks at the whole text. */
#include "engine/stream.h"
#include <stdlib.h>
#include <string.h>
#include "gguf_write.h"
#include "unit.h"

/* Stops that overlap, contain one another, repeat themselves, and cut through characters of several bytes. */
static const char *const stops[] = {"aab", "ab", "abab!", "éa", "b€", "aaaa", "😀"};
enum { N_STOP = sizeof stops / sizeof *stops };
static const char *const chars[] = {"a", "b", "a", "b", "!", "é", "€", "😀", "c"};

static size_t partial_at_end(const char *p, size_t n, const char *const *s, size_t n_stop)
{
    size_t longest = 0;
    for (size_t i = 0; i < n_stop; i++)
        for (size_t k = 1; k < strlen(s[i]) && k <= n; k++)
            if (!memcmp(p + n - k, s[i], k) && k > longest)
                longest = k;
    size_t back = 0; /* bytes of a character that is not finished */
    while (back < n && back < 4 && ((unsigned char)p[n - 1 - back] & 0xc0) == 0x80)
        back++;
    if (back < n) {
        unsigned char lead = (unsigned char)p[n - 1 - back];
        size_t need = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (lead >= 0xc0 && back + 1 < need && back + 1 > longest)
            longest = back + 1;
    }
    return longest;
}

static const char *first_stop(const char *p, size_t n, const char *const *s, size_t n_stop)
{
    for (size_t at = 0; at < n; at++)
        for (size_t i = 0; i < n_stop; i++)
            if (n - at >= strlen(s[i]) && !memcmp(p + at, s[i], strlen(s[i])))
                return p + at;
    return NULL;
}

/* One text, cut into pieces of 1..4 bytes. Returns whether a stop was met. */
static bool check_text(uint64_t *state, const char *text, size_t n, const char *const *s, size_t n_stop)
{
    struct stream st;
    assert_int_equal(stream_init(&st, s, n_stop, NULL), 0);
    size_t shown = 0, given = 0;
    while (given < n) {
        size_t piece = 1 + gw_next(state) % 4;
        piece = piece < n - given ? piece : n - given;
        bool stopped = stream_put(&st, (struct str){text + given, piece});
        given += piece;
        assert_true(shown + st.ready.n <= given);
        if (st.ready.n)
            assert_memory_equal(st.ready.p, text + shown, st.ready.n);
        shown += st.ready.n;
        const char *stop = first_stop(text, given, s, n_stop);
        assert_int_equal(stopped, stop != NULL);
        if (stop) {
            assert_int_equal(shown, stop - text); /* all before it, nothing of it */
            stream_free(&st);
            return true;
        }
        assert_int_equal(
            given - shown,
            partial_at_end(text, given, s, n_stop)); /* neither leaks nor holds back more than it must */
    }
    stream_end(&st);
    assert_int_equal(shown + st.ready.n, n);
    if (st.ready.n)
        assert_memory_equal(st.ready.p, text + shown, st.ready.n);
    stream_free(&st);
    return false;
}

static void random_texts(void **state_)
{
    uint64_t state = 5;
    int n_stopped = 0, n_whole = 0;
    for (int round = 0; round < 20000; round++) {
        char text[200];
        size_t n = 0, n_char = gw_next(&state) % 24;
        for (size_t i = 0; i < n_char; i++) {
            const char *c = chars[gw_next(&state) % (sizeof chars / sizeof *chars)];
            memcpy(text + n, c, strlen(c));
            n += strlen(c);
        }
        size_t first = gw_next(&state) % N_STOP, n_stop = gw_next(&state) % (N_STOP - first + 1);
        bool stopped = check_text(&state, text, n, stops + first, n_stop);
        n_stopped += stopped;
        n_whole += !stopped;
    }
    assert_true(n_stopped > 1000 && n_whole > 1000);
}

/* Invalid UTF-8 comes out as it went in and is never held for ever. */
static void invalid_bytes(void **state_)
{
    struct stream st;
    assert_int_equal(stream_init(&st, NULL, 0, NULL), 0);
    static const char bytes[] = "\xff\x80\xc3(\xe2\x82(\xf0\x9f\x98";
    size_t shown = 0;
    char out[20];
    for (size_t i = 0; i < sizeof bytes - 1; i++) {
        assert_false(stream_put(&st, (struct str){bytes + i, 1}));
        memcpy(out + shown, st.ready.p, st.ready.n);
        shown += st.ready.n;
        assert_true(i + 1 - shown <= 3);
    }
    stream_end(&st);
    memcpy(out + shown, st.ready.p, st.ready.n);
    shown += st.ready.n;
    assert_int_equal(shown, sizeof bytes - 1);
    assert_memory_equal(out, bytes, shown);
    stream_free(&st);
}

static void limits(void **state_)
{
    struct stream st;
    struct lathe_err err;
    const char *many[65];
    char long_stop[1100];
    for (int i = 0; i < 65; i++)
        many[i] = "x";
    memset(long_stop, 'x', sizeof long_stop);
    long_stop[sizeof long_stop - 1] = 0;
    assert_int_equal(stream_init(&st, many, 65, &err), LATHE_E_USAGE);
    assert_int_equal(stream_init(&st, (const char *[]){""}, 1, &err), LATHE_E_USAGE);
    assert_int_equal(stream_init(&st, (const char *[]){long_stop}, 1, &err), LATHE_E_USAGE);
    assert_int_equal(stream_init(&st, many, 64, &err), 0);
    stream_free(&st);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_texts),
        cmocka_unit_test(invalid_bytes),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
