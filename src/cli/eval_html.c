/* The report of lathe eval over one or several candidates. */
#include "cli/eval_html.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/new_file.h"
#include "cli/eval_html_more.h"
#include "cli/eval_html_tasks.h"
#include "cli/eval_words.h"
#include "cli/page.h"

#define PAGE_LIMIT ((size_t)64 << 20)

/* ---- what is of which text ---- */

static void put_text_of(struct buf *out, const struct eval_result *v)
{
    const json_t *text = json_object_get(v->json, "text"), *ref = json_object_get(v->json, "reference");
    buf_puts(out, "<p>Text: ");
    page_text(out, eval_result_text(text, "file", "?"));
    buf_printf(out, ", %.0f tokens in %.0f chunks of %.0f.", eval_result_number(text, "n_token"),
               eval_result_number(text, "chunks"), eval_result_number(text, "ctx"));
    if (ref) {
        buf_puts(out, " Reference: ");
        page_text(out, eval_result_text(ref, "name", "?"));
        buf_puts(out, ", ");
        page_text(out, eval_result_text(ref, "file_type", "?"));
        buf_puts(out, json_is_true(json_object_get(ref, "exact")) ? ", computed with f32 activations." : ".");
    }
    buf_puts(out, "</p>\n");
    if (eval_result_number(text, "chunks") < INTERVAL_FEW)
        buf_printf(out, "<p class=\"note\">Intervals need some %d chunks, and are too narrow here.</p>\n",
                   INTERVAL_FEW);
}

static bool has_text(const struct eval_result *v)
{
    return json_is_object(json_object_get(v->json, "text"));
}

static void put_texts(struct buf *out, const struct eval_results *r)
{
    const struct eval_result *first = NULL;
    bool alike = true;
    for (int i = 0; i < r->n; i++) {
        if (!has_text(&r->v[i]))
            continue;
        first = first ? first : &r->v[i];
        alike = alike && eval_results_alike(first, &r->v[i]);
    }
    if (first)
        put_text_of(out, first);
    if (alike)
        return;
    buf_puts(
        out,
        "<p class=\"note\">These results are not of one text and one reference. The line above is of <b>");
    page_text(out, first->label);
    buf_puts(out, "</b>; what differs from it cannot be compared with it:");
    for (int i = 0; i < r->n; i++)
        if (has_text(&r->v[i]) && !eval_results_alike(first, &r->v[i])) {
            buf_puts(out, " <b>");
            page_text(out, r->v[i].label);
            buf_puts(out, "</b>");
        }
    buf_puts(out, ".</p>\n");
}

/* ---- the table ---- */

static const struct {
    const char *key, *title;
    double factor;
} columns[] = {{"kl_mean", "KL, mean", 1},       {"kl_99", "99 % below", 1}, {"kl_999", "99.9 % below", 1},
               {"same_top", "same top, %", 100}, {"ppl", "perplexity", 1},   {"ppl_ratio", "ratio", 1}};
enum { N_COLUMN = sizeof columns / sizeof columns[0] };

static void put_number(struct buf *out, double v, const char *form)
{
    buf_puts(out, "<td>");
    if (!isfinite(v))
        buf_puts(out, "&#8211;");
    else if (form[0] == 'f')
        buf_printf(out, "%.1f", v);
    else
        buf_printf(out, "%.2f", v);
    buf_puts(out, "</td>");
}

static void put_cell(struct buf *out, struct interval v, double factor)
{
    if (!isfinite(v.value)) {
        buf_puts(out, "<td>&#8211;</td>");
        return;
    }
    buf_printf(out, "<td>%.5g", factor * v.value);
    if (isfinite(v.low))
        buf_printf(out, "<small>%.4g to %.4g</small>", factor * v.low, factor * v.high);
    buf_puts(out, "</td>");
}

