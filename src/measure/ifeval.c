/* Whether an answer follows an instruction that a program can check. */
#include "measure/ifeval.h"
#include <stdlib.h>
#include "measure/answer_text.h"
#include "measure/match.h"

/* ---- arguments ---- */

static const char *text_arg(const json_t *args, const char *key)
{
    const char *s = json_string_value(json_object_get(args, key));
    return s ? s : "";
}

static long number_arg(const json_t *args, const char *key)
{
    return (long)json_number_value(json_object_get(args, key));
}

/* "at least" and "less than" are all relations there are. */
static bool is_related(long n, const json_t *args, const char *relation, const char *number)
{
    long bound = number_arg(args, number);
    return strcmp(text_arg(args, relation), "less than") == 0 ? n < bound : n >= bound;
}

/* A word in an expression, every sign of it itself. */
static void put_quoted(struct buf *out, const char *word)
{
    for (; *word; word++) {
        bool is_plain = (unsigned char)*word >= 0x80 || strchr("_ ", *word) ||
                        (*word >= '0' && *word <= '9') || ((*word | 32) >= 'a' && (*word | 32) <= 'z');
        if (!is_plain)
            buf_putc(out, '\\');
        buf_putc(out, *word);
    }
}

static int count_word(struct str s, const char *before, const char *word, const char *after, int flags)
{
    struct buf pattern;
    buf_init(&pattern, 2 * strlen(word) + 64);
    buf_puts(&pattern, before);
    put_quoted(&pattern, word);
    buf_puts(&pattern, after);
    int n = match_count(pattern.p, flags, s.p, s.n);
    buf_free(&pattern);
    return n;
}

/* ---- keywords and letters ---- */

static enum ifeval_verdict existence(struct str s, const json_t *args)
{
    const json_t *word;
    size_t i;
    json_array_foreach(
        json_object_get(args, "keywords"), i,
        word) if (!count_word(s, "", json_string_value(word), "", MATCH_ANY_CASE)) return IFEVAL_NOT;
    return IFEVAL_FOLLOWED;
}

static enum ifeval_verdict keyword_frequency(struct str s, const json_t *args)
{
    return is_related(count_word(s, "", text_arg(args, "keyword"), "", MATCH_ANY_CASE), args, "relation",
                      "frequency");
}

static enum ifeval_verdict forbidden_words(struct str s, const json_t *args)
{
    const json_t *word;
    size_t i;
    json_array_foreach(
        json_object_get(args, "forbidden_words"), i,
        word) if (count_word(s, "\\b", json_string_value(word), "\\b", MATCH_ANY_CASE)) return IFEVAL_NOT;
    return IFEVAL_FOLLOWED;
}

static enum ifeval_verdict letter_frequency(struct str s, const json_t *args)
{
    return is_related(count_word(s, "", text_arg(args, "letter"), "", MATCH_ANY_CASE), args, "let_relation",
                      "let_frequency");
}

/* ---- language and case ---- */

static enum ifeval_verdict is_in(struct str s, const char *language)
{
    const char *found = text_language(s);
    if (found)
        return strcmp(found, language) == 0;
    return text_may_be(s, language) ? IFEVAL_UNCHECKED : IFEVAL_NOT;
}

static enum ifeval_verdict response_language(struct str s, const json_t *args)
{
    return is_in(s, text_arg(args, "language"));
}

static enum ifeval_verdict english_capital(struct str s, const json_t *args)
{
    return text_is_upper(s) ? is_in(s, "en") : IFEVAL_NOT;
}

static enum ifeval_verdict english_lowercase(struct str s, const json_t *args)
{
    return text_is_lower(s) ? is_in(s, "en") : IFEVAL_NOT;
}

static enum ifeval_verdict capital_words(struct str s, const json_t *args)
{
    return is_related(text_count_capital_words(s), args, "capital_relation", "capital_frequency");
}

/* ---- lengths ---- */

