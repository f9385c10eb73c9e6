/* Which options of serve can change while it runs. */
#include "cli/live.h"
#include <string.h>

enum { VALUE_MAX = 1 << 20 };

bool live_row(const struct opt_row *row)
{
    static const char *const names[] = {
#define LIVE(name) name,
#include "cli/live.inc"
#undef LIVE
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], row->name) == 0)
            return true;
    return false;
}

static bool same(const struct opt_row *row, const struct cli_options *a, const struct cli_options *b)
{
    struct buf text_a, text_b;
    buf_init(&text_a, VALUE_MAX);
    buf_init(&text_b, VALUE_MAX);
    opt_value_text(row, a, &text_a);
    opt_value_text(row, b, &text_b);
    bool is = strcmp(text_a.p, text_b.p) == 0;
    buf_free(&text_a);
    buf_free(&text_b);
    return is;
}

void live_restart_names(const struct opt_command *command, const struct cli_options *running,
                        const struct cli_options *now, struct buf *out)
{
    for (int i = 0; i < cli_table.n_row; i++) {
        const struct opt_row *row = &cli_table.row[i];
        if (row->group & command->groups && !live_row(row) && !same(row, running, now))
            buf_printf(out, "%s%s", out->n ? ", " : "", row->name);
    }
}

void live_origin_text(const struct cli *c, const struct opt_row *row, struct buf *out)
{
    const struct opt_origin *o = &c->origin[row - cli_table.row];
    if (o->source == OPT_FROM_FILE)
        buf_printf(out, "%s:%d", c->file_path, o->line);
    else if (o->source == OPT_FROM_PRESET)
        buf_printf(out, "profile %s", cli_profile(c));
    else
        buf_puts(out, o->source == OPT_FROM_ENV    ? row->env
                      : o->source == OPT_FROM_LINE ? "command line"
                                                   : "default");
}
