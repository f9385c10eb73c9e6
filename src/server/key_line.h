/* The file of keys as text: its lines, and the hash in them. */
#ifndef LATHE_SERVER_KEY_LINE_H
#define LATHE_SERVER_KEY_LINE_H
#include "server/keys.h"

enum { KEY_HASH_BYTES = 32, KEY_FILE_MAX = 16 << 20 };

struct key_line {
    char name[KEY_NAME_MAX + 1];
    unsigned roles;
    unsigned char hash[KEY_HASH_BYTES];
    struct key_limits limits;
};

/* SHA-256 of a secret. */
int key_hash(const char *secret, size_t n, unsigned char *out, struct lathe_err *err);
/* The whole file, NUL-terminated; empty for NULL. */
int key_file_read(const char *path, struct buf *out, struct lathe_err *err);
int key_file_lines(const struct buf *text);
/* Reads the line at *at and goes to the next. *is_key: it is neither empty nor a comment. USAGE names path, line and value. */
int key_line_read(const char **at, const char *path, int number, struct key_line *out, bool *is_key,
                  struct lathe_err *err);
#endif