static enum ifeval_verdict number_sentences(struct str s, const json_t *args)
{
    return is_related(text_count_sentences(s), args, "relation", "num_sentences");
}

static enum ifeval_verdict number_words(struct str s, const json_t *args)
{
    return is_related(match_count("\\w+", 0, s.p, s.n), args, "relation", "num_words");
}

struct parts {
    struct str rest; /* behind the newest separator */
    struct str *v;
    int n;
};

static bool add_part(void *user, const struct match *m)
{
    struct parts *p = user;
    p->v = mem_grow(p->v, sizeof *p->v * (size_t)(p->n + 2));
    p->v[p->n++] = (struct str){p->rest.p, (size_t)(m->whole - p->rest.p)};
    p->rest.n -= (size_t)(m->whole + m->n_whole - p->rest.p);
    p->rest.p = m->whole + m->n_whole;
    return true;
}

/* The text between matches; free v. */
static struct parts split(const char *pattern, struct str s)
{
    struct parts p = {.rest = s};
    p.v = mem_new(sizeof *p.v);
    match_each(pattern, 0, s.p, s.n, add_part, &p);
    p.v[p.n++] = p.rest;
    return p;
}

/* Parts with a line of three asterisks between them; empty ones may only be at the ends. */
static enum ifeval_verdict number_paragraphs(struct str s, const json_t *args)
{
    struct parts p = split("\\s?\\*\\*\\*\\s?", s);
    long n = 0;
    bool is_gap = false;
    for (int i = 0; i < p.n; i++) {
        bool is_empty = text_strip(p.v[i]).n == 0;
        n += !is_empty;
        is_gap |= is_empty && i != 0 && i != p.n - 1;
    }
    free(p.v);
    return !is_gap && n == number_arg(args, "num_paragraphs");
}

/* The first word up to a punctuation mark, in lower case, without quotes before it. */
static bool has_first_word(struct str paragraph, const char *word)
{
    struct str first = text_strip(paragraph), expected = str_of(word);
    struct buf a, b;
    while (first.n && (first.p[0] == '\'' || first.p[0] == '"')) {
        first.p++;
        first.n--;
    }
    for (size_t i = 0; i < first.n; i++)
        if (strchr(" \t\n\r\v\f.,?!'\"", first.p[i])) {
            first.n = i;
            break;
        }
    buf_init(&a, 2 * first.n + 16);
    buf_init(&b, 2 * expected.n + 16);
    text_lower(first, &a);
    text_lower(expected, &b);
    bool same = a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
    buf_free(&a);
    buf_free(&b);
    return same;
}

/* Paragraphs have a blank line between them; empty ones do not count, but have their place. */
static enum ifeval_verdict nth_paragraph(struct str s, const json_t *args)
{
    struct parts p = split("\\n\\n", s);
    long n = 0, nth = number_arg(args, "nth_paragraph");
    for (int i = 0; i < p.n; i++)
        n += text_strip(p.v[i]).n > 0;
    bool ok = n == number_arg(args, "num_paragraphs") && nth >= 1 && nth <= n && text_strip(p.v[nth - 1]).n &&
              has_first_word(p.v[nth - 1], text_arg(args, "first_word"));
    free(p.v);
    return ok;
}

/* ---- content and form ---- */

static enum ifeval_verdict number_placeholders(struct str s, const json_t *args)
{
    return match_count("\\[.*?\\]", 0, s.p, s.n) >= number_arg(args, "num_placeholders");
}

static enum ifeval_verdict postscript(struct str s, const json_t *args)
{
    const char *marker = text_arg(args, "postscript_marker");
    if (strcmp(marker, "P.P.S") == 0)
        return match_count("p\\.\\s?p\\.\\s?s.*$", MATCH_ANY_CASE | MATCH_LINES, s.p, s.n) > 0;
    if (strcmp(marker, "P.S.") == 0)
        return match_count("p\\.\\s?s\\..*$", MATCH_ANY_CASE | MATCH_LINES, s.p, s.n) > 0;
    return count_word(s, "", marker, "", MATCH_ANY_CASE) > 0;
}

