/* Chat templates: jinja2's answers (tests/data/template_cases.jsonl), limits, errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>
#include <jansson.h>
#include "text/template.h"

#ifndef LATHE_TEST_DATA
#define LATHE_TEST_DATA "tests/data"
#endif

static struct lathe_err err;

static char *render(const char *source, const char *vars, int *rc)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    *rc = template_render(str_of(source), str_of(vars), "2025-07-10", &b, &err);
    char *text = buf_take(&b, NULL);
    buf_free(&b);
    return text;
}

static FILE *cases_open(void)
{
    const char *dir = getenv("LATHE_TEST_DATA_DIR");
    char path[1024];
    snprintf(path, sizeof path, "%s/template_cases.jsonl", dir ? dir : LATHE_TEST_DATA);
    return fopen(path, "r");
}

static void test_cases(void **state)
{
    FILE *f = cases_open();
    char *line = NULL;
    size_t cap = 0;
    int n = 0, bad = 0;
    char *vars = NULL; /* the first line has the variables of all cases */
    assert_non_null(f);
    while (getline(&line, &cap, f) > 0) {
        json_error_t e;
        json_t *row = json_loads(line, JSON_ALLOW_NUL, &e);
        assert_non_null(row);
        if (!vars) {
            vars = json_dumps(json_object_get(row, "vars"), 0);
            json_decref(row);
            continue;
        }
        const json_t *source = json_object_get(row, "template"), *text = json_object_get(row, "text");
        struct buf b;
        buf_init(&b, 1 << 20);
        int rc = template_render((struct str){json_string_value(source), json_string_length(source)},
                                 str_of(vars), "2025-07-10", &b, &err);
        struct str want =
            text ? (struct str){json_string_value(text), json_string_length(text)} : (struct str){0};
        bool same = text ? rc == 0 && str_eq((struct str){b.p, b.n}, want) : rc == LATHE_E_TEMPLATE;
        if (!same)
            print_error("%s\n  wanted %s\n  got %s\n", json_string_value(source),
                        text ? json_string_value(text) : "a failure", rc ? err.text : b.p);
        bad += !same;
        n++;
        buf_free(&b);
        json_decref(row);
    }
    free(vars);
    free(line);
    fclose(f);
    assert_true(n > 500);
    assert_int_equal(bad, 0);
}

static void expect_error(const char *source, const char *vars, int code, const char *words)
{
    int rc;
    char *text = render(source, vars, &rc);
    assert_int_equal(rc, code);
    if (!strstr(err.text, words))
        fail_msg("'%s' lacks '%s'", err.text, words);
    free(text);
}

static void test_errors(void **state)
{
    expect_error("a\nb\n{{ raise_exception('no ' ~ 1) }}", "{}", LATHE_E_TEMPLATE,
                 "line 3: the template refuses: no 1");
    expect_error("{{ x.y }}", "{}", LATHE_E_TEMPLATE, "'x' is undefined");
    expect_error("\n{% if %}", "{}", LATHE_E_TEMPLATE, "line 2");
    expect_error("{% include 'a' %}", "{}", LATHE_E_TEMPLATE, "include");
    expect_error("{{ 1|nope }}", "{}", LATHE_E_TEMPLATE, "nope");
    expect_error("x", "[]", LATHE_E_USAGE, "not a JSON object");
    expect_error("x", "{", LATHE_E_USAGE, "not JSON");
    expect_error("{{ 9223372036854775807 + 1 }}", "{}", LATHE_E_TEMPLATE, "too large");
}

/* Whatever a template does, it ends soon. */
/* The bounds are in steps and bytes; a sanitizer or an emulator makes them longer. */
static double seconds_most(void)
{
#ifdef LATHE_CHECK_BUILD
    return 20;
#else
    return getenv("LATHE_EMULATED") ? 60 : 2;
#endif
}

static void test_limits(void **state)
{
    static const char *const bad[] = {
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% for i in range(9) %}{{ m(n) }}{% endfor %}{% endmacro %}{{ m(1) }}",
        "{% set x = 'a' * 100000000 * 100 %}{{ x }}",
        "{{ 'a' * 2000000 }}",
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor "
        "%}",
        "{% set ns = namespace(s=[1, 2, 3]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor "
        "%}",
        "{% set l = [1] %}{% for i in l %}{% set _ = l.append(i) %}{% endfor %}",
        "{% for i in range(99999) %}{{ 'aaaaaaaaaaaaaaaa' }}{% for j in range(99) %}x{% endfor %}{% endfor "
        "%}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:999999999d}'.format(1) }}",
        "{{ 'a'.ljust(999999999999) }}",
        "{{ range(99999)|map('string')|map('center', 99999)|join }}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l }}",
        "{% set l = [] %}{% set _ = l.append(l) %}{{ l|tojson }}",
        "{{ 2 ** 2 ** 2 ** 2 ** 9999 }}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc;
        clock_t from = clock();
        char *text = render(bad[i], "{}", &rc);
        double seconds = (double)(clock() - from) / CLOCKS_PER_SEC;
        if (rc == 0)
            fail_msg("%s renders", bad[i]);
        if (seconds > seconds_most())
            fail_msg("%s takes %.2f s", bad[i], seconds);
        free(text);
    }
}

static void test_deep_syntax(void **state)
{
    static const char *const unit[] = {"(",  "[",    "{% if 1 %}",         "not ",        "-", "x.", "1+",
                                       "1~", "x|e|", "{% for i in [1] %}", "1 if 1 else "};
    for (size_t k = 0; k < sizeof unit / sizeof *unit; k++) {
        struct buf b;
        int rc;
        buf_init(&b, 1 << 24);
        buf_puts(&b, unit[k][0] == '{' ? "" : "{{ ");
        for (int i = 0; i < 100000; i++)
            buf_puts(&b, unit[k]);
        char *text = render(b.p, "{}", &rc);
        assert_int_not_equal(rc, 0);
        free(text);
        buf_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_deep_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
