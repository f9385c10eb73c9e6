/* Byte-level BPE ("gpt2"): words of the pre-tokenizer, bytes of a word merged by the rank of the pair.
 *
 * Files spell a byte as a printable character: those of Latin-1 that print stand for themselves, the other 68
 * bytes follow from U+0100 on. The spelling is undone once at loading, so that encoding handles plain bytes
 * and pairs of ids only. */
#include "base/mem.h"
#include "text/utf8.h"
#include "text/vocab_impl.h"
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

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

static void pair_put(vocab *v, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint32_t i = pair_hash(left, right) & v->pair_mask;
    for (; v->pair[i].left >= 0; i = (i + 1) & v->pair_mask)
        if (v->pair[i].left == left && v->pair[i].right == right)
            return; /* the first of two equal merges counts */
    v->pair[i] = (struct pair_slot){left, right, rank, id};
}

static void bpe_rank(const vocab *v, const char *text, struct sym *a, const struct sym *b)
{
    a->rank = UINT32_MAX;
    if (a->id < 0 || b->id < 0)
        return;
    for (uint32_t i = pair_hash(a->id, b->id) & v->pair_mask; v->pair[i].left >= 0;
         i = (i + 1) & v->pair_mask)
        if (v->pair[i].left == a->id && v->pair[i].right == b->id) {
            a->rank = v->pair[i].rank;
            a->merged = v->pair[i].id;
            return;
        }
}

/* One line "left right" of the merges. Merges whose parts or result are no tokens can never matter and are
 * left out. `scratch` has room for twice the longest token. `guess` is where the result may be: merges are
 * mostly in the order of the ids. */
static void merge_line(vocab *v, struct str line, uint32_t rank, char *scratch, int32_t *guess)
{
    const char *space = line.n > 1 ? memchr(line.p + 1, ' ', line.n - 1) : NULL;
    if (!space || line.n > 2 * (size_t)v->max_len + 1) /* a spelled byte has at most two bytes */
        return;
    size_t n_left = (size_t)(space - line.p);
    int l = bpe_unspell((struct str){line.p, n_left}, scratch);
    int r = l < 0 ? -1 : bpe_unspell((struct str){space + 1, line.n - n_left - 1}, scratch + l);
    if (l <= 0 || r <= 0)
        return;
    int32_t left = vocab_word(v, scratch, (size_t)l), right = vocab_word(v, scratch + l, (size_t)r),
            id = *guess + 1;
    if (left < 0 || right < 0)
        return;
    struct str whole = {scratch, (size_t)l + (size_t)r};
    if (v->has_duplicates || id >= v->n || v->type[id] != TOKEN_NORMAL || !str_eq(vocab_raw(v, id), whole))
        id = vocab_word(v, whole.p, whole.n);
    if (id < 0)
        return;
    *guess = id;
    pair_put(v, left, right, rank, id);
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
    uint32_t size = 64;
    while (size < n * 3 / 2)
        size *= 2;
    TRY_GOTO(mem_try(size, sizeof *v->pair, "table of merges", &p, err));
    v->pair = p;
    v->pair_mask = size - 1;
    memset(v->pair, 0xff, size * sizeof *v->pair);
    TRY_GOTO(mem_try(2 * (size_t)v->max_len + 2, 1, "merges", &p, err));
    scratch = p;
    int32_t guess = -1;
    for (uint64_t i = 0; i < n; i++)
        merge_line(v, merge[i], (uint32_t)i, scratch, &guess);
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
        if (s[i].id >= 0 || v->unk >= 0)
            ids_push(b->out, s[i].id >= 0 ? s[i].id : v->unk);
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
        seen = &b->seen[XXH3_64bits(p, n) >> (64 - SEEN_BITS)];
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