static enum ifeval_verdict number_bullets(struct str s, const json_t *args)
{
    int n = match_count("^\\s*\\*[^*].*$", MATCH_LINES, s.p, s.n) +
            match_count("^\\s*-.*$", MATCH_LINES, s.p, s.n);
    return n == number_arg(args, "num_bullets");
}

static enum ifeval_verdict constrained_response(struct str s, const json_t *args)
{
    return match_count("My answer is (yes|no|maybe)\\.", 0, s.p, s.n) > 0;
}

struct marked {
    const char *mark;
    long n;
};

static bool count_marked(void *user, const struct match *m)
{
    struct marked *c = user;
    struct str s = {m->p, m->n};
    s = text_without_suffix(text_without_prefix(s, c->mark), c->mark);
    c->n += text_strip(s).n > 0;
    return true;
}

static enum ifeval_verdict number_highlights(struct str s, const json_t *args)
{
    struct marked one = {"*", 0}, two = {"**", 0};
    match_each("\\*[^\\n*]*\\*", 0, s.p, s.n, count_marked, &one);
    match_each("\\*\\*[^\\n*]*\\*\\*", 0, s.p, s.n, count_marked, &two);
    return one.n + two.n >= number_arg(args, "num_highlights");
}

static enum ifeval_verdict multiple_sections(struct str s, const json_t *args)
{
    return count_word(s, "\\s?", text_arg(args, "section_spliter"), "\\s?\\d+\\s?", 0) >=
           number_arg(args, "num_sections");
}

