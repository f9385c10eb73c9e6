/* Jinja: expressions, by recursive descent with the precedence of jinja2:
 * cond < or < and < not < compare < + - < ~ < * / // % < ** < unary < postfix < filters and tests. */
#include "text/jinja.h"

struct jn_token *jn_tok(struct jn *j)
{
    j->line = j->tok[j->at].line;
    return &j->tok[j->at];
}

static struct jn_token *take(struct jn *j)
{
    struct jn_token *t = jn_tok(j);
    j->at += t->kind != T_EOF;
    return t;
}

static bool at_op(struct jn *j, int op)
{
    struct jn_token *t = jn_tok(j);
    return t->kind == T_OP && t->op == op;
}

bool jn_skip_op(struct jn *j, int op)
{
    bool hit = at_op(j, op);
    j->at += hit;
    return hit;
}

bool jn_at_name(struct jn *j, const char *name)
{
    struct jn_token *t = jn_tok(j);
    return t->kind == T_NAME && str_is(t->s, name);
}

bool jn_skip_name(struct jn *j, const char *name)
{
    bool hit = jn_at_name(j, name);
    j->at += hit;
    return hit;
}

static _Noreturn void unexpected(struct jn *j, const char *wanted)
{
    struct jn_token *t = jn_tok(j);
    struct str s = t->s;
    char op[3] = {0};
    if (t->kind == T_OP) {
        op[0] = (char)(t->op > 255 ? t->op >> 8 : t->op);
        op[1] = (char)(t->op > 255 ? t->op : 0);
        s = str_of(op);
    } else if (t->kind == T_VAR_END || t->kind == T_BLOCK_END || t->kind == T_EOF) {
        s = t->kind == T_EOF ? STR("end of template") : STR("end of tag");
    }
    jn_fail(j, "unexpected '" STR_FMT "'%s%s", STR_ARG(s), *wanted ? ", wanted " : "", wanted);
}

void jn_expect_op(struct jn *j, int op)
{
    if (!jn_skip_op(j, op))
        unexpected(j, (char[]){'\'', (char)op, '\'', 0});
}

static struct str expect_name(struct jn *j)
{
    if (jn_tok(j)->kind != T_NAME)
        unexpected(j, "a name");
    return take(j)->s;
}

struct jn_node *jn_node(struct jn *j, enum jn_node_kind kind)
{
    struct jn_node *n = jn_alloc(j, sizeof *n);
    n->kind = kind;
    n->line = j->line;
    return n;
}

void jn_add(struct jn *j, struct jn_nodes *list, struct jn_node *n)
{
    if (list->n == list->cap) {
        int cap = list->cap ? list->cap * 2 : 4;
        struct jn_node **v = jn_alloc(j, (size_t)cap * sizeof *v);
        if (list->n)
            memcpy(v, list->v, (size_t)list->n * sizeof *v);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = n;
}

static void nest(struct jn *j)
{
    if (++j->nest > JN_PARSE_LIMIT)
        jn_limit(j, "the template nests deeper than %d", JN_PARSE_LIMIT);
}

static struct jn_node *constant(struct jn *j, jval v)
{
    struct jn_node *n = jn_node(j, N_CONST);
    n->value = v;
    return n;
}

/* ---- primaries ---- */

static struct jn_node *parse_list(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_LIST);
    jn_expect_op(j, '[');
    while (!at_op(j, ']')) {
        if (n->list.n)
            jn_expect_op(j, ',');
        if (at_op(j, ']'))
            break;
        jn_add(j, &n->list, jn_parse_expr(j, true));
    }
    jn_expect_op(j, ']');
    return n;
}

static struct jn_node *parse_dict(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_DICT);
    jn_expect_op(j, '{');
    while (!at_op(j, '}')) {
        if (n->list.n)
            jn_expect_op(j, ',');
        if (at_op(j, '}'))
            break;
        jn_add(j, &n->list, jn_parse_expr(j, true));
        jn_expect_op(j, ':');
        jn_add(j, &n->list, jn_parse_expr(j, true));
    }
    jn_expect_op(j, '}');
    return n;
}

static struct jn_node *parse_name(struct jn *j, int flags)
{
    struct str s = take(j)->s;
    if (str_is(s, "true") || str_is(s, "True"))
        return constant(j, jn_bool(true));
    if (str_is(s, "false") || str_is(s, "False"))
        return constant(j, jn_bool(false));
    if (str_is(s, "none") || str_is(s, "None"))
        return constant(j, jn_none());
    bool ns = flags & EXPR_NS && jn_skip_op(j, '.');
    struct jn_node *n = jn_node(j, ns ? N_NSREF : N_NAME);
    n->sym = jn_intern(j, s);
    if (ns)
        n->name = expect_name(j);
    return n;
}

