/* A model file as one read-only view: typed metadata and tensors, whatever the container (GGUF, split GGUF,
 * llama2.c, a Hugging Face folder of safetensors). Names and keys are those of GGUF.
 *
 * Opening validates everything that can be validated without reading tensor data: after it, every accessor is
 * total and every tensor's bytes lie inside the mapping. Strings and arrays point into the mapping, which
 * lives as long as the view. */
#ifndef LATHE_FORMAT_MODEL_FILE_H
#define LATHE_FORMAT_MODEL_FILE_H
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum mf_kind { /* numbers are those of GGUF */
               MF_U8 = 0,
               MF_I8,
               MF_U16,
               MF_I16,
               MF_U32,
               MF_I32,
               MF_F32,
               MF_BOOL,
               MF_STR,
               MF_ARRAY,
               MF_U64,
               MF_I64,
               MF_F64,
               MF_N_KIND
};

struct mf_meta {
    struct str key; /* UTF-8, followed by a NUL */
    enum mf_kind kind;
    enum mf_kind elem; /* of an array */
    uint64_t n;        /* elements of an array, else 1 */
    const void *data;  /* first element, unaligned, little-endian; strings: see mf_meta_str */
    uint64_t n_bytes;
    bool plain; /* a string: data is its bytes, without GGUF's length in front */
};

struct mf_packed;

/* Rows that are in the file in another form than GGUF's. Row r of a matrix is there row r * step + first of n_row. */
struct mf_source {
    enum {
        MF_COLUMNS, /* [matrix][column][row] of 2 or 4 bytes */
        MF_PACKED,  /* packed[matrix] (format/packed.h) */
        MF_MXFP4_PARTS /* [matrix][row][block][16] bytes of neighbours, and scales [matrix][row][block] (gpt-oss) */
    } form;
    const uint8_t *data, *scales;
    uint64_t n_row, step, first;
    uint64_t n_bytes; /* of data */
    const struct mf_packed *packed;
};

/* The vector in the file that one of f32 was made of by adding 1 (Gemma's norms). */
struct mf_one_less {
    const uint8_t *data;
    uint32_t type;
};

struct mf_tensor {
    char *name;          /* NUL-terminated, unique in the file, owned by the view */
    uint32_t type;       /* GGML type number; format_by_id (quant/format.h) knows the ones that run */
    int n_dim;           /* 1..4 */
    uint64_t dim[4];     /* innermost first, unused ones 1, all > 0 */
    const uint8_t *data; /* n_bytes, inside the mapping, at any address; NULL if it lies in pieces */
    uint64_t n_bytes;    /* for a type of unknown block size: up to the next tensor */
    const uint8_t *const
        *piece; /* dim[2] matrices of n_bytes / dim[2], each somewhere in the mappings; else NULL */
    const struct mf_source *source;     /* instead of both: rows come from mf_tensor_row; else NULL */
    const struct mf_one_less *one_less; /* of vectors; NULL: as in the file */
    const int32_t *
        order; /* column k of a row is column order[k] of the matrix (GPTQ's order of activations); NULL: column k */
};

struct model_file;

/* Opens a GGUF file (all parts of a split one; any part may be named), a llama2.c checkpoint, or a Hugging Face folder
 * (it, a safetensors file or an index in it may be named). FILE on malformed input. */
int model_file_open(const char *path, struct model_file **out, struct lathe_err *err);
void model_file_free(struct model_file *f);

/* What the checkpoint has besides that is not read ("vision"); NULL: nothing. */
const char *model_file_left_out(const struct model_file *f);
const char *model_file_path(const struct model_file *f);
/* Identity for caches: device, inode, size and mtime in ns of part i; false past the last part. */
struct mf_identity {
    uint64_t device, inode, size, mtime_ns;
};
bool model_file_identity(const struct model_file *f, int part, struct mf_identity *out);

uint64_t model_file_n_meta(const struct model_file *f);
const struct mf_meta *model_file_meta(const struct model_file *f, uint64_t i);
const struct mf_meta *model_file_find(const struct model_file *f, const char *key); /* NULL if absent */
uint64_t model_file_n_tensor(const struct model_file *f);
const struct mf_tensor *model_file_tensor(const struct model_file *f, uint64_t i);
const struct mf_tensor *model_file_tensor_find(const struct model_file *f,
                                               const char *name); /* NULL if absent; hashed */
/* Its number; model_file_n_tensor if absent. */
uint64_t model_file_tensor_index(const struct model_file *f, const char *name);

/* Row `row` of matrix i of a tensor with a source, in GGUF's form. */
void mf_tensor_row(const struct mf_tensor *t, uint64_t i, uint64_t row, uint8_t *out);

/* Matrix i < dim[2] of a tensor without a source, in pieces or not. */
static inline const uint8_t *mf_tensor_piece(const struct mf_tensor *t, uint64_t i)
{
    return t->piece ? t->piece[i] : t->data + t->n_bytes / t->dim[2] * i;
}

/* The row that comes at `row` when rotary halves are put side by side: of each head_dim rows the first n_half, of which
 * pair i is rows i and i + n_half / 2. */
static inline uint64_t mf_half_row(uint64_t row, uint64_t head_dim, uint64_t n_half)
{
    uint64_t in_head = row % head_dim;
    return in_head < n_half ? row - in_head + in_head / 2 + in_head % 2 * (n_half / 2) : row;
}

/* A value of kind MF_STR. Should somebody rewrite the file since it was opened, it still ends in the mapping. */
struct str mf_meta_str(const struct mf_meta *m);

/* Typed reads. An absent key leaves *out unchanged and is 0; a present one of another kind or out of range is
 * FILE naming key and value. Integers of any width are accepted for each other when the value fits. `has` may
 * be NULL. */
int mf_u32(const struct model_file *f, const char *key, uint32_t *out, bool *has, struct lathe_err *err);
int mf_u64(const struct model_file *f, const char *key, uint64_t *out, bool *has, struct lathe_err *err);
int mf_f32(const struct model_file *f, const char *key, float *out, bool *has, struct lathe_err *err);
int mf_bool(const struct model_file *f, const char *key, bool *out, bool *has, struct lathe_err *err);
int mf_str(const struct model_file *f, const char *key, struct str *out, bool *has, struct lathe_err *err);
/* An array of integers (any width) or floats, converted; *out is malloc-ed for the caller, NULL and 0 if
 * absent. */
int mf_i32s(const struct model_file *f, const char *key, int32_t **out, uint64_t *n, struct lathe_err *err);
int mf_f32s(const struct model_file *f, const char *key, float **out, uint64_t *n, struct lathe_err *err);
/* An array of strings as slices into the mapping; *out is malloc-ed for the caller, NULL and 0 if absent. */
int mf_strs(const struct model_file *f, const char *key, struct str **out, uint64_t *n,
            struct lathe_err *err);

/* Tells the kernel that the whole mapping will be read now (MADV_POPULATE_READ) or that a tensor's pages are
 * no longer needed. */
void model_file_populate(const struct model_file *f);
void model_file_drop(const struct model_file *f, const struct mf_tensor *t);
/* The same of the first n_row rows of a tensor that lies in one piece; of another nothing happens. */
void model_file_drop_rows(const struct model_file *f, const struct mf_tensor *t, uint64_t n_row);

/* Whether a part of the file has gone since it was opened (it was cut under the mapping). Reads there give
 * zeros instead of SIGBUS; who computes with what it read asks this afterwards. One atomic load per part. */
bool model_file_damaged(const struct model_file *f);
#endif
