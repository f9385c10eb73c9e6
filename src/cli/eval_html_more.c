/* The parts of the report that are of embeddings and of retrieval at depth. */
#include "cli/eval_html_more.h"
#include <math.h>
#include "cli/eval_words.h"
#include "cli/page.h"

enum { MOST_CELLS = 1024 };

static const json_t *part(const struct eval_result *v, const char *key)
{
    const json_t *j = json_object_get(v->json, key);
    return json_is_object(json_object_get(j, "model")) ? j : NULL;
}

/* ---- embeddings ---- */

static void put_drift_row(struct buf *out, const struct eval_result *v, int style)
{
    static const char *const keys[] = {"mean", "low_1", "least"};
    const json_t *drift = json_object_get(part(v, "pairs"), "drift");
    if (!json_is_object(drift))
        return;
    buf_puts(out, "<tr><td>");
    plot_key_write(out, style);
    page_text(out, v->label);
    buf_puts(out, "</td>");
    for (int k = 0; k < 3; k++) {
        double x = eval_result_number(drift, keys[k]);
        if (isfinite(x))
            buf_printf(out, "<td>%.6f</td>", x);
        else
            buf_puts(out, "<td>&#8211;</td>");
    }
    buf_puts(out, "</tr>\n");
}

void eval_html_pairs(struct buf *out, const struct eval_results *r)
{
    struct plot_row rows[EVAL_RESULTS_MOST];
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        const json_t *p = part(&r->v[i], "pairs");
        if (p)
            rows[n++] = (struct plot_row){r->v[i].label, i,
                                          eval_result_interval(json_object_get(p, "model"), "spearman")};
    }
    if (!n)
        return;
    buf_puts(out, "<h2>On pairs of sentences</h2>\n");
    plot_rows_write(out, "Rank correlation with people's scores", "Spearman's rho, with intervals of 95 %",
                    rows, n);
    buf_puts(out, "<ul>\n");
    eval_words_write(out, rows, n, "rank correlation on these pairs");
    buf_puts(out, "</ul>\n<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Cosine with the "
                  "reference's vectors</th>"
                  "<th scope=\"col\">mean</th><th scope=\"col\">1 % below</th><th "
                  "scope=\"col\">least</th></tr></thead><tbody>\n");
    for (int i = 0; i < r->n; i++)
        put_drift_row(out, &r->v[i], i);
    buf_puts(out, "</tbody></table></div>\n");
}

/* ---- retrieval ---- */

static void put_share(struct buf *out, double share)
{
    buf_printf(out, "<td style=\"--v:%.3f\">%.0f</td>", share, 100 * share);
}

/* A row of cells for each length, in the order of the result; cells of a length follow each other. */
static void put_cells(struct buf *out, const json_t *cells, const char *key)
{
    const json_t *c;
    size_t i;
    double length = NAN;
    json_array_foreach(cells, i, c)
    {
        double now = eval_result_number(c, "length"), n = eval_result_number(c, "n"),
               hit = eval_result_number(c, key);
        if (i == MOST_CELLS || !isfinite(now) || !(n > 0) || !(hit >= 0 && hit <= n))
            break;
        if (now != length)
            buf_printf(out, "%s<tr><th scope=\"row\">%.0f</th>", i ? "</tr>\n" : "", now);
        length = now;
        put_share(out, hit / n);
    }
    buf_puts(out, isnan(length) ? "" : "</tr>\n");
}

static void put_head(struct buf *out, const json_t *cells)
{
    const json_t *c;
    size_t i;
    double first = eval_result_number(json_array_get(cells, 0), "length");
    buf_puts(out, "<thead><tr><th scope=\"col\">tokens</th>");
    json_array_foreach(cells, i, c)
    {
        double depth = eval_result_number(c, "depth");
        if (i == MOST_CELLS || eval_result_number(c, "length") != first || !isfinite(depth))
            break;
        buf_printf(out, "<th scope=\"col\">%.0f %%</th>", 100 * depth);
    }
    buf_puts(out, "</tr></thead>");
}

static void put_map(struct buf *out, const struct eval_result *v, int style, const char *key)
{
    const json_t *cells = json_object_get(json_object_get(part(v, "needle"), "model"), "cells");
    buf_puts(out, "<figure><figcaption>");
    plot_key_write(out, style);
    page_text(out, v->label);
    buf_puts(out, "</figcaption><div class=\"scroll\"><table class=\"heat\">");
    put_head(out, cells);
    buf_puts(out, "<tbody>\n");
    put_cells(out, cells, key);
    buf_puts(out, "</tbody></table></div></figure>\n");
}

static void put_needle(struct buf *out, const struct eval_results *r, const char *key, const char *title,
                       const char *what)
{
    struct plot_row rows[EVAL_RESULTS_MOST];
    int n = 0;
    buf_printf(out, "<h3>%s</h3>\n<div class=\"plots\">\n", title);
    for (int i = 0; i < r->n; i++) {
        const json_t *p = part(&r->v[i], "needle");
        if (!p)
            continue;
        rows[n++] =
            (struct plot_row){r->v[i].label, i, eval_result_interval(json_object_get(p, "model"), key)};
        put_map(out, &r->v[i], i, key);
    }
    buf_puts(out, "</div>\n<ul>\n");
    eval_words_write(out, rows, n, what);
    buf_puts(out, "</ul>\n");
}

void eval_html_needle(struct buf *out, const struct eval_results *r)
{
    bool is_there = false;
    for (int i = 0; i < r->n; i++)
        is_there |= part(&r->v[i], "needle") != NULL;
    if (!is_there)
        return;
    buf_puts(out, "<h2>Retrieval at depth</h2>\n<p>A number is hidden in a text of so many tokens at a depth "
                  "from 0 % to 100 %, and asked for "
                  "at the end. Cells are % of the numbers.</p>\n");
    put_needle(out, r, "found", "Found: the number is what greedy generation says", "numbers found");
    put_needle(out, r, "ranked", "Ranked: it is the likeliest of ten", "numbers ranked first");
}