static void put_table(struct buf *out, const struct eval_results *r)
{
    buf_puts(
        out,
        "<div class=\"scroll\"><table><thead><tr><th scope=\"col\">Candidate</th><th scope=\"col\">MB</th>"
        "<th scope=\"col\">bits a weight</th>");
    for (int k = 0; k < N_COLUMN; k++)
        buf_printf(out, "<th scope=\"col\">%s</th>", columns[k].title);
    buf_puts(out, "</tr></thead><tbody>\n");
    for (int i = 0; i < r->n; i++) {
        buf_puts(out, "<tr><td>");
        plot_key_write(out, i);
        page_text(out, r->v[i].label);
        buf_puts(out, "</td>");
        put_number(out, r->v[i].mb, "f1");
        put_number(out, r->v[i].bits, "2");
        for (int k = 0; k < N_COLUMN; k++)
            put_cell(out, eval_result_interval(json_object_get(r->v[i].json, "all"), columns[k].key),
                     columns[k].factor);
        buf_puts(out, "</tr>\n");
    }
    buf_puts(out, "</tbody></table></div>\n");
}

static void put_legend(struct buf *out, const struct eval_results *r)
{
    buf_puts(out, "<ul class=\"legend\">");
    for (int i = 0; i < r->n; i++) {
        buf_puts(out, "<li>");
        plot_key_write(out, i);
        page_text(out, r->v[i].label);
        buf_puts(out, "</li>");
    }
    buf_puts(out, "</ul>\n");
}

/* ---- plots of a text ---- */

/* Far apart and none of them 0: a logarithmic axis. */
static enum plot_scale scale_of(const struct plot_series *s, int n)
{
    double low = INFINITY, high = 0;
    for (int k = 0; k < n; k++)
        for (int i = 0; i < s[k].n; i++)
            if (isfinite(s[k].v[i].y.value)) {
                low = fmin(low, s[k].v[i].y.value);
                high = fmax(high, s[k].v[i].y.value);
            }
    return low > 0 && high > 4 * low ? PLOT_LOG : PLOT_LINEAR;
}

static void put_against_size(struct buf *out, const struct eval_results *r, const char *key,
                             const char *title, const char *y_title, double mark)
{
    struct plot_point points[EVAL_RESULTS_MOST];
    struct plot_series series[EVAL_RESULTS_MOST];
    for (int i = 0; i < r->n; i++) {
        points[i] =
            (struct plot_point){r->v[i].mb, eval_result_interval(json_object_get(r->v[i].json, "all"), key)};
        series[i] = (struct plot_series){r->v[i].label, i, &points[i], 1};
    }
    plot_write(out, &(struct plot){.title = title,
                                   .x_title = "size in MB",
                                   .y_title = y_title,
                                   .y_scale = scale_of(series, r->n),
                                   .y_mark = mark,
                                   .series = series,
                                   .n_series = r->n});
}

/* Groups of positions, each at its geometric middle. */
static int read_positions(const struct eval_result *v, const char *key, struct plot_point *points)
{
    const json_t *groups = json_object_get(v->json, "by_position"), *g;
    size_t i;
    int n = 0;
    json_array_foreach(groups, i, g)
    {
        double from = eval_result_number(g, "from"), to = eval_result_number(g, "to");
        if (n < EVAL_RESULTS_MOST && isfinite(from) && isfinite(to))
            points[n++] = (struct plot_point){sqrt((from + 1) * (to + 1)), eval_result_interval(g, key)};
    }
    return n;
}

static void put_by_position(struct buf *out, const struct eval_results *r, const char *key, const char *title,
                            const char *y_title)
{
    struct plot_point *points = mem_new(sizeof *points * EVAL_RESULTS_MOST * EVAL_RESULTS_MOST);
    struct plot_series series[EVAL_RESULTS_MOST];
    for (int i = 0; i < r->n; i++) {
        struct plot_point *v = points + (size_t)i * EVAL_RESULTS_MOST;
        series[i] = (struct plot_series){r->v[i].label, i, v, read_positions(&r->v[i], key, v)};
    }
    plot_write(out, &(struct plot){.title = title,
                                   .x_title = "position in the chunk",
                                   .y_title = y_title,
                                   .x_scale = PLOT_OCTAVES,
                                   .y_scale = scale_of(series, r->n),
                                   .is_line = true,
                                   .y_mark = NAN,
                                   .series = series,
                                   .n_series = r->n});
    free(points);
}

