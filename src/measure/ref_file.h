/* A reference that is kept: the rows (ref_row.h) of a model over a text, from which any number of candidates are judged later.
 *
 *     head | chunk: digest of its token ids, then for each position but the last: row head, code | next chunk ...
 *
 * Numbers are little-endian. The head says which vocabulary, text and model it is of, so that nothing else can be compared with it. */
#ifndef LATHE_MEASURE_REF_FILE_H
#define LATHE_MEASURE_REF_FILE_H
#include <stdio.h>
#include "base/new_file.h"
#include "measure/ref_row.h"

struct ref_head {
    int32_t n_vocab, n_chunk, chunk_tokens, is_exact; /* is_exact: computed with f32 activations */
    uint64_t vocab_hash, n_param, resident_bytes;
    char name[128], architecture[32], file_type[32]; /* of the model; with a NUL */
};

struct ref_writer {
    struct new_file file;
};
struct ref_reader {
    FILE *file;
    const char *path; /* the caller's */
    struct ref_head head;
};

/* Whether the file begins as a kept reference does. */
bool ref_is_kept(const char *path);

/* The file gets its name when it is complete: ref_close with rc 0. */
int ref_create(struct ref_writer *w, const char *path, const struct ref_head *head, struct lathe_err *err);
int ref_write_chunk(struct ref_writer *w, uint64_t ids_hash, struct lathe_err *err);
int ref_write_row(struct ref_writer *w, const struct ref_row *r, struct lathe_err *err);
int ref_close(struct ref_writer *w, int rc, struct lathe_err *err);

/* FILE, naming the path, if it is none, or of another version. */
int ref_open(struct ref_reader *r, const char *path, struct lathe_err *err);
void ref_reader_close(struct ref_reader *r);
int ref_read_chunk(struct ref_reader *r, uint64_t *ids_hash, struct lathe_err *err);
/* FILE if the file ends or the row is not what was written. */
int ref_read_row(struct ref_reader *r, struct ref_row *out, struct lathe_err *err);
#endif
