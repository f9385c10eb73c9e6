/* Regular expressions over an answer, counted as Python's re.findall counts them: matches do not overlap, . is everything but a newline, \w, \s, \b and
 * letter case are Unicode's. */
#ifndef LATHE_MEASURE_MATCH_H
#define LATHE_MEASURE_MATCH_H
#include <stdbool.h>
#include <stddef.h>

enum match_flags { MATCH_ANY_CASE = 1, MATCH_LINES = 2 /* ^ and $ at each line */ };

struct match {
    const char *p; /* in the text; of the first group that took part, without groups of the whole match */
    size_t n;
    const char *whole; /* of the whole match */
    size_t n_whole;
};

/* Calls each(user, match) for every match until it returns false. text[n] is UTF-8. A search past its bound of steps ends there. */
void match_each(const char *pattern, int flags, const char *text, size_t n,
                bool (*each)(void *user, const struct match *m), void *user);
int match_count(const char *pattern, int flags, const char *text, size_t n);
/* The first match, and the last one; false: there is none. */
bool match_first(const char *pattern, int flags, const char *text, size_t n, struct match *out);
bool match_last(const char *pattern, int flags, const char *text, size_t n, struct match *out);
#endif
