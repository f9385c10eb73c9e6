/* Whether two models have the same tokens. */
#include "measure/same_vocab.h"
#include <string.h>
#include <xxhash.h>

/* Of a row of the logits that is no token: nothing. */
static struct token {
    const char *text;
    size_t n;
} token_at(const lathe_vocab *v, int id)
{
    struct token t = {"", 0};
    if (id < lathe_vocab_size(v))
        t.text = lathe_token_text(v, id, true, &t.n);
    return t.text ? t : (struct token){"", 0};
}

int same_vocab(const lathe_vocab *v, int n_vocab, const char *name, const lathe_vocab *ref, int n_ref_vocab,
               const char *ref_name, struct lathe_err *err)
{
    if (n_vocab != n_ref_vocab)
        return err_set(err, LATHE_E_USAGE,
                       "the reference has another vocabulary: %d tokens in %.100s, %d in %.100s; compare "
                       "models of one tokenizer",
                       n_ref_vocab, ref_name, n_vocab, name);
    for (int i = 0; i < n_vocab; i++) {
        struct token a = token_at(v, i), b = token_at(ref, i);
        if (a.n != b.n || memcmp(a.text, b.text, a.n) != 0)
            return err_set(err, LATHE_E_USAGE,
                           "the reference has another tokenizer: token %d is '%.*s' in %.100s, '%.*s' in "
                           "%.100s; compare models of one tokenizer",
                           i, (int)(b.n < 40 ? b.n : 40), b.text, ref_name, (int)(a.n < 40 ? a.n : 40),
                           a.text, name);
    }
    return 0;
}

uint64_t same_vocab_hash(const lathe_vocab *v, int n_vocab)
{
    uint64_t hash = (uint64_t)n_vocab;
    for (int i = 0; i < n_vocab; i++) {
        struct token t = token_at(v, i);
        hash = XXH3_64bits_withSeed(t.text, t.n, hash);
    }
    return hash;
}