static struct jn_node *parse_string(struct jn *j)
{
    struct str s = take(j)->s;
    jval v = jn_str_keep(j, s.p, s.n);
    while (jn_tok(j)->kind == T_STR) {
        s = take(j)->s;
        v = jn_concat(j, v, jn_str_keep(j, s.p, s.n));
    }
    return constant(j, v);
}

static struct jn_node *parse_primary(struct jn *j, int flags)
{
    struct jn_token *t = jn_tok(j);
    switch (t->kind) {
    case T_NAME:
        return parse_name(j, flags);
    case T_STR:
        return parse_string(j);
    case T_INT:
    case T_FLOAT:
        return constant(j, take(j)->num);
    default:
        break;
    }
    if (jn_skip_op(j, '(')) {
        struct jn_node *n = jn_parse_tuple(j, EXPR_PARENS, NULL);
        jn_expect_op(j, ')');
        return n;
    }
    if (at_op(j, '['))
        return parse_list(j);
    if (at_op(j, '{'))
        return parse_dict(j);
    unexpected(j, "an expression");
}

static bool is_tuple_end(struct jn *j, const char *end_name)
{
    struct jn_token *t = jn_tok(j);
    return t->kind == T_VAR_END || t->kind == T_BLOCK_END || at_op(j, ')') ||
           (end_name && jn_at_name(j, end_name));
}

struct jn_node *jn_parse_tuple(struct jn *j, int flags, const char *end_name)
{
    struct jn_node *n = jn_node(j, N_TUPLE);
    bool is_tuple = false;
    nest(j);
    for (;;) {
        if (n->list.n)
            jn_expect_op(j, ',');
        if (is_tuple_end(j, end_name))
            break;
        jn_add(j, &n->list,
               flags & EXPR_SIMPLE ? parse_primary(j, flags) : jn_parse_expr(j, !(flags & EXPR_NO_COND)));
        if (!at_op(j, ','))
            break;
        is_tuple = true;
    }
    j->nest--;
    if (!is_tuple) {
        if (n->list.n)
            return n->list.v[0];
        if (!(flags & EXPR_PARENS))
            unexpected(j, "an expression");
    }
    return n;
}

/* ---- postfix: attributes, items, calls ---- */

static struct jn_node *parse_subscribed(struct jn *j)
{
    struct jn_node *first = NULL;
    if (!at_op(j, ':')) {
        first = jn_parse_expr(j, true);
        if (!at_op(j, ':'))
            return first;
    }
    struct jn_node *n = jn_node(j, N_SLICE);
    jn_expect_op(j, ':');
    n->a = first;
    if (!at_op(j, ':') && !at_op(j, ']') && !at_op(j, ','))
        n->b = jn_parse_expr(j, true);
    if (jn_skip_op(j, ':') && !at_op(j, ']') && !at_op(j, ','))
        n->c = jn_parse_expr(j, true);
    return n;
}

static struct jn_node *parse_subscript(struct jn *j, struct jn_node *of)
{
    struct jn_node *n;
    if (jn_skip_op(j, '.')) {
        struct jn_token *t = take(j);
        if (t->kind == T_NAME) {
            n = jn_node(j, N_ATTR);
            n->name = t->s;
        } else if (t->kind == T_INT) {
            n = jn_node(j, N_ITEM);
            n->b = constant(j, t->num);
        } else {
            j->at--;
            unexpected(j, "a name or number after '.'");
        }
        n->a = of;
        return n;
    }
    jn_expect_op(j, '[');
    n = jn_node(j, N_ITEM);
    n->a = of;
    struct jn_node *tuple = jn_node(j, N_TUPLE);
    while (!at_op(j, ']')) {
        if (tuple->list.n)
            jn_expect_op(j, ',');
        jn_add(j, &tuple->list, parse_subscribed(j));
    }
    jn_expect_op(j, ']');
    n->b = tuple->list.n == 1 ? tuple->list.v[0] : tuple;
    return n;
}

/* Arguments in parentheses: positional, *list, name=value, **dict. */
static void parse_args(struct jn *j, struct jn_nodes *list)
{
    bool keyword = false, comma = false;
    jn_expect_op(j, '(');
    while (!at_op(j, ')')) {
        if (comma) {
            jn_expect_op(j, ',');
            if (at_op(j, ')'))
                break;
        }
        comma = true;
        bool star = jn_skip_op(j, '*'), two = !star && jn_skip_op(j, OP2('*', '*'));
        struct jn_token *t = jn_tok(j);
        if (star || two) {
            struct jn_node *n = jn_node(j, star ? N_STAR : N_STARSTAR);
            n->a = jn_parse_expr(j, true);
            jn_add(j, list, n);
            keyword = true;
        } else if (t->kind == T_NAME && t[1].kind == T_OP && t[1].op == '=') {
            struct jn_node *n = jn_node(j, N_KEYWORD);
            n->name = t->s;
            j->at += 2;
            n->a = jn_parse_expr(j, true);
            jn_add(j, list, n);
            keyword = true;
        } else if (keyword) {
            jn_fail(j, "a positional argument follows a named one");
        } else {
            jn_add(j, list, jn_parse_expr(j, true));
        }
    }
    jn_expect_op(j, ')');
}

