/* A tokenizer as a pipeline, the way tokenizer.json describes one: a text is cut at added tokens, normalized, cut into words, and
 * a model turns words into ids; a post-processor adds ids around them, and decoders make text of them again.
 *
 * A kind of step is a row of a table (normalize.c, pretok_steps.c, word_models.c, decode.c, post.c) with the keys that it knows;
 * what a file has beyond them is refused by name. Steps are immutable after loading and shared by threads. */
#ifndef LATHE_TEXT_PIPE_H
#define LATHE_TEXT_PIPE_H
#include <jansson.h>
#include "text/out.h"
#include "text/pattern.h"
#include "text/vocab_impl.h"

enum { PIPE_MAX_STEP = 32 };

/* ---- reading steps from JSON (step_json.c) ---- */

/* Refuses keys of `j` that are not in `keys` (separated by spaces; "type" always is). */
int step_keys(const json_t *j, const char *where, const char *keys, struct lathe_err *err);
/* A value of the kind; `out` stays as it is where it is absent or null. FILE for another kind. */
int step_bool(const json_t *j, const char *where, const char *key, bool *out, struct lathe_err *err);
int step_int(const json_t *j, const char *where, const char *key, int64_t low, int64_t high, int64_t *out,
             struct lathe_err *err);
int step_str(const json_t *j, const char *where, const char *key, struct str *out, struct lathe_err *err);
/* Calls one() for the step, or for those of a Sequence, whose list is `list`, in order. Null is no step. */
int step_each(const json_t *j, const char *what, const char *list,
              int (*one)(void *user, const json_t *j, const char *type, struct lathe_err *err), void *user,
              struct lathe_err *err);
struct str step_dup(struct str s);

/* ---- normalizers (normalize.c) ---- */

struct norm {
    const struct norm_kind *kind;
    struct pattern *pattern;
    struct str text; /* owned: what is put in place, or in front */
    struct charsmap *charsmap;
    bool left, right;                    /* Strip */
    bool clean, chinese, accents, lower; /* BertNormalizer */
    bool prefix, merge;                  /* of a SentencePiece model in GGUF */
};
struct norms {
    struct norm step[PIPE_MAX_STEP];
    int n;
    bool bytes; /* what leaves them is in the spelling of bytes */
};
int norms_of_json(const json_t *j, struct norms *out, struct lathe_err *err);
void norms_free(struct norms *s);
/* The result in `a` or `b`, as the slice says; both are cleared first. */
int norms_apply(const struct norms *s, struct str in, bool marked, struct out *a, struct out *b,
                struct str *out, struct lathe_err *err);
/* What a SentencePiece model in GGUF asks for; `charsmap` may be empty. */
int norms_of_spm(struct norms *s, struct str charsmap, bool prefix, bool merge, struct lathe_err *err);

/* charsmap.c: SentencePiece's table of replacements, a double-array trie over UTF-8 with the texts behind it. */
struct charsmap;
int charsmap_new(struct str bytes, const char *where, struct charsmap **out, struct lathe_err *err);
void charsmap_free(struct charsmap *c);
/* As `tokenizers` applies it, by grapheme clusters and the shortest match, or as SentencePiece does, by the longest. */
void charsmap_apply(const struct charsmap *c, struct str in, struct out *out);
size_t charsmap_longest(const struct charsmap *c, struct str in,
                        struct str *to); /* bytes of `in` used; 0: none */

/* normalize_bert.c */
void bert_normalize(const struct norm *s, struct str in, bool marked, struct out *out);

/* ---- pre-tokenizers (pretok_steps.c) ---- */

struct pre {
    const struct pre_kind *kind;
    struct pattern *pattern;
    struct str text; /* owned: Metaspace's replacement */
    enum behavior behavior;
    bool invert, prefix, split, first_only;
};
struct pres {
    struct pre step[PIPE_MAX_STEP];
    int n;
    bool bytes; /* words are in the spelling of bytes */
};
int pres_of_json(const json_t *j, struct pres *out, struct lathe_err *err);
void pres_free(struct pres *s);

/* A text on its way from normalizers to ids; of one thread. */
struct walk {
    const vocab *v;
    const struct pipeline *p;
    struct ids *out;
    struct lathe_err *err;
    bool marked;                     /* the text has marks of bytes that are not UTF-8, see pipe.c */
    struct out level[PIPE_MAX_STEP]; /* what a pre-tokenizer made of its piece */
    struct out norm[2], mark, word;
    struct seen_word *seen;
    void *scratch; /* the model's */
    size_t n_scratch;
};
/* Sends a piece through the pre-tokenizers from `level` on; `first`: it is where the whole text begins. */
int pres_walk(struct walk *w, int level, struct str piece, bool first);
/* Room for n elements in w->scratch. */
int walk_scratch(struct walk *w, size_t n, size_t size, void **out);

/* A byte that is not UTF-8, in a marked text. */
#define BYTE_MARK 0x10ff00u
static inline bool is_byte_mark(bool marked, uint32_t c)
{
    return marked && c >= BYTE_MARK + 0x80 && c <= BYTE_MARK + 0xff;
}
/* Spells every byte as a printable character (bpe.c). */
void bytes_spell(bool marked, struct str in, struct out *out);

/* ---- models (word_models.c) ---- */

