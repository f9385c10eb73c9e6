/* Lines of a stream as token ids: a thread reads and tokenizes ahead of who takes them, a bounded number of lines. */
#ifndef LATHE_CLI_LINE_IDS_H
#define LATHE_CLI_LINE_IDS_H
#include <lathe.h>

struct line_ids;

struct line_options {
    const lathe_vocab *vocab;
    int n_most;    /* tokens of a line */
    bool truncate; /* longer lines are cut there; else they are an error */
    bool pairs;    /* what follows a line's first tab is a second text */
};

struct line_taken {
    int32_t *ids; /* the caller's to free */
    size_t n_ids;
    int second_at;
};

/* Begins to read `path`; NULL: stdin. */
int line_ids_open(const char *path, const struct line_options *o, struct line_ids **out,
                  struct lathe_err *err);
void line_ids_close(struct line_ids *l);
/* Takes the next line. 1: *out has it; 0: there is none, or with `waits` false none yet; below 0: reading or this line failed. */
int line_ids_take(struct line_ids *l, bool waits, struct line_taken *out, struct lathe_err *err);
#endif
