/* Pieces of a file at an offset, whole or not at all, whatever signals come. */
#ifndef LATHE_BASE_FILE_AT_H
#define LATHE_BASE_FILE_AT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False with errno; EIO where the file ends before. */
bool file_read_at(int fd, void *p, size_t n, uint64_t at);
/* False with errno; ENOSPC where nothing more is taken. */
bool file_write_at(int fd, const void *p, size_t n, uint64_t at);
/* Whether the path still leads to the file that is open. */
bool file_is_at(int fd, const char *path);
#endif
