/* A text in two: what is learned from, and what is judged by. */
#ifndef LATHE_SHAPE_HELD_OUT_H
#define LATHE_SHAPE_HELD_OUT_H
#include <stdbool.h>
#include <stddef.h>

struct held_out {
    char *used, *kept; /* every eighth of 64 pieces is kept, so that both are of all kinds in the text */
    size_t n_used, n_kept;
};

/* Pieces end with a line, or where there is none for long, between two characters of UTF-8. To be freed. */
struct held_out held_out_split(const char *text, size_t n);
void held_out_free(struct held_out *h);
#endif
