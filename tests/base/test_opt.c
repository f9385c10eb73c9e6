/* Tests of option rows on a table of their own. */
#include "unit.h"
#include <string.h>
#include "base/opt.h"

struct values {
    bool flag;
    int n, choice;
    struct opt_pair pair;
    uint64_t seed, size;
    float share;
    const char *text;
    struct opt_list list;
    struct opt_ints ints;
};
enum { A = 1, B = 2 };
#define F(field) offsetof(struct values, field)
static const struct opt_row rows[] = {
    {A, "flag", 'f', OPT_FLAG, F(flag), NULL, 0, 0, NULL, NULL, "a flag"},
    {A, "number", 'n', OPT_INT, F(n), "5", -1, 10, "N", "ENV_N", "a number"},
    {A, "seed", 0, OPT_U64, F(seed), "0", 0, 0, "N", NULL, "a seed"},
    {A, "size", 0, OPT_SIZE, F(size), "3K", 0, 0, "SIZE", NULL, "a size"},
    {A, "share", 's', OPT_REAL, F(share), "0.5", 0, 1, "X", NULL, "a share"},
    {A, "text", 't', OPT_TEXT, F(text), NULL, 0, 0, "TEXT", NULL, "a text"},
    {A, "list", 'l', OPT_LIST, F(list), NULL, 0, 0, "TEXT", NULL, "a list"},
    {A, "ints", 'i', OPT_INTS, F(ints), "7", 0, 9, "N,...", NULL, "numbers"},
    {A, "choice", 0, OPT_CHOICE, F(choice), "b", 0, 0, "a|b|long", NULL, "a choice"},
    {A, "pair", 0, OPT_PAIR, F(pair), "b", 0, 0, "a|b|long", NULL, "two choices"},
    {B, "other", 'o', OPT_FLAG, F(flag), NULL, 0, 0, NULL, NULL, "of another command"},
};
static const struct opt_group groups[] = {{A, "First"}, {B, "Second"}};
static const struct opt_command commands[] = {{"walk", A, "", 0, "on foot", ""},
                                              {"swim", B, "[WHERE]", 1, "in water", "Only in summer."}};
static const struct opt_table table = {"prog", "a program", rows, 11, groups, 2, commands, 2};

static const char *env_value;
static const char *env_get(const char *name)
{
    return strcmp(name, "ENV_N") == 0 ? env_value : NULL;
}

/* Parses the words for command `c`; returns what opt_parse does. */
static struct values v;
static struct opt_operands operands;
static struct lathe_err err;
static int parse(int c, int argc, const char *const *argv)
{
    memset(&v, 0, sizeof v);
    memset(&err, 0, sizeof err);
    const struct opt_input in = {
        .table = &table, .command = &commands[c], .argc = argc, .argv = argv, .get = env_get};
    return opt_parse(&in, &v, &operands, NULL, &err);
}
#define PARSE(c, ...) \
    parse(c, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), (const char *[]){__VA_ARGS__})

static void defaults_and_environment(void **state)
{
    env_value = NULL;
    assert_int_equal(parse(0, 0, NULL), 0);
    assert_int_equal(v.n, 5);
    assert_int_equal(v.choice, 1);
    assert_true(v.pair.first == 1 && v.pair.second == 1);
    assert_int_equal(v.ints.n, 1);
    assert_int_equal(v.ints.v[0], 7);
    assert_true(v.share == 0.5f);
    assert_int_equal(v.size, 3 << 10);
    env_value = "9";
    assert_int_equal(parse(0, 0, NULL), 0);
    assert_int_equal(v.n, 9);
    assert_int_equal(PARSE(0, "-n", "1"), 0);
    assert_int_equal(v.n, 1);
    env_value = "99";
    assert_int_equal(parse(0, 0, NULL), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "environment variable ENV_N '99' is not a number from -1 to 10"));
    env_value = NULL;
}

