/* Jinja: evaluation of expressions, and calls. */
#include "text/jinja.h"

struct jn_env *jn_env(struct jn *j, struct jn_env *parent)
{
    struct jn_env *e = jn_alloc(j, sizeof *e);
    e->parent = parent;
    return e;
}

void jn_bind(struct jn *j, struct jn_env *env, int sym, jval v)
{
    for (int i = 0; i < env->n; i++)
        if (env->b[i].sym == sym) {
            env->b[i].v = v;
            return;
        }
    if (env->n == env->cap) {
        int cap = env->cap ? env->cap * 2 : 4;
        struct jn_binding *b = jn_alloc(j, (size_t)cap * sizeof *b);
        if (env->n)
            memcpy(b, env->b, (size_t)env->n * sizeof *b);
        env->b = b;
        env->cap = cap;
    }
    env->b[env->n++] = (struct jn_binding){sym, v};
}

static jval lookup(struct jn *j, int sym, const struct jn_env *env)
{
    for (; env; env = env->parent)
        for (int i = 0; i < env->n; i++)
            if (env->b[i].sym == sym) {
                jn_work(j, (size_t)i / 16);
                return env->b[i].v;
            }
    if (j->global[sym].kind != JN_MISSING)
        return j->global[sym];
    return jn_undefined(j->sym[sym].p);
}

/* ---- calls ---- */

static void add_kwarg(struct jn *j, struct jn_args *a, int *cap, struct str name, jval v)
{
    for (int i = 0; i < a->n_kw; i++)
        if (str_eq(a->kw[i].name, name))
            jn_fail(j, "argument '" STR_FMT "' is given twice", STR_ARG(name));
    if (a->n_kw == *cap) {
        *cap = *cap ? *cap * 2 : 4;
        struct jn_kwarg *kw = jn_alloc(j, (size_t)*cap * sizeof *kw);
        if (a->n_kw)
            memcpy(kw, a->kw, (size_t)a->n_kw * sizeof *kw);
        a->kw = kw;
    }
    a->kw[a->n_kw++] = (struct jn_kwarg){name, v};
}

static struct jn_args eval_args(struct jn *j, const struct jn_nodes *list, struct jn_env *env)
{
    struct jn_args a = {0};
    int cap = 0;
    if (!list->n)
        return a;
    jval pos = jn_list(j, JN_LIST, (size_t)list->n), item;
    for (int i = 0; i < list->n; i++) {
        const struct jn_node *n = list->v[i];
        if (n->kind == N_KEYWORD) {
            add_kwarg(j, &a, &cap, n->name, jn_eval(j, n->a, env));
        } else if (n->kind == N_STAR) {
            struct jn_iter it = jn_iter(j, jn_eval(j, n->a, env));
            while (jn_next(j, &it, &item))
                jn_push(j, pos, item);
        } else if (n->kind == N_STARSTAR) {
            jval d = jn_eval(j, n->a, env);
            if (d.kind != JN_DICT)
                jn_fail(j, "argument after ** must be a mapping, not %s", jn_kind_name(d));
            for (size_t k = 0; k < d.d->n; k++) {
                if (!d.d->e[k].live)
                    continue;
                if (d.d->e[k].key.kind != JN_STR)
                    jn_fail(j, "keywords must be strings");
                add_kwarg(j, &a, &cap, jn_s(d.d->e[k].key), d.d->e[k].value);
            }
        } else {
            jn_push(j, pos, jn_eval(j, n, env));
        }
    }
    if (pos.l->n > 100000)
        jn_limit(j, "a call with %zu arguments", pos.l->n);
    a.pos = pos.l->v;
    a.n = (int)pos.l->n;
    return a;
}

