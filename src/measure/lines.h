/* The lines of a file of somebody's, one after another, each bounded. */
#ifndef LATHE_MEASURE_LINES_H
#define LATHE_MEASURE_LINES_H
#include <jansson.h>
#include <stdio.h>
#include "base/mem.h"

enum { LINES_MOST_BYTES = 4 << 20 };

struct lines {
    FILE *file;
    const char *path; /* the caller's */
    int number;       /* of the line, from 1 */
    struct buf line;  /* without white space at its end */
};

/* FILE names the path and why. */
int lines_open(struct lines *l, const char *path, struct lathe_err *err);
/* The next line that is not blank: 1, at the end 0; FILE if it is longer than LINES_MOST_BYTES. */
int lines_next(struct lines *l, struct lathe_err *err);
/* The same as JSON, for the caller to free. */
int lines_next_json(struct lines *l, json_t **out, struct lathe_err *err);
/* FILE: "PATH: line N WHY". */
int lines_wrong(const struct lines *l, const char *why, struct lathe_err *err);
void lines_close(struct lines *l); /* legal on a zeroed one */
/* The file's name without folder and ending. */
void lines_name(const char *path, char *out, size_t n);
#endif
