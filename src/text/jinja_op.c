/* Jinja: operators, attributes, items. */
#include "text/jinja.h"
#include <math.h>

static bool is_int(jval v)
{
    return v.kind == JN_INT || v.kind == JN_BOOL;
}

static bool is_number(jval v)
{
    return is_int(v) || v.kind == JN_FLOAT;
}

static int64_t as_int(jval v)
{
    return v.kind == JN_BOOL ? v.b : v.i;
}

static double as_float(jval v)
{
    return v.kind == JN_FLOAT ? v.f : (double)as_int(v);
}

static const char *op_text(int op, char out[3])
{
    out[0] = (char)(op > 255 ? op >> 8 : op);
    out[1] = (char)(op > 255 ? op : 0);
    out[2] = 0;
    return out;
}

static _Noreturn void unsupported(struct jn *j, int op, jval a, jval b)
{
    char text[3];
    jval u = a.kind == JN_UNDEFINED ? a : b;
    if (u.kind == JN_UNDEFINED)
        jn_fail(j, "'%s' is undefined", u.name ? u.name : "value");
    jn_fail(j, "unsupported operand types for %s: '%s' and '%s'", op_text(op, text), jn_kind_name(a),
            jn_kind_name(b));
}

static _Noreturn void too_large(struct jn *j)
{
    jn_fail(j, "integer result is too large");
}

static int64_t floor_div(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return q - (a % b != 0 && (a < 0) != (b < 0));
}

static int64_t int_power(struct jn *j, int64_t base, int64_t exp)
{
    int64_t r = 1;
    while (exp) {
        if (exp & 1 && __builtin_mul_overflow(r, base, &r))
            too_large(j);
        exp >>= 1;
        if (exp && __builtin_mul_overflow(base, base, &base))
            too_large(j);
    }
    return r;
}

static jval int_op(struct jn *j, int op, int64_t a, int64_t b)
{
    int64_t r = 0;
    bool over = false;
    switch (op) {
    case '+':
        over = __builtin_add_overflow(a, b, &r);
        break;
    case '-':
        over = __builtin_sub_overflow(a, b, &r);
        break;
    case '*':
        over = __builtin_mul_overflow(a, b, &r);
        break;
    case OP2('*', '*'):
        if (b < 0 && a == 0)
            jn_fail(j, "0.0 cannot be raised to a negative power");
        return b < 0 ? jn_float(pow((double)a, (double)b)) : jn_int(int_power(j, a, b));
    default:
        if (b == 0)
            jn_fail(j, "division by zero");
        if (op == '/')
            return jn_float((double)a / (double)b);
        if (b == -1) { /* INT64_MIN / -1 traps */
            over = op != '%' && __builtin_sub_overflow((int64_t)0, a, &r);
            break;
        }
        r = floor_div(a, b);
        if (op == '%')
            r = a - r * b;
    }
    if (over)
        too_large(j);
    return jn_int(r);
}

static jval float_op(struct jn *j, int op, double a, double b)
{
    switch (op) {
    case '+':
        return jn_float(a + b);
    case '-':
        return jn_float(a - b);
    case '*':
        return jn_float(a * b);
    case OP2('*', '*'):
        if (a == 0 && b < 0)
            jn_fail(j, "0.0 cannot be raised to a negative power");
        if (a < 0 && b != floor(b))
            jn_fail(j, "a negative number has no such power");
        if (isinf(pow(a, b)) && !isinf(a) && !isinf(b))
            jn_fail(j, "numerical result out of range");
        return jn_float(pow(a, b));
    }
    if (b == 0)
        jn_fail(j, "division by zero");
    if (op == '/')
        return jn_float(a / b);
    double mod = fmod(a, b),
           div = (a - mod) / b; /* as Python: the sign of the divisor, and a floor that fits the remainder */
    if (mod != 0) {
        if ((b < 0) != (mod < 0)) {
            mod += b;
            div -= 1;
        }
    } else {
        mod = copysign(0.0, b);
    }
    if (op == '%')
        return jn_float(mod);
    double whole = div != 0 ? floor(div) : copysign(0.0, a / b);
    return jn_float(div != 0 && div - whole > 0.5 ? whole + 1 : whole);
}

jval jn_repeat(struct jn *j, jval v, int64_t times)
{
    size_t n = v.kind == JN_STR ? v.s->n : v.l->n;
    if (times <= 0 || n == 0)
        return v.kind == JN_STR ? jn_strz(j, "") : jn_list(j, v.kind, 0);
    size_t unit = v.kind == JN_STR ? 1 : sizeof(jval);
    if ((uint64_t)times > JN_BYTES_LIMIT / (n * unit))
        jn_limit(j, "a repetition of more than %zu MiB", JN_BYTES_LIMIT >> 20);
    if (v.kind == JN_STR) {
        char *p = jn_alloc(j, n * (size_t)times);
        for (int64_t i = 0; i < times; i++)
            memcpy(p + (size_t)i * n, v.s->p, n);
        return jn_str_keep(j, p, n * (size_t)times);
    }
    jval out = jn_list(j, v.kind, n * (size_t)times);
    for (int64_t i = 0; i < times; i++)
        for (size_t k = 0; k < n; k++)
            jn_push(j, out, v.l->v[k]);
    return out;
}

