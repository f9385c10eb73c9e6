/* Whether an answer follows an instruction that a program can check: the 25 kinds of IFEval (Zhou et al. 2023, table 1, arXiv:2311.07911).
 *
 * A kind is a row of ifeval_checks.inc and a function. Two of them need more than a rule: the number of sentences and of words in capitals, which
 * the field counts by NLTK's trained splitter, are counted by rules here, and what language an answer is in, which it guesses by langdetect,
 * is guessed by script and most frequent words (answer_text.h). Where nothing speaks for a language the answer passes, as it does there,
 * and is counted as not checked. */
#ifndef LATHE_MEASURE_IFEVAL_H
#define LATHE_MEASURE_IFEVAL_H
#include <jansson.h>
#include "base/str.h"

enum ifeval_verdict { IFEVAL_NOT, IFEVAL_FOLLOWED, IFEVAL_UNCHECKED /* counts as followed */ };

struct ifeval_rule {
    int check;          /* index of the row */
    const json_t *args; /* the caller's */
};

/* The instruction of this name with its arguments, of which it needs those of its row. NULL, or why not. */
const char *ifeval_rule_read(struct ifeval_rule *r, const char *name, const json_t *args);
const char *ifeval_rule_name(const struct ifeval_rule *r);

/* Strict: the answer as it is. Loose: any of the eight that are left when its first line, its last line, both or none, and asterisks
 * or none are taken away. An answer of white space follows nothing. */
enum ifeval_verdict ifeval_strict(const struct ifeval_rule *r, struct str answer);
enum ifeval_verdict ifeval_loose(const struct ifeval_rule *r, struct str answer);
#endif
