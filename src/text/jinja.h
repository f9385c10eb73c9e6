/* The Jinja interpreter behind template_render: what its files share.
 *
 * lexer -> tokens -> parser -> tree -> evaluation; everything lives in one arena that is freed at the end. A failure anywhere leaves by
 * longjmp to template_render, which is sound because nothing but the arena is owned here. Bounded: steps, depth, bytes. */
#ifndef LATHE_TEXT_JINJA_H
#define LATHE_TEXT_JINJA_H
#include <setjmp.h>
#include "base/mem.h"
#include "base/str.h"

#define JN_STEP_LIMIT 5000000u
#define JN_DEPTH_LIMIT 600     /* nested evaluation */
#define JN_PARSE_LIMIT 200     /* nested syntax */
#define JN_BYTES_LIMIT ((size_t)256 << 20)
#define JN_RANGE_LIMIT 100000  /* as the sandbox of jinja2 */

/* ---- values ---- */

enum jn_kind {
    JN_MISSING, /* an argument that was not given; never seen by a template */
    JN_UNDEFINED, JN_NONE, JN_BOOL, JN_INT, JN_FLOAT, JN_STR,
    JN_LIST, JN_TUPLE, JN_RANGE, JN_VIEW /* of a dict */, JN_GEN /* can be iterated once */,
    JN_DICT, JN_NAMESPACE, JN_MACRO, JN_FUNC, JN_METHOD, JN_LOOP, JN_CYCLER, JN_JOINER
};

struct jn_grow { /* bytes behind a string that may be extended in place by the string that ends at `used` */
    size_t used, cap;
    char p[];
};
struct jn_string {
    const char *p;
    size_t n;
    struct jn_grow *grow; /* or NULL */
    size_t n_char;        /* SIZE_MAX: not counted yet */
};

struct jn_list;
struct jn_dict;
struct jn_macro;
struct jn_loop;
struct jn_method;
struct jn_cycler;
struct jn_func;

struct jn_val {
    enum jn_kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        struct jn_string *s;
        struct jn_list *l;
        struct jn_dict *d;
        struct jn_macro *macro;
        struct jn_loop *loop;
        struct jn_method *method;
        struct jn_cycler *cycler;
        const struct jn_func *func;
        const char *name; /* UNDEFINED: what was not there, or NULL */
    };
};
typedef struct jn_val jval;

struct jn_list {
    jval *v;
    size_t n, cap;
    size_t pos;      /* GEN: what was consumed */
    const char *tag; /* VIEW: "dict_keys" ... */
    bool group;      /* a tuple of groupby: has .grouper and .list */
};
struct jn_entry {
    jval key, value;
    uint64_t hash;
    bool live;
};
struct jn_dict {
    struct jn_entry *e; /* in order of insertion, with dead ones */
    size_t n, cap, n_live;
    uint32_t *index;    /* entry + 1; NULL while small */
    uint32_t mask;
};
struct jn_cycler {
    jval *v;
    size_t n, pos;
};

/* ---- syntax ---- */

enum jn_token_kind { T_DATA, T_VAR, T_VAR_END, T_BLOCK, T_BLOCK_END, T_NAME, T_STR, T_INT, T_FLOAT, T_OP, T_EOF };
struct jn_token {
    enum jn_token_kind kind;
    int line, op; /* op: one or two characters, first in the upper byte: OP2('/', '/') */
    struct str s; /* text of a name, value of a string, data */
    jval num;
};
#define OP2(a, b) ((a) << 8 | (b))

enum jn_node_kind {
    /* expressions */
    N_CONST, N_NAME, N_TUPLE, N_LIST, N_DICT, N_ATTR, N_ITEM, N_SLICE, N_CALL, N_FILTER, N_TEST, N_NOT, N_NEG, N_POS, N_BINARY,
    N_CONCAT, N_AND, N_OR, N_COND, N_COMPARE, N_NSREF, N_KEYWORD, N_STAR, N_STARSTAR,
    /* statements */
    N_DATA, N_OUTPUT, N_FOR, N_IF, N_SET, N_SET_BLOCK, N_MACRO, N_CALL_BLOCK, N_FILTER_BLOCK, N_WITH, N_SCOPE, N_BREAK, N_CONTINUE
};
enum { MACRO_VARARGS = 1, MACRO_KWARGS = 2 };
struct jn_nodes {
    struct jn_node **v;
    int n, cap;
};
struct jn_node {
    enum jn_node_kind kind;
    int line;
    int op;  /* BINARY, COMPARE: operator; FOR: 1 if recursive; MACRO: flags; SCOPE: 1 if it opens one */
    int sym; /* NAME, NSREF, MACRO; MACRO of a call block: -1 */
    struct str name;               /* ATTR, FILTER, TEST, KEYWORD, NSREF */
    jval value;                    /* CONST, DATA */
    const struct jn_func *func;    /* FILTER, TEST; NULL if unknown */
    struct jn_node *a, *b, *c, *d; /* operands; FOR: target, iterable, test; SET: target, value; SLICE: parts */
    struct jn_nodes list, body, other; /* items or arguments; body; else or defaults */
};

/* ---- the interpreter ---- */

