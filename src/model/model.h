/* A model ready to run: configuration, weights laid out in panels, rotary frequencies, vocabulary. Immutable
 * after loading. */
#ifndef LATHE_MODEL_MODEL_H
#define LATHE_MODEL_MODEL_H
#include "base/mem.h"
#include "format/model_file.h"
#include "kern/panel.h"
#include "text/vocab.h"

struct pool;
struct cache_view;
struct disk_stream;

/* y[n_row] = W[n_row, n_col] . x[n_col] + bias. Rows are stored in panels of 16, the last filled up with
 * zeros. */
struct matrix {
    enum format_id format;
    int n_row, n_col, n_panel;
    size_t panel_bytes;
    size_t panel_stride;   /* from one panel to the next: panel_bytes, or twice that in an interleaved pair */
    const uint8_t *panels; /* owned by the model's layout */
    const float *bias;     /* [n_panel * 16], zero past n_row; NULL without bias */
    tile_dot_fn *dot;      /* NULL for float formats and in exact mode: then f32 activations */
    tile_dot_fn *dot_few;  /* the same bits, chosen for up to KERN_FEW_TOK tokens */
    tile_f32_fn *tile;     /* of float formats: reads panels in place; else NULL */
    unpack_fn *unpack;     /* of the others, to f32 */
    const struct mf_tensor *tensor; /* where the file's rows are */
    const uint8_t *rows;            /* their first byte; NULL: they are made from the tensor's source */
    int piece;                      /* which of its matrices this is, where they are */
    int first;                      /* its first row there, where they are made */
    const int32_t *order;           /* column k laid out is order[k] of the input; NULL: column k */
    enum format_id file_format; /* what they are in the file: `format`, unless it is encoded when laid out */
    int head_dim, n_half;       /* of each head_dim rows the first n_half are rotary halves; 0: as they are */
    uint64_t offset;            /* in the layout */
};

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN };
/* Sets of rotary frequencies: what most layers have, and in some families those with a window. */
enum rope_set { ROPE_GLOBAL, ROPE_LOCAL, N_ROPE_SET };
/* What the feed-forward makes of its gate. */
enum ffn_act { ACT_SILU, ACT_GELU_TANH, ACT_SWIGLU_CLAMPED, ACT_GELU };

struct model_config {
    int n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_rot, n_vocab, n_ctx_train;
    float norm_eps;
    bool encoder;   /* attends both ways, has no output head; positions are looked up and not rotated */
    int n_ctx_text; /* longest text that the tokenizer was made for */
    int n_class;    /* of the classifier; 0: none */
    enum lathe_pooling pooling;
    float attn_scale;                  /* of the scores: 1 / sqrt(head_dim), or the file's own */
    float attn_softcap, logit_softcap; /* cap * tanh(x / cap) of scores and logits; 0: none */
    float embd_scale;                  /* of the embeddings */
    enum ffn_act act;
    int n_expert, n_expert_used; /* 0: none */
    bool expert_norm;            /* weights of the chosen experts add up to 1 */
    int window; /* positions that layers with a window attend to, themselves included; 0: there are none */
    float rope_base;
    enum rope_scaling rope_scaling;
    float rope_factor;     /* linear and YaRN: context is stretched by this */
    int rope_ctx_original; /* YaRN */
    float yarn_beta_fast, yarn_beta_slow;
    bool yarn_exact;        /* the ramp's ends are not rounded */
    float rope_attn_factor; /* of cosine and sine; in YaRN times 0.1 ln(factor) + 1 */
};

struct expert {
    struct matrix gate, up, down;
};

struct moe {
    struct matrix router;  /* [n_expert][n_embd] */
    struct expert *expert; /* [n_expert] */
};

struct model_layer {
    const float *attn_norm, *ffn_norm;           /* [n_embd] */
    const float *attn_post_norm, *ffn_post_norm; /* [n_embd], of what is added to the residual; NULL: none */
    const float *q_norm, *k_norm;                /* [head_dim]; NULL: none */
    const float *attn_end_norm, *attn_end_bias, *ffn_end_norm,
        *ffn_end_bias;  /* [n_embd], of the residual after attention and feed-forward; NULL: none */
    const float *sinks; /* [n_head], logits of attending to nothing; NULL: none */
    struct moe *moe;    /* instead of gate, up, down; NULL: these */
    int window;         /* 0: sees all positions before */
    enum rope_set rope;
    struct matrix q, k, v, o, gate, up, down; /* an encoder has no gate */
};

struct layout;

struct lathe_model {
    struct model_file *file;
    vocab *vocab;
    struct cache_view *vocab_index; /* the kept index that vocab uses; NULL if it was built */
    struct arena arena;
    struct model_config config;
    struct model_layer *layers;
    const float *output_norm;
    struct matrix
        embd; /* token embedding; laid out only if the head is tied to it, else rows are read from the file */
    struct matrix head_own;    /* untied head */
    const struct matrix *head; /* NULL: an encoder */
    struct matrix position,
        token_type; /* of an encoder, added to the embedding; the second may be absent: n_row 0 */
    const float *embd_norm, *embd_norm_bias;
    struct matrix pooler, classifier; /* classes = classifier tanh(pooler first) */
    bool tied, exact, native;
    double *rope_freq[N_ROPE_SET]; /* [n_rot / 2] radians per position; NULL: the set is not used */
    double *rope_freq_long; /* of the global set in contexts longer than the original one; NULL: the same */
    float rope_mscale;      /* factor of cos and sin, global */
    struct layout *layout;
    struct disk_stream *stream; /* NULL: all weights are in memory */
    char *name, *architecture, *file_type, *chat_template;
    uint64_t n_param;
    bool layout_cached;
    double load_ms;
};

