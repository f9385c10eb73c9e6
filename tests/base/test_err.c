/* Tests of the error list. */
#include "unit.h"
#include <string.h>
#include "base/err.h"

static void err_set_cleans_control_characters(void **state)
{
    struct lathe_err err;
    assert_int_equal(err_set(&err, LATHE_E_FILE, "a\nb%s", "\x1b[2J"), LATHE_E_FILE);
    assert_int_equal(err.code, LATHE_E_FILE);
    assert_string_equal(err.text, "a?b?[2J");
    assert_int_equal(err_set(NULL, LATHE_E_IO, "nobody listens"), LATHE_E_IO);
}

static void err_set_cuts_at_the_size(void **state)
{
    struct lathe_err err;
    char big[2000];
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = 0;
    err_set(&err, LATHE_E_FAILED, "%s", big);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void codes_have_text_status_and_exit(void **state)
{
    static const struct {
        int code, http, exit_code;
    } want[] = {{LATHE_E_OK, 200, 0},
                {LATHE_E_FAILED, 500, 1},
                {LATHE_E_USAGE, 400, 2},
                {LATHE_E_FILE, 503, 3},
                {-999, 500, 1}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        assert_int_equal(lathe_code_http(want[i].code), want[i].http);
        assert_int_equal(lathe_code_exit(want[i].code), want[i].exit_code);
        assert_true(lathe_code_text(want[i].code)[0] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(err_set_cleans_control_characters),
        cmocka_unit_test(err_set_cuts_at_the_size),
        cmocka_unit_test(codes_have_text_status_and_exit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
