/* Post-processors: the ids that go in front of a text and behind it. */
#include "base/mem.h"
#include "text/pipe.h"

struct work {
    struct post *out;
    const vocab *v;
};

static int put(struct work *w, bool after, int64_t id, const char *where, struct lathe_err *err)
{
    struct post *p = w->out;
    int32_t **list = after ? &p->after : &p->before;
    int *n = after ? &p->n_after : &p->n_before;
    enum { MOST = 64 };
    if (id < 0 || id >= w->v->n)
        return err_set(err, LATHE_E_FILE, "%s: id %lld, but there are %d tokens", where, (long long)id,
                       w->v->n);
    if (*n == MOST)
        return err_set(err, LATHE_E_LIMIT, "%s: more than %d ids around a text", where, MOST);
    *list = mem_grow(*list, ((size_t)*n + 1) * sizeof **list);
    (*list)[(*n)++] = (int32_t)id;
    return 0;
}

static int put_special(struct work *w, bool after, const json_t *specials, const json_t *item,
                       const char *where, struct lathe_err *err)
{
    const char *name = json_string_value(json_object_get(item, "id"));
    const json_t *ids = json_object_get(json_object_get(specials, name ? name : ""), "ids");
    if (!json_array_size(ids))
        return err_set(err, LATHE_E_FILE, "%s: 'special_tokens' has no ids for '%.60s'", where,
                       name ? name : "");
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        TRY(put(w, after, json_is_integer(id) ? json_integer_value(id) : -1, where, err));
    }
    return 0;
}

/* Item `at` of a pair's template; false if it is not as BERT has it: before A after, of type 0, then B after, of type 1. */
static bool is_pair_item(const struct post *p, const json_t *specials, const json_t *item, int at)
{
    const int second = p->n_before + 1 + p->n_after, i = at < second ? at : at - second + p->n_before;
    const json_t *special = json_object_get(item, "SpecialToken"), *text = json_object_get(item, "Sequence");
    const char *name = json_string_value(json_object_get(special ? special : text, "id"));
    const json_t *type = json_object_get(special ? special : text, "type_id");
    if (!name || json_integer_value(type) != (at >= second))
        return false;
    if (i == p->n_before)
        return text && strcmp(name, at < second ? "A" : "B") == 0;
    const json_t *ids = json_object_get(json_object_get(specials, name), "ids");
    int32_t want = i < p->n_before ? p->before[i] : p->after[i - p->n_before - 1];
    return special && json_array_size(ids) == 1 && json_integer_value(json_array_get(ids, 0)) == want;
}

static bool has_pairs(const struct post *p, const json_t *j)
{
    const json_t *pair = json_object_get(j, "pair"), *specials = json_object_get(j, "special_tokens");
    bool same = json_array_size(pair) == (size_t)(p->n_before + 2 * p->n_after + 2);
    for (size_t i = 0; same && i < json_array_size(pair); i++)
        same = is_pair_item(p, specials, json_array_get(pair, i), (int)i);
    return same;
}

static int parse_template(struct work *w, const json_t *j, const char *where, struct lathe_err *err)
{
    const json_t *single = json_object_get(j, "single"), *specials = json_object_get(j, "special_tokens");
    int n_text = 0;
    if (!json_is_array(single))
        return err_set(err, LATHE_E_FILE, "%s: 'single' is no list", where);
    for (size_t i = 0; i < json_array_size(single); i++) {
        const json_t *item = json_array_get(single, i), *special = json_object_get(item, "SpecialToken"),
                     *text = json_object_get(item, "Sequence");
        const char *which = json_string_value(json_object_get(text, "id"));
        if (special)
            TRY(put_special(w, n_text > 0, specials, special, where, err));
        else if (which && strcmp(which, "A") == 0)
            n_text++;
        else
            return err_set(err, LATHE_E_UNSUPPORTED,
                           "%s: 'single' has something else than special tokens and the text A", where);
    }
    if (n_text != 1)
        return err_set(err, LATHE_E_UNSUPPORTED, "%s: 'single' has the text %d times, once is supported",
                       where, n_text);
    w->out->pairs = has_pairs(w->out, j);
    return 0;
}

static int parse_pair(struct work *w, const json_t *j, const char *where, struct lathe_err *err)
{
    static const char *const ends[] = {"cls", "sep"};
    for (int i = 0; i < 2; i++) {
        const json_t *id = json_array_get(json_object_get(j, ends[i]), 1);
        if (!json_is_integer(id))
            return err_set(err, LATHE_E_FILE, "%s: '%s' is no pair of a text and an id", where, ends[i]);
        TRY(put(w, i == 1, json_integer_value(id), where, err));
    }
    const char *type = json_string_value(json_object_get(j, "type"));
    w->out->pairs =
        type && strcmp(type, "BertProcessing") == 0; /* RoBERTa's have two tokens between the texts */
    return 0;
}

static int parse_none(struct work *w, const json_t *j, const char *where, struct lathe_err *err)
{
    return 0;
}

static const struct post_kind {
    const char *name, *keys;
    int (*parse)(struct work *w, const json_t *j, const char *where, struct lathe_err *err);
} kinds[] = {
    {"TemplateProcessing", "single pair special_tokens", parse_template},
    {"BertProcessing", "cls sep", parse_pair},
    {"RobertaProcessing", "cls sep trim_offsets add_prefix_space", parse_pair},
    {"ByteLevel", "add_prefix_space trim_offsets use_regex", parse_none}, /* it changes offsets alone */
};

static int add_step(void *user, const json_t *j, const char *type, struct lathe_err *err)
{
    struct work *w = user;
    char where[80];
    snprintf(where, sizeof where, "post-processor %.50s", type);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(kinds[i].name, type) != 0)
            continue;
        TRY(step_keys(j, where, kinds[i].keys, err));
        if (kinds[i].parse != parse_none && w->out->present)
            return err_set(err, LATHE_E_UNSUPPORTED, "%s: a second one that adds tokens is not supported",
                           where);
        w->out->present = w->out->present || kinds[i].parse != parse_none;
        return kinds[i].parse(w, j, where, err);
    }
    return err_set(err, LATHE_E_UNSUPPORTED, "post-processor '%.60s' is not supported", type);
}

int post_of_json(const json_t *j, const vocab *v, struct post *out, struct lathe_err *err)
{
    struct work w = {out, v};
    return step_each(j, "post_processor", "processors", add_step, &w, err);
}

void post_free(struct post *p)
{
    free(p->before);
    free(p->after);
}