struct jn_env { /* one scope; names are few, so a list */
    struct jn_env *parent;
    struct jn_binding {
        int sym;
        jval v;
    } *b;
    int n, cap;
};

struct jn_out {
    char *p;
    size_t n, cap;
};

struct jn {
    struct arena arena;
    jmp_buf fail;
    int rc;
    struct lathe_err *err;
    int line, depth;
    uint32_t steps;
    size_t out_limit;
    struct str date;
    struct str *sym; /* interned names */
    int n_sym, cap_sym;
    int *sym_index;
    int sym_mask;
    jval *global;    /* by symbol: the variables of the caller and the functions of the language; MISSING if none */
    struct jn_env *root;
    struct jn_out *out;
    int sym_loop, sym_caller, sym_varargs, sym_kwargs;
    /* parser */
    struct jn_token *tok;
    int n_tok, cap_tok, at, nest, in_loop;
    bool soft; /* unknown filters and tests fail only when they are reached ... */
    struct jn_nodes unknown; /* ... others before anything runs */
};

struct jn_macro {
    const struct jn_node *node;
    struct jn_env *env;
};
struct jn_method {
    const struct jn_func *func;
    jval self;
};

/* Arguments of a call. */
struct jn_kwarg {
    struct str name;
    jval v;
};
struct jn_args {
    jval *pos;
    int n;
    struct jn_kwarg *kw;
    int n_kw;
};

/* A function, filter, test or method: one row. `params` names its parameters, '?' after the ones that may be left out; bound arguments
 * arrive in a[], MISSING where not given. "/" in front: by position only. "*" leaves everything in `raw`. */
enum { JN_MAX_PARAM = 8 };
typedef jval jn_fn(struct jn *j, jval self, jval *a, const struct jn_args *raw);
struct jn_func {
    const char *name;
    jn_fn *fn;
    const char *params;
};

