/* Whether two models have the same tokens: a divergence between others means nothing. */
#ifndef LATHE_MEASURE_SAME_VOCAB_H
#define LATHE_MEASURE_SAME_VOCAB_H
#include "base/err.h"

/* USAGE if the vocabularies differ, naming both models and the first token that does. n_vocab and n_ref_vocab are those of the
 * logits, which may be more than the tokens. */
int same_vocab(const lathe_vocab *v, int n_vocab, const char *name, const lathe_vocab *ref, int n_ref_vocab,
               const char *ref_name, struct lathe_err *err);
/* Digest of n_vocab and all tokens' texts. */
uint64_t same_vocab_hash(const lathe_vocab *v, int n_vocab);
#endif
