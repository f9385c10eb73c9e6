/* Jinja: statements. */
#include "text/jinja.h"

static struct jn_nodes parse_body(struct jn *j, const char *const *ends);

static void end_tag(struct jn *j)
{
    if (jn_tok(j)->kind != T_BLOCK_END)
        jn_fail(j, "unexpected text before the end of a tag");
    j->at++;
}

/* Statements up to one of the tags, whose name is left as the next token. */
static struct jn_nodes block(struct jn *j, const char *const *ends)
{
    end_tag(j);
    if (++j->nest > JN_PARSE_LIMIT)
        jn_limit(j, "the template nests deeper than %d", JN_PARSE_LIMIT);
    struct jn_nodes body = parse_body(j, ends);
    j->nest--;
    return body;
}

#define ENDS(...)         \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }

/* A block that is a scope of its own: unknown filters in it fail at once again. */
static struct jn_nodes inner_block(struct jn *j, const char *end)
{
    bool soft = j->soft;
    int in_loop = j->in_loop;
    j->soft = false;
    j->in_loop = 0;
    struct jn_nodes body = block(j, ENDS(end));
    j->at++;
    j->soft = soft;
    j->in_loop = in_loop;
    return body;
}

static struct jn_node *parse_target(struct jn *j, int flags, const char *end_name)
{
    struct jn_node *n = jn_parse_tuple(j, EXPR_SIMPLE | flags, end_name);
    struct jn_nodes one = {&n, 1, 1}, *all = n->kind == N_TUPLE ? &n->list : &one;
    for (int i = 0; i < all->n; i++)
        if (all->v[i]->kind != N_NAME && all->v[i]->kind != N_NSREF && all->v[i]->kind != N_TUPLE)
            jn_fail(j, "cannot assign to this expression");
    return n;
}

static int parse_name_target(struct jn *j)
{
    struct jn_token *t = jn_tok(j);
    if (t->kind != T_NAME)
        jn_fail(j, "wanted a name");
    j->at++;
    return jn_intern(j, t->s);
}

static struct jn_node *parse_for(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_FOR);
    bool soft = j->soft;
    n->a = parse_target(j, 0, "in");
    if (!jn_skip_name(j, "in"))
        jn_fail(j, "for without 'in'");
    n->b = jn_parse_tuple(j, EXPR_NO_COND, "recursive");
    j->soft = false;
    if (jn_skip_name(j, "if"))
        n->c = jn_parse_expr(j, true);
    n->op = jn_skip_name(j, "recursive");
    j->in_loop++;
    n->body = block(j, ENDS("endfor", "else"));
    j->in_loop--;
    if (jn_skip_name(j, "else"))
        n->other = block(j, ENDS("endfor"));
    j->at++;
    j->soft = soft;
    return n;
}

/* list: conditions; body: a SCOPE-less list node per branch, in `other` the else branch. */
static struct jn_node *parse_if(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_IF);
    bool soft = j->soft;
    j->soft = true;
    do {
        jn_add(j, &n->list, jn_parse_tuple(j, EXPR_NO_COND, NULL));
        struct jn_node *branch = jn_node(j, N_SCOPE);
        branch->body = block(j, ENDS("elif", "else", "endif"));
        jn_add(j, &n->body, branch);
    } while (jn_skip_name(j, "elif"));
    if (jn_skip_name(j, "else"))
        n->other = block(j, ENDS("endif"));
    j->at++;
    j->soft = soft;
    return n;
}

static struct jn_node *parse_set(struct jn *j)
{
    struct jn_node *target = parse_target(j, EXPR_NS, NULL);
    struct jn_node *n = jn_node(j, N_SET);
    n->a = target;
    if (jn_skip_op(j, '=')) {
        n->b = jn_parse_tuple(j, 0, NULL);
        return n;
    }
    n->kind = N_SET_BLOCK;
    n->b = jn_parse_filters(j, NULL, false);
    n->body = inner_block(j, "endset");
    return n;
}

/* Parameters of a macro or call block: names in `list`, defaults of the last ones in `other`. */
static void parse_signature(struct jn *j, struct jn_node *n)
{
    jn_expect_op(j, '(');
    while (!jn_skip_op(j, ')')) {
        if (n->list.n) {
            jn_expect_op(j, ',');
            if (jn_tok(j)->kind == T_OP && jn_tok(j)->op == ')')
                jn_fail(j, "wanted a parameter after ','");
        }
        struct jn_node *name = jn_node(j, N_NAME);
        name->sym = parse_name_target(j);
        jn_add(j, &n->list, name);
        if (jn_skip_op(j, '='))
            jn_add(j, &n->other, jn_parse_expr(j, true));
        else if (n->other.n)
            jn_fail(j, "a parameter without default follows one with a default");
    }
}

/* Only macros that speak of varargs or kwargs take more arguments than they name. */
static int takes_rest(struct jn *j, int from)
{
    int rest = 0;
    for (int i = from; i < j->at; i++)
        if (j->tok[i].kind == T_NAME)
            rest |= str_is(j->tok[i].s, "varargs")  ? MACRO_VARARGS
                    : str_is(j->tok[i].s, "kwargs") ? MACRO_KWARGS
                                                    : 0;
    return rest;
}

