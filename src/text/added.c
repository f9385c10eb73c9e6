/* Added tokens: found in a text before a pipeline's model sees it.
 *
 * As in special.c the patterns are sorted, and at a place of the text the range of candidates narrows byte by byte; the longest
 * counts, and what is found is not searched again, even if it then turns out not to be taken. */
#include "base/mem.h"
#include "text/pipe.h"

static int added_one(const json_t *j, size_t i, struct added_token *t, struct lathe_err *err)
{
    char where[40];
    struct str text = {0};
    int64_t id = -1;
    snprintf(where, sizeof where, "added token %zu", i);
    if (!json_is_object(j))
        return err_set(err, LATHE_E_FILE, "%s is no object", where);
    TRY(step_keys(j, where, "id content single_word lstrip rstrip normalized special", err));
    TRY(step_int(j, where, "id", 0, VOCAB_LIMIT - 1, &id, err));
    TRY(step_str(j, where, "content", &text, err));
    t->normalized = true;
    TRY(step_bool(j, where, "single_word", &t->word, err));
    TRY(step_bool(j, where, "lstrip", &t->left, err));
    TRY(step_bool(j, where, "rstrip", &t->right, err));
    TRY(step_bool(j, where, "normalized", &t->normalized, err));
    TRY(step_bool(j, where, "special", &t->special, err));
    if (id < 0 || !text.n)
        return err_set(err, LATHE_E_FILE, "%s has no '%s'", where, id < 0 ? "id" : "content");
    t->id = (int32_t)id;
    t->text = step_dup(text);
    return 0;
}

int added_of_json(const json_t *j, struct added *out, struct lathe_err *err)
{
    size_t n = json_array_size(j);
    void *p;
    if (!j || json_is_null(j))
        return 0;
    if (!json_is_array(j) || n > VOCAB_LIMIT)
        return err_set(err, LATHE_E_FILE, "'added_tokens' is no list of at most %d tokens", VOCAB_LIMIT);
    TRY(mem_try(n, sizeof *out->token, "added tokens", &p, err));
    out->token = p;
    for (size_t i = 0; i < n; i++) {
        out->n = (int)i + 1;
        TRY(added_one(json_array_get(j, i), i, &out->token[i], err));
    }
    return 0;
}

/* Of equal patterns a special one counts, then the first. */
static int order(const void *pa, const void *pb)
{
    const struct added_token *a = *(const struct added_token *const *)pa;
    const struct added_token *b = *(const struct added_token *const *)pb;
    size_t n = a->pattern.n < b->pattern.n ? a->pattern.n : b->pattern.n;
    int c = memcmp(a->pattern.p, b->pattern.p, n);
    if (c)
        return c;
    if (a->pattern.n != b->pattern.n)
        return a->pattern.n < b->pattern.n ? -1 : 1;
    if (a->special != b->special)
        return a->special ? -1 : 1;
    return a < b ? -1 : a > b;
}

static int set_build(struct added_set *s, const struct added *a, bool normalized, struct lathe_err *err)
{
    void *p;
    TRY(mem_try((size_t)a->n, sizeof *s->token, "added tokens", &p, err));
    s->token = p;
    for (int i = 0; i < a->n; i++)
        if (a->token[i].normalized == normalized && a->token[i].pattern.n)
            s->token[s->n++] = &a->token[i];
    if (s->n)
        qsort(s->token, (size_t)s->n, sizeof *s->token, order);
    int first = 0;
    for (int i = 0; i < s->n; i++)
        for (; first <= (unsigned char)s->token[i]->pattern.p[0]; first++)
            s->first[first] = i;
    for (; first <= 256; first++)
        s->first[first] = s->n;
    return 0;
}

