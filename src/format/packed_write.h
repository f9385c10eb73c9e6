/* Writes a Hugging Face folder again with its matrices quantized, in a layout that others read: safetensors, quantization_config
 * in config.json, and the other files of the folder as they are. Integers, scales and orders of columns come from the caller. */
#ifndef LATHE_FORMAT_PACKED_WRITE_H
#define LATHE_FORMAT_PACKED_WRITE_H
#include <stdbool.h>
#include "format/packed.h"

enum packed_kind { WRITE_GPTQ, WRITE_AWQ, WRITE_INTS, WRITE_BYTES, WRITE_NF4 };

/* The values of one matrix. Arrays are zeroed room of these sizes for the one who fills. */
struct packed_values {
    uint64_t n_row, n_col, group,
        n_group;   /* columns of a group; of NF4 the weights, row by row, in groups of 64 */
    uint8_t *q;    /* [n_row][n_col] codes: 0..15, int8 + 128, index of NF4's levels */
    float *scale;  /* [n_row][n_group], of NF4 [n_group]; numbers that scale_type holds */
    uint8_t *zero; /* [n_row][n_group]; NULL in WRITE_BYTES and WRITE_NF4 */
    int32_t *
        g_idx; /* [n_col] group of each column, ascending until it is filled otherwise; only GPTQ and WRITE_INTS keep it */
    uint32_t scale_type;   /* F16 or BF16; F32 of NF4 */
    uint8_t *code;         /* of NF4, by packed_nest: [n_group] */
    float *nested, offset; /* [(n_group + 255) / 256] */
};

/* A matrix as it was: its name in the view, which matrix of that tensor it is, and its rows. */
struct packed_source {
    const char *name;
    uint64_t k;
    const float *x;   /* [n_row][n_col] */
    uint64_t n_bytes; /* in the file */
};

struct packed_write {
    enum packed_kind kind;
    int64_t group;  /* -1: whole rows */
    bool symmetric; /* all zero points are 8 */
    /* From one thread. */
    int (*fill)(void *user, const struct packed_source *s, struct packed_values *v, struct lathe_err *err);
    /* A matrix whose shape the layout cannot hold stays as it is; may be NULL. */
    void (*kept)(void *user, const char *name, uint64_t n_weight, uint64_t n_bytes);
    /* What a vector of the view became, [n] numbers that the file holds (packed_write_holds); NULL: as it was. May be NULL. */
    const float *(*vector)(void *user, const char *name);
    void (*progress)(void *user, double share); /* may be NULL */
    const char *begun; /* where model.safetensors lies until it is whole, to be gone on with; NULL: nowhere */
    uint64_t n_done;   /* tensors of it that are there already, of all the folder's */
    /* Tensor i is written, bytes [first, end) of the file; may be NULL. */
    int (*tensor_done)(void *user, uint64_t i, uint64_t first, uint64_t end, struct lathe_err *err);
    /* Tensor i, a matrix, is there already: s has no rows, v no values. Whether its columns are in an order of their own. */
    bool (*was_done)(void *user, uint64_t i, const struct packed_source *s, const struct packed_values *v);
    void *user;
};

/* `to` is a folder that is made, or is empty; model.safetensors is what appears last. UNSUPPORTED if `from` is no folder of floats. */
int packed_write(const char *from, const struct packed_write *w, const char *to, struct lathe_err *err);

/* Whether it could start: what it would refuse before the first matrix is refused here, for those who compute long before they write. */
int packed_write_check(const char *from, const struct packed_write *w, const char *to, struct lathe_err *err);
/* Whether a tensor of the folder's view is written quantized. */
bool packed_write_takes(const struct packed_write *w, const struct mf_tensor *t);
/* What scales of a matrix of the type are: F16 or BF16. */
uint32_t packed_write_scale(const struct packed_write *w, uint32_t type);
/* v[n]: what of a vector of the view comes back when it was written. */
void packed_write_holds(const struct mf_tensor *t, float *v);

/* packed_put.c: the tensors of a matrix, in this order; suffixes are those of hf_quant.c. */
enum { PACKED_MAX_PART = 6 };
struct packed_part {
    const char *end, *dtype;
    uint64_t dim[2], n_bytes;
    int n_dim;
};
int packed_parts(const struct packed_write *w, uint32_t scale_type, uint64_t n_row, uint64_t n_col,
                 struct packed_part part[PACKED_MAX_PART]);
/* The bytes of part i; out[n_bytes] is zero. */
void packed_put(const struct packed_write *w, const struct packed_values *v, int i, uint8_t *out);
/* NF4: brings the scales of v to 8 bits, and v->scale to what they come back as. */
void packed_nest(struct packed_values *v);
#endif
