/* Jinja tests: what may follow `is`. */
#include "text/jinja.h"
#include "base/utf8.h"

bool jn_apply_test(struct jn *j, const struct jn_func *test, jval v, const struct jn_args *args)
{
    return jn_truth(jn_call_func(j, test, v, args));
}

#define TEST(name, condition)                                                  \
    static jval name(struct jn *j, jval v, jval *a, const struct jn_args *raw) \
    {                                                                          \
        return jn_bool(condition);                                             \
    }

static bool is_integer(jval v)
{
    return v.kind == JN_INT;
}

static int64_t mod(struct jn *j, jval v, jval by)
{
    jval r = jn_binary(j, '%', v, by);
    return r.kind == JN_INT ? r.i : r.kind == JN_FLOAT ? (r.f == 0 ? 0 : r.f == 1 ? 1 : 2) : 2;
}

static bool same(jval a, jval b)
{
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case JN_NONE:
        return true;
    case JN_BOOL:
        return a.b == b.b;
    case JN_INT:
        return a.i == b.i;
    case JN_FLOAT:
        return a.f == b.f;
    case JN_STR:
        return str_eq(jn_s(a), jn_s(b));
    case JN_UNDEFINED:
        return false;
    default:
        return a.l == b.l;
    }
}

static bool is_iterable(jval v)
{
    return jn_is_seq(v) || v.kind == JN_STR || v.kind == JN_DICT || v.kind == JN_UNDEFINED ||
           v.kind == JN_LOOP;
}

static bool is_sequence(jval v)
{
    return v.kind == JN_STR || v.kind == JN_LIST || v.kind == JN_TUPLE || v.kind == JN_RANGE ||
           v.kind == JN_DICT || v.kind == JN_UNDEFINED;
}

static bool is_callable(jval v)
{
    return (v.kind >= JN_MACRO && v.kind != JN_CYCLER) || v.kind == JN_UNDEFINED;
}

static bool all_case(struct jn *j, jval v, bool (*wanted)(uint32_t), bool (*other)(uint32_t),
                     bool (*third)(uint32_t))
{
    struct str s = jn_s(jn_to_str(j, v));
    bool any = false;
    for (size_t i = 0; i < s.n;) {
        uint32_t c = 0;
        int step = utf8_get(s.p + i, s.n - i, &c);
        if (other(c) || third(c))
            return false;
        any = any || wanted(c);
        i += step ? (size_t)step : 1;
    }
    return any;
}

TEST(t_defined, v.kind != JN_UNDEFINED)
TEST(t_undefined, v.kind == JN_UNDEFINED)
TEST(t_none, v.kind == JN_NONE)
TEST(t_string, v.kind == JN_STR)
TEST(t_number, v.kind == JN_INT || v.kind == JN_FLOAT || v.kind == JN_BOOL)
TEST(t_integer, is_integer(v))
TEST(t_float, v.kind == JN_FLOAT)
TEST(t_boolean, v.kind == JN_BOOL)
TEST(t_true, v.kind == JN_BOOL && v.b)
TEST(t_false, v.kind == JN_BOOL && !v.b)
TEST(t_mapping, v.kind == JN_DICT)
TEST(t_iterable, is_iterable(v))
TEST(t_sequence, is_sequence(v))
TEST(t_callable, is_callable(v))
TEST(t_sameas, same(v, a[0]))
TEST(t_escaped, jn_is_safe(v))
TEST(t_in, jn_contains(j, v, a[0]))
TEST(t_eq, jn_equal(j, v, a[0]))
TEST(t_ne, !jn_equal(j, v, a[0]))
TEST(t_lt, jn_order(j, v, a[0], "<") < 0)
TEST(t_le, jn_order(j, v, a[0], "<=") <= 0)
TEST(t_gt, jn_order(j, v, a[0], ">") == 1)
TEST(t_ge, (jn_order(j, v, a[0], ">=") & ~1) == 0)
TEST(t_odd, mod(j, v, jn_int(2)) == 1)
TEST(t_even, mod(j, v, jn_int(2)) == 0)
TEST(t_divisibleby, mod(j, v, a[0]) == 0)
TEST(t_lower, all_case(j, v, jn_is_lower, jn_is_upper, jn_is_title))
TEST(t_upper, all_case(j, v, jn_is_upper, jn_is_lower, jn_is_title))
TEST(t_filter, v.kind == JN_STR && jn_find_filter(jn_s(v)))
TEST(t_test, v.kind == JN_STR && jn_find_func(jn_tests, jn_s(v)))

const struct jn_func jn_tests[] = {
    {"defined", t_defined, ""},
    {"undefined", t_undefined, ""},
    {"none", t_none, ""},
    {"string", t_string, ""},
    {"number", t_number, ""},
    {"integer", t_integer, ""},
    {"float", t_float, ""},
    {"boolean", t_boolean, ""},
    {"true", t_true, ""},
    {"false", t_false, ""},
    {"mapping", t_mapping, ""},
    {"iterable", t_iterable, ""},
    {"sequence", t_sequence, ""},
    {"callable", t_callable, ""},
    {"sameas", t_sameas, "other"},
    {"escaped", t_escaped, ""},
    {"in", t_in, "seq"},
    {"eq", t_eq, "b"},
    {"equalto", t_eq, "b"},
    {"==", t_eq, "b"},
    {"ne", t_ne, "b"},
    {"!=", t_ne, "b"},
    {"lt", t_lt, "b"},
    {"lessthan", t_lt, "b"},
    {"<", t_lt, "b"},
    {"le", t_le, "b"},
    {"<=", t_le, "b"},
    {"gt", t_gt, "b"},
    {"greaterthan", t_gt, "b"},
    {">", t_gt, "b"},
    {"ge", t_ge, "b"},
    {">=", t_ge, "b"},
    {"odd", t_odd, ""},
    {"even", t_even, ""},
    {"divisibleby", t_divisibleby, "num"},
    {"lower", t_lower, ""},
    {"upper", t_upper, ""},
    {"filter", t_filter, ""},
    {"test", t_test, ""},
    {0},
};
