/* Chat templates: the entry to the Jinja interpreter; JSON variables to values. */
#include "text/template.h"
#include "text/jinja.h"
#include "base/utf8.h"
#include <jansson.h>
#include <stdlib.h>

static jval from_json(struct jn *j, const json_t *v)
{
    jval out;
    size_t i;
    const json_t *item;
    const char *key;
    switch (json_typeof(v)) {
    case JSON_TRUE:
    case JSON_FALSE:
        return jn_bool(json_is_true(v));
    case JSON_INTEGER:
        return jn_int(json_integer_value(v));
    case JSON_REAL:
        return jn_float(json_real_value(v));
    case JSON_STRING:
        return jn_str(j, json_string_value(v), json_string_length(v));
    case JSON_ARRAY:
        out = jn_list(j, JN_LIST, json_array_size(v));
        json_array_foreach(v, i, item) jn_push(j, out, from_json(j, item));
        return out;
    case JSON_OBJECT:
        out = jn_dict(j);
        for (void *it = json_object_iter((json_t *)v); it; it = json_object_iter_next((json_t *)v, it)) {
            key = json_object_iter_key(it);
            jn_dict_set(j, out.d, jn_str(j, key, strlen(key)), from_json(j, json_object_iter_value(it)));
        }
        return out;
    default:
        return jn_none();
    }
}

/* Names that the template speaks of get their value from the variables, else from the functions of the
 * language. */
static void bind_globals(struct jn *j, const json_t *vars)
{
    j->global = jn_alloc(j, (size_t)j->n_sym * sizeof *j->global);
    for (int i = 0; i < j->n_sym; i++) {
        const json_t *v = json_object_getn(vars, j->sym[i].p, j->sym[i].n);
        const struct jn_func *f = jn_find_func(jn_globals, j->sym[i]);
        j->global[i].kind = JN_MISSING;
        if (v)
            j->global[i] = from_json(j, v);
        else if (f)
            j->global[i] = (jval){.kind = JN_FUNC, .func = f};
    }
}

static void run(struct jn *j, struct str source, const json_t *vars, struct jn_out *out)
{
    j->sym_loop = jn_intern(j, STR("loop"));
    j->sym_caller = jn_intern(j, STR("caller"));
    j->sym_varargs = jn_intern(j, STR("varargs"));
    j->sym_kwargs = jn_intern(j, STR("kwargs"));
    jn_lex(j, source);
    struct jn_nodes all = jn_parse(j);
    j->line = 1;
    bind_globals(j, vars);
    j->out = out;
    jn_run(j, &all, jn_env(j, NULL));
}

/* Only what jn_alloc handed out is alive when a failure leaves by longjmp. */
static int guarded(struct jn *j, struct str source, const json_t *vars, struct jn_out *out)
{
    if (setjmp(j->fail))
        return j->rc;
    run(j, source, vars, out);
    return 0;
}

int template_render(struct str source, struct str vars, const char *date, struct buf *out,
                    struct lathe_err *err)
{
    json_error_t error;
    json_t *json = json_loadb(vars.p, vars.n, JSON_ALLOW_NUL, &error);
    if (!json_is_object(json)) {
        int rc = json ? err_set(err, LATHE_E_USAGE, "the template's variables are not a JSON object")
                      : err_set(err, LATHE_E_USAGE, "the template's variables are not JSON: line %d: %s",
                                error.line, error.text);
        json_decref(json);
        return rc;
    }
    struct jn *j = mem_new(sizeof *j);
    struct jn_out *text = mem_new(sizeof *text);
    j->err = err;
    j->out_limit = out->limit - out->n;
    j->date = date ? str_of(date) : (struct str){"", 0};
    int rc = guarded(j, source, json, text);
    if (!rc && buf_put(out, text->p, text->n))
        rc = err_set(err, LATHE_E_LIMIT, "chat template: more than %zu bytes of output", out->limit);
    arena_free(&j->arena);
    free(j);
    free(text);
    json_decref(json);
    return rc;
}
