/* Inside of the vocabulary, shared by the files of the tokenizer. Index tables are flat arrays without
 * pointers. They may lie in a kept file (vocab_index.c), which can hold anything: an id or an offset out of
 * them is used only through vocab_raw or after a check, and a search of a hash ends after one round.
 *
 *   blob, off   raw bytes of every token: byte-level spelling and SentencePiece's U+2581 are already undone
 *   word        open-addressing hash: raw bytes -> id, of the tokens that plain text may become
 *   pair        open-addressing hash: (left id, right id) -> rank and merged id (byte-level BPE)
 *   score, trie, piece   of a pipeline
 *   special     ids of tokens that are matched before anything else, sorted by their bytes */
#ifndef LATHE_TEXT_VOCAB_IMPL_H
#define LATHE_TEXT_VOCAB_IMPL_H
#include "text/pretok.h"
#include "text/trie.h"
#include "text/vocab.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

enum token_type { TOKEN_NORMAL = 1, TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_USER, TOKEN_UNUSED, TOKEN_BYTE };
enum token_flag { TOKEN_EOG = 1, TOKEN_RSTRIP = 2, TOKEN_MODEL = 4 }; /* MODEL: a pipeline's model knows it */
enum vocab_model { VOCAB_BPE, VOCAB_SPM, VOCAB_PIPE };

struct word_slot {
    uint32_t tag; /* upper half of the hash */
    int32_t id_1; /* id + 1; 0: empty */
};

struct pair_slot {
    int32_t left_1, right; /* left + 1; 0: empty */
    uint32_t rank;
    int32_t id;
};

struct lathe_vocab {
    struct model_file *owned; /* lathe_vocab_open's */
    enum vocab_model model;
    int n;
    bool borrowed; /* the tables are somebody else's bytes, and read-only */
    char *blob;
    uint32_t n_blob;
    uint32_t *off; /* [n + 1] */
    uint32_t max_len;
    uint8_t *type, *flags;
    uint32_t *rank; /* SPM: by falling score */
    struct word_slot *word;
    uint32_t word_mask;
    struct pair_slot *pair;
    uint32_t pair_mask;
    int32_t *special;
    int n_special;
    uint32_t special_first[257]; /* range of `special` by first byte */
    int32_t byte_id[256];        /* -1: the vocabulary has no such byte */
    int32_t bos, eos, unk;       /* -1: none */
    bool add_bos, add_eos, add_space_prefix, ignore_merges, has_duplicates;
    bool space_begins; /* SPM: no token has a space behind something else */
    struct pretok *pre;
    struct pipeline *pipe; /* VOCAB_PIPE: text/pipe.h */
    double *score;         /* of a pipeline with scores */
    struct trie trie;      /* of a pipeline that looks for the longest token, or for all */
    char *piece;           /* what tokens read as in the middle of a text, where that is not their text */
    uint32_t *piece_off;   /* [n + 1] */
    uint32_t n_piece;
    struct str config; /* a pipeline's, in an index */
};

/* Bytes of any id; empty if there are none. So an id whose bytes are not empty is one of the vocabulary. */
static inline struct str vocab_raw(const vocab *v, int32_t id)
{
    if ((uint32_t)id >= (uint32_t)v->n)
        return (struct str){"", 0};
    uint32_t from = v->off[id], to = v->off[id + 1];
    if (from > to || to > v->n_blob)
        return (struct str){"", 0};
    return (struct str){v->blob + from, to - from};
}

/* Growing list of ids. */
struct ids {
    int32_t *p;
    size_t n, cap;
};
void ids_push(struct ids *a, int32_t id);

static inline uint64_t word_hash(const char *p, size_t n)
{
    return XXH3_64bits(p, n);
}

/* Id of a token of plain text with exactly these bytes, at least one, or -1. */
int32_t vocab_word_at(const vocab *v, const char *p, size_t n, uint64_t hash);
static inline int32_t vocab_word(const vocab *v, const char *p, size_t n)
{
    return vocab_word_at(v, p, n, word_hash(p, n));
}

int vocab_words_load(vocab *v, struct lathe_err *err); /* builds `word` */
int byte_spelling(struct str s);                       /* of "<0xAB>": the byte, or -1 */

/* bpe.c */
int bpe_pairs_new(vocab *v, uint64_t n, struct lathe_err *err);
void bpe_pair_put(vocab *v, int32_t left, int32_t right, uint32_t rank, int32_t id); /* unless it is there */
int bpe_load(vocab *v, const struct model_file *f, struct lathe_err *err);
int bpe_encode(const vocab *v, const char *text, size_t n, struct ids *out, struct lathe_err *err);
/* Undoes the byte-level spelling; the number of bytes, or -1 if the text is not of that spelling. `out` has
 * room for s.n bytes. */
int bpe_unspell(struct str s, char *out);

/* spm.c */
int spm_load(vocab *v, const struct model_file *f, struct lathe_err *err);
int spm_encode(const vocab *v, const char *text, size_t n, bool first, struct ids *out,
               struct lathe_err *err);

/* special.c */
int special_load(vocab *v, struct lathe_err *err);
/* The longest special token at `p` with its length, or -1. Control and unknown ones only with `control`. */
int32_t special_match(const vocab *v, const char *p, size_t n, bool control, size_t *len);

/* vocab_index.c: points the tables of `v`, whose model is known, into the bytes of an index. */
int index_map(vocab *v, const struct model_file *f, const void *index, size_t n, struct lathe_err *err);

/* merge.c: a sequence of symbols in which the neighbours of lowest rank, leftmost first, become one until
 * none are left. */
struct sym {
    uint32_t pos, len; /* bytes of the text */
    uint32_t prev, next;
    int32_t id;    /* -1: not a token */
    uint32_t rank; /* of the pair (this, next); UINT32_MAX: no merge */
    int32_t merged;
};
#define SYM_END UINT32_MAX
/* Sets a->rank and a->merged for the pair of neighbours (a, b). */
typedef void merge_rank(const vocab *v, const char *text, struct sym *a, const struct sym *b);
/* s[n] linked in order; afterwards the list from s[0] holds what is left. */
merge_rank bpe_rank; /* bpe.c: by the table of pairs */
int merge_all(const vocab *v, const char *text, struct sym *s, uint32_t n, merge_rank *rank,
              struct lathe_err *err);

#define VOCAB_LIMIT (1 << 24)                /* tokens, merges */
#define VOCAB_TEXT_LIMIT ((size_t)256 << 20) /* bytes of one text */
#endif
