/* What lathe eval --json printed, read again. */
#include "cli/eval_results.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/input.h"

struct interval eval_result_interval(const json_t *group, const char *key)
{
    const json_t *j = json_object_get(group, key);
    return (struct interval){eval_result_number(j, "value"), eval_result_number(j, "low"),
                             eval_result_number(j, "high")};
}

double eval_result_number(const json_t *object, const char *key)
{
    const json_t *j = json_object_get(object, key);
    return json_is_number(j) ? json_number_value(j) : NAN;
}

const char *eval_result_text(const json_t *object, const char *key, const char *other)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : other;
}

static bool has_label(const struct eval_results *r, const char *label)
{
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->v[i].label, label) == 0)
            return true;
    return false;
}

/* The file's name without folder and ending, and the options that change answers; counted where that is not enough. */
static void set_label(const struct eval_results *r, struct eval_result *v)
{
    const json_t *model = json_object_get(v->json, "model");
    const char *file = eval_result_text(model, "file", "?"), *slash = strrchr(file, '/');
    const char *name = slash && slash[1] ? slash + 1 : file,
               *changes = eval_result_text(v->json, "changes", "");
    size_t n = strlen(name);
    if (n > 5 && strcmp(name + n - 5, ".gguf") == 0)
        n -= 5;
    snprintf(v->label, sizeof v->label - 16, "%.*s%s%s", n < 120 ? (int)n : 120, name, *changes ? " " : "",
             changes);
    size_t end = strlen(v->label);
    for (int i = 2; has_label(r, v->label); i++)
        snprintf(v->label + end, 16, " (%d)", i);
}

int eval_results_add(struct eval_results *r, const char *path, json_t *json, struct lathe_err *err)
{
    const json_t *model = json_object_get(json, "model");
    struct eval_result *v = &r->v[r->n];
    if (!json_is_object(model) || r->n == EVAL_RESULTS_MOST) {
        json_decref(json);
        return err_set(err, LATHE_E_FILE, "%s: %s", path,
                       r->n == EVAL_RESULTS_MOST ? "is one result too many"
                                                 : "is no result: lathe eval --json writes them");
    }
    double bytes = eval_result_number(model, "file_bytes");
    bytes = isnan(bytes) ? eval_result_number(model, "resident_bytes") : bytes;
    *v = (struct eval_result){.json = json, .mb = bytes / 1e6};
    v->bits = 8 * bytes / eval_result_number(model, "n_param");
    set_label(r, v);
    r->n++;
    return 0;
}

int eval_results_read(struct eval_results *r, const char *path, struct lathe_err *err)
{
    struct buf text;
    json_error_t why;
    buf_init(&text, EVAL_RESULT_BYTES);
    int rc = input_read(path, &text, err);
    json_t *j = rc ? NULL : json_loadb(text.p ? text.p : "", text.n, 0, &why);
    buf_free(&text);
    if (rc)
        return rc;
    if (!j)
        return err_set(err, LATHE_E_FILE, "%s: is no result of lathe eval --json: line %d: %s", path,
                       why.line, why.text);
    return eval_results_add(r, path, j, err);
}

void eval_results_free(struct eval_results *r)
{
    for (int i = 0; i < r->n; i++)
        json_decref(r->v[i].json);
    r->n = 0;
}

static bool same_values(const json_t *a, const json_t *b, const char *const *keys)
{
    for (; *keys; keys++) {
        const json_t *x = json_object_get(a, *keys), *y = json_object_get(b, *keys);
        if ((x == NULL) != (y == NULL) || (x && !json_equal(x, y)))
            return false;
    }
    return true;
}

bool eval_results_alike(const struct eval_result *a, const struct eval_result *b)
{
    static const char *const text[] = {"digest", "ctx", "n_token", NULL}, *const reference[] = {
                                                                              "name", "file_type", "n_param",
                                                                              "exact", NULL};
    return same_values(json_object_get(a->json, "text"), json_object_get(b->json, "text"), text) &&
           same_values(json_object_get(a->json, "reference"), json_object_get(b->json, "reference"),
                       reference);
}