static struct jn_node *parse_macro(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_MACRO);
    n->name = jn_tok(j)->s;
    n->sym = parse_name_target(j);
    parse_signature(j, n);
    int from = j->at;
    n->body = inner_block(j, "endmacro");
    n->op = takes_rest(j, from);
    return n;
}

static struct jn_node *parse_call_block(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_CALL_BLOCK), *macro = jn_node(j, N_MACRO);
    macro->name = STR("caller");
    macro->sym = -1;
    if (jn_tok(j)->kind == T_OP && jn_tok(j)->op == '(')
        parse_signature(j, macro);
    n->a = jn_parse_expr(j, true);
    if (n->a->kind != N_CALL)
        jn_fail(j, "a call block needs a call");
    int from = j->at;
    macro->body = inner_block(j, "endcall");
    macro->op = takes_rest(j, from);
    n->b = macro;
    return n;
}

static struct jn_node *parse_with(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_WITH);
    while (jn_tok(j)->kind != T_BLOCK_END) {
        if (n->list.n)
            jn_expect_op(j, ',');
        jn_add(j, &n->list, parse_target(j, 0, NULL));
        jn_expect_op(j, '=');
        jn_add(j, &n->other, jn_parse_expr(j, true));
    }
    n->body = inner_block(j, "endwith");
    return n;
}

static struct jn_node *parse_filter_block(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_FILTER_BLOCK);
    n->b = jn_parse_filters(j, NULL, true);
    n->body = inner_block(j, "endfilter");
    return n;
}

static struct jn_node *parse_generation(struct jn *j)
{
    struct jn_node *n = jn_node(j, N_SCOPE);
    n->op = 1; /* opens a scope */
    n->body = inner_block(j, "endgeneration");
    return n;
}

static struct jn_node *parse_jump(struct jn *j, enum jn_node_kind kind)
{
    if (!j->in_loop)
        jn_fail(j, "%s outside of a loop", kind == N_BREAK ? "break" : "continue");
    return jn_node(j, kind);
}

static struct jn_node *parse_break(struct jn *j)
{
    return parse_jump(j, N_BREAK);
}

static struct jn_node *parse_continue(struct jn *j)
{
    return parse_jump(j, N_CONTINUE);
}

static const struct {
    const char *name;
    struct jn_node *(*parse)(struct jn *j);
} statements[] = {
    {"for", parse_for},
    {"if", parse_if},
    {"set", parse_set},
    {"macro", parse_macro},
    {"call", parse_call_block},
    {"with", parse_with},
    {"filter", parse_filter_block},
    {"generation", parse_generation},
    {"break", parse_break},
    {"continue", parse_continue},
};

static const char *const refused[] = {"include", "import",     "from",  "extends",
                                      "block",   "autoescape", "trans", "do"};

static struct jn_node *parse_statement(struct jn *j)
{
    struct jn_token *t = jn_tok(j);
    if (t->kind != T_NAME)
        jn_fail(j, "a tag without a name");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++)
        if (str_is(t->s, statements[i].name)) {
            j->at++;
            return statements[i].parse(j);
        }
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (str_is(t->s, refused[i]))
            jn_fail(j, "tag '%s' is not supported in chat templates", refused[i]);
    jn_fail(j, "unknown tag '" STR_FMT "'", STR_ARG(t->s));
}

static struct jn_nodes parse_body(struct jn *j, const char *const *ends)
{
    struct jn_nodes body = {0};
    for (;;) {
        struct jn_token *t = jn_tok(j);
        if (t->kind == T_EOF) {
            if (ends)
                jn_fail(j, "the template ends, but '%s' was wanted", ends[0]);
            return body;
        }
        j->at++;
        if (t->kind == T_DATA) {
            struct jn_node *n = jn_node(j, N_DATA);
            n->value = jn_str_keep(j, t->s.p, t->s.n);
            jn_add(j, &body, n);
        } else if (t->kind == T_VAR) {
            struct jn_node *n = jn_node(j, N_OUTPUT);
            n->a = jn_parse_tuple(j, 0, NULL);
            jn_add(j, &body, n);
            if (jn_tok(j)->kind != T_VAR_END)
                jn_fail(j, "unexpected text before '}}'");
            j->at++;
        } else {
            for (int i = 0; ends && ends[i]; i++)
                if (jn_at_name(j, ends[i]))
                    return body;
            jn_add(j, &body, parse_statement(j));
            end_tag(j);
        }
    }
}

struct jn_nodes jn_parse(struct jn *j)
{
    j->at = 0;
    struct jn_nodes all = parse_body(j, NULL);
    if (j->unknown.n) {
        struct jn_node *n = j->unknown.v[0];
        j->line = n->line;
        jn_fail(j, "no %s named '" STR_FMT "'", n->kind == N_FILTER ? "filter" : "test", STR_ARG(n->name));
    }
    return all;
}