/* Puts arguments where the row's parameters say. */
static void bind_args(struct jn *j, const struct jn_func *f, const struct jn_args *args, jval *a)
{
    const char *p = f->params;
    int n = 0, used = 0;
    if (*p == '/') {
        p += 1 + (p[1] == ' ');
        if (args->n_kw)
            jn_fail(j, "%s() takes no keyword arguments", f->name);
    }
    for (; *p; n++) {
        size_t len = strcspn(p, " ?");
        struct str name = {p, len};
        bool optional = p[len] == '?';
        a[n] = n < args->n ? args->pos[n] : (jval){.kind = JN_MISSING};
        for (int k = 0; k < args->n_kw; k++)
            if (str_eq(args->kw[k].name, name)) {
                if (jn_given(a[n]))
                    jn_fail(j, "%s() got more than one value for '" STR_FMT "'", f->name, STR_ARG(name));
                a[n] = args->kw[k].v;
                used++;
            }
        if (!optional && !jn_given(a[n]))
            jn_fail(j, "%s() lacks its argument '" STR_FMT "'", f->name, STR_ARG(name));
        p += len + optional;
        p += *p == ' ';
    }
    if (args->n > n)
        jn_fail(j, "%s() takes at most %d arguments, %d were given", f->name, n, args->n);
    if (used < args->n_kw)
        jn_fail(j, "%s() got an argument it does not know", f->name);
}

jval jn_call_func(struct jn *j, const struct jn_func *f, jval self, const struct jn_args *args)
{
    jval a[JN_MAX_PARAM] = {{0}};
    if (strcmp(f->params, "*"))
        bind_args(j, f, args, a);
    return f->fn(j, self, a, args);
}

/* The value of parameter i of a macro, or MISSING. */
static jval macro_arg(struct jn *j, const struct jn_macro *m, const struct jn_args *args, int i,
                      bool *by_name)
{
    const struct jn_node *n = m->node;
    jval v = i < args->n ? args->pos[i] : (jval){.kind = JN_MISSING};
    for (int k = 0; k < args->n_kw; k++)
        if (str_eq(args->kw[k].name, j->sym[n->list.v[i]->sym])) {
            if (jn_given(v))
                jn_fail(j, "macro '" STR_FMT "' got two values for '" STR_FMT "'", STR_ARG(n->name),
                        STR_ARG(args->kw[k].name));
            by_name[k] = true;
            v = args->kw[k].v;
        }
    return v;
}

/* What the named parameters leave over: varargs and kwargs, if the macro speaks of them; the caller of a call
 * block. */
static void macro_rest(struct jn *j, const struct jn_macro *m, const struct jn_args *args,
                       const bool *by_name, struct jn_env *env)
{
    const struct jn_node *n = m->node;
    if (args->n > n->list.n && !(n->op & MACRO_VARARGS))
        jn_fail(j, "macro '" STR_FMT "' takes at most %d arguments, %d were given", STR_ARG(n->name),
                n->list.n, args->n);
    if (n->op & MACRO_VARARGS) {
        jval rest = jn_list(j, JN_TUPLE, 0);
        for (int i = n->list.n; i < args->n; i++)
            jn_push(j, rest, args->pos[i]);
        jn_bind(j, env, j->sym_varargs, rest);
    }
    jval kwargs = jn_dict(j);
    if (n->sym >= 0) /* not of a call block, which sees the caller around it */
        jn_bind(j, env, j->sym_caller, jn_undefined("caller"));
    for (int k = 0; k < args->n_kw; k++) {
        if (by_name[k])
            continue;
        if (str_is(args->kw[k].name, "caller"))
            jn_bind(j, env, j->sym_caller, args->kw[k].v);
        else if (n->op & MACRO_KWARGS)
            jn_dict_set(j, kwargs.d, jn_str_keep(j, args->kw[k].name.p, args->kw[k].name.n), args->kw[k].v);
        else
            jn_fail(j, "macro '" STR_FMT "' takes no argument '" STR_FMT "'", STR_ARG(n->name),
                    STR_ARG(args->kw[k].name));
    }
    if (n->op & MACRO_KWARGS)
        jn_bind(j, env, j->sym_kwargs, kwargs);
}