static bool has_divergence(const struct eval_results *r)
{
    for (int i = 0; i < r->n; i++)
        if (isfinite(eval_result_interval(json_object_get(r->v[i].json, "all"), "kl_mean").value))
            return true;
    return false;
}

/* Only those that are of one text and one reference. */
static void put_text_words(struct buf *out, const struct eval_results *r, const char *key, const char *what)
{
    struct plot_row rows[EVAL_RESULTS_MOST];
    const struct eval_result *first = NULL;
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        if (!has_text(&r->v[i]))
            continue;
        first = first ? first : &r->v[i];
        if (eval_results_alike(first, &r->v[i]))
            rows[n++] = (struct plot_row){r->v[i].label, i,
                                          eval_result_interval(json_object_get(r->v[i].json, "all"), key)};
    }
    buf_puts(out, "<ul>\n");
    eval_words_write(out, rows, n, what);
    buf_puts(out, "</ul>\n");
}

static void put_text(struct buf *out, const struct eval_results *r)
{
    bool has_kl = has_divergence(r), is_there = false;
    for (int i = 0; i < r->n; i++)
        is_there |= has_text(&r->v[i]);
    if (!is_there)
        return;
    buf_puts(out, "<h2>On the text</h2>\n");
    put_texts(out, r);
    put_table(out, r);
    if (has_kl)
        put_text_words(out, r, "kl_mean", "KL on this text");
    if (has_kl)
        put_text_words(out, r, "ppl_ratio", "perplexity ratio on this text");
    else
        put_text_words(out, r, "ppl", "perplexity on this text");
    put_legend(out, r);
    buf_puts(out, "<div class=\"plots\">\n");
    if (has_kl) {
        put_against_size(out, r, "kl_mean", "Divergence against size", "mean KL divergence, nats", NAN);
        put_against_size(out, r, "ppl_ratio", "Perplexity against size", "perplexity ratio", 1);
        put_by_position(out, r, "kl_mean", "Divergence by position", "mean KL divergence, nats");
    } else {
        put_against_size(out, r, "ppl", "Perplexity against size", "perplexity", NAN);
        put_by_position(out, r, "ppl", "Perplexity by position", "perplexity");
    }
    buf_puts(out, "</div>\n");
}

/* ---- the page ---- */

int eval_html_write(const struct eval_results *r, const char *path, struct lathe_err *err)
{
    struct buf out;
    struct new_file file;
    char title[64];
    buf_init(&out, PAGE_LIMIT);
    snprintf(title, sizeof title, "Quality of %d candidate%s", r->n, r->n == 1 ? "" : "s");
    page_begin(&out, title);
    buf_printf(&out, "<h1>%s</h1>\n", title);
    put_text(&out, r);
    eval_html_tasks(&out, r);
    eval_html_pairs(&out, r);
    eval_html_needle(&out, r);
    buf_printf(&out,
               "<footer><p>lathe eval %s. Bars and small numbers are intervals of 95 %%: of a text by "
               "drawing its chunks "
               "again, of shares of items Wilson's. Two candidates whose intervals overlap are not "
               "ranked.</p></footer>\n",
               lathe_version());
    page_end(&out);
    int rc = out.full ? err_set(err, LATHE_E_LIMIT, "%s: the report is larger than 64 MiB", path)
                      : new_file_open(&file, path, out.n, err);
    if (!rc)
        rc = new_file_close(&file, new_file_write(&file, out.p, out.n, err), err);
    buf_free(&out);
    return rc;
}
