/* Reading the steps of tokenizer.json: every value is checked, and what is not known is refused by name. */
#include "base/mem.h"
#include "text/pipe.h"

int step_keys(const json_t *j, const char *where, const char *keys, struct lathe_err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)j, key, value)
    {
        size_t n = strlen(key);
        bool known = strcmp(key, "type") == 0;
        for (const char *p = keys; !known && *p; p += *p == ' ') {
            size_t k = strcspn(p, " ");
            known = k == n && memcmp(p, key, n) == 0;
            p += k;
        }
        if (!known)
            return err_set(err, LATHE_E_UNSUPPORTED, "%s: the key '%.60s' is not known here", where, key);
    }
    return 0;
}

static const json_t *value_of(const json_t *j, const char *key)
{
    const json_t *v = json_object_get(j, key);
    return json_is_null(v) ? NULL : v;
}

static int wrong(const char *where, const char *key, const char *what, struct lathe_err *err)
{
    return err_set(err, LATHE_E_FILE, "%s: '%s' is not %s", where, key, what);
}

int step_bool(const json_t *j, const char *where, const char *key, bool *out, struct lathe_err *err)
{
    const json_t *v = value_of(j, key);
    if (v && !json_is_boolean(v))
        return wrong(where, key, "true or false", err);
    *out = v ? json_is_true(v) : *out;
    return 0;
}

int step_int(const json_t *j, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
             struct lathe_err *err)
{
    const json_t *v = value_of(j, key);
    if (!v)
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return err_set(err, LATHE_E_FILE, "%s: '%s' is not a whole number from %lld to %lld", where, key,
                       (long long)low, (long long)high);
    *out = json_integer_value(v);
    return 0;
}

int step_str(const json_t *j, const char *where, const char *key, struct str *out, struct lathe_err *err)
{
    const json_t *v = value_of(j, key);
    if (v && !json_is_string(v))
        return wrong(where, key, "a text", err);
    if (v)
        *out = (struct str){json_string_value(v), json_string_length(v)};
    return 0;
}

struct str step_dup(struct str s)
{
    return (struct str){mem_dup(s.p, s.n), s.n};
}

static int each(const json_t *j, const char *what, const char *list, int depth,
                int (*one)(void *user, const json_t *j, const char *type, struct lathe_err *err), void *user,
                struct lathe_err *err)
{
    const json_t *type = json_object_get(j, "type");
    if (!j || json_is_null(j))
        return 0;
    if (!json_is_string(type))
        return err_set(err, LATHE_E_FILE, "%s: a step is no object with a 'type'", what);
    if (strcmp(json_string_value(type), "Sequence") != 0)
        return one(user, j, json_string_value(type), err);
    TRY(step_keys(j, what, list, err));
    const json_t *steps = json_object_get(j, list);
    if (!json_is_array(steps))
        return err_set(err, LATHE_E_FILE, "%s: a Sequence has no list '%s'", what, list);
    if (depth == PIPE_MAX_STEP)
        return err_set(err, LATHE_E_FILE, "%s: sequences are nested more than %d deep", what, PIPE_MAX_STEP);
    for (size_t i = 0; i < json_array_size(steps); i++)
        TRY(each(json_array_get(steps, i), what, list, depth + 1, one, user, err));
    return 0;
}

int step_each(const json_t *j, const char *what, const char *list,
              int (*one)(void *user, const json_t *j, const char *type, struct lathe_err *err), void *user,
              struct lathe_err *err)
{
    return each(j, what, list, 0, one, user, err);
}
