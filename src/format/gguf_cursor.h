/* A bounded position in a GGUF file. Every read names what it reads, for the error when the file ends too
 * early. */
#ifndef LATHE_FORMAT_GGUF_CURSOR_H
#define LATHE_FORMAT_GGUF_CURSOR_H
#include "format/view.h"

struct cursor {
    const uint8_t *p;
    uint64_t n, pos;  /* pos <= n */
    const char *path; /* for errors */
    struct lathe_err *err;
};

int cursor_take(struct cursor *c, uint64_t n, const char *what, const uint8_t **out);
int cursor_u32(struct cursor *c, const char *what, uint32_t *out);
int cursor_u64(struct cursor *c, const char *what, uint64_t *out);
/* A string of any bytes, inside the file. */
int cursor_str(struct cursor *c, const char *what, struct str *out);
/* A string of 1 to max bytes of UTF-8 without NUL. */
int cursor_name(struct cursor *c, const char *what, uint64_t max, struct str *out);
#endif
