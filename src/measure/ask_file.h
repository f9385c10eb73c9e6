/* Tasks that are answered by writing: a JSON object a line, of two kinds.
 *
 *     {"question": ..., "answer": "... #### 18"}                       a number, behind examples (number_answer.h)
 *     {"prompt": ..., "instruction_id_list": [...], "kwargs": [...]}   instructions that a program can check (ifeval.h) */
#ifndef LATHE_MEASURE_ASK_FILE_H
#define LATHE_MEASURE_ASK_FILE_H
#include "base/mem.h"
#include "measure/ifeval.h"

enum ask_kind { ASK_NUMBER, ASK_INSTRUCTIONS };

struct ask_item {
    json_t *json; /* of the line, which the texts below are in */
    int32_t *ids; /* [n_id] of the prompt */
    int n_id;
    struct str gold; /* of ASK_NUMBER */
    struct ifeval_rule *rules;
    int n_rule;
};

struct ask_file {
    const char *path; /* the caller's */
    char name[64];
    enum ask_kind kind;
    int n_shot;   /* examples before each question */
    bool is_chat; /* prompts are through the chat template */
    struct ask_item *items;
    int n_item;
    struct arena memory;
};

struct ask_options {
    const lathe_model *model;
    bool has_template; /* of its own or a given one */
    int n_most;        /* items; 0: all */
    int n_shot;        /* the first so many questions are the examples of the others, and are not asked */
};

/* Whether the first line of a file is of one of these kinds. */
bool ask_file_is(const char *path);
/* Reads and tokenizes. FILE names the line that is no item, and why. Free it in any case. */
int ask_file_read(struct ask_file *f, const char *path, const struct ask_options *o, struct lathe_err *err);
void ask_file_free(struct ask_file *f);
/* Tokens of the longest prompt. */
int ask_longest(const struct ask_file *f);
#endif
