/* Byte-level BPE ("gpt2"): words of the pre-tokenizer, bytes of a word merged by the rank of the pair.
 *
 * Files spell a byte as a printable character: those of Latin-1 that print stand for themselves, the other 68
 * bytes follow from U+0100 on. The spelling is undone once at loading, so that encoding handles plain bytes
 * and pairs of ids only. */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/vocab_impl.h"
#include <stdlib.h>

/* Byte of a spelling character below U+0144, or -1. */
static const int16_t *spelling(void)
{
    static int16_t table[0x144];
    static bool ready; /* every thread would write the same values */
    if (!__atomic_load_n(&ready, __ATOMIC_ACQUIRE)) {
        int16_t next = 0x100;
        int16_t fresh[0x144];
        memset(fresh, -1, sizeof fresh);
        for (int b = 0; b < 256; b++) {
            bool prints = (b > 32 && b < 127) || (b > 160 && b != 173);
            fresh[prints ? b : next++] = (int16_t)b;
        }
        for (int i = 0; i < 0x144; i++)
            __atomic_store_n(&table[i], fresh[i], __ATOMIC_RELAXED);
        __atomic_store_n(&ready, true, __ATOMIC_RELEASE);
    }
    return table;
}

int bpe_unspell(struct str s, char *out)
{
    const int16_t *table = spelling();
    int n = 0;
    for (size_t i = 0; i < s.n; n++) {
        unsigned char c = (unsigned char)s.p[i];
        uint32_t cp = c;
        if (c > 32 && c < 127) {
            out[n] = (char)c;
            i++;
            continue;
        }
        if (c >= 0x80) {
            if (c < 0xc2 || c > 0xc5 || i + 1 >= s.n || ((unsigned char)s.p[i + 1] & 0xc0) != 0x80)
                return -1;
            cp = (uint32_t)(c & 31) << 6 | ((unsigned char)s.p[i + 1] & 63);
            i++;
        }
        i++;
        if (cp >= 0x144 || table[cp] < 0)
            return -1;
        out[n] = (char)table[cp];
    }
    return n;
}

/* ---- pairs ---- */

static uint32_t pair_hash(int32_t left, int32_t right)
{
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32) ^ (uint32_t)(h >> 17);
}

void bpe_pair_put(vocab *v, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint32_t i = pair_hash(left, right) & v->pair_mask;
    for (; v->pair[i].left_1; i = (i + 1) & v->pair_mask)
        if (v->pair[i].left_1 == left + 1 && v->pair[i].right == right)
            return; /* the first of two equal merges counts */
    v->pair[i] = (struct pair_slot){left + 1, right, rank, id};
}

void bpe_rank(const vocab *v, const char *text, struct sym *a, const struct sym *b)
{
    a->rank = UINT32_MAX;
    if (a->id < 0 || b->id < 0)
        return;
    uint32_t first = pair_hash(a->id, b->id) & v->pair_mask, i = first;
    while (v->pair[i].left_1) {
        const struct pair_slot *p = &v->pair[i];
        if (p->left_1 == a->id + 1 && p->right == b->id) {
            a->merged = p->id;
            a->rank = (uint32_t)p->id < (uint32_t)v->n ? p->rank : UINT32_MAX;
            return;
        }
        i = (i + 1) & v->pair_mask;
        if (i == first)
            return;
    }
}

/* A line "left right" of the merges on its way into the table. Loading is bound by cache misses of random
 * lookups (the share of a first token's time that it takes is large), so a group of lines goes through each
 * step together, with the next step's memory prefetched. */
struct line {
    char *p; /* bytes of left and right; room for twice the longest token */
    int n_left, n_right;
    uint64_t hash_left, hash_right;
    int32_t left, right, id;
    uint32_t rank;
};
enum { GROUP = 32 };

/* Lines whose parts can be no tokens can never matter: false. */
static bool line_read(const vocab *v, struct str s, struct line *m)
{
    const char *space = s.n > 1 ? memchr(s.p + 1, ' ', s.n - 1) : NULL;
    size_t n_left = space ? (size_t)(space - s.p) : 0;
    if (!space || n_left > 2 * (size_t)v->max_len || s.n - n_left - 1 > 2 * (size_t)v->max_len)
        return false; /* a spelled byte has at most two bytes */
    m->n_left = bpe_unspell((struct str){s.p, n_left}, m->p);
    if (m->n_left <= 0)
        return false;
    m->n_right = bpe_unspell((struct str){space + 1, s.n - n_left - 1}, m->p + m->n_left);
    if (m->n_right <= 0)
        return false;
    m->hash_left = word_hash(m->p, (size_t)m->n_left);
    m->hash_right = word_hash(m->p + m->n_left, (size_t)m->n_right);
    __builtin_prefetch(&v->word[m->hash_left & v->word_mask]);
    __builtin_prefetch(&v->word[m->hash_right & v->word_mask]);
    return true;
}

/* `guess` is the id of the line before: merges are mostly in the order of the ids, which spares the lookup of
 * the result. */
static void line_find(const vocab *v, struct line *m, int32_t *guess)
{
    struct str whole = {m->p, (size_t)m->n_left + (size_t)m->n_right};
    m->left = vocab_word_at(v, m->p, (size_t)m->n_left, m->hash_left);
    m->right = vocab_word_at(v, m->p + m->n_left, (size_t)m->n_right, m->hash_right);
    m->id = *guess + 1;
    if (v->has_duplicates || m->id >= v->n || v->type[m->id] != TOKEN_NORMAL ||
        !str_eq(vocab_raw(v, m->id), whole))
        m->id = vocab_word(v, whole.p, whole.n);
    if (m->id >= 0)
        *guess = m->id;
    if (m->left >= 0 && m->right >= 0)
        __builtin_prefetch(&v->pair[pair_hash(m->left, m->right) & v->pair_mask]);
}

