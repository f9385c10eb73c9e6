/* Inside of a pass, shared by pass.c, pass_profile.c, matmul.c, row_chain.c, attention.c. */
#ifndef LATHE_MODEL_PASS_IMPL_H
#define LATHE_MODEL_PASS_IMPL_H
#include "model/experts.h"
#include "model/pass.h"

enum {
    SMALL_ROWS =
        ACT_GROUP, /* batches up to this size prepare inputs in every worker instead of behind a barrier */
    MAX_MATRIX = 3,
    PARTS_PER_WORKER = 8, /* attention parts that a small batch is cut into, at most */
    PART_SPANS = 8,       /* and how long they should be */
    PARTS_SPANS = 256,    /* longest context of parts for all rows of a small batch, beyond it for fewer */
    QUERY_ROWS = 64,      /* rows of one attention piece, at most */
    PAIRS_PER_WORKER = 4, /* attention pieces times heads that a worker should have, to share out evenly */
    MIN_BLOCK = 24,       /* rows for each worker from which a batch is cut by rows */
    MAX_BLOCK = 6 * TILE_TOK, /* most rows of such a piece */
    UNPACK_K = 2048,          /* columns unpacked to f32 at a time */
    PIECE_BYTES = 96 << 10    /* of weights in a piece of a product */
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

/* The prepared input of rows base ..: those of a worker's own copy, or of the copy that all share. */
struct prepared {
    const struct act_block *act;
    const float *f32;
    int64_t f32_stride;
    int base;
};

/* The products of a layer, as they lie in pass.mm. */
enum matmul_kind { MM_QKV, MM_O, MM_GATE_UP, MM_DOWN, MM_PER_LAYER };

/* Products of output rows, after those of the layers. */
enum head_kind { HEAD_LOGITS, HEAD_POOLER = HEAD_LOGITS, HEAD_CLASSES, N_HEAD };

enum epilogue { EPI_STORE, EPI_ADD, EPI_SILU_MUL, EPI_ACT, EPI_PLANES };

/* y = epilogue(W x). EPI_SILU_MUL has two matrices (gate, up) of equal shape and one result; EPI_ACT is the activation of one. */
struct matmul {
    struct pass *pass;
    struct input in;
    const struct matrix *w[MAX_MATRIX];
    float *y[MAX_MATRIX];
    int64_t y_stride[MAX_MATRIX];
    int n_w, n_row, n_panel, panels_per_piece;
    bool own_input;        /* every worker prepares what it reads */
    enum matmul_kind kind; /* of a layer's */
    const char *name;      /* for profiles */
    enum epilogue epilogue;
    const float *
        post_norm; /* [n_row of w]: what is stored in `post` is normalized by it and added to x; NULL: none */
    const float *end_norm, *end_bias; /* [n_row of w]: afterwards x is normalized by them; NULL: it is not */
    float softcap;                    /* of the results; 0: none */
    const struct attention *put; /* in a chain: keys and values of the rows go into their pages afterwards */
    uint64_t tag; /* identifies the input within the life of the pass, for the workers' own copies */
};

struct attention {
    struct pass *pass;
    int layer;
    bool is_put;  /* the rows' keys and values are in their pages already */
    uint64_t tag; /* of pair 0 in parts; see scratch.query_tag */
};

/* Products that a piece takes its rows through, one after another: n from mm on. */
struct row_chain {
    struct pass *pass;
    struct matmul *mm;
    int n, layer, n_piece; /* n_piece: of each worker */
};

/* Private to one worker; workers never share cache lines. */
struct scratch {
    float *norm;                    /* [MAX_BLOCK][max_col] where f32 is read, else [SMALL_ROWS][max_col] */
    struct act_block *act;          /* MAX_BLOCK rows */
    uint64_t tag;                   /* whose input norm and act hold */
    struct act_block *inner;        /* MAX_BLOCK rows of the feed-forward's inner activation */
    float *tile;                    /* [4][TILE_TOK][LANES] */
    float *unpacked;                /* [UNPACK_K][LANES] */
    float *query;                   /* [n_vec][head_dim] */
    uint64_t query_tag;             /* which pair's of which operation, in parts */
    float *score;                   /* [TILE_TOK][SPAN] */
    float *run_out, *span_out;      /* [n_vec][value_dim], [TILE_TOK][value_dim] */
    float *run_max, *run_sum;       /* [n_vec] */
    uint64_t kind_ns[MM_PER_LAYER]; /* in chains of the newest run, while profiled */
};

/* A piece of attention: rows [row, row + n_row) of one sequence. */
struct attn_piece {
    int seq, row, n_row;
};

struct pass {
    const struct lathe_model *model;
    struct pool *pool;
    int n_worker;
    struct pass_limits limits;
    const struct kv_form form;
    uint8_t *kv;
    tile_f32_fn *kv_tile; /* over keys and values as the cache has them */
    to_f16_fn *kv_store;  /* f32 to what the cache has; NULL: f32 */
    const struct kern_set *kern;
    float attn_scale; /* of the queries: log2(e) / sqrt(head_dim), since the softmax is of base 2 */
    /* batch */
    const struct pass_batch *batch;
    struct pass_batch narrow;     /* only the output rows, for the rest of the last layer */
    struct pass_seq *narrow_seqs; /* [limits.n_seq] */
    struct attn_piece *pieces;    /* per kv head */
    int n_piece;
    int n_part,
        n_span; /* parts that the spans of all pairs are cut into (0: every pair is a piece), and those */
    int most_spans, most_vec; /* spans and query vectors of a pair, at most */
    _Atomic int
        *spans_done; /* [PARTS_PER_WORKER * workers], of each pair that is in parts; 0 between operations */
    float *partials; /* [n_partial] */
    int64_t n_partial;
    int32_t *row_pos, *row_seq; /* [n_row] */
    /* buffers, [limits.n_row] rows each */
    float *x, *qkv, *att, *ff, *norm;
    float *post;          /* [limits.n_row][x_stride], where a model normalizes what it adds */
    silu_mul_fn *act_mul; /* of gate and up, by the model's activation */
    gelu_fn *act_only;    /* of a feed-forward without gate */
    float *up;            /* [limits.n_row][ff_stride], only without fusion */
    int64_t x_stride, qkv_stride, att_stride, ff_stride, norm_stride;
    int64_t k_at, v_at; /* offsets in a row of qkv */
    struct act_block *act;
    float *rope
        [N_ROPE_SET]; /* [n_ctx][n_rot], filled up to n_rope positions; NULL: a set that the model lacks */
    int n_rope;
    float *out_x, *logits; /* [n_out] */
    float *pooled;         /* [n_out][x_stride], of a classifier */
    int64_t logits_stride;
    struct scratch *scratch; /* [worker] */
    int max_col, n_vec;
    bool any_f32; /* some matrix reads f32 activations */
    /* program */
    struct matmul *mm; /* [n_layer][4] and the head's, which reads its input in two planes: the head's share
                          of the damage that int8 activations do is a quarter (SmolLM2 q4_1: mean KL 0.0029 to
                          0.0021), and its weights are read anyway */
    struct attention *attn;
    struct row_chain *chains; /* [n_layer + 1] */
    struct experts *experts;  /* NULL: none */
    struct pool_op *ops;
    int n_op, cap_op;
    uint64_t next_tag;
    uint64_t buffer_bytes;
    bool is_count; /* buffers are counted and not made */
    struct arena arena;
    bool profile;
    struct pass_profile stats;
    struct lathe_trace_event *trace; /* [n_trace], made when the profile is switched on */
    int n_trace;
    uint64_t trace_start_ns;
};

/* n up to whole panels. */
static inline int64_t pass_pad(int64_t n)
{
    return (n + LANES - 1) / LANES * LANES;
}
/* A buffer of n elements of `field`'s type, zeroed; only counted where the pass counts. */
int pass_take(struct pass *p, size_t n, size_t size, const char *what, void **out, struct lathe_err *err);
#define TAKE(p, n, field, what) TRY(pass_take(p, (size_t)(n), sizeof *(field), what, (void **)&(field), err))
/* Adds an operation to the program. */
struct pool_op *pass_add(struct pass *p, const char *name, int layer, int n_piece, const void *arg,
                         void (*run)(const struct pool_op *, int, int));
/* Operation: row `piece` of the batch's embedding. */
void pass_embed_piece(const struct pool_op *op, int piece, int worker);
/* The rotary table up to the batch's positions. */
void pass_fill_rope(struct pass *p);
/* Sets what the matrices read: int8, f32 or both. */
void matmul_needs(struct matmul *mm);
/* Sets the rows of the next run. */
void matmul_begin(struct pass *p, struct matmul *mm, int n_row);
/* Adds the preparation of the input, if the batch is large, and the matrix product. */
void matmul_add(struct pass *p, struct matmul *mm, int n_row, int layer);
double matmul_weight_bytes(const struct matmul *mm);
double matmul_ops(const struct matmul *mm);
/* Rows row .. row+n of the input in the worker's own copy; prepares them unless they are there already. */
struct prepared matmul_own_input(const struct matmul *mm, int row, int n, int worker, bool is_there);
/* The input of all rows as this worker sees it, in the operations of the product and right after them. */
struct prepared matmul_input(const struct matmul *mm, int worker);
/* y[n][16] (+)= one panel of w times tokens t0 .. t0+n. `add` needs integers and leaves the bias to the caller. */
void matmul_tile(const struct matmul *mm, const struct matrix *w, int panel, const struct prepared *in,
                 int t0, int n, int worker, bool add, float *y, int64_t y_stride);
/* One panel of the product, with its epilogue, for tokens t .. end, at most a tile of them. */
void matmul_epilogue_tile(const struct matmul *mm, int panel, const struct prepared *in, int t, int end,
                          int worker);
/* The norm that follows the product of one row, if there is one: x += norm(post), or x = norm(x). */
void matmul_end(const struct matmul *mm, int row);
bool matmul_has_end(const struct matmul *mm);
/* Whether a batch of n_row is run by chains; adds one as an operation. */
bool row_chain_wanted(const struct pass *p, int n_row);
void row_chain_add(struct pass *p, struct row_chain *c, int n_row);
bool row_chain_is(const struct pool_op *op);
/* Adds what the newest run took to the profile and to the trace. */
void pass_profile_add(struct pass *p);
/* Adds attention; `is_put`: keys and values are in their pages already. */
void attention_add(struct pass *p, struct attention *a, bool is_put);
/* Adds only the writing of the rows' KV. */
void attention_put_add(struct pass *p, struct attention *a);
/* Rotates the keys of rows [first, last) and puts keys and values into their pages. */
void attention_put(const struct attention *a, int first, int last);
/* Cuts the batch into attention pieces. */
void attention_plan(struct pass *p);
#endif