/* ---- loading: an architecture declares what it needs, then everything is laid out at once ---- */

struct matrix_list {
    struct matrix **v;
    size_t n, cap;
    uint64_t layout_bytes;
};

struct loader {
    struct lathe_model *model;
    const struct model_file *file;
    struct matrix_list matrices;
    const struct format *load_as; /* of matrices of floats; NULL: as they are */
    bool gathers; /* inputs of the matrices that are declared can be brought into another order */
    const struct matrix
        *sharer; /* whose input the next ones read, in its order; NULL: they have one of their own */
    bool halves; /* the file has the rows of queries and keys as rotary halves */
    struct lathe_err *err;
};

/* A matrix from the tensors NAME.weight and, if present, NAME.bias. Fails if absent, of the wrong shape or of
 * a type without kernels. */
int loader_matrix(struct loader *l, struct matrix *m, int n_row, int n_col, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* A matrix that is rows [first, first + n) of a tensor of `of` rows. */
struct row_range {
    int first, n, of;
};
int loader_rows(struct loader *l, struct matrix *m, struct row_range rows, int n_col, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* A norm of a head's queries or keys, in the order of dimensions that their matrices are laid out in. */
int loader_head_norm(struct loader *l, const float **out, const char *fmt, int layer)
    __attribute__((format(printf, 3, 0)));
/* The two matrices declared last, of equal shape and format, are laid out panel by panel in turn, since they
 * are read so. Others stay as they are. */
void loader_interleave(struct loader *l);
/* The rows of the matrix declared last are heads of head_dim, of which the first n_rot are rotated as halves: laid out,
 * their pairs are side by side, as the kernels rotate them. */
void loader_halves(struct loader *l, int head_dim, int n_rot);
/* A matrix whose rows stay in the file: only matrix_row reads them. */
int loader_embedding(struct loader *l, struct matrix *m, int n_row, int n_col, const char *name);
/* The embedding's rows are the vocabulary: sets config.n_vocab. */
int loader_vocabulary(struct loader *l);
/* "llama.block_count" of "block_count". */
struct loader_key {
    char name[128];
};
struct loader_key loader_key(const struct loader *l, const char *name);
/* A number of the metadata under the architecture's name; fallback < 0: it has to be there. */
int loader_int(struct loader *l, const char *name, int fallback, int lo, int hi, int *out);
int loader_float(struct loader *l, const char *name, float fallback, float lo, float hi, float *out);
/* pooling_type, which sets config.pooling. */
int loader_pooling(struct loader *l, enum lathe_pooling fallback);
/* A vector of n f32, zero-padded to a multiple of 16, owned by the model. *out stays NULL if absent and not
 * `required`. */
int loader_vector(struct loader *l, const float **out, int n, bool required, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Sets what a matrix of its format is computed with, and how its panels lie if they are not interleaved with others. */
int matrix_choose_kernels(const struct lathe_model *model, struct matrix *m, struct lathe_err *err);
/* out[n][n_col]: rows first .. first+n as f32, from the file and not from the layout. */
void matrix_rows_f32(const struct matrix *m, int first, int n, float *out);
/* Which of all rows of its tensor the first is. */
int64_t matrix_first_row(const struct matrix *m);
/* Of its panels. */
static inline uint64_t matrix_bytes(const struct matrix *m)
{
    return (uint64_t)m->n_panel * m->panel_bytes;
}
static inline bool matrix_rows_as_they_are(const struct matrix *m)
{
    return m->rows && !m->n_half && m->format == m->file_format && m->order == m->tensor->order;
}
/* Rows [first, first + n) in the form that is laid out: where the file has it, or else in room for n of them.
 * *row_bytes is their length. */
const uint8_t *matrix_rows(const struct matrix *m, int first, int n, uint8_t *room, size_t *row_bytes);
/* out[n_col] = row of an embedding, laid out or not. */
void matrix_row(const struct matrix *m, int row, float *out);

/* ---- model->vocab: its index from the cache, or built and kept there; closed with the model, or before by who needs it no more ---- */
int vocab_open(struct lathe_model *m, const struct lathe_model_options *o, struct lathe_err *err);
void vocab_close(struct lathe_model *m);

/* ---- layout of all matrices: from the cache, or made and kept there, or made in memory ---- */
int layout_open(struct lathe_model *m, const struct matrix_list *list, const struct lathe_model_options *o,
                struct lathe_err *err);
void layout_free(struct layout *l);
/* Path of the kept file where it is larger than memory, and where it is mapped; else NULL. */
const char *layout_streams(const struct layout *l, const uint8_t **panels);
/* See lathe_model_verify. */
int layout_verify(struct layout *l, const char **path, uint64_t *n_bytes, struct lathe_err *err);
/* Whether the model file, the kept layout or the kept index has been cut since it was opened: what was
 * computed from it is worthless. */
bool model_damaged(const struct lathe_model *m);

/* ---- architectures: one row each ---- */
struct architecture {
    const char *name;
    int (*load)(struct loader *l);
};
#define ARCH(name, load) int load(struct loader *l);
#include "model/architectures.inc"
#undef ARCH

/* ---- rotary ---- */
/* Fills the model's frequencies from config. factors[n_rot/2] divide those of the global set, factors_long those of its long
 * contexts; both may be NULL. local_base: of the local set, 0 without one. */
void rope_init(struct lathe_model *m, const float *factors, const float *factors_long, float local_base);
/* cs[n_rot] = cos, sin of every pair at a position, in contexts of up to n_ctx. */
void rope_position(const struct lathe_model *m, enum rope_set set, int n_ctx, int position, float *cs);
/* chat.c: how a rendered chat is tokenized, as lathe_tokenize_flags. */
int chat_tokenize_flags(const lathe_vocab *v, const char *text, size_t n);
#endif
