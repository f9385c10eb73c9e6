/* Writes a view as one GGUF file, version 3. Equal views and types give equal bytes, whatever the number of threads. */
#ifndef LATHE_FORMAT_GGUF_WRITE_H
#define LATHE_FORMAT_GGUF_WRITE_H
#include "format/model_file.h"
#include "quant/format.h"

struct pool;

/* Rows [first, first + n_row) of matrix k of tensor i, as floats and as they are to be written. */
struct gguf_rows {
    uint64_t i, k, first;
    int64_t n_row, n_col;
    const struct format *type;
    const float *x;
    void *y;
};

struct gguf_write {
    const struct format *type; /* of the matrices; NULL: as they are */
    /* Instead: the type of each tensor that does not stay f32 (`from` is what it has, NULL if it is unknown). May be NULL. */
    const struct format *(*choose)(void *user, uint64_t i, const struct format *from);
    uint32_t file_type; /* with it, the number for general.file_type */
    /* Instead of format_encode; from several threads. May be NULL. */
    void (*encode)(void *user, const struct gguf_rows *r);
    /* Whether rows of a tensor that has its type already go through encode all the same. May be NULL. */
    bool (*remade)(void *user, uint64_t i);
    const float *(*vector)(void *user,
                           uint64_t i); /* instead of a vector that is written as f32, or NULL; may be NULL */
    /* Tensor i is written, in bytes [first, end) of the file; may be NULL. */
    int (*tensor_done)(void *user, uint64_t i, uint64_t first, uint64_t end, struct lathe_err *err);
    void (*progress)(void *user, const char *what, double share); /* may be NULL */
    void *user;
    struct pool *pool; /* NULL: the caller's thread alone */
    /* Where the file lies until it is whole; it is there already with the first n_done tensors. It stays if writing fails. NULL: it is
     * begun, and nothing of it is left then. */
    const char *begun;
    uint64_t n_done;
};

/* Whether a tensor is one of the small ones that decide much and are written in f32 (or, quantized already, as they are). */
bool gguf_stays_f32(const struct mf_tensor *t);
/* Opens any model as it is to be written: with the vocabulary's keys that all readers of GGUF know. What they cannot say is in
 * `note`; "" if nothing. */
int gguf_write_open(const char *from, struct model_file **out, char note[400], struct lathe_err *err);
/* Bytes of the file that gguf_write would write, the header's among them. */
int gguf_write_bytes(const struct model_file *f, const struct gguf_write *o, uint64_t *out,
                     struct lathe_err *err);
/* The file appears complete or not at all. UNSUPPORTED names a tensor whose type cannot be decoded. */
int gguf_write(const struct model_file *f, const struct gguf_write *o, const char *path,
               struct lathe_err *err);
#endif
