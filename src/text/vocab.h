/* Tokenizer: bytes to ids and back. Immutable after loading, shared by threads.
 *
 * vocab_load reads the `tokenizer.ggml.*` keys of a file. Models "gpt2" (byte-level BPE; the pre-tokenizer
 * expression is a row keyed by `tokenizer.ggml.pre`), "llama" (SentencePiece-style BPE by score with byte
 * fallback, which llama2.c files need), "t5" (SentencePiece's Unigram) and "bert" (WordPiece). Hugging Face's tokenizer.json in
 * `tokenizer.huggingface.json` comes before them. */
#ifndef LATHE_TEXT_VOCAB_H
#define LATHE_TEXT_VOCAB_H
#include "base/str.h"
#include "format/model_file.h"

typedef struct lathe_vocab vocab;

/* UNSUPPORTED names a tokenizer model or pre-tokenizer that has no row; FILE a malformed one. The file must
 * outlive the vocabulary. */
int vocab_load(const struct model_file *f, vocab **out, struct lathe_err *err);

/* A tokenizer.json alone; its bytes are not needed afterwards. */
int vocab_load_json(struct str json, vocab **out, struct lathe_err *err);

/* The index that loading builds, as bytes that can be kept between runs: vocab_load_index takes them and builds
 * nothing. They belong to one file and one version; who keeps them sees to both, and to a digest.
 *
 * vocab_load_index refuses (FILE) what is cut, of another version or does not fit the file's metadata. It
 * looks at the head alone, so the tables may hold anything: whatever is read from them is checked where it is
 * used. Wrong bytes, or bytes that turn to zeros later, give wrong tokens, never an access out of bounds or a
 * loop without end. The bytes, at a multiple of 8, must outlive the vocabulary. */
enum { VOCAB_INDEX_VERSION = 3 }; /* goes up with every change of what loading builds from the same file */
int vocab_index_save(const vocab *v, void **out, size_t *n, struct lathe_err *err); /* malloc-ed */
int vocab_load_index(const struct model_file *f, const void *index, size_t n, vocab **out,
                     struct lathe_err *err);

void vocab_free(vocab *v);
int vocab_size(const vocab *v);
bool vocab_is_eog(const vocab *v, int32_t id);
/* Flags are lathe_tokenize_flags. *ids is malloc-ed for the caller. */
int vocab_encode(const vocab *v, const char *text, size_t n, int flags, int32_t **ids, size_t *n_ids,
                 struct lathe_err *err);
/* Ids of one text (b.p NULL) or of a pair with those that go around them, at most n_most, 0: any number; *second_at is where the second
 * text begins, 0 without. Texts that are too long lose their ends as PyPI's tokenizers cut them, the longer one first. */
int vocab_encode_pair(const vocab *v, struct str a, struct str b, size_t n_most, int32_t **ids, size_t *n_ids,
                      int *second_at, struct lathe_err *err);
/* Where a special token was found in a text: its first byte, and how many ids came before it. */
struct vocab_mark {
    size_t byte, id;
};
struct vocab_marks {
    struct vocab_mark *p; /* malloc-ed */
    size_t n, cap;
};
void vocab_mark_add(struct vocab_marks *m, struct vocab_mark mark);
/* As vocab_encode, from a mark of an earlier text on that agreed in all before it: `before` are that text's ids. The marks found
 * are added to `marks`. */
int vocab_encode_from(const vocab *v, const char *text, size_t n, int flags, struct vocab_mark from,
                      const int32_t *before, struct vocab_marks *marks, int32_t **ids, size_t *n_ids,
                      struct lathe_err *err);
/* Bytes of the longest special token: what lies that far in front of a difference is not touched by it. */
size_t vocab_longest_special(const vocab *v);
/* Bytes of a token, as it reads in the middle of a text; control tokens are empty unless `special`; an id out of range is empty.
 * What is told of a growing text is the sum of these. */
struct str vocab_piece(const vocab *v, int32_t id, bool special);
/* The text that a token is written as where one wants it: "<s>". An id out of range is empty. */
struct str vocab_spelling(const vocab *v, int32_t id);
/* A whole text, malloc-ed. It is the sum of the pieces but for its ends, where some tokenizers read a token otherwise: the first
 * word has no space in front, and the last none behind it. */
int vocab_decode(const vocab *v, const int32_t *ids, size_t n, bool special, char **text, size_t *n_text,
                 struct lathe_err *err);
#endif
