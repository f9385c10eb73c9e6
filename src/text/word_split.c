/* How the models of a pipeline cut a word into tokens: Unigram by the best sum of scores, WordPiece by the longest beginning, BPE
 * by merges of characters. Each is what the `tokenizers` library does, its corners included. */
#include "base/mem.h"
#include "text/pipe.h"

/* ---- Unigram ---- */

struct node { /* the best way to end at a byte */
    double score;
    uint32_t from; /* UINT32_MAX: none yet */
    int32_t id;
};

static void better(struct node *to, double score, size_t from, int32_t id)
{
    if (to->from == UINT32_MAX || score > to->score)
        *to = (struct node){score, (uint32_t)from, id};
}

static void viterbi(const vocab *v, const struct word_model *m, struct str word, struct node *node)
{
    for (size_t i = 0; i <= word.n; i++)
        node[i] = (struct node){0, UINT32_MAX, -1};
    for (size_t from = 0, len; from < word.n; from += len) {
        bool whole = false;
        double here = node[from].score;
        uni_at(word.p + from, word.n - from, &len);
        uint32_t at = 0;
        for (size_t to = from; to < word.n;) {
            at = trie_step(&v->trie, at, word.p[to++]);
            if (!at)
                break;
            int32_t id = v->trie.id[at];
            if ((uint32_t)id >= (uint32_t)v->n)
                continue;
            better(&node[to], here + v->score[id], from, id);
            whole = whole || to - from == len;
        }
        if (!whole)
            better(&node[from + len], here + m->unk_score, from, m->unk_id);
    }
}

/* What no token is: one for the whole of it if there is such, else its bytes, else the unknown token. */
static int put_unknown(struct walk *w, struct str s)
{
    const vocab *v = w->v;
    int32_t id = vocab_word(v, s.p, s.n);
    size_t at = w->out->n;
    bool bytes = id < 0 && w->p->model.byte_fallback;
    for (size_t i = 0, len; bytes && i < s.n; i += len) {
        uint32_t c = uni_at(s.p + i, s.n - i, &len);
        bool mark = is_byte_mark(w->marked, c);
        for (size_t k = 0; bytes && k < (mark ? 1 : len); k++) {
            int32_t byte = v->byte_id[mark ? c - BYTE_MARK : (unsigned char)s.p[i + k]];
            bytes = byte >= 0;
            if (bytes)
                ids_push(w->out, byte);
        }
    }
    if (bytes)
        return 0;
    w->out->n = at;
    id = id < 0 ? w->p->model.unk_id : id;
    if (id < 0)
        return err_set(w->err, LATHE_E_FILE, "the vocabulary has no unknown token for '" STR_FMT "'",
                       STR_ARG(s));
    ids_push(w->out, id);
    return 0;
}

int unigram_encode(struct walk *w, struct str word)
{
    const struct word_model *m = &w->p->model;
    void *p;
    if (word.n >= UINT32_MAX / 2)
        return err_set(w->err, LATHE_E_LIMIT, "a word of %zu bytes is too long", word.n);
    TRY(walk_scratch(w, word.n + 1, sizeof(struct node), &p));
    struct node *node = p;
    viterbi(w->v, m, word, node);
    uint32_t to = (uint32_t)word.n, next = UINT32_MAX; /* turns the chain of `from` around, in place */
    while (to) {
        uint32_t from = node[to].from;
        node[to].from = next;
        next = to;
        to = from;
    }
    for (uint32_t from = 0; next != UINT32_MAX;) {
        uint32_t end = next;
        int32_t id = node[end].id;
        next = node[end].from;
        if (id != m->unk_id || id < 0) {
            if (id < 0)
                TRY(put_unknown(w, (struct str){word.p + from, end - from}));
            else
                ids_push(w->out, id);
        } else {
            for (; m->fuse_unk && next != UINT32_MAX && node[next].id == m->unk_id; next = node[next].from)
                end = next;
            TRY(put_unknown(w, (struct str){word.p + from, end - from}));
        }
        from = end;
    }
    return 0;
}

/* ---- WordPiece ---- */

static bool too_long(struct str word, int64_t max_chars)
{
    int64_t n = 0;
    for (size_t i = 0; i < word.n; i++)
        n += ((unsigned char)word.p[i] & 0xc0) != 0x80;
    return n > max_chars;
}

static uint32_t walk_prefix(const struct trie *t, struct str prefix)
{
    uint32_t at = 0;
    for (size_t i = 0; i < prefix.n; i++) {
        at = trie_step(t, at, prefix.p[i]);
        if (!at)
            return UINT32_MAX;
    }
    return at;
}