static struct jn_node *parse_call(struct jn *j, struct jn_node *of)
{
    struct jn_node *n = jn_node(j, N_CALL);
    n->a = of;
    parse_args(j, &n->list);
    return n;
}

/* Chains as long as the template are no danger to the parser, but to the evaluation, which recurses into the
 * left. */
static void chain(struct jn *j, int *length)
{
    if (++*length > JN_PARSE_LIMIT)
        jn_limit(j, "an expression chains more than %d operations", JN_PARSE_LIMIT);
}

static struct jn_node *parse_postfix(struct jn *j, struct jn_node *n)
{
    for (int length = 0;; chain(j, &length)) {
        if (at_op(j, '.') || at_op(j, '['))
            n = parse_subscript(j, n);
        else if (at_op(j, '('))
            n = parse_call(j, n);
        else
            return n;
    }
}

/* ---- filters and tests ---- */

static struct str dotted_name(struct jn *j)
{
    struct str s = expect_name(j);
    while (jn_skip_op(j, '.')) {
        struct str more = expect_name(j);
        struct str dot = jn_s(jn_concat(j, jn_str(j, s.p, s.n), jn_strz(j, ".")));
        s = jn_s(jn_concat(j, jn_str(j, dot.p, dot.n), jn_str(j, more.p, more.n)));
    }
    return s;
}

static struct jn_node *parse_filter(struct jn *j, struct jn_node *of)
{
    struct jn_node *n = jn_node(j, N_FILTER);
    n->a = of;
    n->name = dotted_name(j);
    n->func = jn_find_filter(n->name);
    if (!n->func && !j->soft)
        jn_add(j, &j->unknown, n);
    if (at_op(j, '('))
        parse_args(j, &n->list);
    return n;
}

struct jn_node *jn_parse_filters(struct jn *j, struct jn_node *of, bool start_inline)
{
    for (int length = 0; start_inline || jn_skip_op(j, '|'); chain(j, &length)) {
        of = parse_filter(j, of);
        start_inline = false;
    }
    return of;
}

static bool starts_test_argument(struct jn *j)
{
    struct jn_token *t = jn_tok(j);
    if (t->kind == T_NAME)
        return !str_is(t->s, "else") && !str_is(t->s, "or") && !str_is(t->s, "and");
    return t->kind == T_STR || t->kind == T_INT || t->kind == T_FLOAT || at_op(j, '[') || at_op(j, '{');
}

static struct jn_node *parse_test(struct jn *j, struct jn_node *of)
{
    bool negated = jn_skip_name(j, "not");
    struct jn_node *n = jn_node(j, N_TEST);
    n->a = of;
    n->name = dotted_name(j);
    n->func = jn_find_func(jn_tests, n->name);
    if (!n->func && !j->soft)
        jn_add(j, &j->unknown, n);
    if (at_op(j, '(')) {
        parse_args(j, &n->list);
    } else if (starts_test_argument(j)) {
        if (jn_at_name(j, "is"))
            jn_fail(j, "tests cannot be chained with 'is'");
        jn_add(j, &n->list, parse_postfix(j, parse_primary(j, 0)));
    }
    if (!negated)
        return n;
    struct jn_node *neg = jn_node(j, N_NOT);
    neg->a = n;
    return neg;
}

static struct jn_node *parse_filter_expr(struct jn *j, struct jn_node *n)
{
    for (int length = 0;; chain(j, &length)) {
        if (jn_skip_op(j, '|'))
            n = parse_filter(j, n);
        else if (jn_skip_name(j, "is"))
            n = parse_test(j, n);
        else if (at_op(j, '('))
            n = parse_call(j, n);
        else
            return n;
    }
}

/* ---- operators ---- */

static struct jn_node *parse_unary(struct jn *j, bool with_filter)
{
    struct jn_node *n;
    bool neg = jn_skip_op(j, '-');
    nest(j);
    if (neg || jn_skip_op(j, '+')) {
        n = jn_node(j, neg ? N_NEG : N_POS);
        n->a = parse_unary(j, false);
    } else {
        n = parse_primary(j, 0);
    }
    n = parse_postfix(j, n);
    if (with_filter)
        n = parse_filter_expr(j, n);
    j->nest--;
    return n;
}

static struct jn_node *binary(struct jn *j, int op, struct jn_node *a, struct jn_node *b)
{
    struct jn_node *n = jn_node(j, N_BINARY);
    n->op = op;
    n->a = a;
    n->b = b;
    return n;
}