jval jn_call_macro(struct jn *j, struct jn_macro *m, const struct jn_args *args)
{
    const struct jn_node *n = m->node;
    struct jn_env *env = jn_env(j, m->env);
    bool *by_name = jn_alloc(j, (size_t)args->n_kw + 1);
    int n_required = n->list.n - n->other.n;
    jn_enter(j);
    for (int i = 0; i < n->list.n; i++) {
        jval v = macro_arg(j, m, args, i, by_name);
        if (!jn_given(v))
            v = i >= n_required ? jn_eval(j, n->other.v[i - n_required], env)
                                : jn_undefined(j->sym[n->list.v[i]->sym].p);
        jn_bind(j, env, n->list.v[i]->sym, v);
    }
    macro_rest(j, m, args, by_name, env);
    struct jn_out mine = {0}, *outer = j->out;
    j->out = &mine;
    jn_run(j, &n->body, env);
    j->out = outer;
    jn_leave(j);
    return jn_out_str(j, &mine);
}

jval jn_call(struct jn *j, jval f, const struct jn_args *args)
{
    switch (f.kind) {
    case JN_FUNC:
        return jn_call_func(j, f.func, jn_none(), args);
    case JN_METHOD:
        return jn_call_func(j, f.method->func, f.method->self, args);
    case JN_MACRO:
        return jn_call_macro(j, f.macro, args);
    case JN_LOOP:
        return jn_call_loop(j, f.loop, args);
    case JN_JOINER: {
        jval sep = f.cycler->pos ? f.cycler->v[0] : jn_strz(j, "");
        f.cycler->pos = 1;
        return sep;
    }
    case JN_UNDEFINED:
        jn_fail(j, "'%s' is undefined", f.name ? f.name : "value");
    default:
        jn_fail(j, "'%s' object is not callable", jn_kind_name(f));
    }
}

jval jn_eval_call(struct jn *j, const struct jn_node *n, struct jn_env *env, jval caller)
{
    jval f = jn_eval(j, n->a, env);
    struct jn_args args = eval_args(j, &n->list, env);
    if (jn_given(caller)) {
        int cap = args.n_kw; /* makes add_kwarg copy */
        add_kwarg(j, &args, &cap, STR("caller"), caller);
    }
    j->line = n->line;
    return jn_call(j, f, &args);
}

/* ---- filters, tests, operators ---- */

static jval apply(struct jn *j, const struct jn_node *n, jval v, struct jn_env *env)
{
    struct jn_args args = eval_args(j, &n->list, env);
    j->line = n->line;
    if (!n->func)
        jn_fail(j, "no %s named '" STR_FMT "'", n->kind == N_FILTER ? "filter" : "test", STR_ARG(n->name));
    return n->kind == N_FILTER ? jn_call_func(j, n->func, v, &args)
                               : jn_bool(jn_apply_test(j, n->func, v, &args));
}

jval jn_run_filters(struct jn *j, const struct jn_node *n, jval v, struct jn_env *env)
{
    if (!n)
        return v;
    jn_enter(j);
    v = jn_run_filters(j, n->a, v, env);
    jn_leave(j);
    return apply(j, n, v, env);
}

static bool compare(struct jn *j, int op, jval a, jval b)
{
    int order;
    switch (op) {
    case OP2('=', '='):
        return jn_equal(j, a, b);
    case OP2('!', '='):
        return !jn_equal(j, a, b);
    case 'i':
        return jn_contains(j, a, b);
    case 'n':
        return !jn_contains(j, a, b);
    case '<':
        return jn_order(j, a, b, "<") < 0;
    case '>':
        return jn_order(j, a, b, ">") == 1;
    case OP2('<', '='):
        return jn_order(j, a, b, "<=") <= 0;
    default:
        order = jn_order(j, a, b, ">=");
        return order == 0 || order == 1;
    }
}

static jval eval_compare(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval left = jn_eval(j, n->a, env);
    for (int i = 0; i < n->list.n; i++) {
        jval right = jn_eval(j, n->list.v[i]->a, env);
        if (!compare(j, n->list.v[i]->op, left, right))
            return jn_bool(false);
        left = right;
    }
    return jn_bool(true);
}

