/* What intervals say in words. Intervals that overlap are the field's rough rule, which errs towards not telling apart. */
#include "cli/eval_words.h"
#include <math.h>
#include "cli/page.h"

enum { MOST_PAIRS = 12 };

static bool has_value(const struct plot_row *r)
{
    return isfinite(r->v.value);
}

/* Without an interval nothing is certain. */
static bool overlap(struct interval a, struct interval b)
{
    if (isnan(a.low) || isnan(b.low))
        return true;
    return a.low <= b.high && b.low <= a.high;
}

static void put_names(struct buf *out, const struct plot_row *a, const struct plot_row *b)
{
    buf_puts(out, "<b>");
    page_text(out, a->name);
    buf_puts(out, "</b> and <b>");
    page_text(out, b->name);
    buf_puts(out, "</b>");
}

static void put_interval(struct buf *out, struct interval v)
{
    if (isnan(v.low))
        buf_printf(out, "%.4g without an interval", v.value);
    else
        buf_printf(out, "%.4g to %.4g", v.low, v.high);
}

static void put_pair(struct buf *out, const struct plot_row *a, const struct plot_row *b, const char *what)
{
    buf_puts(out, "<li>");
    put_names(out, a, b);
    buf_printf(out, " cannot be told apart by %s: ", what);
    put_interval(out, a->v);
    buf_puts(out, " and ");
    put_interval(out, b->v);
    buf_puts(out, ".</li>\n");
}

void eval_words_write(struct buf *out, const struct plot_row *rows, int n, const char *what)
{
    int n_value = 0, n_pair = 0, n_alike = 0;
    for (int i = 0; i < n; i++)
        n_value += has_value(&rows[i]);
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++)
            if (has_value(&rows[i]) && has_value(&rows[k])) {
                n_pair++;
                n_alike += overlap(rows[i].v, rows[k].v);
            }
    if (n_value < 2)
        return;
    if (n_alike == 0)
        buf_printf(out, "<li>By %s %s told apart: no two intervals overlap.</li>\n", what,
                   n_value == 2 ? "the two are" : "all are");
    if (n_alike == n_pair && n_value > 2) {
        buf_printf(out, "<li>By %s no two of the %d can be told apart: all intervals overlap.</li>\n", what,
                   n_value);
        return;
    }
    int n_left = MOST_PAIRS;
    for (int i = 0; i < n; i++)
        for (int k = i + 1; k < n; k++)
            if (has_value(&rows[i]) && has_value(&rows[k]) && overlap(rows[i].v, rows[k].v) && n_left-- > 0)
                put_pair(out, &rows[i], &rows[k], what);
    if (n_alike > MOST_PAIRS)
        buf_printf(out, "<li>And so it is with %d more pairs by %s.</li>\n", n_alike - MOST_PAIRS, what);
}