/* jinja_value.c */
_Noreturn void jn_fail(struct jn *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void jn_limit(struct jn *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void jn_work(struct jn *j, size_t n); /* accounts for n units of work */
void *jn_alloc(struct jn *j, size_t n);
void jn_enter(struct jn *j); /* a level deeper; jn_leave on the way back */
static inline void jn_leave(struct jn *j)
{
    j->depth--;
}
int jn_intern(struct jn *j, struct str name);
jval jn_str(struct jn *j, const char *p, size_t n);      /* copies */
jval jn_str_keep(struct jn *j, const char *p, size_t n); /* p lives in the arena or the source */
jval jn_strz(struct jn *j, const char *z);
jval jn_list(struct jn *j, enum jn_kind kind, size_t cap);
void jn_push(struct jn *j, jval list, jval v);
jval jn_dict(struct jn *j);
void jn_dict_set(struct jn *j, struct jn_dict *d, jval key, jval v);
jval *jn_dict_get(struct jn *j, const struct jn_dict *d, jval key); /* NULL if absent; fails for unhashable keys */
jval *jn_dict_find(struct jn *j, const struct jn_dict *d, struct str key);
bool jn_dict_del(struct jn *j, struct jn_dict *d, jval key);
bool jn_hashable(jval v);
bool jn_truth(jval v);
bool jn_equal(struct jn *j, jval a, jval b);
int jn_order(struct jn *j, jval a, jval b, const char *op); /* -1, 0, 1, or 2 with a NaN; fails for kinds without order */
bool jn_contains(struct jn *j, jval item, jval box);
const char *jn_kind_name(jval v); /* as Python calls the type */
static inline jval jn_bool(bool b)
{
    return (jval){.kind = JN_BOOL, .b = b};
}
static inline jval jn_int(int64_t i)
{
    return (jval){.kind = JN_INT, .i = i};
}
static inline jval jn_float(double f)
{
    return (jval){.kind = JN_FLOAT, .f = f};
}
static inline jval jn_none(void)
{
    return (jval){.kind = JN_NONE};
}
static inline jval jn_undefined(const char *name)
{
    return (jval){.kind = JN_UNDEFINED, .name = name};
}
static inline bool jn_is_seq(jval v)
{
    return v.kind >= JN_LIST && v.kind <= JN_GEN;
}
static inline bool jn_given(jval v)
{
    return v.kind != JN_MISSING;
}
static inline struct str jn_s(jval v)
{
    return (struct str){v.s->p, v.s->n};
}
size_t jn_n_char(jval s);

/* jinja_iter.c: going through any iterable. */
struct jn_iter {
    jval v;
    size_t at;
};
struct jn_iter jn_iter(struct jn *j, jval v); /* fails for what cannot be iterated */
bool jn_next(struct jn *j, struct jn_iter *it, jval *out);
jval jn_to_list(struct jn *j, jval v, enum jn_kind kind);
int64_t jn_len(struct jn *j, jval v); /* -1 for what has no length */
struct jn_slice {
    int64_t from, to, step;
    size_t n;
};
jval jn_slice(struct jn *j, jval v, jval from, jval to, jval step);
jval jn_index(struct jn *j, jval v, int64_t i, bool *found); /* of a sequence or string, negative from the end */
void jn_sort(struct jn *j, jval *v, size_t n, int (*order)(struct jn *j, void *ctx, jval a, jval b), void *ctx);

/* jinja_print.c */
void jn_put(struct jn *j, struct jn_out *o, const char *p, size_t n);
void jn_put_str(struct jn *j, struct jn_out *o, jval v);  /* str(v) */
void jn_put_repr(struct jn *j, struct jn_out *o, jval v); /* repr(v) */
jval jn_to_str(struct jn *j, jval v);
jval jn_out_str(struct jn *j, struct jn_out *o);
int jn_float_repr(double f, char out[32]);
void jn_put_json(struct jn *j, struct jn_out *o, jval v, bool ascii, jval indent, jval separators, bool sort);

/* jinja_lex.c, jinja_parse.c, jinja_expr.c */
void jn_lex(struct jn *j, struct str source);
struct jn_nodes jn_parse(struct jn *j);
struct jn_node *jn_node(struct jn *j, enum jn_node_kind kind);
void jn_add(struct jn *j, struct jn_nodes *list, struct jn_node *n);
enum { EXPR_NO_COND = 1, EXPR_SIMPLE = 2, EXPR_PARENS = 4, EXPR_NS = 8 };
struct jn_node *jn_parse_expr(struct jn *j, bool with_cond);
struct jn_node *jn_parse_tuple(struct jn *j, int flags, const char *end_name);
struct jn_node *jn_parse_filters(struct jn *j, struct jn_node *of, bool start_inline);
struct jn_token *jn_tok(struct jn *j);
bool jn_skip_op(struct jn *j, int op);
bool jn_skip_name(struct jn *j, const char *name);
void jn_expect_op(struct jn *j, int op);
bool jn_at_name(struct jn *j, const char *name);

/* jinja_eval.c, jinja_stmt.c */
jval jn_eval(struct jn *j, const struct jn_node *n, struct jn_env *env);
jval jn_eval_call(struct jn *j, const struct jn_node *n, struct jn_env *env, jval caller);
jval jn_run_filters(struct jn *j, const struct jn_node *n, jval v, struct jn_env *env); /* from the bottom of a chain, where v goes in */
enum jn_jump { JN_ON, JN_BREAK, JN_CONTINUE };
enum jn_jump jn_run(struct jn *j, const struct jn_nodes *body, struct jn_env *env);
jval jn_call(struct jn *j, jval f, const struct jn_args *args);
jval jn_call_func(struct jn *j, const struct jn_func *f, jval self, const struct jn_args *args);
jval jn_call_macro(struct jn *j, struct jn_macro *m, const struct jn_args *args);
jval jn_call_loop(struct jn *j, struct jn_loop *loop, const struct jn_args *args);
jval jn_loop_attr(struct jn *j, struct jn_loop *loop, struct str name, bool *found);
void jn_bind(struct jn *j, struct jn_env *env, int sym, jval v);
void jn_assign(struct jn *j, const struct jn_node *target, jval v, struct jn_env *env);
struct jn_env *jn_env(struct jn *j, struct jn_env *parent);

/* jinja_op.c */
jval jn_binary(struct jn *j, int op, jval a, jval b);
jval jn_concat(struct jn *j, jval a, jval b); /* of two strings */
jval jn_attr(struct jn *j, jval v, struct str name);
jval jn_item(struct jn *j, jval v, jval key);
jval jn_negate(struct jn *j, jval v);
jval jn_repeat(struct jn *j, jval v, int64_t times);

/* Tables of rows, each ended by a row without name. */
extern const struct jn_func jn_filters[], jn_filters_seq[], jn_tests[], jn_globals[];
extern const struct jn_func jn_str_methods[], jn_str_find_methods[], jn_list_methods[], jn_dict_methods[], jn_cycler_methods[], jn_loop_methods[];
const struct jn_func *jn_find_func(const struct jn_func *rows, struct str name);
const struct jn_func *jn_find_filter(struct str name);
jval jn_apply_filter(struct jn *j, const char *name, jval v, const struct jn_args *args);
bool jn_apply_test(struct jn *j, const struct jn_func *test, jval v, const struct jn_args *args);
int64_t jn_arg_int(struct jn *j, jval v, int64_t absent);

/* jinja_format.c */
jval jn_percent(struct jn *j, jval format, jval args);
jval jn_format(struct jn *j, jval format, const struct jn_args *args);

/* jinja_case.c: Unicode as Python has it */
enum jn_case { JN_UPPER, JN_LOWER, JN_TITLE, JN_CAPITALIZE, JN_SWAP, JN_CASEFOLD };
jval jn_recase(struct jn *j, struct str s, enum jn_case how);
bool jn_is_space(uint32_t c);
bool jn_is_alpha(uint32_t c);
bool jn_is_digit(uint32_t c);
bool jn_is_decimal(uint32_t c);
bool jn_is_numeric(uint32_t c);
bool jn_is_upper(uint32_t c);
bool jn_is_lower(uint32_t c);
bool jn_is_title(uint32_t c);
bool jn_is_printable(uint32_t c);
struct str jn_trim(struct str s, const struct str *chars, bool left, bool right);
#endif
