/* Conversations that were tokenized lately: one that grew is tokenized from where it grew on.
 *
 * An entry is a text, its ids, and where special tokens were found in it. Of a new text the entry that agrees longest gives the
 * ids up to the last such place from which on no special token reaches the difference: what is before it does not
 * depend on what follows. Entries are few and long, so they are compared one after another; the one that was used longest ago
 * goes when their bytes pass the limit. */
#include <lathe.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "model/model.h"
#include "text/vocab.h"

enum { MAX_ENTRY = 256 };

struct entry {
    char *text;
    size_t n_text, n_ids, n_bytes;
    int32_t *ids;
    struct vocab_marks marks;
    int flags;
    uint64_t salt, used; /* used: by the clock of the cache */
};

struct lathe_chat_cache {
    const lathe_vocab *vocab;
    pthread_mutex_t lock;
    struct entry entries[MAX_ENTRY];
    int n_entry;
    size_t n_bytes, limit, longest_special;
    uint64_t clock;
};

lathe_chat_cache *lathe_chat_cache_new(const lathe_vocab *v, size_t n_bytes)
{
    lathe_chat_cache *c = mem_new(sizeof *c);
    c->vocab = v;
    c->limit = n_bytes;
    c->longest_special = vocab_longest_special(v);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void entry_free(struct entry *e)
{
    free(e->text);
    free(e->ids);
    free(e->marks.p);
}

void lathe_chat_cache_free(lathe_chat_cache *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n_entry; i++)
        entry_free(&c->entries[i]);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static size_t n_common(const struct entry *e, const char *text, size_t n)
{
    size_t most = e->n_text < n ? e->n_text : n, i = 0;
    while (i + 256 <= most && memcmp(e->text + i, text + i, 256) == 0)
        i += 256;
    while (i < most && e->text[i] == text[i])
        i++;
    return i;
}

/* The last mark of the entry from which on no special token reaches past `common`; NULL if there is none. */
static const struct vocab_mark *last_mark(const lathe_chat_cache *c, const struct entry *e, size_t common,
                                          size_t n)
{
    bool whole = common == n && common == e->n_text; /* no difference */
    for (size_t i = e->marks.n; i-- > 0;)
        if (whole || e->marks.p[i].byte + c->longest_special <= common)
            return &e->marks.p[i];
    return NULL;
}

/* The entry that helps most, with the mark to go on from. */
static struct entry *find(lathe_chat_cache *c, uint64_t salt, int flags, const char *text, size_t n,
                          struct vocab_mark *from)
{
    struct entry *best = NULL;
    for (int i = 0; i < c->n_entry; i++) {
        struct entry *e = &c->entries[i];
        if (e->salt != salt || e->flags != flags)
            continue;
        const struct vocab_mark *m = last_mark(c, e, n_common(e, text, n), n);
        if (m && m->byte > from->byte) {
            *from = *m;
            best = e;
        }
    }
    return best;
}

static void drop(lathe_chat_cache *c, struct entry *e)
{
    c->n_bytes -= e->n_bytes;
    entry_free(e);
    *e = c->entries[--c->n_entry];
}

/* Whether it has nothing that `by` has not. */
static bool is_covered(const struct entry *e, const struct entry *by)
{
    return e->salt == by->salt && e->flags == by->flags && e->n_text <= by->n_text &&
           memcmp(e->text, by->text, e->n_text) == 0;
}

static void keep(lathe_chat_cache *c, struct entry e)
{
    if (e.n_bytes > c->limit) {
        entry_free(&e);
        return;
    }
    for (int i = c->n_entry; i-- > 0;)
        if (is_covered(&c->entries[i], &e))
            drop(c, &c->entries[i]);
    while (c->n_entry == MAX_ENTRY || c->n_bytes + e.n_bytes > c->limit) {
        struct entry *oldest = c->entries;
        for (int i = 1; i < c->n_entry; i++)
            if (c->entries[i].used < oldest->used)
                oldest = &c->entries[i];
        drop(c, oldest);
    }
    e.used = ++c->clock;
    c->n_bytes += e.n_bytes;
    c->entries[c->n_entry++] = e;
}

static struct entry entry_of(uint64_t salt, int flags, const char *text, size_t n, const int32_t *ids,
                             size_t n_ids)
{
    struct entry e = {.text = mem_dup(text, n), .n_text = n, .n_ids = n_ids, .flags = flags, .salt = salt};
    e.ids = mem_new((n_ids + 1) * sizeof *e.ids);
    memcpy(e.ids, ids, n_ids * sizeof *ids);
    return e;
}

int lathe_chat_cache_tokenize(lathe_chat_cache *c, uint64_t salt, const char *text, size_t n, int32_t **ids,
                              size_t *n_ids, size_t *n_reused, struct lathe_err *err)
{
    int flags = chat_tokenize_flags(c->vocab, text, n);
    struct vocab_mark from = {0};
    struct vocab_marks marks = {0};
    int32_t *before = NULL;
    pthread_mutex_lock(&c->lock);
    struct entry *e = find(c, salt, flags, text, n, &from);
    if (e) { /* copies, since the work goes on without the lock */
        before = mem_new((from.id + 1) * sizeof *before);
        memcpy(before, e->ids, from.id * sizeof *before);
        for (size_t i = 0; i < e->marks.n && e->marks.p[i].byte < from.byte; i++)
            vocab_mark_add(&marks, e->marks.p[i]);
    }
    pthread_mutex_unlock(&c->lock);
    int rc = vocab_encode_from(c->vocab, text, n, flags, from, before, &marks, ids, n_ids, err);
    free(before);
    if (n_reused)
        *n_reused = from.id;
    if (rc) {
        free(marks.p);
        return rc;
    }
    struct entry mine = entry_of(salt, flags, text, n, *ids, *n_ids);
    mine.marks = marks;
    mine.n_bytes = sizeof mine + n + *n_ids * sizeof **ids + marks.cap * sizeof *marks.p;
    pthread_mutex_lock(&c->lock);
    keep(c, mine);
    pthread_mutex_unlock(&c->lock);
    return 0;
}
