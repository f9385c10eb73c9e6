/* A calibration text in pieces: as much of a long one as is needed, and two parts, what is learned from and what is judged by. Pieces begin
 * and end with lines, or where there are none for long, between two characters of UTF-8. */
#ifndef LATHE_SHAPE_TEXT_PIECES_H
#define LATHE_SHAPE_TEXT_PIECES_H
#include "base/err.h"

struct text_source {
    const char *text; /* its n bytes; NULL: those of the file at `path` */
    size_t n;
    const char *path;
};

struct text_need {
    size_t most;  /* bytes that are enough */
    size_t piece; /* the least of a piece */
};

/* All of the text, or of a longer one about as much as is needed, in pieces that are spread over it. *out is to be freed, and NULL where that
 * is all of source->text. FILE. */
int text_read(const struct text_source *source, const struct text_need *need, char **out, size_t *n_out,
              struct lathe_err *err);

struct held_out {
    char *used, *kept; /* every eighth of 64 pieces is kept, so that both are of all kinds in the text */
    size_t n_used, n_kept;
};

/* To be freed. */
struct held_out held_out_split(const char *text, size_t n);
void held_out_free(struct held_out *h);
#endif
