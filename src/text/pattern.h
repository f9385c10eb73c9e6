/* What a step of a tokenizer looks for: a string, an expression of Oniguruma's syntax, or the characters of a class. It cuts a text
 * into spans, matches and what lies between them. */
#ifndef LATHE_TEXT_PATTERN_H
#define LATHE_TEXT_PATTERN_H
#include <jansson.h>
#include "text/unicode.h"

struct pattern; /* immutable, shared by threads */

/* {"String": ...} or {"Regex": ...}; `where` names the step in errors. UNSUPPORTED names what an expression has that cannot be
 * said here. */
int pattern_of_json(const json_t *j, const char *where, struct pattern **out, struct lathe_err *err);
int pattern_of_regex(struct str source, const char *where, struct pattern **out, struct lathe_err *err);
struct pattern *pattern_of_class(bool (*is)(uint32_t c));
struct pattern *pattern_of_char(uint32_t c);
void pattern_free(struct pattern *p);

/* Every span of `text`, in order and without gaps. An expression may match nothing: such a match is an empty span. */
struct pattern_walk {
    const struct pattern *p;
    struct str text;
    size_t done, search, from, to; /* what was told, where to search on, the match that was found */
    size_t last_end;
    bool found, over;
    void *scratch; /* pcre2's, made on use */
};
struct span {
    size_t from, to;
    bool match;
};
void pattern_start(struct pattern_walk *w, const struct pattern *p, struct str text);
bool pattern_next(struct pattern_walk *w, struct span *s); /* false at the end */
void pattern_stop(struct pattern_walk *w);

/* onig.c: the expression in PCRE2's syntax, malloc-ed. */
int onig_translate(struct str source, const char *where, char **out, size_t *n_out, struct lathe_err *err);

/* What becomes of matches when a text is split. */
enum behavior { SPLIT_REMOVED, SPLIT_ISOLATED, SPLIT_PREVIOUS, SPLIT_NEXT, SPLIT_CONTIGUOUS };
int behavior_of_json(const json_t *j, const char *where, enum behavior *out, struct lathe_err *err);
typedef int split_piece(void *user, size_t from, size_t to);
/* Calls piece() for every piece that is not empty; stops at its first non-zero result and returns that. */
int pattern_split(const struct pattern *p, struct str text, bool invert, enum behavior b, split_piece *piece,
                  void *user);
#endif
