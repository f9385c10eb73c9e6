/* Tasks for language models: questions with choices, or texts with their last word, a JSON object a line.
 *
 *     {"query": ..., "choices": [..., ...], "gold": 0}       the choice that is the likeliest continuation of the query
 *     {"context": ..., "continuation": ...}                  whether the continuation is what the model would say
 *
 * How a query ends and what stands before a choice is the protocol of lm-evaluation-harness (Gao et al. 2021): the row of tasks.inc
 * that the file's name begins with. */
#ifndef LATHE_MEASURE_TASK_FILE_H
#define LATHE_MEASURE_TASK_FILE_H
#include "base/mem.h"

enum { TASK_MOST_CHOICES = 26 };

struct task_item {
    int32_t *context; /* [n_context] >= 1; ids are in the file's arena */
    int n_context, n_choice, gold;
    struct task_choice {
        int32_t *ids;  /* [n] >= 1 */
        int n, n_char; /* n_char: Unicode characters of the choice, without what stands before it */
    } * choices;
};

struct task_file {
    const char *path; /* the caller's */
    char name[64];    /* of the file, without folder and ending */
    bool is_last_word;
    struct task_item *items;
    int n_item;
    struct arena memory;
};

/* Reads and tokenizes at most n_most items (0: all). FILE names the line that is no item, and why. */
int task_file_read(struct task_file *t, const char *path, const lathe_vocab *v, int n_most,
                   struct lathe_err *err);
void task_file_free(struct task_file *t);
#endif
