/* The part of the report that is of tasks. */
#include "cli/eval_html_tasks.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/eval_words.h"
#include "cli/page.h"

/* Task k of a result; NULL past the last. */
static const json_t *task_at(const struct eval_result *v, size_t k)
{
    return json_array_get(json_object_get(v->json, "tasks"), k);
}

static bool same_task(const json_t *a, const json_t *b)
{
    return strcmp(eval_result_text(a, "task", ""), eval_result_text(b, "task", "")) == 0 &&
           eval_result_number(a, "n_item") == eval_result_number(b, "n_item");
}

static const json_t *task_like(const struct eval_result *v, const json_t *task)
{
    for (size_t k = 0; task_at(v, k); k++)
        if (same_task(task_at(v, k), task))
            return task_at(v, k);
    return NULL;
}

/* Whether no candidate before this one has it, and none of its own before. */
static bool is_first(const struct eval_results *r, int i, size_t k)
{
    const json_t *task = task_at(&r->v[i], k);
    for (int before = 0; before < i; before++)
        if (task_like(&r->v[before], task))
            return false;
    return task_like(&r->v[i], task) == task;
}

static int read_rows(const struct eval_results *r, const json_t *task, const char *metric,
                     struct plot_row *rows)
{
    int n = 0;
    for (int i = 0; i < r->n; i++) {
        struct interval v = eval_result_interval(json_object_get(task_like(&r->v[i], task), "model"), metric);
        if (isfinite(v.value))
            rows[n++] = (struct plot_row){r->v[i].label, i, {100 * v.value, 100 * v.low, 100 * v.high}};
    }
    return n;
}

static void put_task(struct buf *out, const struct eval_results *r, const json_t *task)
{
    struct plot_row rows[EVAL_RESULTS_MOST];
    char what[160];
    const char *metric = eval_result_text(task, "metric", "acc");
    double n_item = eval_result_number(task, "n_item");
    int n = read_rows(r, task, metric, rows);
    buf_puts(out, "<section><h3>");
    page_text(out, eval_result_text(task, "task", "?"));
    buf_printf(out, "</h3><p>%.0f items, ", n_item);
    page_text(out, metric);
    buf_puts(out, ".</p>\n");
    plot_rows_write(out, "Accuracy", "% of items, with intervals of 95 %", rows, n);
    snprintf(what, sizeof what, "accuracy on these %.0f items", n_item);
    buf_puts(out, "<ul>\n");
    eval_words_write(out, rows, n, what);
    buf_puts(out, "</ul></section>\n");
}

void eval_html_tasks(struct buf *out, const struct eval_results *r)
{
    double least = INFINITY;
    for (int i = 0; i < r->n; i++)
        for (size_t k = 0; task_at(&r->v[i], k); k++)
            least = fmin(least, eval_result_number(task_at(&r->v[i], k), "n_item"));
    if (!isfinite(least) || least < 1)
        return;
    buf_printf(
        out,
        "<h2>On tasks</h2>\n<p class=\"note\">A few hundred items cannot rank 4-bit formats: over %.0f items "
        "an "
        "accuracy of 50 %% is known to &#177; %.1f %%, and such formats differ by less. The divergence of "
        "the "
        "text, and how often a candidate chooses as the reference does, can.</p>\n<div class=\"plots\">\n",
        least, 196 * sqrt(0.25 / least));
    for (int i = 0; i < r->n; i++)
        for (size_t k = 0; task_at(&r->v[i], k); k++)
            if (is_first(r, i, k))
                put_task(out, r, task_at(&r->v[i], k));
    buf_puts(out, "</div>\n");
}
