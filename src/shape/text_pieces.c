/* Pieces of a text. */
#include "shape/text_pieces.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file_at.h"
#include "base/mem.h"

enum { N_PIECE = 64, EVERY = 8, MOST_PIECES = 256 };

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

/* Bytes [at, at + n) of a text: where they are, or read to `room`. NULL: the file is shorter, or could not be read. */
static const char *window(const struct text_source *x, int fd, size_t at, size_t n, char *room)
{
    if (x->text)
        return x->text + at;
    return file_read_at(fd, room, n, at) ? room : NULL;
}

/* Pieces of `size` bytes and what is left of their last lines, one in each n / n_piece bytes. */
static int take_pieces(const struct text_source *x, int fd, size_t n, const struct text_need *need, char *out,
                       size_t *n_out)
{
    size_t n_piece = need->most / need->piece < MOST_PIECES ? need->most / need->piece : MOST_PIECES;
    n_piece = n_piece ? n_piece : 1;
    size_t step = n / n_piece, size = need->most / n_piece, slack = (step - size) / 2;
    slack = slack < size ? slack : size;
    char *room = mem_new(size + 2 * slack);
    int rc = 0;
    for (size_t i = 0; i < n_piece && !rc; i++) {
        size_t all = size + 2 * slack;
        const char *p = window(x, fd, i * step, all, room);
        size_t from = i && p ? end_of_piece(p, 0, all, slack) : 0,
               to = p ? end_of_piece(p, from + size, all, slack) : 0;
        if (p)
            memcpy(out + *n_out, p + from, to - from);
        *n_out += to - from;
        rc = p ? 0 : LATHE_E_FILE;
    }
    free(room);
    return rc;
}

static int take(const struct text_source *x, int fd, size_t n, const struct text_need *need, char **out,
                size_t *n_out)
{
    *n_out = 0;
    *out = mem_new(n <= need->most ? n + 1 : 2 * need->most + 1);
    if (n > need->most)
        return take_pieces(x, fd, n, need, *out, n_out);
    *n_out = n;
    return window(x, fd, 0, n, *out) ? 0 : LATHE_E_FILE;
}

int text_read(const struct text_source *source, const struct text_need *need, char **out, size_t *n_out,
              struct lathe_err *err)
{
    *out = NULL;
    *n_out = source->n;
    if (source->text)
        return source->n > need->most ? take(source, -1, source->n, need, out, n_out) : 0;
    struct stat st;
    int fd = open(source->path, O_RDONLY | O_CLOEXEC);
    bool known = fd >= 0 && fstat(fd, &st) == 0;
    if (known && !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(err, LATHE_E_FILE, "%s: is no file that can be read in pieces", source->path);
    }
    int rc = known ? take(source, fd, (size_t)st.st_size, need, out, n_out) : LATHE_E_FILE;
    if (rc) {
        free(*out);
        *out = NULL;
        err_set(err, rc, "%s: %s", source->path, strerror(errno));
    }
    if (fd >= 0)
        close(fd);
    return rc;
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