static void every_way_to_write_an_option(void **state)
{
    assert_int_equal(PARSE(0, "--number=3", "-s0.25", "-t", "x y", "--list", "a", "-lb", "-i", "1,2,3",
                           "--choice", "long", "--pair", "a:long", "-f", "--seed=0xff"),
                     0);
    assert_int_equal(v.n, 3);
    assert_true(v.share == 0.25f);
    assert_string_equal(v.text, "x y");
    assert_int_equal(v.list.n, 2);
    assert_string_equal(v.list.v[1], "b");
    assert_int_equal(v.ints.n, 3);
    assert_int_equal(v.ints.v[2], 3);
    assert_int_equal(v.choice, 2);
    assert_true(v.pair.first == 0 && v.pair.second == 2);
    assert_true(v.flag);
    assert_int_equal(v.seed, 255);
    assert_int_equal(PARSE(0, "-fn", "-1", "--flag=off", "--text=", "-t--text"), 0);
    assert_int_equal(v.n, -1);
    assert_false(v.flag);
    assert_string_equal(v.text, "--text");
}

static void operands_are_counted(void **state)
{
    assert_int_equal(PARSE(1, "lake"), 0);
    assert_int_equal(operands.n, 1);
    assert_int_equal(PARSE(1, "--", "-o"), 0);
    assert_string_equal(operands.v[0], "-o");
    assert_false(v.flag);
    assert_int_equal(PARSE(1, "lake", "sea"), LATHE_E_USAGE);
    assert_string_equal(err.text, "'sea' is one argument too many");
    assert_int_equal(PARSE(0, "x"), LATHE_E_USAGE);
    assert_string_equal(err.text, "'x' is no option: every value follows its option");
}

static void mistakes_name_value_and_remedy(void **state)
{
    static const struct {
        const char *word, *text;
    } wrong[] = {
        {"--number=11", "--number '11' is not a number from -1 to 10"},
        {"--number=1.5", "--number '1.5' is not a number from -1 to 10"},
        {"--number= 1", "--number ' 1' is not a number from -1 to 10"},
        {"--number=+1", "--number '+1' is not a number from -1 to 10"},
        {"--share=1.01", "--share '1.01' is not a number from 0 to 1"},
        {"--share=0x1p-1z", "--share '0x1p-1z' is not a number from 0 to 1"},
        {"--size=2Q", "--size '2Q' is not a size in bytes such as 800M or 2G"},
        {"--seed=18446744073709551616", "--seed '18446744073709551616' is not a whole number below 2^64"},
        {"--choice=c", "--choice 'c' is not a, b or long"},
        {"--pair=a:", "--pair 'a:' is not a, b or long, or two of them with a colon between"},
        {"--pair=a:b:long", "--pair 'a:b:long' is not a, b or long, or two of them with a colon between"},
        {"--pair=:a", "--pair ':a' is not a, b or long, or two of them with a colon between"},
        {"--choice=", "--choice '' is not a, b or long"},
        {"--flag=2", "--flag '2' is not on or off"},
        {"--numbr=1", "--numbr is no option of walk: did you mean --number?"},
        {"--other", "--other is no option of walk: see lathe walk --help"},
        {"-o", "-o is no option of walk: see lathe walk --help"},
        {"-n", "--number needs a value"},
        {"--text", "--text needs a value"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(PARSE(0, wrong[i].word), LATHE_E_USAGE);
        assert_string_equal(err.text, wrong[i].text);
    }
}

static void all_mistakes_in_one_line(void **state)
{
    assert_int_equal(PARSE(0, "--nope", "3", "-n", "x", "-s", "2"), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, "--nope is no option"));
    assert_non_null(strstr(err.text, "; --number 'x'"));
    assert_non_null(strstr(err.text, "; --share '2'"));
    assert_null(strstr(err.text, "'3'"));
}

