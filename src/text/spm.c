/* SentencePiece-style encoding: neighbours merge by the score of the token that they make; what is no token
 * is written as bytes.
 *
 * Spaces are spaces here: U+2581, which the files write instead, is translated on both sides. */
#include "base/mem.h"
#include "base/utf8.h"
#include "text/vocab_impl.h"
#include <math.h>
#include <stdlib.h>

/* Maps a score to a rank that is the smaller the greater the score is; never UINT32_MAX. */
static uint32_t rank_of(float score)
{
    union {
        float f;
        uint32_t u;
    } x = {.f = isnan(score) ? -INFINITY : score + 0.0f};
    uint32_t ascending = x.u & 0x80000000u ? ~x.u : x.u | 0x80000000u;
    return ~ascending;
}

/* Whether a token's bytes begin at blob[at]. */
static bool starts_token(const vocab *v, uint32_t at)
{
    uint32_t lo = 0, hi = (uint32_t)v->n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (v->off[mid] < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return v->off[lo] == at;
}

int spm_load(vocab *v, const struct model_file *f, struct lathe_err *err)
{
    float *score;
    uint64_t n;
    TRY(mf_f32s(f, "tokenizer.ggml.scores", &score, &n, err));
    if (n != (uint64_t)v->n) {
        free(score);
        return err_set(err, LATHE_E_FILE, "tokenizer.ggml.scores has %llu values for %d tokens",
                       (unsigned long long)n, v->n);
    }
    void *p;
    int rc = mem_try((size_t)v->n, sizeof *v->rank, "token ranks", &p, err);
    if (!rc) {
        v->rank = p;
        for (int i = 0; i < v->n; i++)
            v->rank[i] = rank_of(score[i]);
        v->space_begins = true;
        for (uint32_t i = 1; i < v->off[v->n]; i++)
            if (v->blob[i] == ' ' && v->blob[i - 1] != ' ' && !starts_token(v, i))
                v->space_begins = false;
    }
    free(score);
    return rc;
}

static void spm_rank(const vocab *v, const char *text, struct sym *a, const struct sym *b)
{
    a->rank = UINT32_MAX;
    a->merged = a->len + b->len > v->max_len ? -1 : vocab_word(v, text + a->pos, a->len + b->len);
    if (a->merged >= 0)
        a->rank = v->rank[a->merged];
}

/* The text with U+2581 as spaces and, if asked for, a space in front. `out` has room for n + 1 bytes. */
static size_t spm_normalize(const char *text, size_t n, bool prefix, char *out)
{
    size_t k = 0;
    if (prefix)
        out[k++] = ' ';
    for (size_t i = 0; i < n;) {
        if (n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0) {
            out[k++] = ' ';
            i += 3;
        } else {
            out[k++] = text[i++];
        }
    }
    return k;
}

static uint32_t spm_symbols(const char *text, size_t n, struct sym *s)
{
    uint32_t k = 0, cp;
    for (size_t i = 0; i < n; k++) {
        int step = utf8_get(text + i, n - i, &cp);
        s[k] = (struct sym){
            .pos = (uint32_t)i, .len = step ? (uint32_t)step : 1, .prev = k - 1, .next = k + 1, .id = -1};
        i += s[k].len;
    }
    s[k - 1].next = SYM_END;
    return k;
}

static void spm_emit(const vocab *v, const char *p, size_t n, struct ids *out)
{
    int32_t id = vocab_word(v, p, n);
    if (id >= 0) {
        ids_push(out, id);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        id = v->byte_id[(unsigned char)p[i]];
        if (id >= 0 || v->unk >= 0)
            ids_push(out, id >= 0 ? id : v->unk);
    }
}

/* End of the stretch from `from` on that no token reaches across: the next space after something else, if no
 * token has that inside. */
static size_t stretch(const vocab *v, const char *text, size_t n, size_t from)
{
    for (size_t i = from + 1; v->space_begins && i < n; i++)
        if (text[i] == ' ' && text[i - 1] != ' ')
            return i;
    return n;
}

int spm_encode(const vocab *v, const char *text, size_t n, bool first, struct ids *out, struct lathe_err *err)
{
    void *clean = NULL, *syms = NULL;
    size_t n_syms = 0;
    int rc;
    if (n == 0)
        return 0;
    TRY_GOTO(mem_try(n + 1, 1, "text", &clean, err));
    size_t n_clean = spm_normalize(text, n, first && v->add_space_prefix, clean);
    for (size_t from = 0, to; from < n_clean; from = to) {
        const char *p = (const char *)clean + from;
        to = stretch(v, clean, n_clean, from);
        if (to - from > n_syms) {
            free(syms);
            syms = NULL;
            n_syms = to - from < 64 ? 64 : to - from;
            TRY_GOTO(mem_try(n_syms, sizeof(struct sym), "symbols of the text", &syms, err));
        }
        struct sym *s = syms;
        uint32_t n_sym = spm_symbols(p, to - from, s);
        TRY_GOTO(merge_all(v, p, s, n_sym, spm_rank, err));
        for (uint32_t i = 0; i != SYM_END; i = s[i].next)
            spm_emit(v, p + s[i].pos, s[i].len, out);
    }
done:
    free(syms);
    free(clean);
    return rc;
}
