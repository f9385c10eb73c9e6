/* Tiny vocabularies for tests: every byte, a few merges, special tokens; written as GGUF files without
 * tensors. */
#ifndef LATHE_TESTS_TINY_VOCAB_H
#define LATHE_TESTS_TINY_VOCAB_H
#include "unit.h"
#include <lathe.h>
#include "gguf_write.h"
#include "tmp_dir.h"

/* Ids of the byte-level one: bytes 0..255 are tokens 0..255, merge i makes token 256 + i, then these. */
enum { TV_N_MERGE = 16, TV_BOS = 256 + TV_N_MERGE, TV_END, TV_USER, TV_USER_LONG, TV_N_BPE };
extern const char *const tv_merges[TV_N_MERGE]; /* "left right" */
/* Ids of the SentencePiece one: <unk> <s> </s>, 256 bytes, then pieces. */
enum { TV_SPM_PIECE = 3 + 256 };

/* "gpt2" with the pre-tokenizer `pre`; the caller may add keys and saves it. */
struct gw *tv_bpe(const char *pre);
struct gw *tv_spm(void);

/* Saves, frees and opens a vocabulary; fails unless that gives `want`. */
static inline lathe_vocab *tv_open(struct gw *g, int want, struct lathe_err *err)
{
    lathe_vocab *v;
    const char *path = tmp_path("vocab.gguf");
    gw_save(g, path);
    gw_free(g);
    int rc = lathe_vocab_open(path, &v, err);
    if (rc != want)
        fail_msg("code %d, not %d: %s", rc, want, rc ? err->text : "opened");
    return v;
}
#endif
