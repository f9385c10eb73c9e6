/* The number that an answer to a problem of arithmetic comes to: GSM8K's (Cobbe et al. 2021), as lm-evaluation-harness 0.4 reads them.
 *
 * Strict: the first number behind "#### ", which the examples end in. Flexible: the last number of the answer, in whatever form. Both are the right
 * one if they are equal without commas, dollar signs and a period at the end. */
#ifndef LATHE_MEASURE_NUMBER_ANSWER_H
#define LATHE_MEASURE_NUMBER_ANSWER_H
#include "base/str.h"

/* The part of the answer; n 0: there is none. */
struct str number_strict(struct str answer);
struct str number_flexible(struct str answer);
/* Whether `found` is the number of `gold`, what is behind its last "#### " or all of it. */
bool number_equal(struct str found, struct str gold);
#endif