static enum ifeval_verdict json_format(struct str s, const json_t *args)
{
    static const char *const fences[] = {"```json", "```Json", "```JSON", "```"};
    s = text_strip(s);
    for (size_t i = 0; i < sizeof fences / sizeof fences[0]; i++)
        s = text_without_prefix(s, fences[i]);
    s = text_strip(text_without_suffix(s, "```"));
    json_t *j = json_loadb(s.p, s.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    json_decref(j);
    return j != NULL;
}

static bool find_title(void *user, const struct match *m)
{
    struct str s = {m->p, m->n};
    while (s.n && s.p[0] == '<') {
        s.p++;
        s.n--;
    }
    while (s.n && s.p[s.n - 1] == '>')
        s.n--;
    *(bool *)user |= text_strip(s).n > 0;
    return true;
}

static enum ifeval_verdict title(struct str s, const json_t *args)
{
    bool found = false;
    match_each("<<[^\\n]+>>", 0, s.p, s.n, find_title, &found);
    return found;
}

/* ---- combinations, beginning and end ---- */

static enum ifeval_verdict two_responses(struct str s, const json_t *args)
{
    struct parts p = split("\\*\\*\\*\\*\\*\\*", s);
    struct str kept[2] = {{NULL, 0}};
    int n = 0;
    bool is_gap = false;
    for (int i = 0; i < p.n; i++) {
        struct str part = text_strip(p.v[i]);
        is_gap |= part.n == 0 && i != 0 && i != p.n - 1;
        if (part.n && n < 2)
            kept[n] = part;
        n += part.n > 0;
    }
    free(p.v);
    return !is_gap && n == 2 && !str_eq(kept[0], kept[1]);
}

/* Whether, in lower case and without white space at the ends, the one begins or ends with the other. */
static bool compares(struct str s, const char *with, bool (*how)(struct str, struct str))
{
    struct str other = text_strip(str_of(with));
    struct buf a, b;
    buf_init(&a, 2 * s.n + 16);
    buf_init(&b, 2 * other.n + 16);
    text_lower(s, &a);
    text_lower(other, &b);
    bool ok = how((struct str){a.p ? a.p : "", a.n}, (struct str){b.p ? b.p : "", b.n});
    buf_free(&a);
    buf_free(&b);
    return ok;
}

static enum ifeval_verdict repeat_prompt(struct str s, const json_t *args)
{
    return compares(text_strip(s), text_arg(args, "prompt_to_repeat"), text_begins);
}

static enum ifeval_verdict end_checker(struct str s, const json_t *args)
{
    s = text_strip(s);
    while (s.n && s.p[0] == '"') {
        s.p++;
        s.n--;
    }
    while (s.n && s.p[s.n - 1] == '"')
        s.n--;
    return compares(s, text_arg(args, "end_phrase"), text_ends);
}

static enum ifeval_verdict no_comma(struct str s, const json_t *args)
{
    return text_find(s, 0, ",") == s.n;
}

static enum ifeval_verdict quotation(struct str s, const json_t *args)
{
    s = text_strip(s);
    return s.n > 1 && s.p[0] == '"' && s.p[s.n - 1] == '"';
}

/* ---- the table ---- */

static const struct {
    const char *name;
    enum ifeval_verdict (*follows)(struct str s, const json_t *args);
    const char *needs;
} checks[] = {
#define CHECK(name, function, needs) {name, function, needs},
#include "measure/ifeval_checks.inc"
#undef CHECK
};
enum { N_CHECK = sizeof checks / sizeof checks[0] };

static bool is_list(const json_t *v)
{
    const json_t *one;
    size_t i;
    bool ok = json_is_array(v);
    json_array_foreach(v, i, one) ok = ok && json_is_string(one);
    return ok;
}

static bool has_args(const char *needs, const json_t *args)
{
    char name[64];
    for (const char *p = needs; *p;) {
        size_t n = strcspn(p, ":");
        memcpy(name, p, n);
        name[n] = 0;
        const json_t *v = json_object_get(args, name);
        if (p[n + 1] == 'n' ? !json_is_number(v) || !(json_number_value(v) >= 0 && json_number_value(v) < 1e9)
            : p[n + 1] == 't' ? !json_is_string(v)
                              : !is_list(v))
            return false;
        p += n + 2;
        p += *p == ' ';
    }
    return true;
}

const char *ifeval_rule_read(struct ifeval_rule *r, const char *name, const json_t *args)
{
    int i = 0;
    while (i < N_CHECK && strcmp(name, checks[i].name) != 0)
        i++;
    if (i == N_CHECK)
        return "asks for an instruction that is not known";
    *r = (struct ifeval_rule){i, args};
    return has_args(checks[i].needs, args) ? NULL : "lacks an argument of an instruction in kwargs";
}

const char *ifeval_rule_name(const struct ifeval_rule *r)
{
    return checks[r->check].name;
}

enum ifeval_verdict ifeval_strict(const struct ifeval_rule *r, struct str answer)
{
    return text_strip(answer).n ? checks[r->check].follows(answer, r->args) : IFEVAL_NOT;
}

/* From behind the first newline, to before the last one; with one line nothing is left. */
static struct str without_lines(struct str s, bool first, bool last)
{
    size_t from = first ? text_find(s, 0, "\n") + 1 : 0, to = s.n;
    if (from > s.n)
        from = s.n;
    while (last && to > from && s.p[to - 1] != '\n')
        to--;
    if (last && to > from)
        to--;
    return first || last ? text_strip((struct str){s.p + from, to - from}) : s;
}

static struct str without_asterisks(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '*')
            buf_putc(out, s.p[i]);
    return (struct str){out->p ? out->p : "", out->n};
}

enum ifeval_verdict ifeval_loose(const struct ifeval_rule *r, struct str answer)
{
    enum ifeval_verdict best = IFEVAL_NOT;
    struct buf bare;
    buf_init(&bare, answer.n + 16);
    for (int i = 0; i < 8 && best != IFEVAL_FOLLOWED; i++) {
        struct str s = without_lines(answer, i & 1, i & 2);
        buf_clear(&bare);
        enum ifeval_verdict v = ifeval_strict(r, i & 4 ? without_asterisks(s, &bare) : s);
        best = v != IFEVAL_NOT ? v : best;
    }
    buf_free(&bare);
    return best;
}
