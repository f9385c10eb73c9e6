/* Writes a view as one GGUF file, version 3. Equal views and types give equal bytes. */
#ifndef LATHE_FORMAT_GGUF_WRITE_H
#define LATHE_FORMAT_GGUF_WRITE_H
#include "format/model_file.h"
#include "quant/format.h"

struct gguf_write {
    const struct format *type;                                    /* of the matrices; NULL: as they are */
    void (*progress)(void *user, const char *what, double share); /* may be NULL */
    void *user;
};

/* The file appears complete or not at all. UNSUPPORTED names a tensor whose type cannot be decoded. */
int gguf_write(const struct model_file *f, const struct gguf_write *o, const char *path,
               struct lathe_err *err);
#endif
