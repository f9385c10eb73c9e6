/* Fuzzes the command line: words split at newlines, the first names the command, the last is the environment.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"

#define MAX_WORDS 200

static const char *env_value;
static const char *env_get(const char *name)
{
    return strcmp(name, "LATHE_THREADS") == 0 ? env_value : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *words[MAX_WORDS];
    int n_word = 0;
    char *text = mem_dup((const char *)data, n);
    for (char *p = strtok(text, "\n"); p && n_word < MAX_WORDS; p = strtok(NULL, "\n"))
        words[n_word++] = p;
    if (n_word > 0) {
        const struct opt_command *command = opt_command_find(&cli_table, words[0]);
        struct cli *c = mem_new(sizeof *c);
        struct lathe_err err = {0};
        if (!command) {
            opt_closest(&cli_table, NULL, words[0]);
            command = &cli_table.command[(unsigned char)words[0][0] % cli_table.n_command];
        }
        env_value = words[n_word - 1];
        const struct opt_input in = {
            .table = &cli_table, .command = command, .argc = n_word - 1, .argv = words + 1, .get = env_get};
        int rc = opt_parse(&in, &c->o, &c->operands, NULL, &err);
        /* A refusal has words, in one line; an acceptance leaves every value in its range. */
        if (rc && (rc != LATHE_E_USAGE || !err.text[0] || strchr(err.text, '\n')))
            abort();
        if (!rc && (c->o.n_thread < 0 || c->o.n_thread > 1024 || c->o.sampling.top_p < 0 ||
                    c->o.sampling.top_p > 1 || c->o.stop.n > OPT_LIST_MAX ||
                    c->o.bench_prompt.n > OPT_INTS_MAX || c->operands.n > command->max_operand))
            abort();
        free(c);
    }
    free(text);
    return 0;
}
