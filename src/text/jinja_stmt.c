/* Jinja: running statements, and loops with their `loop` variable. */
#include "text/jinja.h"

/* ---- assignment ---- */

static void unpack(struct jn *j, const struct jn_nodes *targets, jval v, struct jn_env *env)
{
    struct jn_iter it = jn_iter(j, v);
    jval item;
    for (int i = 0; i < targets->n; i++) {
        if (!jn_next(j, &it, &item))
            jn_fail(j, "not enough values to unpack (expected %d, got %d)", targets->n, i);
        jn_assign(j, targets->v[i], item, env);
    }
    if (jn_next(j, &it, &item))
        jn_fail(j, "too many values to unpack (expected %d)", targets->n);
}

void jn_assign(struct jn *j, const struct jn_node *target, jval v, struct jn_env *env)
{
    switch (target->kind) {
    case N_NAME:
        jn_bind(j, env, target->sym, v);
        return;
    case N_NSREF: {
        struct jn_node name = {.kind = N_NAME, .sym = target->sym, .line = target->line};
        jval ns = jn_eval(j, &name, env);
        if (ns.kind != JN_NAMESPACE)
            jn_fail(j, "cannot assign attribute on non-namespace object");
        jn_dict_set(j, ns.d, jn_str_keep(j, target->name.p, target->name.n), v);
        return;
    }
    case N_TUPLE:
        jn_enter(j);
        unpack(j, &target->list, v, env);
        jn_leave(j);
        return;
    default:
        jn_fail(j, "cannot assign to this expression");
    }
}

/* ---- loops ---- */

struct jn_loop {
    const struct jn_node *node;
    struct jn_env *outer;
    struct jn_iter it;
    jval ahead;     /* a list: what was pulled already, because the template asked for what follows */
    size_t n_taken; /* of `ahead` */
    int64_t index0, depth0;
    jval now, before; /* MISSING at the edges */
    jval changed;     /* arguments of the last loop.changed(), MISSING at first */
};

/* The next item that the loop's `if` lets through, from the iterable itself. Lazily: the body may change what
 * the condition sees. */
static bool pull(struct jn *j, struct jn_loop *l, jval *out)
{
    while (jn_next(j, &l->it, out)) {
        if (!l->node->c)
            return true;
        struct jn_env *env = jn_env(j, l->outer);
        jn_assign(j, l->node->a, *out, env);
        if (jn_truth(jn_eval(j, l->node->c, env)))
            return true;
    }
    return false;
}

static bool take(struct jn *j, struct jn_loop *l, jval *out)
{
    if (l->n_taken < l->ahead.l->n) {
        *out = l->ahead.l->v[l->n_taken++];
        return true;
    }
    return pull(j, l, out);
}

static bool peek(struct jn *j, struct jn_loop *l, jval *out)
{
    if (l->n_taken == l->ahead.l->n) {
        if (!pull(j, l, out))
            return false;
        jn_push(j, l->ahead, *out);
    }
    *out = l->ahead.l->v[l->n_taken];
    return true;
}

static int64_t loop_length(struct jn *j, struct jn_loop *l)
{
    jval item;
    int64_t n = l->node->c ? -1 : jn_len(j, l->it.v);
    if (n >= 0)
        return n;
    while (pull(j, l, &item))
        jn_push(j, l->ahead, item);
    return l->index0 + 1 + (int64_t)(l->ahead.l->n - l->n_taken);
}

jval jn_loop_attr(struct jn *j, struct jn_loop *l, struct str name, bool *found)
{
    jval v;
    *found = true;
    if (str_is(name, "index"))
        return jn_int(l->index0 + 1);
    if (str_is(name, "index0"))
        return jn_int(l->index0);
    if (str_is(name, "first"))
        return jn_bool(l->index0 == 0);
    if (str_is(name, "last"))
        return jn_bool(!peek(j, l, &v));
    if (str_is(name, "length"))
        return jn_int(loop_length(j, l));
    if (str_is(name, "revindex"))
        return jn_int(loop_length(j, l) - l->index0);
    if (str_is(name, "revindex0"))
        return jn_int(loop_length(j, l) - l->index0 - 1);
    if (str_is(name, "depth"))
        return jn_int(l->depth0 + 1);
    if (str_is(name, "depth0"))
        return jn_int(l->depth0);
    if (str_is(name, "previtem"))
        return jn_given(l->before) ? l->before : jn_undefined("there is no previous item");
    if (str_is(name, "nextitem"))
        return peek(j, l, &v) ? v : jn_undefined("there is no next item");
    *found = false;
    return jn_none();
}

static jval loop_cycle(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    if (!raw->n)
        jn_fail(j, "no items for cycling given");
    return raw->pos[self.loop->index0 % raw->n];
}

static jval loop_changed(struct jn *j, jval self, jval *a, const struct jn_args *raw)
{
    jval now = jn_list(j, JN_TUPLE, (size_t)raw->n);
    for (int i = 0; i < raw->n; i++)
        jn_push(j, now, raw->pos[i]);
    bool changed = !jn_given(self.loop->changed) || !jn_equal(j, self.loop->changed, now);
    self.loop->changed = now;
    return jn_bool(changed);
}