static jval eval_logic(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval v = jn_none();
    for (int i = 0; i < n->list.n; i++) {
        v = jn_eval(j, n->list.v[i], env);
        if (jn_truth(v) == (n->kind == N_OR))
            break;
    }
    return v;
}

static jval eval_sequence(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval l = jn_list(j, n->kind == N_LIST ? JN_LIST : JN_TUPLE, (size_t)n->list.n);
    for (int i = 0; i < n->list.n; i++)
        jn_push(j, l, jn_eval(j, n->list.v[i], env));
    return l;
}

static jval eval_dict(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval d = jn_dict(j);
    for (int i = 0; i < n->list.n; i += 2) {
        jval key = jn_eval(j, n->list.v[i], env);
        jn_dict_set(j, d.d, key, jn_eval(j, n->list.v[i + 1], env));
    }
    return d;
}

static jval eval_concat(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval s = jn_to_str(j, jn_eval(j, n->list.v[0], env));
    for (int i = 1; i < n->list.n; i++)
        s = jn_concat(j, s, jn_to_str(j, jn_eval(j, n->list.v[i], env)));
    return s;
}

static jval eval_item(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval v = jn_eval(j, n->a, env), part[3];
    if (n->b->kind != N_SLICE)
        return jn_item(j, v, jn_eval(j, n->b, env));
    const struct jn_node *parts[] = {n->b->a, n->b->b, n->b->c};
    for (int i = 0; i < 3; i++)
        part[i] = parts[i] ? jn_eval(j, parts[i], env) : (jval){.kind = JN_MISSING};
    return jn_slice(j, v, part[0], part[1], part[2]);
}

static jval eval_cond(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    if (jn_truth(jn_eval(j, n->b, env)))
        return jn_eval(j, n->a, env);
    return n->c ? jn_eval(j, n->c, env) : jn_undefined(NULL);
}

static jval eval_binary(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval a = jn_eval(j, n->a, env), b = jn_eval(j, n->b, env);
    j->line = n->line;
    return jn_binary(j, n->op, a, b);
}

static jval eval_sign(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jval v = jn_eval(j, n->a, env);
    if (n->kind == N_NEG)
        return jn_negate(j, v);
    jval minus = jn_negate(j, v); /* fails for what has no sign */
    return v.kind == JN_BOOL ? jn_negate(j, minus) : v;
}

static jval eval(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    switch (n->kind) {
    case N_CONST:
        return n->value;
    case N_NAME:
        return lookup(j, n->sym, env);
    case N_TUPLE:
    case N_LIST:
        return eval_sequence(j, n, env);
    case N_DICT:
        return eval_dict(j, n, env);
    case N_ATTR:
        return jn_attr(j, jn_eval(j, n->a, env), n->name);
    case N_ITEM:
        return eval_item(j, n, env);
    case N_CALL:
        return jn_eval_call(j, n, env, (jval){.kind = JN_MISSING});
    case N_FILTER:
    case N_TEST:
        return apply(j, n, jn_eval(j, n->a, env), env);
    case N_NOT:
        return jn_bool(!jn_truth(jn_eval(j, n->a, env)));
    case N_NEG:
    case N_POS:
        return eval_sign(j, n, env);
    case N_BINARY:
        return eval_binary(j, n, env);
    case N_CONCAT:
        return eval_concat(j, n, env);
    case N_AND:
    case N_OR:
        return eval_logic(j, n, env);
    case N_COND:
        return eval_cond(j, n, env);
    case N_COMPARE:
        return eval_compare(j, n, env);
    case N_SLICE:
        jn_fail(j, "a slice inside of a tuple of indices");
    default:
        jn_fail(j, "not an expression");
    }
}

jval jn_eval(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    jn_work(j, 1);
    jn_enter(j);
    j->line = n->line;
    jval v = eval(j, n, env);
    jn_leave(j);
    return v;
}
