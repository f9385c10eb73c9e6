/* Configuration files: what is read, and that every mistake is named with its line and the remedy. */
#include "unit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/opt_file.h"

struct values {
    bool flag;
    int n, choice;
    float share;
    const char *text;
    struct opt_list list;
    struct opt_ints ints;
};
enum { A = 1, B = 2 };
#define F(field) offsetof(struct values, field)
static const struct opt_row rows[] = {
    {A, "flag", 'f', OPT_FLAG, F(flag), NULL, 0, 0, NULL, "ENV_FLAG", "a flag"},
    {A, "number", 'n', OPT_INT, F(n), "5", -1, 10, "N", "ENV_N", "a number"},
    {A, "share", 's', OPT_REAL, F(share), "0.5", 0, 1, "X", NULL, "a share"},
    {A, "text", 't', OPT_TEXT, F(text), NULL, 0, 0, "TEXT", NULL, "a text"},
    {A, "list", 'l', OPT_LIST, F(list), NULL, 0, 0, "TEXT", "ENV_LIST", "a list"},
    {A, "ints", 'i', OPT_INTS, F(ints), "7", 0, 9, "N,...", NULL, "numbers"},
    {A, "choice", 0, OPT_CHOICE, F(choice), "b", 0, 0, "a|b|long", NULL, "a choice"},
    {B, "other", 'o', OPT_FLAG, F(flag), NULL, 0, 0, NULL, NULL, "of another command"},
};
static const struct opt_group groups[] = {{A, "First"}, {B, "Second"}};
static const struct opt_command commands[] = {{"walk", A, "", 0, "on foot", ""}};
static const struct opt_table table = {"prog", "a program", rows, 8, groups, 2, commands, 1};

static struct opt_settings settings;
static struct lathe_err err;

static int read_text(const char *text)
{
    opt_settings_free(&settings);
    memset(&err, 0, sizeof err);
    int rc = opt_file_parse(&table, commands, "f.yaml", text, strlen(text), &settings, &err);
    if (rc == LATHE_E_UNSUPPORTED)
        skip();
    return rc;
}

static int done(void **state)
{
    opt_settings_free(&settings);
    return 0;
}

static const char *env_list;
static const char *env_get(const char *name)
{
    return strcmp(name, "ENV_LIST") == 0 ? env_list : NULL;
}

static void every_kind_of_value(void **state)
{
    static struct values v;
    struct opt_operands operands;
    struct opt_origin origin[8];
    assert_int_equal(
        read_text("# a comment\nflag: yes\nnumber: -1\nshare: 0.25\ntext: 'a: b'\nlist: [x, \"y z\"]\n"
                  "ints:\n  - 1\n  - 2\nchoice: &anchor long\n"),
        0);
    const struct opt_input in = {.table = &table, .command = commands, .get = env_get, .file = &settings};
    assert_int_equal(opt_parse(&in, &v, &operands, origin, &err), 0);
    assert_true(v.flag && v.n == -1 && v.share == 0.25f && v.choice == 2);
    assert_string_equal(v.text, "a: b");
    assert_int_equal(v.list.n, 2);
    assert_string_equal(v.list.v[1], "y z");
    assert_int_equal(v.ints.n, 2);
    assert_int_equal(v.ints.v[1], 2);
    assert_int_equal(origin[1].source, OPT_FROM_FILE);
    assert_int_equal(origin[1].line, 3);
    assert_int_equal(origin[5].line, 8); /* where its list begins */
}

static void later_places_win(void **state)
{
    static struct values v;
    struct opt_operands operands;
    struct opt_origin origin[8];
    struct arena memory = {0};
    const char *argv[] = {"--number=3", "-l", "line"};
    struct opt_input in = {
        .table = &table, .command = commands, .get = env_get, .file = &settings, .memory = &memory};
    assert_int_equal(read_text("number: 9\nlist: [file]\ntext: file\n"), 0);
    env_list = "one,two,,three";
    assert_int_equal(opt_parse(&in, &v, &operands, origin, &err), 0);
    assert_int_equal(v.list.n, 3);
    assert_string_equal(v.list.v[2], "three");
    assert_int_equal(origin[4].source, OPT_FROM_ENV);
    assert_int_equal(v.n, 9);
    in.argc = 3;
    in.argv = argv;
    assert_int_equal(opt_parse(&in, &v, &operands, origin, &err), 0);
    assert_int_equal(v.list.n, 1);
    assert_string_equal(v.list.v[0], "line");
    assert_int_equal(v.n, 3);
    assert_string_equal(v.text, "file");
    assert_int_equal(origin[1].source, OPT_FROM_LINE);
    assert_int_equal(origin[6].source, OPT_FROM_DEFAULT);
    env_list = NULL;
    arena_free(&memory);
}