static void many_mistakes_are_cut(void **state)
{
    const char *argv[400];
    for (int i = 0; i < 400; i++)
        argv[i] = "--a-name-that-nobody-has-given-to-an-option-before-and-that-is-long";
    assert_int_equal(parse(0, 400, argv), LATHE_E_USAGE);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

static void lists_have_a_limit(void **state)
{
    const char *argv[OPT_LIST_MAX + 1];
    for (int i = 0; i <= OPT_LIST_MAX; i++)
        argv[i] = "-lx";
    assert_int_equal(parse(0, OPT_LIST_MAX, argv), 0);
    assert_int_equal(v.list.n, OPT_LIST_MAX);
    assert_int_equal(parse(0, OPT_LIST_MAX + 1, argv), LATHE_E_USAGE);
    char ints[2 * OPT_INTS_MAX + 2];
    for (int i = 0; i <= OPT_INTS_MAX; i++)
        memcpy(ints + 2 * i, "1,", 2);
    ints[2 * OPT_INTS_MAX + 1] = 0;
    assert_int_equal(PARSE(0, "-i", ints), LATHE_E_USAGE);
    ints[2 * OPT_INTS_MAX - 1] = 0;
    assert_int_equal(PARSE(0, "-i", ints), 0);
    assert_int_equal(v.ints.n, OPT_INTS_MAX);
}

static void closest_names(void **state)
{
    assert_string_equal(opt_closest(&table, &commands[0], "numer"), "number");
    assert_string_equal(opt_closest(&table, &commands[0], "num"), "number");
    assert_null(opt_closest(&table, &commands[0], "other"));
    assert_string_equal(opt_closest(&table, NULL, "wlk"), "walk");
    assert_null(opt_closest(&table, NULL, "xyzzy"));
    assert_null(opt_closest(&table, NULL, "a-word-that-is-longer-than-any-name-could-ever-be"));
}

static void help_names_ranges_and_defaults(void **state)
{
    struct buf out;
    buf_init(&out, 1 << 16);
    opt_help(&table, &commands[0], &out);
    assert_non_null(strstr(out.p, "  -n, --number N              a number (-1 to 10; default 5; ENV_N)\n"));
    assert_non_null(strstr(out.p, "      --choice a|b|long       a choice (default b)\n"));
    assert_null(strstr(out.p, "--other"));
    buf_clear(&out);
    opt_man(&table, "1.2", &out);
    assert_non_null(
        strstr(out.p, ".B \\-n, \\-\\-number \\fIN\\fR\na number (\\-1 to 10; default 5; ENV_N)\n"));
    assert_non_null(strstr(out.p, "\\-\\-other"));
    buf_clear(&out);
    assert_int_equal(opt_completion(&table, "tcsh", &out, &err), LATHE_E_USAGE);
    buf_free(&out);
}

static void sizes(void **state)
{
    static const struct {
        const char *text;
        uint64_t n;
    } good[] = {{"0", 0},
                {"4096", 4096},
                {"1K", 1024},
                {"400M", 400ull << 20},
                {"2g", 2ull << 30},
                {"1T", 1ull << 40},
                {"18446744073709551615", UINT64_MAX},
                {"16777215T", 16777215ull << 40}};
    static const char *const bad[] = {
        "", "M", "-1", "1.5G", "2GB", "2G ", " 2G", "0x10", "2 G", "16777216T", "18446744073709551616", "1E"};
    uint64_t n;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(opt_size(good[i].text, &n));
        assert_true(n == good[i].n);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (opt_size(bad[i], &n))
            fail_msg("'%s' is taken for %llu", bad[i], (unsigned long long)n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_environment),
        cmocka_unit_test(sizes),
        cmocka_unit_test(every_way_to_write_an_option),
        cmocka_unit_test(operands_are_counted),
        cmocka_unit_test(mistakes_name_value_and_remedy),
        cmocka_unit_test(all_mistakes_in_one_line),
        cmocka_unit_test(many_mistakes_are_cut),
        cmocka_unit_test(lists_have_a_limit),
        cmocka_unit_test(closest_names),
        cmocka_unit_test(help_names_ranges_and_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
