/* Pairs of sentences with a score. */
#include "measure/pair_file.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "measure/lines.h"

/* A field of a line, with the quotes and doubled quotes of RFC 4180 taken away, in place; *p goes behind its comma, NULL at the end of the line.
 * False for a quote that does not end. */
static bool next_field(char **p, char **out)
{
    char *from = *p, *to = from;
    bool is_quoted = *from == '"', is_open = is_quoted;
    *out = from;
    from += is_quoted;
    while (*from && (is_open || (!is_quoted && *from != ','))) {
        if (is_open && *from == '"' && *++from != '"') {
            is_open = false;
            break;
        }
        *to++ = *from++;
    }
    char end = *from;
    *p = end == ',' ? from + 1 : NULL;
    *to = 0;
    return !is_open && (end == ',' || end == 0);
}

/* 1: a pair, 0: none. */
static int read_pair(struct pair_file *f, struct lines *l)
{
    char *p = l->line.p, *field[3], *end;
    for (int i = 0; i < 3; i++)
        if (!p || !next_field(&p, &field[i]))
            return 0;
    double score = strtod(field[2], &end);
    if (end == field[2] || *end || !isfinite(score) || p)
        return 0;
    if ((f->n & (f->n - 1)) == 0)
        f->v = mem_grow(f->v, sizeof *f->v * (size_t)(f->n ? 2 * f->n : 1));
    struct pair *pair = &f->v[f->n++];
    pair->score = score;
    for (int i = 0; i < 2; i++)
        pair->text[i] = arena_dup(&f->memory, field[i], strlen(field[i]));
    return 1;
}

int pair_file_read(struct pair_file *f, const char *path, int n_most, struct lathe_err *err)
{
    struct lines l;
    *f = (struct pair_file){.path = path};
    lines_name(path, f->name, sizeof f->name);
    int rc = lines_open(&l, path, err);
    while (!rc && (!n_most || f->n < n_most) && (rc = lines_next(&l, err)) > 0) {
        bool is_head = l.number == 1;
        rc = read_pair(f, &l) || is_head
                 ? 0
                 : lines_wrong(&l, "is no pair: it needs two texts and a score with commas between", err);
    }
    if (!rc && f->n < 4)
        rc = err_set(err, LATHE_E_FILE, "%s: has %d pairs: a rank correlation needs 4", path, f->n);
    lines_close(&l);
    return rc;
}

void pair_file_free(struct pair_file *f)
{
    free(f->v);
    arena_free(&f->memory);
    *f = (struct pair_file){.path = NULL};
}
