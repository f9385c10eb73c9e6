/* Tasks for language models. */
#include "measure/task_file.h"
#include <stdlib.h>
#include <string.h>
#include "measure/lines.h"

static const struct task_form {
    const char *name;
    bool trims;
    const char *end;
} forms[] = {
#define TASK(name, trims, end) {name, trims, end},
#include "measure/tasks.inc"
#undef TASK
};

/* Of the file being read. */
struct reading {
    struct task_file *file;
    const lathe_vocab *vocab;
    const struct task_form *form;
    struct lines lines;
};

static int wrong_line(const struct reading *r, const char *why, struct lathe_err *err)
{
    return lines_wrong(&r->lines, why, err);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int count_characters(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xc0) != 0x80;
    return n;
}

static int tokenize(const struct reading *r, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                    struct lathe_err *err)
{
    return lathe_tokenize(r->vocab, text, n, LATHE_TOK_BOS, ids, n_ids, err);
}

static int32_t *keep_ids(struct reading *r, const int32_t *ids, size_t n)
{
    return memcpy(arena_alloc(&r->file->memory, (n + 1) * sizeof *ids), ids, n * sizeof *ids);
}

/* The tokens of context and choice together, from where those of the context alone end: lm-evaluation-harness' _encode_pair. */
static int read_choice(struct reading *r, struct task_item *item, const struct buf *context, size_t n_trimmed,
                       const char *choice, struct lathe_err *err)
{
    struct task_choice *c = &item->choices[item->n_choice];
    struct buf both;
    int32_t *ids = NULL;
    size_t n = 0;
    buf_init(&both, (size_t)64 << 20);
    if (buf_put(&both, context->p, context->n + n_trimmed) || buf_putc(&both, ' ') ||
        buf_puts(&both, choice)) {
        buf_free(&both);
        return wrong_line(r, "is too long", err);
    }
    int rc = tokenize(r, both.p, both.n, &ids, &n, err);
    buf_free(&both);
    if (!rc && n <= (size_t)item->n_context)
        rc = wrong_line(r, "has a choice without a token of its own", err);
    if (!rc) {
        c->n = (int)n - item->n_context;
        c->ids = keep_ids(r, ids + item->n_context, (size_t)c->n);
        c->n_char = count_characters(choice);
        c->n_char += c->n_char == 0; /* nothing but the blank */
        item->n_choice++;
    }
    free(ids);
    return rc;
}

/* White space at the end of a context goes to the choices, since that is where tokenizers put it. */
static int read_context(struct reading *r, struct task_item *item, struct buf *context, const char *query,
                        size_t *n_trimmed, struct lathe_err *err)
{
    size_t n = strlen(query), n_ids = 0;
    int32_t *ids = NULL;
    while (r->form->trims && n && is_space(query[n - 1]))
        n--;
    if (buf_put(context, query, n) || buf_puts(context, r->form->end))
        return wrong_line(r, "is too long", err);
    n = context->n;
    while (n && is_space(context->p[n - 1]))
        n--;
    *n_trimmed = context->n - n;
    context->n = n;
    TRY(tokenize(r, context->p ? context->p : "", n, &ids, &n_ids, err));
    if (n_ids) {
        item->context = keep_ids(r, ids, n_ids);
        item->n_context = (int)n_ids;
    }
    free(ids);
    return n_ids ? 0 : wrong_line(r, "has an empty query", err);
}

static int read_item(struct reading *r, const json_t *j, struct lathe_err *err)
{
    const json_t *choices = json_object_get(j, "choices"), *gold = json_object_get(j, "gold");
    const char *last = json_string_value(json_object_get(j, "continuation")),
               *query = json_string_value(json_object_get(j, last ? "context" : "query"));
    size_t n_choice = last ? 1 : json_array_size(choices), n_trimmed = 0;
    if (!query || n_choice < 1 || n_choice > TASK_MOST_CHOICES)
        return wrong_line(r, "is no task: it needs query, choices and gold, or context and continuation",
                          err);
    json_int_t right = last ? 0 : json_is_integer(gold) ? json_integer_value(gold) : -1;
    if (right < 0 || right >= (json_int_t)n_choice)
        return wrong_line(r, "has a gold that is no index of its choices", err);
    struct task_item *item = &r->file->items[r->file->n_item];
    struct buf context;
    buf_init(&context, (size_t)64 << 20);
    *item = (struct task_item){.gold = (int)right};
    item->choices = arena_alloc(&r->file->memory, n_choice * sizeof *item->choices);
    r->file->is_last_word = last != NULL;
    int rc = read_context(r, item, &context, query, &n_trimmed, err);
    for (size_t i = 0; !rc && i < n_choice; i++) {
        const char *choice = last ? last : json_string_value(json_array_get(choices, i));
        rc = choice ? read_choice(r, item, &context, n_trimmed, choice, err)
                    : wrong_line(r, "has a choice that is no text", err);
    }
    buf_free(&context);
    r->file->n_item += !rc;
    return rc;
}

static int read_line(struct reading *r, const json_t *j, struct lathe_err *err)
{
    struct task_file *t = r->file;
    if ((t->n_item & (t->n_item - 1)) == 0)
        t->items = mem_grow(t->items, sizeof *t->items * (size_t)(t->n_item ? 2 * t->n_item : 1));
    bool had = t->n_item > 0, was = t->is_last_word;
    TRY(read_item(r, j, err));
    return had && was != t->is_last_word ? wrong_line(r, "is of another kind than those before it", err) : 0;
}

int task_file_read(struct task_file *t, const char *path, const lathe_vocab *v, int n_most,
                   struct lathe_err *err)
{
    struct reading r = {.file = t, .vocab = v, .form = forms};
    json_t *j = NULL;
    *t = (struct task_file){.path = path};
    lines_name(path, t->name, sizeof t->name);
    while (strncmp(t->name, r.form->name, strlen(r.form->name)) != 0)
        r.form++;
    int rc = lines_open(&r.lines, path, err);
    while (!rc && (!n_most || t->n_item < n_most) && (rc = lines_next_json(&r.lines, &j, err)) > 0) {
        rc = read_line(&r, j, err);
        json_decref(j);
    }
    if (!rc && !t->n_item)
        rc = err_set(err, LATHE_E_FILE, "%s: has no task", path);
    lines_close(&r.lines);
    return rc;
}

void task_file_free(struct task_file *t)
{
    free(t->items);
    arena_free(&t->memory);
    *t = (struct task_file){.path = NULL};
}