static int by_id(const void *pa, const void *pb)
{
    const struct added_token *a = *(const struct added_token *const *)pa;
    const struct added_token *b = *(const struct added_token *const *)pb;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int shown_build(struct added *a, struct lathe_err *err)
{
    void *p;
    TRY(mem_try((size_t)a->n, sizeof *a->shown, "added tokens", &p, err));
    a->shown = p;
    for (int i = 0; i < a->n; i++)
        if (!str_eq(a->token[i].text, a->token[i].pattern))
            a->shown[a->n_shown++] = &a->token[i];
    if (a->n_shown)
        qsort(a->shown, (size_t)a->n_shown, sizeof *a->shown, by_id);
    return 0;
}

struct str added_text(const struct added *a, const vocab *v, int32_t id)
{
    struct added_token key = {.id = id};
    const struct added_token *p = &key;
    const struct added_token **found =
        a->n_shown ? bsearch(&p, a->shown, (size_t)a->n_shown, sizeof *a->shown, by_id) : NULL;
    return found ? (*found)->pattern : vocab_raw(v, id);
}

int added_build(struct added *a, const struct norms *norms, struct lathe_err *err)
{
    struct out b[2] = {{0}, {0}};
    int rc = 0;
    for (int i = 0; i < a->n && !rc; i++) {
        struct str s = a->token[i].text;
        if (a->token[i].normalized)
            rc = norms_apply(norms, s, false, &b[0], &b[1], &s, err);
        a->token[i].pattern = step_dup(s);
    }
    free(b[0].p);
    free(b[1].p);
    TRY(rc);
    TRY(shown_build(a, err));
    TRY(set_build(&a->raw, a, false, err));
    return set_build(&a->normalized, a, true, err);
}

void added_free(struct added *a)
{
    for (int i = 0; i < a->n; i++) {
        free((void *)a->token[i].text.p);
        free((void *)a->token[i].pattern.p);
    }
    free(a->token);
    free(a->shown);
    free(a->raw.token);
    free(a->normalized.token);
}

/* ---- searching ---- */

/* First of [lo, hi), all equal up to byte d and longer than d, whose byte d is at least c. */
static int lower(const struct added_set *s, int lo, int hi, size_t d, unsigned c)
{
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if ((unsigned char)s->token[mid]->pattern.p[d] < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The longest token at p. */
static const struct added_token *longest(const struct added_set *s, const char *p, size_t n)
{
    unsigned char c = (unsigned char)p[0];
    int lo = s->first[c], hi = s->first[c + 1];
    const struct added_token *best = NULL;
    for (size_t d = 1; lo < hi; d++) {
        const struct added_token *t = s->token[lo];
        if (t->pattern.n == d)
            best = t;
        while (lo < hi && s->token[lo]->pattern.n == d) /* the ones that end here sort first */
            lo++;
        if (d == n)
            break;
        c = (unsigned char)p[d];
        lo = lower(s, lo, hi, d, c);
        hi = lower(s, lo, hi, d, c + 1u);
    }
    return best;
}

static bool stands_alone(struct str text, size_t from, size_t to)
{
    size_t len;
    return !(from > 0 && uni_is_word(uni_before(text.p, from, &len))) &&
           !(to < text.n && uni_is_word(uni_at(text.p + to, text.n - to, &len)));
}

int added_split(const struct added_set *s, struct str text, bool special, added_piece *piece, void *user)
{
    size_t done = 0, len;
    for (size_t i = 0; s->n && i < text.n;) {
        unsigned char c = (unsigned char)text.p[i];
        const struct added_token *t =
            s->first[c] < s->first[c + 1] ? longest(s, text.p + i, text.n - i) : NULL;
        size_t from = i, to = t ? i + t->pattern.n : i;
        if (!t) {
            i++;
            continue;
        }
        i = to;
        if ((t->special && !special) || (t->word && !stands_alone(text, from, to)))
            continue;
        size_t at = from;
        while (t->left && from > done && uni_is_space(uni_before(text.p, from, &len)))
            from -= len;
        from = from > done ? from : done;
        while (t->right && to < text.n && uni_is_space(uni_at(text.p + to, text.n - to, &len)))
            to += len;
        if (from > done)
            TRY(piece(user, NULL, done, from, done));
        TRY(piece(user, t, from, to, at));
        done = to;
    }
    return done < text.n ? piece(user, NULL, done, text.n, done) : 0;
}
