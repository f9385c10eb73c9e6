/* Pre-tokenizers: a row of regular expressions per `tokenizer.ggml.pre` that cuts text into the words that
 * merging may not cross. */
#ifndef LATHE_TEXT_PRETOK_H
#define LATHE_TEXT_PRETOK_H
#include "base/err.h"
#include "base/str.h"

enum { PRE_IGNORE_MERGES = 1, PRE_ADD_BOS = 2 };

struct pretok;

/* UNSUPPORTED names a pre-tokenizer without a row. */
int pretok_new(struct str name, struct pretok **out, struct lathe_err *err);
void pretok_free(struct pretok *p);
int pretok_flags(const struct pretok *p);

/* Calls word() for every piece of the text, in order and without gaps; stops at its first non-zero result and
 * returns that. Any bytes are legal: one that is not UTF-8 is classified as U+FFFD. */
int pretok_split(const struct pretok *p, const char *text, size_t n,
                 int (*word)(void *user, const char *p, size_t n), void *user, struct lathe_err *err);

/* The i-th name of the table, NULL past the last. */
const char *pretok_name(int i);
#endif
