/* The language of an answer. */
#include "base/utf8.h"
#include "measure/answer_text.h"

enum script {
    NO_SCRIPT,
    LATIN,
    GREEK,
    CYRILLIC,
    HEBREW,
    ARABIC,
    DEVANAGARI,
    BENGALI,
    GURMUKHI,
    GUJARATI,
    TAMIL,
    TELUGU,
    KANNADA,
    MALAYALAM,
    THAI,
    HANGUL,
    KANA,
    HAN,
    N_SCRIPT
};

/* Blocks of Unicode 15; a script may have several. */
static const struct block {
    enum script script;
    uint32_t first, last;
} blocks[] = {
    {LATIN, 'A', 'Z'},         {LATIN, 'a', 'z'},          {LATIN, 0xc0, 0x24f},     {LATIN, 0x1e00, 0x1eff},
    {GREEK, 0x370, 0x3ff},     {CYRILLIC, 0x400, 0x52f},   {HEBREW, 0x590, 0x5ff},   {ARABIC, 0x600, 0x6ff},
    {ARABIC, 0x750, 0x77f},    {DEVANAGARI, 0x900, 0x97f}, {BENGALI, 0x980, 0x9ff},  {GURMUKHI, 0xa00, 0xa7f},
    {GUJARATI, 0xa80, 0xaff},  {TAMIL, 0xb80, 0xbff},      {TELUGU, 0xc00, 0xc7f},   {KANNADA, 0xc80, 0xcff},
    {MALAYALAM, 0xd00, 0xd7f}, {THAI, 0xe00, 0xe7f},       {HANGUL, 0x1100, 0x11ff}, {HANGUL, 0xac00, 0xd7af},
    {KANA, 0x3040, 0x30ff},    {HAN, 0x4e00, 0x9fff},
};

static const struct language {
    const char *code;
    enum script script;
    const char *words;   /* with blanks between */
    const char *letters; /* of its own */
} languages[] = {
#define LANGUAGE(code, script, words, letters) {code, script, words, letters},
#include "measure/languages.inc"
#undef LANGUAGE
};
enum { N_LANGUAGE = sizeof languages / sizeof languages[0] };

static enum script script_of(uint32_t c)
{
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (c >= blocks[i].first && c <= blocks[i].last)
            return c == 0xd7 || c == 0xf7 ? NO_SCRIPT : blocks[i].script;
    return NO_SCRIPT;
}

/* The script of most letters; Japanese writes mostly Han, but no other language writes kana. */
static enum script main_script(struct str s)
{
    int n[N_SCRIPT] = {0};
    uint32_t c;
    enum script best = LATIN;
    for (size_t at = 0; at < s.n;) {
        int k = utf8_get(s.p + at, s.n - at, &c);
        if (k)
            n[script_of(c)]++;
        at += k ? (size_t)k : 1;
    }
    if (n[KANA])
        n[KANA] += n[HAN];
    for (int i = LATIN; i < N_SCRIPT; i++)
        best = n[i] > n[best] ? (enum script)i : best;
    return n[best] ? best : NO_SCRIPT;
}

static bool has_word(const char *words, struct str word)
{
    for (const char *p = words; *p;) {
        size_t n = strcspn(p, " ");
        if (n == word.n && memcmp(p, word.p, n) == 0)
            return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

static bool has_letter(const char *letters, struct str word)
{
    uint32_t c = 0;
    for (size_t at = 0; at < word.n;) {
        int k = utf8_get(word.p + at, word.n - at, &c);
        struct str one = {word.p + at, k ? (size_t)k : 1};
        if (c >= 0x80 && memmem(letters, strlen(letters), one.p, one.n))
            return true;
        at += one.n;
    }
    return false;
}

static void count_word(struct str word, enum script script, int *n)
{
    for (int i = 0; i < N_LANGUAGE; i++)
        if (languages[i].script == script)
            n[i] += has_word(languages[i].words, word) || has_letter(languages[i].letters, word);
}

/* Runs of letters and of what stands on them: whatever is no ASCII sign and no punctuation mark. */
static void count_words(struct str s, enum script script, int *n)
{
    uint32_t c;
    size_t from = 0;
    for (size_t at = 0; at <= s.n;) {
        int k = at < s.n ? utf8_get(s.p + at, s.n - at, &c) : 1;
        bool is_letter = at < s.n && k && script_of(c) != NO_SCRIPT;
        if (!is_letter) {
            if (at > from)
                count_word((struct str){s.p + from, at - from}, script, n);
            from = at + (k ? (size_t)k : 1);
        }
        at += k ? (size_t)k : 1;
    }
}

const char *text_language(struct str s)
{
    int n[N_LANGUAGE] = {0}, best = -1;
    bool is_tie = false;
    struct buf lower;
    enum script script = main_script(s);
    buf_init(&lower, 2 * s.n + 16);
    text_lower(s, &lower);
    count_words((struct str){lower.p ? lower.p : "", lower.n}, script, n);
    buf_free(&lower);
    for (int i = 0; i < N_LANGUAGE; i++) {
        if (languages[i].script != script || (languages[i].words[0] && !n[i]))
            continue;
        is_tie = best >= 0 && n[i] == n[best];
        best = best < 0 || n[i] > n[best] ? i : best;
    }
    return best < 0 || is_tie ? NULL : languages[best].code;
}

bool text_may_be(struct str s, const char *code)
{
    for (int i = 0; i < N_LANGUAGE; i++)
        if (strcmp(languages[i].code, code) == 0)
            return languages[i].script == main_script(s) || main_script(s) == NO_SCRIPT;
    return true;
}
