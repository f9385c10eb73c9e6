/* A fact at a depth of a long text, asked for at its end. */
#include "measure/needle.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/splitmix.h"

/* The key goes behind the end of a sentence that is not further before its place than this. */
enum { SEARCH_TOKENS = 48 };

struct piece {
    int32_t *ids;
    size_t n;
};

/* Tokens of a text that goes into the middle of one: without those of beginning and end. */
static int tokenize(const struct needle_options *o, const char *text, struct piece *out,
                    struct lathe_err *err)
{
    return lathe_tokenize(o->vocab, text, strlen(text), 0, &out->ids, &out->n, err);
}

double needle_depth(int i, int n_depth)
{
    return n_depth > 1 ? (double)i / (n_depth - 1) : 0.5;
}

static bool ends_sentence(const struct needle_options *o, int32_t id)
{
    size_t n;
    const char *text = lathe_token_text(o->vocab, id, false, &n);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '"'))
        n--;
    return n && strchr(".!?", text[n - 1]);
}

/* Each key has a piece of the text of its own, so that no two of them end alike; they are spread over all of it. */
static const int32_t *text_of(const struct needle_options *o, int key)
{
    return o->ids + (o->n_id - (size_t)o->length) / (size_t)o->n_key * (size_t)key;
}

/* Where of `room` tokens of the text the key of a depth goes: at 1 as far as the first token of it, kept even where that is no sentence. */
static size_t place_of(const struct needle_options *o, const int32_t *text, size_t room, double depth)
{
    size_t at = (size_t)(depth * (double)room + 0.5);
    at = at < 1 ? 1 : at; /* behind the token of the beginning */
    for (size_t i = at; i > 1 && at - i < SEARCH_TOKENS; i--)
        if (ends_sentence(o, text[i - 1]))
            return i;
    return at;
}

/* Five digits, another for each draw. */
static int draw_key(uint64_t *state)
{
    return 10000 + (int)(splitmix_next(state) % 90000);
}

/* The key and others, none of them twice. */
static void draw_keys(uint64_t *state, int keys[NEEDLE_CHOICES])
{
    for (int i = 0; i < NEEDLE_CHOICES; i++) {
        bool is_new;
        do {
            keys[i] = draw_key(state);
            is_new = true;
            for (int k = 0; k < i; k++)
                is_new &= keys[k] != keys[i];
        } while (!is_new);
    }
}

static int32_t *keep(struct task_file *f, const int32_t *ids, size_t n)
{
    return memcpy(arena_alloc(&f->memory, n * sizeof *ids), ids, n * sizeof *ids);
}

#define QUESTION "\n\nWhat is the pass key? The pass key is"

/* A choice is what question and key together have more than the question: some tokenizers write a blank in front of a text. */
static int add_choices(struct task_file *f, struct task_item *item, const struct needle_options *o,
                       const int *keys, size_t n_question, struct lathe_err *err)
{
    char text[80];
    item->choices = arena_alloc(&f->memory, NEEDLE_CHOICES * sizeof *item->choices);
    for (int i = 0; i < NEEDLE_CHOICES; i++) {
        struct piece p;
        snprintf(text, sizeof text, QUESTION " %d", keys[i]);
        TRY(tokenize(o, text, &p, err));
        bool has_own = p.n > n_question;
        if (has_own)
            item->choices[i] = (struct task_choice){.ids = keep(f, p.ids + n_question, p.n - n_question),
                                                    .n = (int)(p.n - n_question),
                                                    .n_char = 5};
        item->n_choice++;
        free(p.ids);
        if (!has_own)
            return err_set(err, LATHE_E_UNSUPPORTED,
                           "--needle: a number has no token of its own in this vocabulary");
    }
    return 0;
}

static int add_item(struct task_file *f, const struct needle_options *o, const int32_t *text, double depth,
                    const int *keys, struct lathe_err *err)
{
    struct piece needle = {NULL, 0}, question = {NULL, 0};
    char words[128];
    struct task_item *item = &f->items[f->n_item++];
    *item = (struct task_item){.gold = 0};
    snprintf(words, sizeof words, "\n\nThe pass key is %d. Remember it. %d is the pass key.\n\n", keys[0],
             keys[0]);
    int rc = tokenize(o, words, &needle, err);
    if (!rc)
        rc = tokenize(o, QUESTION, &question, err);
    if (!rc)
        rc = add_choices(f, item, o, keys, question.n, err);
    if (!rc) {
        size_t room = (size_t)o->length - needle.n - question.n - (size_t)item->choices[0].n,
               at = place_of(o, text, room, depth);
        int32_t *ids = arena_alloc(&f->memory, (room + needle.n + question.n) * sizeof *ids);
        memcpy(ids, text, at * sizeof *ids);
        ids[0] = o->ids[0]; /* of the beginning, where there is one */
        memcpy(ids + at, needle.ids, needle.n * sizeof *ids);
        memcpy(ids + at + needle.n, text + at, (room - at) * sizeof *ids);
        memcpy(ids + room + needle.n, question.ids, question.n * sizeof *ids);
        item->context = ids;
        item->n_context = (int)(room + needle.n + question.n);
    }
    free(needle.ids);
    free(question.ids);
    return rc;
}

int needle_make(struct task_file *f, const struct needle_options *o, struct lathe_err *err)
{
    int keys[NEEDLE_CHOICES], rc = 0;
    uint64_t state = (uint64_t)o->length;
    *f = (struct task_file){.path = "needle"};
    snprintf(f->name, sizeof f->name, "needle");
    if (o->length < NEEDLE_LEAST)
        return err_set(err, LATHE_E_USAGE, "--needle %d: a length of %d tokens is the least", o->length,
                       NEEDLE_LEAST);
    if (o->n_id < (size_t)o->length)
        return err_set(err, LATHE_E_USAGE, "--needle %d: the text has %zu tokens", o->length, o->n_id);
    f->items = mem_new(sizeof *f->items * (size_t)o->n_depth * (size_t)o->n_key);
    for (int k = 0; !rc && k < o->n_key; k++)
        for (int d = o->n_depth - 1; !rc && d >= 0; d--) {
            draw_keys(&state, keys);
            rc = add_item(f, o, text_of(o, k), needle_depth(d, o->n_depth), keys, err);
        }
    return rc;
}
