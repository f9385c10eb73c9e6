/* lathe convert: any model as one GGUF file. */
#include <stdio.h>
#include "cli/cli.h"
#include "base/progress.h"
#include "cli/say.h"

static void show_progress(void *user, const char *what, double share)
{
    progress_show(user, what, share);
}

static void show_note(void *user, const char *text)
{
    progress_end(user);
    fprintf(stderr, "lathe: note: %s\n", text);
}

/* In the order of the row's choices. */
static const char *const types[] = {NULL, "f32", "f16", "bf16", "q8_0"};

int cmd_convert(struct cli *c, struct lathe_err *err)
{
    struct progress bar = {0};
    struct lathe_convert_options o = {.type = types[c->o.convert_type],
                                      .progress = show_progress,
                                      .left_out = say_left_out,
                                      .note = show_note,
                                      .user = &bar};
    if (c->operands.n != 2)
        return err_set(err, LATHE_E_USAGE,
                       "convert needs a model and a file to write: lathe convert IN OUT.gguf");
    int rc = lathe_convert(c->operands.v[0], c->operands.v[1], &o, err);
    progress_end(&bar);
    return rc;
}
