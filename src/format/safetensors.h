/* One safetensors file: its tensors under their own names. */
#ifndef LATHE_FORMAT_SAFETENSORS_H
#define LATHE_FORMAT_SAFETENSORS_H
#include "format/view.h"

enum { ST_MAX_DIM = 8, ST_NO_TYPE = UINT32_MAX };

struct st_tensor {
    char *name;
    const char *dtype;        /* as the format spells it */
    uint32_t type;            /* GGML type number; ST_NO_TYPE if there is none */
    int n_dim;                /* 0..ST_MAX_DIM */
    uint64_t dim[ST_MAX_DIM]; /* outermost first */
    const uint8_t *data;      /* n_bytes inside the mapping, at any address */
    uint64_t n_bytes;
};

/* Whether the file begins as a safetensors file does. */
bool safetensors_looks_like(const uint8_t *p, uint64_t n);
/* Reads the header and checks all of it: every byte of the data belongs to exactly one tensor. *out, in the order of the
 * data, is malloc-ed for the caller; the names are in the arena. FILE on malformed input. */
int safetensors_read(const struct mf_part *part, struct arena *arena, struct st_tensor **out, uint64_t *n,
                     struct lathe_err *err);
#endif