const struct jn_func jn_loop_methods[] = {
    {"cycle", loop_cycle, "*"},
    {"changed", loop_changed, "*"},
    {0},
};

static enum jn_jump run_loop(struct jn *j, const struct jn_node *n, jval iterable, int64_t depth0,
                             struct jn_env *env)
{
    struct jn_loop *l = jn_alloc(j, sizeof *l);
    jval item;
    bool completed = false;
    *l = (struct jn_loop){
        .node = n, .outer = env, .ahead = jn_list(j, JN_LIST, 0), .index0 = -1, .depth0 = depth0};
    l->now.kind = l->before.kind = l->changed.kind = JN_MISSING;
    l->it = jn_iter(j, iterable);
    while (take(j, l, &item)) {
        struct jn_env *mine = jn_env(j, env);
        l->index0++;
        l->before = l->now;
        l->now = item;
        jn_assign(j, n->a, item, mine);
        jn_bind(j, mine, j->sym_loop, (jval){.kind = JN_LOOP, .loop = l});
        enum jn_jump jump = jn_run(j, &n->body, mine);
        if (jump == JN_BREAK)
            break;
        completed = completed || jump == JN_ON;
    }
    return completed ? JN_ON
                     : jn_run(j, &n->other,
                              jn_env(j, env)); /* as jinja2: left by break or continue is not completed */
}

jval jn_call_loop(struct jn *j, struct jn_loop *l, const struct jn_args *args)
{
    struct jn_out mine = {0}, *outer = j->out;
    if (!l->node->op)
        jn_fail(j, "the loop must have the 'recursive' marker to be called recursively");
    if (args->n != 1 || args->n_kw)
        jn_fail(j, "loop() takes one argument");
    jn_enter(j);
    j->out = &mine;
    run_loop(j, l->node, args->pos[0], l->depth0 + 1, l->outer);
    j->out = outer;
    jn_leave(j);
    return jn_out_str(j, &mine);
}

/* ---- the other statements ---- */

static jval capture(struct jn *j, const struct jn_nodes *body, struct jn_env *env)
{
    struct jn_out mine = {0}, *outer = j->out;
    j->out = &mine;
    jn_run(j, body, jn_env(j, env));
    j->out = outer;
    return jn_out_str(j, &mine);
}

static enum jn_jump run_if(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    for (int i = 0; i < n->list.n; i++)
        if (jn_truth(jn_eval(j, n->list.v[i], env)))
            return jn_run(j, &n->body.v[i]->body, env);
    return jn_run(j, &n->other, env);
}

static void run_with(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    struct jn_env *mine = jn_env(j, env);
    for (int i = 0; i < n->list.n; i++)
        jn_assign(j, n->list.v[i], jn_eval(j, n->other.v[i], env), mine);
    jn_run(j, &n->body, mine);
}

static jval new_macro(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    struct jn_macro *m = jn_alloc(j, sizeof *m);
    *m = (struct jn_macro){n, env};
    return (jval){.kind = JN_MACRO, .macro = m};
}

static enum jn_jump run_one(struct jn *j, const struct jn_node *n, struct jn_env *env)
{
    switch (n->kind) {
    case N_DATA:
        jn_put(j, j->out, n->value.s->p, n->value.s->n);
        return JN_ON;
    case N_OUTPUT:
        jn_put_str(j, j->out, jn_eval(j, n->a, env));
        return JN_ON;
    case N_FOR:
        return run_loop(j, n, jn_eval(j, n->b, env), 0, env);
    case N_IF:
        return run_if(j, n, env);
    case N_SET:
        jn_assign(j, n->a, jn_eval(j, n->b, env), env);
        return JN_ON;
    case N_SET_BLOCK:
        jn_assign(j, n->a, jn_run_filters(j, n->b, capture(j, &n->body, env), env), env);
        return JN_ON;
    case N_MACRO:
        jn_bind(j, env, n->sym, new_macro(j, n, env));
        return JN_ON;
    case N_CALL_BLOCK:
        jn_put_str(j, j->out, jn_eval_call(j, n->a, env, new_macro(j, n->b, env)));
        return JN_ON;
    case N_FILTER_BLOCK:
        jn_put_str(j, j->out, jn_run_filters(j, n->b, capture(j, &n->body, env), env));
        return JN_ON;
    case N_WITH:
        run_with(j, n, env);
        return JN_ON;
    case N_SCOPE:
        jn_run(j, &n->body, jn_env(j, env));
        return JN_ON;
    case N_BREAK:
        return JN_BREAK;
    case N_CONTINUE:
        return JN_CONTINUE;
    default:
        jn_fail(j, "not a statement");
    }
}

enum jn_jump jn_run(struct jn *j, const struct jn_nodes *body, struct jn_env *env)
{
    enum jn_jump jump = JN_ON;
    jn_enter(j);
    for (int i = 0; jump == JN_ON && i < body->n; i++) {
        jn_work(j, 1);
        j->line = body->v[i]->line;
        jump = run_one(j, body->v[i], env);
    }
    jn_leave(j);
    return jump;
}
