/* A fact at a depth of a long text, asked for at its end: whether a model, its weights or its KV cache in fewer bits, still finds it.
 *
 *     [bos] text ... | The pass key is 71432. ... | ... text | What is the pass key? The pass key is
 *     0              depth * length                          length
 *
 * A number between a text's sentences, as Mohtashami & Jaggi 2023 (arXiv:2305.16300, section 4.2) ask for it. Each item is a question with choices
 * (task_file.h): the key, and as many others. `found`: each token of the key is the likeliest, so that it is what greedy generation says;
 * `ranked`: it is likelier than the others, which works for small models too. Each key is hidden in a
 * piece of the text of its own, at one depth after another from the deepest to the first, so that what two items begin with alike is computed once. */
#ifndef LATHE_MEASURE_NEEDLE_H
#define LATHE_MEASURE_NEEDLE_H
#include "measure/task_run.h"

enum { NEEDLE_CHOICES = 10, NEEDLE_LEAST = 128 /* tokens of a length */ };

struct needle_options {
    const lathe_vocab *vocab;
    const int32_t *ids; /* [n_id] of the text, with the token of its beginning if the model has one */
    size_t n_id;
    int length;  /* of context and answer in tokens */
    int n_depth; /* from 0 to 1, both included; 1: 0.5 alone */
    int n_key;   /* pieces of the text, and keys at each depth */
};

/* The items of a length: key k of depth d is item k * n_depth + n_depth - 1 - d, its right choice the first. USAGE if the text or the length is
 * too short. task_file_free it in any case. */
int needle_make(struct task_file *f, const struct needle_options *o, struct lathe_err *err);
double needle_depth(int i, int n_depth);
#endif