static void nothing_is_no_mistake(void **state)
{
    static const char *const empty[] = {"", "# only this\n", "---\n", "{}", "~", "\n\n"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
        assert_int_equal(read_text(empty[i]), 0);
        assert_int_equal(settings.n, 0);
    }
}

static void mistakes_name_line_and_remedy(void **state)
{
    static const struct {
        const char *text, *words;
    } wrong[] = {
        {"numbr: 1", "f.yaml:1: 'numbr' is no key: did you mean number?"},
        {"\nother: 1", "f.yaml:2: 'other' is no key: they are the long options of prog walk --help"},
        {"number: 11", "f.yaml:1: number '11' is not a number from -1 to 10"},
        {"number: [1]", "f.yaml:1: number takes one value and no list"},
        {"number: {a: [b, {c: d}]}\nflag: 3",
         "f.yaml:1: number takes a value, not keys of its own; f.yaml:2: flag '3' is not on or off"},
        {"number: 1\nflag: on\nnumber: 2", "f.yaml:3: number was already given in line 1"},
        {"number:", "f.yaml:1: number has no value"},
        {"number: null", "f.yaml:1: number has no value"},
        {"text: \"a\\0b\"", "f.yaml:1: text has a NUL in its value"},
        {"text: &a x\nlist: *a", "f.yaml:2: list is an alias: write the value out"},
        {"list: [a, [b]]", "f.yaml:1: list takes a list of plain values"},
        {"ints: [1, 10]", "f.yaml:1: ints '1,10' is not at most 32 numbers from 0 to 9 with commas between"},
        {"choice: c", "f.yaml:1: choice 'c' is not a, b or long"},
        {"? {a: b}\n: c", "f.yaml:1: a key must be the name of an option"},
        {"- a\n- b", "f.yaml:1: must be lines of the form `key: value`"},
        {"word", "f.yaml:1: must be lines of the form `key: value`"},
        {"flag: on\n---\nflag: off", "f.yaml:2: is a second document: one file has one"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(read_text(wrong[i].text), LATHE_E_USAGE);
        assert_string_equal(err.text, wrong[i].words);
        assert_int_equal(settings.n, 0);
    }
    assert_int_equal(read_text("number: 1\nlist: [a"), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "f.yaml:3: is no YAML: did not find"));
}

static void depth_and_length_have_bounds(void **state)
{
    static char text[100000];
    memset(text, '[', sizeof text - 1);
    assert_int_equal(read_text(text), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "is nested deeper than 16"));
    memcpy(text, "list: ", 6);
    assert_int_equal(read_text(text), LATHE_E_USAGE);
    char *p = text + sprintf(text, "list:\n");
    for (int i = 0; i <= OPT_LIST_MAX; i++)
        p += sprintf(p, "  - x\n");
    assert_int_equal(read_text(text), LATHE_E_USAGE);
    assert_string_equal(err.text, "f.yaml:2: list has more than 64 values");
    p = text;
    for (int i = 0; i < 5000; i++)
        p += sprintf(p, "nope%d: 1\n", i);
    assert_int_equal(read_text(text), LATHE_E_USAGE);
}

static void files_that_cannot_be_read(void **state)
{
    char path[] = "/tmp/test_opt_file_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(opt_file_read(&table, commands, "/nowhere/f.yaml", &settings, &err), LATHE_E_FILE);
    assert_string_equal(err.text, "/nowhere/f.yaml cannot be read: No such file or directory");
    assert_int_equal(opt_file_read(&table, commands, "/tmp", &settings, &err), LATHE_E_FILE);
    assert_string_equal(err.text, "/tmp is a folder: name a file");
    assert_int_equal(ftruncate(fd, OPT_FILE_MAX + 1), 0);
    assert_int_equal(opt_file_read(&table, commands, path, &settings, &err), LATHE_E_FILE);
    assert_non_null(strstr(err.text, "is larger than 1048576 bytes"));
    close(fd);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value),          cmocka_unit_test(later_places_win),
        cmocka_unit_test(nothing_is_no_mistake),        cmocka_unit_test(mistakes_name_line_and_remedy),
        cmocka_unit_test(depth_and_length_have_bounds), cmocka_unit_test(files_that_cannot_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, done);
}
