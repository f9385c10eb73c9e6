/* What intervals say in words: which candidates cannot be told apart. */
#ifndef LATHE_CLI_EVAL_WORDS_H
#define LATHE_CLI_EVAL_WORDS_H
#include "base/mem.h"
#include "cli/plot.h"

/* Of n >= 0 candidates by one statistic `what` ("KL on this text"), as items of a list; rows without a value are passed over, and one alone has
 * nothing to be told from. */
void eval_words_write(struct buf *out, const struct plot_row *rows, int n, const char *what);
#endif