static struct jn_node *parse_pow(struct jn *j)
{
    struct jn_node *n = parse_unary(j, true);
    for (int length = 0; jn_skip_op(j, OP2('*', '*')); chain(j, &length))
        n = binary(j, OP2('*', '*'), n, parse_unary(j, true));
    return n;
}

static struct jn_node *parse_product(struct jn *j)
{
    struct jn_node *n = parse_pow(j);
    for (int length = 0;; chain(j, &length)) {
        int op = jn_tok(j)->kind == T_OP ? jn_tok(j)->op : 0;
        if (op != '*' && op != '/' && op != '%' && op != OP2('/', '/'))
            return n;
        j->at++;
        n = binary(j, op, n, parse_pow(j));
    }
}

static struct jn_node *parse_concat(struct jn *j)
{
    struct jn_node *n = parse_product(j);
    if (!at_op(j, '~'))
        return n;
    struct jn_node *all = jn_node(j, N_CONCAT);
    jn_add(j, &all->list, n);
    while (jn_skip_op(j, '~'))
        jn_add(j, &all->list, parse_product(j));
    return all;
}

static struct jn_node *parse_sum(struct jn *j)
{
    struct jn_node *n = parse_concat(j);
    for (int length = 0; at_op(j, '+') || at_op(j, '-'); chain(j, &length)) {
        int op = jn_tok(j)->op;
        j->at++;
        n = binary(j, op, n, parse_concat(j));
    }
    return n;
}

/* A comparison operator, consumed: '<', OP2('=', '='), 'i' for in, 'n' for not in; 0 if there is none. */
static int comparison(struct jn *j)
{
    static const int ops[] = {'<', '>', OP2('=', '='), OP2('!', '='), OP2('<', '='), OP2('>', '=')};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (jn_skip_op(j, ops[i]))
            return ops[i];
    if (jn_skip_name(j, "in"))
        return 'i';
    struct jn_token *t = jn_tok(j);
    if (jn_at_name(j, "not") && t[1].kind == T_NAME && str_is(t[1].s, "in")) {
        j->at += 2;
        return 'n';
    }
    return 0;
}

static struct jn_node *parse_compare(struct jn *j)
{
    struct jn_node *n = parse_sum(j), *all = NULL;
    for (int op; (op = comparison(j));) {
        if (!all) {
            all = jn_node(j, N_COMPARE);
            all->a = n;
        }
        struct jn_node *right = jn_node(j, N_KEYWORD); /* carries the operator */
        right->op = op;
        right->a = parse_sum(j);
        jn_add(j, &all->list, right);
    }
    return all ? all : n;
}

static struct jn_node *parse_not(struct jn *j)
{
    if (!jn_at_name(j, "not"))
        return parse_compare(j);
    struct jn_node *n = jn_node(j, N_NOT);
    j->at++;
    nest(j);
    n->a = parse_not(j);
    j->nest--;
    return n;
}

static struct jn_node *logic(struct jn *j, enum jn_node_kind kind, struct jn_node *a, struct jn_node *b)
{
    struct jn_node *n = a->kind == kind && a->op ? a : jn_node(j, kind); /* flat: a and b and c is one node */
    if (n != a) {
        n->op = 1;
        jn_add(j, &n->list, a);
    }
    jn_add(j, &n->list, b);
    return n;
}

static struct jn_node *parse_and(struct jn *j)
{
    struct jn_node *n = parse_not(j);
    for (bool first = true; jn_skip_name(j, "and"); first = false) {
        if (first && n->kind == N_AND)
            n->op = 0; /* a parenthesized one stays apart */
        n = logic(j, N_AND, n, parse_not(j));
    }
    return n;
}

static struct jn_node *parse_or(struct jn *j)
{
    struct jn_node *n = parse_and(j);
    for (bool first = true; jn_skip_name(j, "or"); first = false) {
        if (first && n->kind == N_OR)
            n->op = 0;
        n = logic(j, N_OR, n, parse_and(j));
    }
    return n;
}

struct jn_node *jn_parse_expr(struct jn *j, bool with_cond)
{
    nest(j);
    int n_unknown = j->unknown.n;
    struct jn_node *n = parse_or(j);
    if (with_cond && jn_at_name(j, "if"))
        j->unknown.n = n_unknown; /* it may never be reached */
    for (int length = 0; with_cond && jn_skip_name(j, "if"); chain(j, &length)) {
        bool soft = j->soft;
        struct jn_node *c = jn_node(j, N_COND);
        j->soft = true;
        c->a = n;
        c->b = parse_or(j);
        if (jn_skip_name(j, "else"))
            c->c = jn_parse_expr(j, true);
        j->soft = soft;
        n = c;
    }
    j->nest--;
    return n;
}
