/* Pre-tokenizers: the table of expressions and the splitting.
 *
 * A row is a list of expressions. The first cuts the text into its matches and the gaps between them, the
 * next one cuts each of those pieces by itself (look-around does not see past a piece), and so on; the last
 * pieces are the words. The expressions are those of the models' own tokenizer.json, with two changes that
 * keep every piece and bound the time: `\s+$`, which scans a long run of spaces once per start, is written
 * with a look-behind and a possessive repeat; \s is spelled as a class, since PCRE2 counts U+180E as space.
 *
 * Input of any size must end: matching uses PCRE2's JIT, whose expressions here need no stack that grows with
 * the text; if it still gives up, the interpreter with a bounded heap tries, and if that gives up too the
 * rest of the piece stays whole. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pretok.h"
#include "base/mem.h"
#include "base/utf8.h"
#include <pcre2.h>
#include <stdlib.h>

#define WS "\\p{Z}\\t-\\r\\x{85}" /* inside of a class */
#define S "[" WS "]"
#define NOT_BEFORE_TEXT "(?![^" WS "])"
#define TRAILING S "+" NOT_BEFORE_TEXT
#define CONTRACT "'s|'t|'re|'ve|'m|'ll|'d"
#define CONTRACT_I "(?i:" CONTRACT ")"

#define GPT2 CONTRACT "| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" TRAILING "|" S "+"
#define TAIL S "*[\\r\\n]+|" TRAILING "|" S "+"
#define LLAMA3(digits) \
    CONTRACT_I "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|" TAIL
#define QWEN35 \
    CONTRACT_I "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^" WS "\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" TAIL
#define UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(contract, digits)                                                                     \
    "[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" contract "|[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER \
    "*" contract "|" digits "| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n/]*|" TAIL
#define BAILING                                                                                         \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}| ?[^" WS "\\p{L}\\p{N}]++[\\r\\n]*|" S \
    "*[\\r\\n]|" TRAILING "|" S "+"
#define SEED_CODER CONTRACT_I "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^" WS "\\p{L}\\p{N}\\r\\n]+|" TAIL
#define DEEPSEEK3                                                                                        \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" \
    " ?[\\p{P}\\p{S}]+[\\r\\n]*|" TAIL
#define BLOOM " ?[^(" WS "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"
#define PUNCT_RUN "[\\p{P}$+<=>^~|]+"

/* Cased letters as DeepSeek lists them. */
#define DEEPSEEK_LETTERS                                                                                 \
    "A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}\\x{1C4}-\\x{293}"      \
    "\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}\\x{37F}\\x{386}"                \
    "\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}"      \
    "\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}"      \
    "\\x{1CBD}-\\x{1CBF}\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"    \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}\\x{1F5B}"     \
    "\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}\\x{1FC2}-\\x{1FC4}"     \
    "\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}"    \
    "\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}"      \
    "\\x{2126}\\x{2128}\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{" \
    "2149}"                                                                                              \
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}\\x{2CF2}"      \
    "\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}\\x{A771}-\\x{A787}"              \
    "\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}"    \
    "\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}"                 \
    "\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}"
#define DEEPSEEK_PUNCT "!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}"
#define DEEPSEEK_CJK "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"
#define TRAILING_END "(?<!" S ")" S "++\\z"

#define N_EXPR 6

struct row {
    const char *names; /* separated by spaces */
    int flags;
    const char *expr[N_EXPR];
};