int wordpiece_encode(struct walk *w, struct str word)
{
    const struct word_model *m = &w->p->model;
    const struct trie *t = &w->v->trie;
    size_t begin = w->out->n;
    bool bad = too_long(word, m->max_chars);
    uint32_t inner = bad ? UINT32_MAX : walk_prefix(t, m->prefix);
    for (size_t from = 0, to; !bad && from < word.n; from = to) {
        int32_t best = -1;
        uint32_t at = from ? inner : 0;
        to = from;
        for (size_t i = from; at != UINT32_MAX && i < word.n;) {
            at = trie_step(t, at, word.p[i++]);
            if (!at)
                break;
            bool whole = i == word.n || ((unsigned char)word.p[i] & 0xc0) != 0x80;
            if (whole && (uint32_t)t->id[at] < (uint32_t)w->v->n) {
                best = t->id[at];
                to = i;
            }
        }
        bad = best < 0;
        if (!bad)
            ids_push(w->out, best);
    }
    if (!bad)
        return 0;
    w->out->n = begin;
    if (m->unk_id < 0)
        return err_set(w->err, LATHE_E_FILE, "the vocabulary has no unknown token for the word '" STR_FMT "'",
                       STR_ARG(word));
    ids_push(w->out, m->unk_id);
    return 0;
}

/* ---- BPE ---- */

struct syms {
    struct sym *s;
    uint32_t n;
    int32_t unk; /* held back, so that the next one may join it; -1: none */
};

static void add_sym(struct syms *y, int32_t id)
{
    y->s[y->n] = (struct sym){.prev = y->n - 1, .next = y->n + 1, .id = id};
    y->n++;
}

static int32_t char_id(struct walk *w, struct str c, bool first, bool last)
{
    const struct word_model *m = &w->p->model;
    bool prefix = !first && m->prefix.n, suffix = last && m->suffix.n;
    if (!prefix && !suffix)
        return vocab_word(w->v, c.p, c.n);
    w->word.n = 0;
    if (prefix)
        out_put(&w->word, m->prefix.p, m->prefix.n);
    out_put(&w->word, c.p, c.n);
    if (suffix)
        out_put(&w->word, m->suffix.p, m->suffix.n);
    return vocab_word(w->v, w->word.p, w->word.n);
}

static bool add_bytes(struct walk *w, struct syms *y, struct str c, uint32_t cp)
{
    uint32_t from = y->n;
    unsigned char mark = (unsigned char)(cp - BYTE_MARK);
    if (is_byte_mark(w->marked, cp))
        c = (struct str){(const char *)&mark, 1};
    for (size_t i = 0; i < c.n; i++) {
        int32_t id = w->v->byte_id[(unsigned char)c.p[i]];
        if (id < 0) {
            y->n = from;
            return false;
        }
        add_sym(y, id);
    }
    return true;
}

static void split_chars(struct walk *w, struct str word, struct syms *y)
{
    const struct word_model *m = &w->p->model;
    for (size_t i = 0, len; i < word.n; i += len) {
        uint32_t c = uni_at(word.p + i, word.n - i, &len);
        struct str one = {word.p + i, len};
        int32_t id = char_id(w, one, i == 0, i + len == word.n);
        if (id >= 0) {
            if (y->unk >= 0)
                add_sym(y, y->unk);
            y->unk = -1;
            add_sym(y, id);
        } else if (!(m->byte_fallback && add_bytes(w, y, one, c)) && m->unk_id >= 0) {
            if (y->unk >= 0 && !m->fuse_unk)
                add_sym(y, y->unk);
            y->unk = m->unk_id;
        }
    }
    if (y->unk >= 0)
        add_sym(y, y->unk);
}

static int merge_word(struct walk *w, struct str word)
{
    enum { FEW = 128 };
    struct sym few[FEW + 1];
    struct syms y = {.s = few, .unk = -1};
    size_t most = word.n; /* a character makes no more symbols than it has bytes, a mark one */
    void *p;
    if (most >= UINT32_MAX / 4)
        return err_set(w->err, LATHE_E_LIMIT, "a word of %zu bytes is too long", word.n);
    if (most > FEW) {
        TRY(walk_scratch(w, most + 1, sizeof *y.s, &p));
        y.s = p;
    }
    split_chars(w, word, &y);
    if (!y.n)
        return 0;
    y.s[y.n - 1].next = SYM_END;
    TRY(merge_all(w->v, word.p, y.s, y.n, bpe_rank, w->err));
    for (uint32_t i = 0; i != SYM_END; i = y.s[i].next)
        ids_push(w->out, y.s[i].id);
    return 0;
}

/* Where no token has a space mark behind something else, no merge reaches across such a place. */
static size_t stretch(struct str s, size_t from)
{
    static const char mark[] = "\xe2\x96\x81";
    for (size_t i = from + 1; i + 3 <= s.n; i++) {
        const char *at = memmem(s.p + i, s.n - i, mark, 3);
        if (!at)
            break;
        i = (size_t)(at - s.p);
        if (i < from + 3 || memcmp(s.p + i - 3, mark, 3) != 0)
            return i;
        i += 2;
    }
    return s.n;
}

int bpe_chars_encode(struct walk *w, struct str word)
{
    const struct word_model *m = &w->p->model;
    if (m->ignore_merges) {
        int32_t id = vocab_word(w->v, word.p, word.n);
        if (id >= 0) {
            ids_push(w->out, id);
            return 0;
        }
    }
    if (!w->v->space_begins || m->ignore_merges || m->prefix.n || m->suffix.n || word.n < 16)
        return merge_word(w, word);
    size_t to = stretch(word, 0);
    if (to == word.n)
        return merge_word(w, word);
    for (size_t from = 0; from < word.n; from = to) {
        to = stretch(word, from);
        TRY(word_encode(w, (struct str){word.p + from, to - from}));
    }
    return 0;
}
