/* What checks of answers ask of a text: its ends, letter case, sentences and words. Texts are UTF-8; what is not is passed over. */
#ifndef LATHE_MEASURE_ANSWER_TEXT_H
#define LATHE_MEASURE_ANSWER_TEXT_H
#include "base/mem.h"
#include "base/str.h"

/* Without Unicode white space at its ends. */
struct str text_strip(struct str s);
/* Without the part at its beginning or end, if it is there. */
struct str text_without_prefix(struct str s, const char *prefix);
struct str text_without_suffix(struct str s, const char *suffix);
bool text_begins(struct str s, struct str with);
bool text_ends(struct str s, struct str with);
/* First place of `part` from `at` on; s.n: none. */
size_t text_find(struct str s, size_t at, const char *part);
/* In lower case, character by character, into an empty buffer; what is no UTF-8 is left out. */
void text_lower(struct str s, struct buf *out);
/* With letters, all of them upper (lower) case. */
bool text_is_upper(struct str s);
bool text_is_lower(struct str s);

/* Sentences end at . ? ! before white space, not behind abbreviations, initials and figures of lists that a word in lower case follows, after Kiss &
 * Strunk 2006; that is not its trained model, so a count may differ by some from that of implementations of it. */
int text_count_sentences(struct str s);
/* Words by the rules of the Penn Treebank (MacIntyre 1995) that have letters, all of them upper case. */
int text_count_capital_words(struct str s);

/* Code of ISO 639-1 of the language that the text is most likely in: by its script, and where languages share one by their most
 * frequent words and letters. NULL: nothing speaks for one. */
const char *text_language(struct str s);
/* False if most letters are of another script than the language's. */
bool text_may_be(struct str s, const char *code);
#endif
