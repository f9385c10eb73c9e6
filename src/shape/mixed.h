/* Mixed precision: the type of each tensor, by what it costs the model's answers, under a budget of bytes, bits or divergence. */
#ifndef LATHE_SHAPE_MIXED_H
#define LATHE_SHAPE_MIXED_H
#include "shape/mix.h"

struct mixed;
struct pool;
struct work;

/* Whether the options have a target. */
bool mixed_is(const struct lathe_quantize_options *o);
/* Measures the model at `from`, f as the writer sees it, as far as `work` does not know it; temporary files go beside `to`. USAGE for options that do not go with a target. */
int mixed_new(const struct lathe_quantize_options *o, const char *from, const char *to,
              const struct model_file *f, const struct mix_model *rules, struct work *work, struct pool *pool,
              struct mixed **out, struct lathe_err *err);
void mixed_free(struct mixed *m);
/* The text less what the result is judged by, where the target is a divergence: what a method is to calibrate on. The options' own else. */
struct str mixed_text(const struct mixed *m);
/* type[tensor of f], NULL: stays as it is; *mix is the one that the file is nearest to. USAGE if the target is below what can be reached,
 * which is named. The report gets predictions. */
int mixed_choose(struct mixed *m, const struct format **type, const struct format **wanted,
                 const struct mix **mix, struct lathe_quantize_report *report, struct lathe_err *err);
/* Whether the file of the newest choice is not needed: it was measured by an earlier run, and was not the last. */
bool mixed_knows(const struct mixed *m);
/* With a divergence as target: measures the file at `path` that was made with the newest choice. *again: it has to be made with another,
 * which mixed_choose now gives. USAGE if no choice is near enough. */
int mixed_judge(struct mixed *m, const char *path, bool *again, struct lathe_quantize_report *report,
                struct lathe_err *err);
#endif
