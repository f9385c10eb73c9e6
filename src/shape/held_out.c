/* Pieces of a text. */
#include "shape/held_out.h"
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

enum { N_PIECE = 64, EVERY = 8 };

/* Where the piece ends that would be cut at `at`. */
static size_t end_of_piece(const char *text, size_t at, size_t n, size_t most)
{
    if (at >= n)
        return n;
    const char *line = memchr(text + at, '\n', n - at < most ? n - at : most);
    if (line)
        return (size_t)(line - text) + 1;
    while (at < n && ((unsigned char)text[at] & 0xc0) == 0x80)
        at++;
    return at;
}

struct held_out held_out_split(const char *text, size_t n)
{
    struct held_out h = {.used = mem_new(n + 1), .kept = mem_new(n + 1)};
    const size_t step = n / N_PIECE + 1;
    int piece = 0;
    for (size_t at = 0, end; at < n; at = end, piece++) {
        bool keep = piece % EVERY == EVERY - 1;
        end = end_of_piece(text, at + step, n, step);
        memcpy(keep ? h.kept + h.n_kept : h.used + h.n_used, text + at, end - at);
        *(keep ? &h.n_kept : &h.n_used) += end - at;
    }
    return h;
}

void held_out_free(struct held_out *h)
{
    free(h->used);
    free(h->kept);
    *h = (struct held_out){0};
}
