/* Pairs of sentences with a score of how alike people found them, as STS-B has them: CSV lines of two texts and a number. */
#ifndef LATHE_MEASURE_PAIR_FILE_H
#define LATHE_MEASURE_PAIR_FILE_H
#include "base/mem.h"

struct pair_file {
    const char *path; /* the caller's */
    char name[64];
    struct pair {
        const char *text[2]; /* in the file's arena */
        double score;
    } * v;
    int n;
    struct arena memory;
};

/* Reads at most n_most pairs (0: all); a first line whose third field is no number is a head. FILE names the line that is no pair. Free it in any case. */
int pair_file_read(struct pair_file *f, const char *path, int n_most, struct lathe_err *err);
void pair_file_free(struct pair_file *f);
#endif
