/* One pass over the weights for a batch of rows (tokens) of any number of sequences. */
#ifndef LATHE_MODEL_PASS_H
#define LATHE_MODEL_PASS_H
#include "base/pool.h"
#include "model/kv.h"

/* Rows row0 .. row0+n_row of the batch are positions pos0 .. of one sequence; its position p lies in page
 * pages[p / SPAN] of the cache. Logits will be asked for its last n_out rows: the last layer does no more for
 * the others than write their KV. */
struct pass_seq {
    int row0, n_row, pos0, n_out;
    const int32_t *pages;
    int n_key;      /* keys that every row sees; 0: those up to its own position */
    bool out_first; /* n_out counts its first rows, not its last */
    int second_at;  /* positions from here on are the second text of a pair; 0: none are */
};

struct pass_batch {
    int n_row, n_out;      /* sums over the sequences */
    const int32_t *tokens; /* [n_row], 0 <= id < n_vocab */
    int n_seq;
    const struct pass_seq *seqs; /* in row order, together all rows */
};

struct pass;

struct pass_limits {
    int n_row; /* most rows of a batch */
    int n_seq;
    int n_ctx;  /* longest position + 1 */
    int n_out;  /* most rows of one pass_logits call */
    int n_page; /* pages of the cache */
    enum lathe_kv_type kv_type;
    bool no_fusion;
    bool
        by_head; /* attention's work is shared out by heads and not by sequences: a head's KV lies at its worker */
    bool by_layer; /* only pass_layer will be called: all layers have the same KV memory one after another */
};

/* Buffers for passes of up to `limits`; `kv` is the page cache, owned by the caller. */
int pass_new(const struct lathe_model *m, struct pool *pool, const struct pass_limits *limits, uint8_t *kv,
             struct pass **out, struct lathe_err *err);
void pass_free(struct pass *p);
uint64_t pass_buffer_bytes(const struct pass *p);
/* Weights of experts that all passes have read; see experts.h. */
uint64_t pass_expert_bytes(const struct pass *p);
/* What pass_new would take, on a pool of n_worker. */
uint64_t pass_bytes(const struct lathe_model *m, int n_worker, const struct pass_limits *limits);
/* All layers; KV of the rows is in the pages afterwards. Allocates nothing. */
void pass_run(struct pass *p, const struct pass_batch *b);
/* Output head of output rows first .. first+n of the newest batch (n <= limits.n_out): the n_out rows of all its
 * sequences, counted in row order. Returns logits [n][*stride], the caller's to change until the next call. */
float *pass_logits(struct pass *p, int first, int n, int64_t *stride);

/* y[n_embd]: what output row i of the newest batch gives to the output head, or without one, what it is. */
void pass_hidden(const struct pass *p, int i, float *y);
/* Logits of the classes of output rows first .. first+n, n <= limits.n_out, as pass_logits; for models with classes. */
float *pass_classes(struct pass *p, int first, int n, int64_t *stride);

/* ---- layer by layer, for whoever changes a model: pass_embed, then pass_layer for each layer ---- */

/* What reads an input: the first four products of a layer, then the two of its chosen experts. */
enum pass_product { PASS_QKV, PASS_O, PASS_GATE_UP, PASS_DOWN, PASS_EXPERT_GATE_UP, PASS_EXPERT_DOWN };
/* Told of each product in a layer before it runs: its input x[n_row][stride], normalized as the product reads it, of n_col
 * columns; expert: whose rows these are, -1 for all other products. On the caller's thread. */
typedef void pass_tap_fn(void *user, enum pass_product product, int expert, const float *x, int64_t stride,
                         int n_row, int n_col);
/* Rows [n_row][stride] of the newest batch between two layers, the caller's to read and change. */
float *pass_rows(struct pass *p, int64_t *stride);
/* The batch's rows as the first layer gets them. */
void pass_embed(struct pass *p, const struct pass_batch *b);
/* Takes the rows through one layer; tap may be NULL. The KV of the layer's earlier positions is that of the newest calls for it. */
void pass_layer(struct pass *p, const struct pass_batch *b, int layer, pass_tap_fn *tap, void *user);
/* The matrices of a layer of the model have changed, format and place included, but for their shapes. */
void pass_layer_changed(struct pass *p, int layer);

/* What the pool ran, summed since the start; see lathe_engine_profile. */
struct pass_profile {
    int n;
    struct lathe_op_stat stats[32];
};
void pass_set_profile(struct pass *p, bool on);
const struct pass_profile *pass_get_profile(const struct pass *p);
void pass_reset_profile(struct pass *p);
/* Event i of the trace of the newest pass_run and what followed it; false past the last. */
bool pass_trace(const struct pass *p, int i, struct lathe_trace_event *out);
#endif
