/* lathe template: renders a chat template and prints the text alone. */
#include <stdio.h>
#include <stdlib.h>
#include "cli/cli.h"
#include "cli/input.h"

static int template_of_model(const char *path, struct buf *out, struct lathe_err *err)
{
    lathe_file *f = NULL;
    size_t n;
    TRY(input_need_model(path, err));
    TRY(lathe_file_open(path, &f, err));
    const char *source = lathe_file_str(f, "tokenizer.chat_template", &n);
    int rc = source ? buf_put(out, source, n)
                    : err_set(err, LATHE_E_TEMPLATE,
                              "%s: has no chat template: give one with --template FILE", path);
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
