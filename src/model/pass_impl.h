/* Inside of a pass, shared by pass.c, matmul.c, attention.c. */
#ifndef LATHE_MODEL_PASS_IMPL_H
#define LATHE_MODEL_PASS_IMPL_H
#include "model/pass.h"

enum {
    SMALL_ROWS =
        ACT_GROUP, /* batches up to this size prepare inputs in every worker instead of behind a barrier */
    MAX_MATRIX = 3,
    PIECES_PER_WORKER = 8, /* attention pieces that a small batch is cut into */
    QUERY_ROWS = 64,       /* rows of one attention piece */
    MIN_BLOCK = 24,
    MAX_BLOCK = 64, /* rows of one matrix piece of a large batch */
    UNPACK_K = 2048 /* columns unpacked to f32 at a time */
};

/* What a matrix reads: rows of f32, normalized first if norm is set, quantized if any of its readers takes
 * int8. */
struct input {
    const float *x;
    int64_t x_stride;
    const float *norm; /* [n_col], or NULL */
    int n_col;
    bool need_int8, need_f32;
    bool planes; /* int8 in two planes, 15 bits: the rows of the matmul are pairs of slots */
};

enum epilogue { EPI_STORE, EPI_ADD, EPI_SILU_MUL, EPI_PLANES };

/* y = epilogue(W x). EPI_SILU_MUL has two matrices (gate, up) of equal shape and one result. */
struct matmul {
    struct pass *pass;
    struct input in;
    const struct matrix *w[MAX_MATRIX];
    float *y[MAX_MATRIX];
    int64_t y_stride[MAX_MATRIX];
    int n_w, n_row, n_panel;
    int panels_per_piece, row_block; /* row_block 0: pieces are runs of panels */
    bool own_input;                  /* every worker prepares what it reads */
    enum epilogue epilogue;
    const struct attention
        *put;     /* keys and values of the rows go into their pages afterwards (row blocks only) */
    uint64_t tag; /* identifies the input within the life of the pass, for the workers' own copies */
};

struct attention {
    struct pass *pass;
    int layer;
};

/* Private to one worker; workers never share cache lines. */
struct scratch {
    float *norm;               /* [MAX_BLOCK][max_col] where f32 is read, else [SMALL_ROWS][max_col] */
    struct act_block *act;     /* MAX_BLOCK rows */
    uint64_t tag;              /* whose input norm and act hold */
    float *tile;               /* [2][TILE_TOK][LANES] */
    float *unpacked;           /* [UNPACK_K][LANES] */
    float *query;              /* [n_vec][head_dim] */
    float *score;              /* [TILE_TOK][SPAN] */
    float *run_out, *span_out; /* [n_vec][value_dim], [TILE_TOK][value_dim] */
    float *run_max, *run_sum;  /* [n_vec] */
    float *k_f32, *v_f32;      /* one span of one head */
};

/* A piece of attention: rows [row, row + n_row) of one sequence. */
struct attn_piece {
    int seq, row, n_row;
};

struct pass {
    const struct lathe_model *model;
    struct pool *pool;
    struct pass_limits limits;
    const struct kv_form form;
    uint8_t *kv;
    const struct kern_set *kern;
    float attn_scale;
    /* batch */
    const struct pass_batch *batch;
    struct attn_piece *pieces; /* per kv head */
    int n_piece;
    int n_split, spans_per_part; /* n_split > 1: spans of a head are spread over that many pieces */
    int split_spans, split_vec;  /* spans and query vectors that partials have room for */
    float *partials;             /* [n_partial] */
    int64_t n_partial;
    int32_t *row_pos, *row_seq; /* [n_row] */
    /* buffers, [limits.n_row] rows each */
    float *x, *qkv, *att, *ff, *norm;
    float *up; /* [limits.n_row][ff_stride], only without fusion */
    int64_t x_stride, qkv_stride, att_stride, ff_stride, norm_stride;
    int64_t k_at, v_at; /* offsets in a row of qkv */
    struct act_block *act;
    float *rope; /* [n_ctx][n_rot], filled up to n_rope positions */
    int n_rope;
    float *out_x, *logits; /* [n_out] */
    int64_t logits_stride;
    struct scratch *scratch; /* [worker] */
    int max_col, n_vec;
    bool any_f32; /* some matrix reads f32 activations */
    /* program */
    struct matmul *mm; /* [n_layer][4] and the head's, which reads its input in two planes: the head's share
                          of the damage that int8 activations do is a quarter (SmolLM2 q4_1: mean KL 0.0029 to
                          0.0021), and its weights are read anyway */
    struct attention *attn;
    struct pool_op *ops;
    int n_op, cap_op;
    uint64_t next_tag;
    uint64_t buffer_bytes;
    struct arena arena;
    bool profile;
    struct pass_profile stats;
    int n_traced;
    uint64_t trace_start_ns;
};

/* Adds an operation to the program. */
struct pool_op *pass_add(struct pass *p, const char *name, int layer, int n_piece, const void *arg,
                         void (*run)(const struct pool_op *, int, int));
/* Adds the preparation of the input, if the batch is large, and the matrix product. */
void matmul_add(struct pass *p, struct matmul *mm, const char *name, int layer);
/* Adds attention; `is_put`: keys and values are in their pages already. */
void attention_add(struct pass *p, struct attention *a, bool is_put);
/* Rotates the keys of rows [first, last) and puts keys and values into their pages. */
void attention_put(const struct attention *a, int first, int last);
/* Cuts the batch into attention pieces. */
void attention_plan(struct pass *p);
#endif
