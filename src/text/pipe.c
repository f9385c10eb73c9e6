/* A pipeline at work: text to ids, and ids to text.
 *
 *     text -> added tokens | pieces -> normalizers -> normalized added tokens | pieces -> pre-tokenizers -> words -> model -> ids
 *
 * Bytes that are not UTF-8: inside, every text is UTF-8. Where the pipeline can say any byte (ByteLevel, byte fallback) such a byte
 * becomes the character U+10FF00 + byte, which those steps read as the byte again; such characters that were in that text
 * before go the same way as their bytes. Where it cannot, each such byte is U+FFFD. */
#include "text/pipe.h"
#include "base/mem.h"

static bool is_utf8(const char *p, size_t n)
{
    uint32_t c;
    for (size_t i = 0; i < n;) {
        int step = (unsigned char)p[i] < 0x80 ? 1 : utf8_get(p + i, n - i, &c);
        if (!step)
            return false;
        i += (size_t)step;
    }
    return true;
}

static void mark_byte(struct out *out, unsigned char b, bool keep)
{
    if (keep)
        out_put_char(out, BYTE_MARK + b);
    else
        out_put(out, "\xef\xbf\xbd", 3);
}

static void mark_bytes(const char *p, size_t n, bool keep, struct out *out)
{
    uint32_t c = 0;
    for (size_t i = 0; i < n;) {
        int step = utf8_get(p + i, n - i, &c);
        if (step && !(keep && is_byte_mark(true, c)))
            out_put(out, p + i, (size_t)step);
        for (int k = 0; step ? k < step && keep && is_byte_mark(true, c) : k < 1; k++)
            mark_byte(out, (unsigned char)p[i + (size_t)k], keep);
        i += step ? (size_t)step : 1;
    }
}

/* ---- encoding ---- */

struct encode {
    struct walk w;
    struct str text, piece; /* the whole, and what is left of it between added tokens, normalized */
    size_t base;            /* where `text` begins in the whole text */
    bool special, first;
    struct vocab_marks *marks;
};

static int normalized_piece(void *user, const struct added_token *t, size_t from, size_t to, size_t at)
{
    struct encode *e = user;
    if (!t)
        return pres_walk(&e->w, 0, (struct str){e->piece.p + from, to - from}, e->first && from == 0);
    ids_push(e->w.out, t->id);
    return 0;
}

static int raw_piece(void *user, const struct added_token *t, size_t from, size_t to, size_t at)
{
    struct encode *e = user;
    const struct pipeline *p = e->w.p;
    if (t) {
        if (e->marks && !e->w.marked && !t->left && !t->word)
            vocab_mark_add(e->marks, (struct vocab_mark){e->base + at, e->w.out->n});
        ids_push(e->w.out, t->id);
        return 0;
    }
    e->first = e->base + from == 0;
    struct str piece = {e->text.p + from, to - from};
    TRY(norms_apply(&p->norms, piece, e->w.marked, &e->w.norm[0], &e->w.norm[1], &e->piece, e->w.err));
    return added_split(&p->added.normalized, e->piece, e->special, normalized_piece, e);
}

static void walk_end(struct walk *w)
{
    for (int i = 0; i < PIPE_MAX_STEP; i++)
        free(w->level[i].p);
    free(w->norm[0].p);
    free(w->norm[1].p);
    free(w->mark.p);
    free(w->word.p);
    free(w->seen);
    free(w->scratch);
}

int pipe_encode(const vocab *v, const char *text, size_t n, size_t from, bool special,
                struct vocab_marks *marks, struct ids *out, struct lathe_err *err)
{
    enum { SEEN_MIN_TEXT = 2048 }; /* below, setting the cache up costs more than it saves */
    struct encode e = {.w = {.v = v, .p = v->pipe, .out = out, .err = err},
                       .text = {text + from, n - from},
                       .base = from,
                       .special = special,
                       .marks = marks};
    int rc = 0;
    if (!is_utf8(e.text.p, e.text.n)) {
        mark_bytes(e.text.p, e.text.n, v->pipe->keeps_bytes, &e.w.mark);
        rc = out_check(&e.w.mark, "marking bytes that are not UTF-8", err);
        e.text = out_str(&e.w.mark);
        e.w.marked = true;
    }
    if (e.text.n >= SEEN_MIN_TEXT && v->pipe->model.caches)
        e.w.seen = mem_new(sizeof *e.w.seen << SEEN_WORD_BITS);
    if (!rc)
        rc = added_split(&v->pipe->added.raw, e.text, special, raw_piece, &e);
    walk_end(&e.w);
    return rc;
}

/* ---- decoding ---- */

int pipe_pieces(vocab *v, struct lathe_err *err)
{
    struct out a = {0}, b = {0}, all = {0};
    void *p;
    int64_t n_strip = 0;
    struct str s;
    TRY(mem_try((size_t)v->n + 1, sizeof *v->piece_off, "texts of tokens", &p, err));
    v->piece_off = p;
    int rc = 0;
    for (int32_t i = 0; i < v->n && !rc; i++) {
        rc = decs_apply(&v->pipe->decs, added_text(&v->pipe->added, v, i), 0, &n_strip, &a, &b, &s, err);
        if (!rc && vocab_raw(v, i).n)
            out_put(&all, s.p, s.n);
        v->piece_off[i + 1] = (uint32_t)all.n;
    }
    if (!rc)
        rc = out_check(&all, "texts of tokens", err);
    free(a.p);
    free(b.p);
    v->piece = all.p ? all.p : mem_new(1);
    v->n_piece = (uint32_t)all.n;
    return rc;
}

static bool is_shown(const vocab *v, int32_t id, bool special)
{
    return (uint32_t)id < (uint32_t)v->n && vocab_raw(v, id).n && (special || v->type[id] != TOKEN_CONTROL);
}

int pipe_decode(const vocab *v, const int32_t *ids, size_t n, bool special, struct out *out,
                struct lathe_err *err)
{
    struct out a = {0}, b = {0};
    struct str s;
    int64_t n_strip = decs_strip(&v->pipe->decs);
    bool first = true;
    int rc = 0;
    while (n && !is_shown(v, ids[n - 1], special))
        n--;
    for (size_t i = 0; i < n && !rc; i++) {
        if (!is_shown(v, ids[i], special))
            continue;
        int flags = (first ? DECODE_FIRST : 0) | (i + 1 == n ? DECODE_LAST : 0);
        rc = decs_apply(&v->pipe->decs, added_text(&v->pipe->added, v, ids[i]), flags, &n_strip, &a, &b, &s,
                        err);
        if (!rc)
            out_put(out, s.p, s.n);
        first = false;
    }
    free(a.p);
    free(b.p);
    return rc ? rc : out_check(out, "decoding", err);
}

void pipeline_free(struct pipeline *p)
{
    if (!p)
        return;
    norms_free(&p->norms);
    pres_free(&p->pres);
    word_model_free(&p->model);
    added_free(&p->added);
    post_free(&p->post);
    decs_free(&p->decs);
    free(p->config);
    free(p);
}