static jval join_lists(struct jn *j, jval a, jval b)
{
    jval out = jn_list(j, a.kind, a.l->n + b.l->n);
    for (size_t i = 0; i < a.l->n; i++)
        jn_push(j, out, a.l->v[i]);
    for (size_t i = 0; i < b.l->n; i++)
        jn_push(j, out, b.l->v[i]);
    return out;
}

static bool can_repeat(jval v)
{
    return v.kind == JN_STR || v.kind == JN_LIST || v.kind == JN_TUPLE;
}

jval jn_binary(struct jn *j, int op, jval a, jval b)
{
    if (is_int(a) && is_int(b))
        return int_op(j, op, as_int(a), as_int(b));
    if (is_number(a) && is_number(b))
        return float_op(j, op, as_float(a), as_float(b));
    if (op == '%' && a.kind == JN_STR)
        return jn_percent(j, a, b);
    if (op == '+' && a.kind == b.kind && a.kind == JN_STR)
        return jn_concat(j, a, b);
    if (op == '+' && a.kind == b.kind && (a.kind == JN_LIST || a.kind == JN_TUPLE))
        return join_lists(j, a, b);
    if (op == '*' && can_repeat(a) && is_int(b))
        return jn_repeat(j, a, as_int(b));
    if (op == '*' && can_repeat(b) && is_int(a))
        return jn_repeat(j, b, as_int(a));
    unsupported(j, op, a, b);
}

jval jn_negate(struct jn *j, jval v)
{
    if (v.kind == JN_FLOAT)
        return jn_float(-v.f);
    if (!is_int(v))
        jn_fail(j, "bad operand type for unary -: '%s'", jn_kind_name(v));
    return int_op(j, '-', 0, as_int(v));
}

/* ---- attributes and items ---- */

static jval bound(struct jn *j, jval self, const struct jn_func *f)
{
    struct jn_method *m = jn_alloc(j, sizeof *m);
    *m = (struct jn_method){f, self};
    return (jval){.kind = JN_METHOD, .method = m};
}

static const struct jn_func *find_method(jval v, struct str name)
{
    const struct jn_func *f;
    switch (v.kind) {
    case JN_STR:
        f = jn_find_func(jn_str_methods, name);
        return f ? f : jn_find_func(jn_str_find_methods, name);
    case JN_LIST:
        return jn_find_func(jn_list_methods, name);
    case JN_TUPLE:
    case JN_RANGE:
        return str_is(name, "index") || str_is(name, "count") ? jn_find_func(jn_list_methods, name) : NULL;
    case JN_DICT:
        return jn_find_func(jn_dict_methods, name);
    case JN_CYCLER:
        return jn_find_func(jn_cycler_methods, name);
    case JN_LOOP:
        return jn_find_func(jn_loop_methods, name);
    default:
        return NULL;
    }
}

/* Attributes that are no methods. */
static bool own_attr(struct jn *j, jval v, struct str name, jval *out)
{
    bool found = false;
    if (v.kind == JN_LOOP) {
        *out = jn_loop_attr(j, v.loop, name, &found);
    } else if (v.kind == JN_TUPLE && v.l->group && v.l->n == 2) {
        found = str_is(name, "grouper") || str_is(name, "list");
        *out = v.l->v[str_is(name, "list")];
    } else if (v.kind == JN_CYCLER && str_is(name, "current")) {
        found = true;
        *out = v.cycler->v[v.cycler->pos];
    } else if (v.kind == JN_MACRO && str_is(name, "name")) {
        found = true;
        *out = jn_str_keep(j, v.macro->node->name.p, v.macro->node->name.n);
    } else if (v.kind == JN_NAMESPACE) {
        jval *hit = jn_dict_find(j, v.d, name);
        found = hit != NULL;
        *out = hit ? *hit : jn_none();
    }
    return found;
}

static bool any_attr(struct jn *j, jval v, struct str name, jval *out)
{
    const struct jn_func *f = find_method(v, name);
    if (f) {
        *out = bound(j, v, f);
        return true;
    }
    return own_attr(j, v, name, out);
}

static const char *attr_name(struct jn *j, struct str name)
{
    return arena_dup(&j->arena, name.p, name.n > 100 ? 100 : name.n);
}

static _Noreturn void of_undefined(struct jn *j, jval v)
{
    jn_fail(j, "'%s' is undefined", v.name ? v.name : "value");
}

jval jn_attr(struct jn *j, jval v, struct str name)
{
    jval out;
    if (v.kind == JN_UNDEFINED)
        of_undefined(j, v);
    if (any_attr(j, v, name, &out))
        return out;
    if (v.kind == JN_DICT) {
        jval *hit = jn_dict_find(j, v.d, name);
        if (hit)
            return *hit;
    }
    return jn_undefined(attr_name(j, name));
}

jval jn_item(struct jn *j, jval v, jval key)
{
    jval out;
    if (v.kind == JN_UNDEFINED)
        of_undefined(j, v);
    if (v.kind == JN_DICT) {
        jval *hit = jn_hashable(key) ? jn_dict_get(j, v.d, key) : NULL;
        if (hit)
            return *hit;
    } else if (is_int(key) &&
               (v.kind == JN_STR || v.kind == JN_LIST || v.kind == JN_TUPLE || v.kind == JN_RANGE)) {
        bool found;
        out = jn_index(j, v, as_int(key), &found);
        return found ? out : jn_undefined("list item");
    }
    if (key.kind != JN_STR)
        return jn_undefined("item");
    return any_attr(j, v, jn_s(key), &out) ? out : jn_undefined(attr_name(j, jn_s(key)));
}
