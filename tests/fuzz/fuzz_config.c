/* Fuzzes configuration files: the input is the YAML, the keys are those of serve. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/opt_file.h"
#include "cli/cli.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const struct opt_command command = cli_file_command();
    struct opt_settings file;
    struct lathe_err err = {0};
    int rc = opt_file_parse(&cli_table, &command, "f", (const char *)data, n, &file, &err);
    if (rc == LATHE_E_UNSUPPORTED)
        abort(); /* nothing would be fuzzed */
    if (rc && (!err.text[0] || strchr(err.text, '\n') || file.n))
        abort();
    if (!rc) { /* what was accepted is taken as it is */
        struct cli *c = mem_new(sizeof *c);
        const struct opt_input in = {.table = &cli_table, .command = &command, .file = &file};
        if (opt_parse(&in, &c->o, &c->operands, NULL, &err))
            abort();
        if (c->o.port < 0 || c->o.port > 65535 || c->o.allowed_host.n > OPT_LIST_MAX)
            abort();
        free(c);
    }
    opt_settings_free(&file);
    return 0;
}
