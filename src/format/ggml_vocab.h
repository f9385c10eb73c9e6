/* A tokenizer.json as the keys tokenizer.ggml.* that every reader of GGUF knows. Inside of src/format.
 *
 * What becomes of one is decided by what its steps say, never by a model's name. `why` is set where no tokenizer of ggml gives the
 * same ids; `differs` where one does but for a corner. */
#ifndef LATHE_FORMAT_GGML_VOCAB_H
#define LATHE_FORMAT_GGML_VOCAB_H
#include <jansson.h>
#include "base/mem.h"
#include "format/meta_build.h"

enum gv_type { GV_NORMAL = 1, GV_UNKNOWN, GV_CONTROL, GV_USER, GV_UNUSED, GV_BYTE }; /* numbers of GGUF */

struct gv_token {
    struct str text; /* as tokenizer.json spells it; p NULL: a hole */
    uint8_t type;
    bool model, added; /* which of the two lists has it */
    bool rstrip;
};

enum { GV_MAX_STEP = 16, GV_MAX_TOKEN = 1 << 24 };

struct gv_steps { /* with sequences taken apart */
    const json_t *v[GV_MAX_STEP];
    int n;
};

struct gv {
    struct model_file *f;
    const json_t *root, *model;
    struct gv_steps norm, pre, dec;
    struct gv_token *token;
    size_t n;
    struct str name;       /* tokenizer.ggml.model */
    const char *pre_name;  /* tokenizer.ggml.pre */
    float *score;          /* [n] or NULL */
    int prefix;            /* add_space_prefix; -1: the key is not written */
    bool merges;           /* are written */
    int64_t bos, eos, unk; /* -1: none */
    int add_bos, add_eos;  /* -1: tokenizer.json does not say */
    char why[200], differs[200];
    char beyond[160]; /* the first token that the embedding has no row for */
    struct lathe_err *err;
};

/* SentencePiece's sign for a space. */
static const struct str gv_mark = {"\xe2\x96\x81", 3};

/* Sets why, unless there is one already; false. */
bool gv_cannot(struct gv *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Sets differs, unless it is set. */
void gv_differs(struct gv *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The id of a token of the model; -1 if it has none. */
int64_t gv_id(const struct gv *g, const char *text, size_t n);
/* Two tokens, of "left right" or [left, right]. */
bool gv_parts(const json_t *j, struct str *left, struct str *right);
const char *gv_step_type(const json_t *step);
/* A value that is a text; "" if it is not there, or something else. */
const char *gv_text(const json_t *j, const char *key);
/* {"String": ...} or {"Regex": ...} of a step. */
const char *gv_pattern(const json_t *step, const char *kind);

/* FILE: what is wrong with the tokenizer.json. */
int gv_wrong(struct gv *g, const char *what);

int gv_tokens(struct gv *g);  /* ggml_tokens.c: fills token */
void gv_strips(struct gv *g); /* ggml_tokens.c: what of `rstrip` GGUF can say */
int gv_keys(struct gv *g);    /* ggml_keys.c: writes all keys; may still find why not */
void gv_drop(struct model_file *f, const char *key);

/* One function for each tokenizer of ggml: whether it is this one, with what it needs beyond the tokens; else why not. */
bool gv_bytes(struct gv *g);     /* ggml_bpe.c: "gpt2" */
bool gv_sentences(struct gv *g); /* ggml_spm.c: "llama" */
bool gv_unigram(struct gv *g);   /* ggml_spm.c: "t5" */
bool gv_pieces(struct gv *g);    /* ggml_spm.c: "bert" */

/* Replaces tokenizer.huggingface.json of the view by the keys of ggml, where there is such a tokenizer; where it differs in a corner,
 * or there is none, the JSON stays and `note` says so in a sentence (empty: nothing to say). FILE on a tokenizer.json that is
 * malformed, or does not fit the embedding. */
int ggml_vocab(struct model_file *f, char note[400], struct lathe_err *err);
#endif
