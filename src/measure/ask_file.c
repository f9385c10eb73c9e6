/* Tasks that are answered by writing. */
#include "measure/ask_file.h"
#include <stdlib.h>
#include "measure/lines.h"

enum { PROMPT_LIMIT = 64 << 20 };

struct reading {
    struct ask_file *file;
    const struct ask_options *options;
    struct lines lines;
    struct buf shots; /* the examples, as they stand before each question */
    int n_shot;
};

static const char *text_of(const json_t *j, const char *key)
{
    return json_string_value(json_object_get(j, key));
}

static bool is_question(const json_t *j)
{
    return text_of(j, "question") && text_of(j, "answer");
}

static bool is_instructions(const json_t *j)
{
    return text_of(j, "prompt") && json_is_array(json_object_get(j, "instruction_id_list"));
}

bool ask_file_is(const char *path)
{
    struct lines l;
    json_t *j = NULL;
    bool is = lines_open(&l, path, NULL) == 0 && lines_next_json(&l, &j, NULL) > 0 &&
              (is_question(j) || is_instructions(j));
    json_decref(j);
    lines_close(&l);
    return is;
}

/* As lm-evaluation-harness has it: doc_to_text, a blank, the answer, an empty line. */
static int put_question(struct buf *out, const json_t *j, bool with_answer)
{
    int rc =
        buf_puts(out, "Question: ") || buf_puts(out, text_of(j, "question")) || buf_puts(out, "\nAnswer:");
    if (with_answer)
        rc = rc || buf_puts(out, " ") || buf_puts(out, text_of(j, "answer")) || buf_puts(out, "\n\n");
    return rc;
}

static int chat_ids(const struct reading *r, const char *prompt, int32_t **ids, size_t *n,
                    struct lathe_err *err)
{
    const lathe_model *m = r->options->model;
    json_t *vars =
        json_pack("{s[{ssss}]sb}", "messages", "role", "user", "content", prompt, "add_generation_prompt", 1);
    char *text = json_dumps(vars, JSON_PRESERVE_ORDER), *rendered = NULL;
    size_t n_rendered = 0;
    json_decref(vars);
    int rc = lathe_chat_render(m, text, strlen(text), NULL, &rendered, &n_rendered, err);
    if (!rc)
        rc = lathe_chat_tokenize(lathe_model_vocab(m), rendered, n_rendered, ids, n, err);
    free(rendered);
    free(text);
    return rc;
}

static int tokenize(struct reading *r, struct ask_item *item, struct lathe_err *err)
{
    const lathe_vocab *v = lathe_model_vocab(r->options->model);
    struct buf prompt;
    int32_t *ids = NULL;
    size_t n = 0;
    int rc = 0;
    buf_init(&prompt, PROMPT_LIMIT);
    if (r->file->kind == ASK_NUMBER) {
        if (buf_put(&prompt, r->shots.p, r->shots.n) || put_question(&prompt, item->json, false))
            rc = lines_wrong(&r->lines, "is too long with its examples", err);
        if (!rc)
            rc = lathe_tokenize(v, prompt.p, prompt.n, LATHE_TOK_BOS, &ids, &n, err);
    } else {
        const char *text = text_of(item->json, "prompt");
        rc = r->file->is_chat ? chat_ids(r, text, &ids, &n, err)
                              : lathe_tokenize(v, text, strlen(text), LATHE_TOK_BOS, &ids, &n, err);
    }
    if (!rc && !n)
        rc = lines_wrong(&r->lines, "has an empty prompt", err);
    if (!rc) {
        item->ids = memcpy(arena_alloc(&r->file->memory, n * sizeof *ids), ids, n * sizeof *ids);
        item->n_id = (int)n;
    }
    free(ids);
    buf_free(&prompt);
    return rc;
}

static int read_rules(struct reading *r, struct ask_item *item, struct lathe_err *err)
{
    const json_t *names = json_object_get(item->json, "instruction_id_list"),
                 *args = json_object_get(item->json, "kwargs"), *name;
    size_t i, n = json_array_size(names);
    if (n == 0 || n > 64 || json_array_size(args) != n)
        return lines_wrong(&r->lines, "needs as many kwargs as instructions, from 1 to 64", err);
    item->rules = arena_alloc(&r->file->memory, n * sizeof *item->rules);
    json_array_foreach(names, i, name)
    {
        const char *text = json_string_value(name);
        const char *why = text ? ifeval_rule_read(&item->rules[i], text, json_array_get(args, i))
                               : "has an instruction that is no text";
        if (why)
            return lines_wrong(&r->lines, why, err);
    }
    item->n_rule = (int)n;
    return 0;
}

static int read_gold(struct ask_item *item)
{
    item->gold = str_of(text_of(item->json, "answer"));
    return 0;
}

/* Takes the object. */
static int read_item(struct reading *r, json_t *j, struct lathe_err *err)
{
    struct ask_file *f = r->file;
    enum ask_kind kind = is_question(j) ? ASK_NUMBER : ASK_INSTRUCTIONS;
    bool is_known = is_question(j) || is_instructions(j), is_first = f->n_item == 0 && r->n_shot == 0;
    if (!is_known || (!is_first && kind != f->kind)) {
        json_decref(j);
        return lines_wrong(
            &r->lines,
            is_known ? "is of another kind than those before it"
                     : "is no task: it needs question and answer, or prompt, instruction_id_list and kwargs",
            err);
    }
    f->kind = kind;
    f->is_chat = kind == ASK_INSTRUCTIONS && r->options->has_template;
    if (kind == ASK_NUMBER && r->n_shot < r->options->n_shot) {
        int rc = put_question(&r->shots, j, true);
        r->n_shot++;
        json_decref(j);
        return rc ? lines_wrong(&r->lines, "is too long for an example", err) : 0;
    }
    if ((f->n_item & (f->n_item - 1)) == 0)
        f->items = mem_grow(f->items, sizeof *f->items * (size_t)(f->n_item ? 2 * f->n_item : 1));
    struct ask_item *item = &f->items[f->n_item++];
    *item = (struct ask_item){.json = j};
    TRY(kind == ASK_NUMBER ? read_gold(item) : read_rules(r, item, err));
    return tokenize(r, item, err);
}

int ask_file_read(struct ask_file *f, const char *path, const struct ask_options *o, struct lathe_err *err)
{
    struct reading r = {.file = f, .options = o};
    json_t *j = NULL;
    *f = (struct ask_file){.path = path};
    lines_name(path, f->name, sizeof f->name);
    buf_init(&r.shots, PROMPT_LIMIT);
    int rc = lines_open(&r.lines, path, err);
    while (!rc && (!o->n_most || f->n_item < o->n_most) && (rc = lines_next_json(&r.lines, &j, err)) > 0)
        rc = read_item(&r, j, err);
    f->n_shot = r.n_shot;
    if (!rc && !f->n_item)
        rc = err_set(err, LATHE_E_FILE,
                     r.n_shot ? "%s: has %d questions, all of which are examples" : "%s: has no task", path,
                     r.n_shot);
    buf_free(&r.shots);
    lines_close(&r.lines);
    return rc;
}

void ask_file_free(struct ask_file *f)
{
    for (int i = 0; i < f->n_item; i++)
        json_decref(f->items[i].json);
    free(f->items);
    arena_free(&f->memory);
    *f = (struct ask_file){.path = NULL};
}

int ask_longest(const struct ask_file *f)
{
    int most = 0;
    for (int i = 0; i < f->n_item; i++)
        most = f->items[i].n_id > most ? f->items[i].n_id : most;
    return most;
}