static const struct row rows[] = {
    {"default", 0, {PUNCT_RUN, GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
    {"gpt-2 gpt2 phi-2 mpt olmo jais trillion granite-docling jina-es jina-de jina-v2-es jina-v2-de "
     "jina-v1-en jina-v2-code "
     "roberta-bpe gigachat a.x-4.0 mellum modern-bert exaone4",
     0,
     {GPT2}},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2",
     PRE_IGNORE_MERGES | PRE_ADD_BOS,
     {LLAMA3("\\p{N}{1,3}")}},
    {"dbrx smaug-bpe chatglm-bpe glm4", 0, {LLAMA3("\\p{N}{1,3}")}},
    {"qwen2 stablelm2 deepseek-r1-qwen megrez kormo hunyuan solar-open grok-2", 0, {LLAMA3("\\p{N}")}},
    {"qwen35", 0, {QWEN35}},
    {"deepseek-llm",
     0,
     {"[\\r\\n]", S "?[" DEEPSEEK_LETTERS "]+", S "?[" DEEPSEEK_PUNCT "]+", TRAILING_END, DEEPSEEK_CJK,
      "\\p{N}+"}},
    {"deepseek-coder", 0, {"[\\r\\n]", S "?\\p{L}+", S "?\\p{P}+", DEEPSEEK_CJK, "\\p{N}"}},
    {"deepseek-v3 deepseek3-llm hunyuan-dense joyai-llm",
     0,
     {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+", DEEPSEEK3}},
    {"starcoder refact command-r smollm codeshell exaone minerva-7b", 0, {"\\p{N}", GPT2}},
    {"falcon", 0, {"[\\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"}},
    {"gpt-4o llama4 kanana2 minimax-m2", 0, {CASED(CONTRACT_I "?", "\\p{N}{1,3}")}},
    {"tekken", PRE_IGNORE_MERGES | PRE_ADD_BOS, {CASED("", "\\p{N}")}},
    {"bailingmoe bailingmoe2 llada-moe", 0, {BAILING}},
    {"seed-coder", 0, {SEED_CODER}},
    {"bloom poro-chat gpt3-finnish", 0, {BLOOM}},
    {"viking", 0, {BLOOM, "\\p{N}"}},
};

struct pretok {
    const struct row *row;
    int n;
    pcre2_code *code[N_EXPR];
    bool jit[N_EXPR];
};

static bool row_has(const struct row *r, struct str name)
{
    for (const char *p = r->names; *p;) {
        size_t n = strcspn(p, " ");
        if (str_eq((struct str){p, n}, name))
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

const char *pretok_name(int i)
{
    static _Thread_local char name[32];
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++)
        for (const char *p = rows[r].names; *p;) {
            size_t n = strcspn(p, " ");
            if (i-- == 0) {
                memcpy(name, p, n);
                name[n] = 0;
                return name;
            }
            p += n + (p[n] == ' ');
        }
    return NULL;
}

int pretok_new(struct str name, struct pretok **out, struct lathe_err *err)
{
    const struct row *row = NULL;
    *out = NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && !row; i++)
        if (row_has(&rows[i], name))
            row = &rows[i];
    if (!row)
        return err_set(err, LATHE_E_UNSUPPORTED,
                       "pre-tokenizer '" STR_FMT "' is not known here (tokenizer.ggml.pre)", STR_ARG(name));
    struct pretok *p = mem_new(sizeof *p);
    p->row = row;
    for (; p->n < N_EXPR && row->expr[p->n]; p->n++) {
        int code = 0;
        size_t at = 0;
        pcre2_code *re = pcre2_compile((PCRE2_SPTR)row->expr[p->n], PCRE2_ZERO_TERMINATED,
                                       PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &code, &at, NULL);
        if (!re) {
            pretok_free(p);
            return err_set(err, LATHE_E_NOMEM,
                           "pre-tokenizer '" STR_FMT "': expression does not compile (pcre2 error %d at %zu)",
                           STR_ARG(name), code, at);
        }
        p->code[p->n] = re;
        p->jit[p->n] = pcre2_jit_compile(re, PCRE2_JIT_COMPLETE) == 0;
    }
    *out = p;
    return 0;
}

void pretok_free(struct pretok *p)
{
    if (!p)
        return;
    for (int i = 0; i < N_EXPR; i++)
        pcre2_code_free(p->code[i]);
    free(p);
}

int pretok_flags(const struct pretok *p)
{
    return p->row->flags;
}

/* ---- splitting ---- */

struct split {
    const struct pretok *p;
    pcre2_match_data *match;
    pcre2_match_context *bounded; /* of the interpreter, made when the JIT gives up */
    int (*word)(void *user, const char *p, size_t n);
    void *user;
    const char
        *original; /* where the text of the next word is; differs from the subject after invalid bytes */
    const char *original_end;
    bool same; /* the subject is the original */
};

/* Hands a piece of the subject on, translated to the original bytes: each character of the subject is one of
 * the original, except that U+FFFD may stand for one byte that is not UTF-8. */
static int split_word(struct split *s, const char *p, size_t n)
{
    const char *from = s->original;
    if (s->same) {
        s->original += n;
        return s->word(s->user, from, n);
    }
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int step = utf8_get(s->original, (size_t)(s->original_end - s->original), &cp);
        i += step ? (size_t)step : 3;
        s->original += step ? step : 1;
    }
    return s->word(s->user, from, (size_t)(s->original - from));
}

static int split_match(struct split *s, int level, const char *p, size_t n, size_t at)
{
    const pcre2_code *re = s->p->code[level];
    int rc = PCRE2_ERROR_JIT_STACKLIMIT;
    if (s->p->jit[level])
        rc = pcre2_jit_match(re, (PCRE2_SPTR)p, n, at, PCRE2_NO_UTF_CHECK, s->match, NULL);
    if (rc >= 0 || rc == PCRE2_ERROR_NOMATCH)
        return rc;
    if (!s->bounded) {
        s->bounded = pcre2_match_context_create(NULL);
        if (!s->bounded)
            return rc;
        pcre2_set_heap_limit(s->bounded, 256u << 10); /* KiB */
        pcre2_set_match_limit(s->bounded, 100u << 20);
    }
    return pcre2_match(re, (PCRE2_SPTR)p, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, s->match, s->bounded);
}

static int split_level(struct split *s, int level, const char *p, size_t n)
{
    if (n == 0)
        return 0;
    if (level == s->p->n)
        return split_word(s, p, n);
    size_t gap = 0, at = 0;
    while (at < n && split_match(s, level, p, n, at) > 0) {
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(s->match);
        size_t from = v[0], to = v[1];
        if (to <= from) { /* no row has such an expression */
            at = from + 1;
            while (at < n && ((unsigned char)p[at] & 0xc0) == 0x80)
                at++;
            continue;
        }
        TRY(split_level(s, level + 1, p + gap, from - gap));
        TRY(split_level(s, level + 1, p + from, to - from));
        gap = at = to;
    }
    return split_level(s, level + 1, p + gap, n - gap);
}

/* The text with U+FFFD for each byte that is not UTF-8; NULL and 0 if there is none such. */
static int split_clean(const char *text, size_t n, char **out, size_t *n_out, struct lathe_err *err)
{
    size_t n_bad = 0;
    uint32_t cp;
    *out = NULL;
    for (size_t i = 0; i < n;) {
        int step = utf8_get(text + i, n - i, &cp);
        n_bad += !step;
        i += step ? (size_t)step : 1;
    }
    if (!n_bad)
        return 0;
    void *p;
    TRY(mem_try(n + 2 * n_bad, 1, "text with invalid UTF-8", &p, err));
    char *q = *out = p;
    for (size_t i = 0; i < n;) {
        int step = utf8_get(text + i, n - i, &cp);
        memcpy(q, step ? text + i : "\xef\xbf\xbd", step ? (size_t)step : 3);
        q += step ? step : 3;
        i += step ? (size_t)step : 1;
    }
    *n_out = n + 2 * n_bad;
    return 0;
}

int pretok_split(const struct pretok *p, const char *text, size_t n,
                 int (*word)(void *user, const char *p, size_t n), void *user, struct lathe_err *err)
{
    char *clean = NULL;
    size_t n_clean = 0;
    TRY(split_clean(text, n, &clean, &n_clean, err));
    struct split s = {
        .p = p, .word = word, .user = user, .original = text, .original_end = text + n, .same = !clean};
    int rc;
    s.match = pcre2_match_data_create(4, NULL);
    if (!s.match)
        rc = err_set(err, LATHE_E_NOMEM, "no memory to match expressions");
    else
        rc = split_level(&s, 0, clean ? clean : text, clean ? n_clean : n);
    pcre2_match_data_free(s.match);
    pcre2_match_context_free(s.bounded);
    free(clean);
    return rc;
}
