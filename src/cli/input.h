/* Whole files and stdin, with a limit. */
#ifndef LATHE_CLI_INPUT_H
#define LATHE_CLI_INPUT_H
#include "base/mem.h"

#define INPUT_LIMIT ((size_t)1 << 30)

/* Reads all of a file ("-": stdin) into out, which the caller has set up by buf_init. FILE names the path and
 * cause. */
int input_read(const char *path, struct buf *out, struct lathe_err *err);
/* FILE unless the path names something that can be read as a file. */
int input_check(const char *path, struct lathe_err *err);
/* USAGE unless -m was given. */
int input_need_model(const char *path, struct lathe_err *err);
#endif
