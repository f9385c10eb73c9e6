/* The inside of a model_file, shared by the readers of the containers. Nobody outside src/format includes
 * this. */
#ifndef LATHE_FORMAT_VIEW_H
#define LATHE_FORMAT_VIEW_H
#include "base/mem.h"
#include "format/model_file.h"

/* A mapped file. */
struct mf_part {
    char *path;
    const uint8_t *p;
    uint64_t n;
    struct mf_identity id;
    int guard; /* slot of map_guard, or -1 */
};

/* Hash index over an array of entries: open addressing, slot = entry + 1, 0 is free. */
struct mf_index {
    uint32_t *slot;
    uint64_t mask, seed;
};

struct model_file {
    struct mf_part part;
    struct mf_meta *meta;
    uint64_t n_meta;
    struct mf_tensor *tensor;
    uint64_t n_tensor;
    struct mf_index meta_index, tensor_index;
    struct arena arena;       /* keys, names, synthesized values */
    struct model_file **more; /* parts 2.. of a split file, the tokenizer of a llama2.c checkpoint */
    int n_more;
    const char *left_out; /* see model_file_left_out */
    bool in_folder;       /* one safetensors file: the reader of its folder is to open it */
};

/* Limits on what one file may hold. The largest models published have ~10^4 tensors and ~10^2 keys. */
enum {
    MF_MAX_META = 1 << 16,
    MF_MAX_TENSOR = 1 << 18,
    MF_MAX_KEY = 1024,
    MF_MAX_NAME = 256,
    MF_MAX_PART = 512,
    MF_MAX_DEPTH = 4
};

/* Bytes of one element of a scalar kind, 0 for strings and arrays; the kind's name. */
int mf_kind_bytes(enum mf_kind kind);
const char *mf_kind_name(enum mf_kind kind);

/* The string value at p, which was checked at opening. Should somebody rewrite the file since, it still ends
 * before `end`. */
struct str mf_load_str(const uint8_t *p, const uint8_t *end);

/* The end of a path, short enough that an error line has room for more. */
const char *mf_path_tail(const char *path);

/* Opens and maps a regular file of at least one byte; the part's path is copied. A half-opened part may be
 * closed. */
int mf_part_open(struct mf_part *part, const char *path, struct lathe_err *err);
void mf_part_close(struct mf_part *part);

/* What the first bytes of something that is not a model look like, as a sentence; NULL if unknown. */
const char *mf_sniff(const uint8_t *p, uint64_t n);

/* FILE: what is wrong with a tensor of the file `path`, as "has no shape". */
int mf_bad_tensor(struct lathe_err *err, const char *path, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Index the entries by key or name; FILE names a duplicate. */
int mf_index_meta(struct model_file *f, struct lathe_err *err);
int mf_index_tensors(struct model_file *f, struct lathe_err *err);

/* Readers of one container over f->part: they fill meta, tensor and both indexes. */
int gguf_read(struct model_file *f, struct lathe_err *err);
int gguf_read_tensors(struct model_file *f, uint64_t pos, uint64_t n_tensor, struct lathe_err *err);
bool llama2c_looks_like(const uint8_t *p, uint64_t n);
int llama2c_read(struct model_file *f, struct lathe_err *err);

/* Allocates and frees an empty view of one file. */
struct model_file *mf_new(void);
/* If f is one part of a split file, replaces *f by the view of all parts. */
int split_join(struct model_file **f, const char *path,
               int (*open_one)(const char *, struct model_file **, struct lathe_err *),
               struct lathe_err *err);
#endif
