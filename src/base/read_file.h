/* A small file as a whole. */
#ifndef LATHE_BASE_READ_FILE_H
#define LATHE_BASE_READ_FILE_H
#include "base/mem.h"

/* Reads all of it into `out`, an initialized buffer whose limit is the largest that is taken. FILE with the path and why. */
int read_file(const char *path, struct buf *out, struct lathe_err *err);
#endif
