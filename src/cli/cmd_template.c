/* lathe template: renders a chat template and prints the text alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/input.h"

/* The template in a model file's metadata. lathe_file_meta shortens long values, so the model's chat template
 * is read by a large buffer. */
static int template_of_model(const char *path, struct buf *out, struct lathe_err *err)
{
    lathe_file *f = NULL;
    TRY(input_need_model(path, err));
    TRY(lathe_file_open(path, &f, err));
    int rc = err_set(err, LATHE_E_TEMPLATE, "%s: has no chat template: give one with --template FILE", path);
    size_t n = 4u << 20;
    char *value = mem_new(n);
    for (uint64_t i = 0; i < lathe_file_n_meta(f); i++)
        if (strcmp(lathe_file_meta(f, i, value, n), "tokenizer.chat_template") == 0)
            rc = buf_puts(out, value);
    free(value);
    lathe_file_free(f);
    return rc;
}

int cmd_template(struct cli *c, struct lathe_err *err)
{
    struct buf source, vars;
    char *text = NULL;
    size_t n_text = 0;
    int rc;
    buf_init(&source, 16u << 20);
    buf_init(&vars, 256u << 20);
    if (!c->o.chat_file) {
        rc = err_set(err, LATHE_E_USAGE,
                     "no variables: give a JSON object with --chat FILE, or --chat - for stdin");
        goto done;
    }
    if (c->o.template_file)
        TRY_GOTO(input_read(c->o.template_file, &source, err));
    else
        TRY_GOTO(template_of_model(c->o.model, &source, err));
    TRY_GOTO(input_read(c->o.chat_file, &vars, err));
    TRY_GOTO(lathe_template_render(source.p ? source.p : "", source.n, vars.p ? vars.p : "", vars.n,
                                   c->o.date, &text, &n_text, err));
    fwrite(text, 1, n_text, stdout);
done:
    free(text);
    buf_free(&source);
    buf_free(&vars);
    return rc;
}
