/* Log lines: both forms, levels, and that no value can break a line. */
#include "unit.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>
#include "base/log.h"

static char written[3 * LOG_LINE_MAX];

/* Calls `write_lines` with stderr in a pipe's place, a file. */
static void capture(void (*write_lines)(void))
{
    char path[] = "/tmp/test_log_XXXXXX";
    int fd = mkstemp(path), before = dup(STDERR_FILENO);
    assert_true(fd >= 0 && before >= 0);
    dup2(fd, STDERR_FILENO);
    write_lines();
    dup2(before, STDERR_FILENO);
    close(before);
    ssize_t n = pread(fd, written, sizeof written - 1, 0);
    assert_true(n >= 0);
    written[n] = 0;
    close(fd);
    unlink(path);
}

static void one_line(void)
{
    struct log_line l;
    if (!log_begin(&l, LOG_INFO, "test"))
        return;
    log_text(&l, "word", "a b");
    log_text(&l, "none", NULL);
    log_bytes(&l, "bad", "x\n\"\\\xff\x1b[0m\xc2\x85\xe2\x80\xa8\xc3\xa9", 16);
    log_number(&l, "n", 3);
    log_number(&l, "ms", 1.5);
    log_end(&l);
}

static void as_text(void **state)
{
    log_setup(LOG_AS_TEXT, LOG_INFO);
    capture(one_line);
    assert_string_equal(
        written + 24,
        " info test word=\"a b\" bad=\"x\\u000a\\\"\\\\\\ufffd\\u001b[0m\\u0085\\u2028\xc3\xa9\" "
        "n=3 ms=1.500\n");
    assert_true(written[10] == 'T' && written[23] == 'Z');
}

static void as_json(void **state)
{
    log_setup(LOG_AS_JSON, LOG_INFO);
    capture(one_line);
    json_t *o = json_loads(written, 0, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "event")), "test");
    assert_string_equal(json_string_value(json_object_get(o, "level")), "info");
    assert_string_equal(json_string_value(json_object_get(o, "word")), "a b");
    assert_true(json_number_value(json_object_get(o, "ms")) == 1.5);
    assert_null(json_object_get(o, "none"));
    assert_int_equal(strcspn(written, "\n"), strlen(written) - 1);
    json_decref(o);
}

static void below_the_level_is_nothing(void **state)
{
    log_setup(LOG_AS_TEXT, LOG_WARN);
    capture(one_line);
    assert_string_equal(written, "");
    log_setup(LOG_AS_TEXT, LOG_DEBUG);
    capture(one_line);
    assert_true(strlen(written) > 0);
}

static void long_line(void)
{
    static char text[3 * LOG_LINE_MAX];
    struct log_line l;
    memset(text, '"', sizeof text - 1);
    assert_true(log_begin(&l, LOG_ERROR, "long"));
    log_text(&l, "value", text);
    log_number(&l, "lost", 1);
    log_text(&l, "lost", "x");
    log_end(&l);
}

static void long_values_are_cut(void **state)
{
    log_setup(LOG_AS_JSON, LOG_INFO);
    capture(long_line);
    json_t *o = json_loads(written, 0, NULL);
    assert_non_null(o);
    assert_true(strlen(written) < LOG_LINE_MAX && strlen(written) > LOG_LINE_MAX - 40);
    assert_non_null(strstr(written, "...\"}\n"));
    json_decref(o);
}

static void said(void)
{
    log_say(LOG_WARN, "told", "%s is %d", "it", 7);
}

static void a_message(void **state)
{
    log_setup(LOG_AS_TEXT, LOG_INFO);
    capture(said);
    assert_string_equal(written + 24, " warn told message=\"it is 7\"\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_text),
        cmocka_unit_test(as_json),
        cmocka_unit_test(below_the_level_is_nothing),
        cmocka_unit_test(long_values_are_cut),
        cmocka_unit_test(a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