struct word_model {
    const struct word_model_kind *kind;
    struct str unk, prefix, suffix; /* owned */
    int32_t unk_id;                 /* -1: none */
    int64_t max_chars;              /* of a word */
    bool fuse_unk, byte_fallback, ignore_merges, caches;
    double unk_score;
};
int word_model_of_json(const json_t *j, struct word_model *m, struct lathe_err *err);
/* Builds the model's tables; the vocabulary has its tokens. They are what an index keeps. */
int word_model_tables(vocab *v, const json_t *j, struct word_model *m, struct lathe_err *err);
/* What follows from tables that are there. */
int word_model_finish(vocab *v, struct word_model *m, struct lathe_err *err);
const char *word_model_name(const struct word_model *m);
void word_model_free(struct word_model *m);
int word_encode(struct walk *w, struct str word);
struct seen_word {
    uint8_t n; /* 0: empty */
    char p[47];
    uint32_t n_id;
    size_t at; /* where its ids stand in the output already */
};
enum { SEEN_WORD_BITS = 12 };

int unigram_encode(struct walk *w, struct str word);
int wordpiece_encode(struct walk *w, struct str word);
int bpe_chars_encode(struct walk *w, struct str word);

/* ---- added tokens (added.c) ---- */

struct added_token {
    struct str text, pattern; /* pattern: what is searched for, the text normalized for a `normalized` one */
    int32_t id;
    bool special, left, right, word, normalized;
};
struct added_set { /* sorted by pattern */
    const struct added_token **token;
    int n;
    int first[257]; /* range by first byte */
};
struct added {
    struct added_token *token;
    int n;
    struct added_set raw, normalized; /* searched for in the text as it is, and after the normalizers */
    const struct added_token *
        *shown; /* [n_shown], by id: those that read as their pattern, not as their text */
    int n_shown;
};
int added_of_json(const json_t *j, struct added *out, struct lathe_err *err);
int added_build(struct added *a, const struct norms *norms, struct lathe_err *err);
void added_free(struct added *a);
/* What the token reads as before decoders see it. */
struct str added_text(const struct added *a, const vocab *v, int32_t id);
/* Calls piece() for every piece of the text: a token, or NULL and what lies between. Special ones only with `special`. */
typedef int added_piece(void *user, const struct added_token *t, size_t from, size_t to, size_t at);
int added_split(const struct added_set *s, struct str text, bool special, added_piece *piece, void *user);

/* ---- post-processors (post.c) ---- */

struct post {
    int32_t *before, *after; /* ids around a text */
    int n_before, n_after;
    bool present;
    bool pairs; /* a second text goes behind the first with `after` again, and its ids are of type 1 */
};
int post_of_json(const json_t *j, const vocab *v, struct post *out, struct lathe_err *err);
void post_free(struct post *p);

/* ---- decoders (decode.c) ---- */

struct dec {
    const struct dec_kind *kind;
    struct pattern *pattern;
    struct str text, content; /* owned */
    int64_t start, stop;
    bool cleanup, first_bare;
};
struct decs {
    struct dec step[PIPE_MAX_STEP];
    int n;
    bool present;
};
int decs_of_json(const json_t *j, struct decs *out, struct lathe_err *err);
void decs_free(struct decs *d);
enum { DECODE_FIRST = 1, DECODE_LAST = 2 };
/* What a token adds to a text. *n_strip, which decs_strip gives at the beginning of a text: characters that it may still lose there
 * (0 in the middle of one). */
int64_t decs_strip(const struct decs *d);
int decs_apply(const struct decs *d, struct str token, int flags, int64_t *n_strip, struct out *a,
               struct out *b, struct str *out, struct lathe_err *err);

/* ---- the whole ---- */

struct pipeline {
    struct norms norms;
    struct pres pres;
    struct word_model model;
    struct added added;
    struct post post;
    struct decs decs;
    bool keeps_bytes; /* what is not UTF-8 goes through as bytes; otherwise as U+FFFD */
    char *config;     /* tokenizer.json without the model's tables: what an index keeps */
    size_t n_config;
};

/* tokenizer_json.c: `tables`: builds them; otherwise they are there already, and `json` is a kept config. */
int tokenizer_json_load(vocab *v, struct str json, bool tables, struct lathe_err *err);
/* The steps and the added tokens; not the tables. */
int steps_of_json(vocab *v, const json_t *root, struct lathe_err *err);
/* Gives the vocabulary its tokens: token[n], whose flags say which are the model's. */
int pipe_tokens(vocab *v, const struct str *token, const uint8_t *type, const uint8_t *flags, size_t n,
                struct lathe_err *err);
/* ggml_pipe.c: the vocabularies of GGUF that are pipelines: "t5" and "bert". */
bool ggml_pipe_defaults(struct str model, vocab *v); /* whether it is one of them; sets its ids */
int ggml_pipe_load(vocab *v, const struct model_file *f, bool tables, struct lathe_err *err);
/* pipe.c */
int pipe_encode(const vocab *v, const char *text, size_t n, size_t from, bool special,
                struct vocab_marks *marks, struct ids *out, struct lathe_err *err);
int pipe_pieces(vocab *v, struct lathe_err *err); /* builds what each token reads as */
/* A whole text: the first token and the last may read otherwise than in the middle. */
int pipe_decode(const vocab *v, const int32_t *ids, size_t n, bool special, struct out *out,
                struct lathe_err *err);
void pipeline_free(struct pipeline *p);
#endif