static void lines_load(vocab *v, const struct str *merge, uint64_t n, char *scratch)
{
    struct line group[GROUP];
    int32_t guess = -1;
    for (uint64_t i = 0; i < n;) {
        int k = 0;
        for (; k < GROUP && i < n; i++) {
            group[k].p = scratch + (size_t)k * (4 * (size_t)v->max_len);
            group[k].rank = (uint32_t)i;
            k += line_read(v, merge[i], &group[k]);
        }
        for (int j = 0; j < k; j++)
            line_find(v, &group[j], &guess);
        for (int j = 0; j < k; j++)
            if (group[j].left >= 0 && group[j].right >= 0 && group[j].id >= 0)
                bpe_pair_put(v, group[j].left, group[j].right, group[j].rank, group[j].id);
    }
}

int bpe_pairs_new(vocab *v, uint64_t n, struct lathe_err *err)
{
    uint32_t size = 64;
    void *p;
    while (size < n * 3 / 2)
        size *= 2;
    TRY(mem_try(size, sizeof *v->pair, "table of merges", &p, err));
    v->pair = p;
    v->pair_mask = size - 1;
    return 0;
}

int bpe_load(vocab *v, const struct model_file *f, struct lathe_err *err)
{
    struct str *merge;
    uint64_t n;
    void *p = NULL;
    char *scratch = NULL;
    TRY(mf_strs(f, "tokenizer.ggml.merges", &merge, &n, err));
    int rc = 0;
    if (!merge)
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.merges is missing: a gpt2 vocabulary needs it");
    else if (n > VOCAB_LIMIT)
        rc = err_set(err, LATHE_E_FILE, "tokenizer.ggml.merges has %llu lines, more than %d",
                     (unsigned long long)n, VOCAB_LIMIT);
    if (rc)
        goto done;
    TRY_GOTO(bpe_pairs_new(v, n, err));
    TRY_GOTO(mem_try(GROUP * 4 * (size_t)v->max_len, 1, "merges", &p, err));
    scratch = p;
    lines_load(v, merge, n, scratch);
    for (int b = 0; b < 256; b++)
        v->byte_id[b] = vocab_word(v, &(char){(char)b}, 1);
done:
    free(scratch);
    free(merge);
    return rc;
}

/* ---- encoding ---- */

/* Words come again and again: a small cache maps a word to where its ids stand in the output already. */
struct seen {
    const char *p; /* NULL: empty */
    uint32_t n, n_id;
    size_t at;
};
#define SEEN_BITS 12
#define SEEN_MIN_TEXT 2048 /* below, setting the cache up costs more than it saves */
#define STACK_SYMS 128

struct bpe {
    const vocab *v;
    struct ids *out;
    struct seen *seen;
    struct lathe_err *err;
};

static int bpe_merge(struct bpe *b, const char *p, size_t n)
{
    const vocab *v = b->v;
    struct sym few[STACK_SYMS], *s = few;
    void *many = NULL;
    if (n > STACK_SYMS) {
        TRY(mem_try(n, sizeof *s, "symbols of a long word", &many, b->err));
        s = many;
    }
    for (uint32_t i = 0; i < n; i++)
        s[i] = (struct sym){
            .pos = i, .len = 1, .prev = i - 1, .next = i + 1, .id = v->byte_id[(unsigned char)p[i]]};
    s[n - 1].next = SYM_END;
    int rc = merge_all(v, p, s, (uint32_t)n, bpe_rank, b->err);
    for (uint32_t i = 0; !rc && i != SYM_END; i = s[i].next)
        if (s[i].id >= 0) /* a byte that the vocabulary lacks is dropped, as the models' own tokenizers do */
            ids_push(b->out, s[i].id);
    free(many);
    return rc;
}

static int bpe_word(void *user, const char *p, size_t n)
{
    struct bpe *b = user;
    struct seen *seen = NULL;
    if (n == 1 && b->v->byte_id[(unsigned char)*p] >= 0) {
        ids_push(b->out, b->v->byte_id[(unsigned char)*p]);
        return 0;
    }
    if (b->v->ignore_merges) {
        int32_t id = vocab_word(b->v, p, n);
        if (id >= 0) {
            ids_push(b->out, id);
            return 0;
        }
    }
    if (b->seen && n <= 64) {
        seen = &b->seen[word_hash(p, n) >> (64 - SEEN_BITS)];
        if (seen->p && seen->n == n && memcmp(seen->p, p, n) == 0) {
            for (uint32_t i = 0; i < seen->n_id; i++)
                ids_push(b->out, b->out->p[seen->at + i]);
            return 0;
        }
    }
    size_t at = b->out->n;
    TRY(bpe_merge(b, p, n));
    if (seen)
        *seen = (struct seen){p, (uint32_t)n, (uint32_t)(b->out->n - at), at};
    return 0;
}

int bpe_encode(const vocab *v, const char *text, size_t n, struct ids *out, struct lathe_err *err)
{
    struct bpe b = {v, out, NULL, err};
    if (n >= SEEN_MIN_TEXT)
        b.seen = mem_new(sizeof *b.seen << SEEN_BITS);
    int rc = pretok_split(v->pre, text, n, bpe_word, &b, err);
    free(b.seen);
    return rc;
}
