/* Plots as SVG inside of a page.
 *
 * Coordinates are the viewBox's, 380 wide, so that text of 13 units can be read at the width of a phone. An axis maps a value to
 * them; a logarithmic one maps its logarithm. */
#include "cli/plot.h"
#include <math.h>
#include "cli/page.h"

enum {
    WIDTH = 380,
    HEIGHT = 290,
    LEFT = 58,
    RIGHT = 14,
    TOP = 10,
    BOTTOM = 46,
    MOST_TICKS = 24,
    N_SHAPE = 5
};
#define LARGEST 1e30 /* a number past it is no measurement, and axes over it overflow */

struct axis {
    enum plot_scale scale;
    double low, high; /* of the mapped values */
    double from, to;  /* coordinates */
    double tick[MOST_TICKS];
    int n_tick;
};

static bool fits(const struct axis *a, double x)
{
    return isfinite(x) && fabs(x) < LARGEST && (a->scale == PLOT_LINEAR || x > 1 / LARGEST);
}

static double mapped(const struct axis *a, double x)
{
    return a->scale == PLOT_LINEAR ? x : a->scale == PLOT_LOG ? log10(x) : log2(x);
}

static double place(const struct axis *a, double x)
{
    return a->from + (mapped(a, x) - a->low) / (a->high - a->low) * (a->to - a->from);
}

static void include(struct axis *a, double x)
{
    if (!fits(a, x))
        return;
    a->low = fmin(a->low, mapped(a, x));
    a->high = fmax(a->high, mapped(a, x));
}

static void add_tick(struct axis *a, double x)
{
    if (a->n_tick < MOST_TICKS && mapped(a, x) >= a->low - 1e-9 && mapped(a, x) <= a->high + 1e-9)
        a->tick[a->n_tick++] = x;
}

/* 1, 2 or 5 times a power of ten, so that there are some five of them. */
static double nice_step(double span)
{
    double raw = span / 5, ten = pow(10, floor(log10(raw))), share = raw / ten;
    return ten * (share < 1.5 ? 1 : share < 3.5 ? 2 : share < 7.5 ? 5 : 10);
}

static void even_ticks(struct axis *a, double low, double high)
{
    double step = nice_step(high - low);
    for (double at = ceil(low / step) * step; at <= high + 1e-9 * (high - low); at += step)
        add_tick(a, fabs(at) < step * 1e-9 ? 0 : at);
}

/* Of few decades 1, 2 and 5 times the powers of ten; of less than one what a linear axis has; of many only some powers. */
static void log_ticks(struct axis *a)
{
    double span = a->high - a->low;
    int first = (int)floor(a->low), last = (int)ceil(a->high), step = span < 8 ? 1 : (int)ceil(span / 6);
    if (span < 0.8) {
        even_ticks(a, pow(10, a->low), pow(10, a->high));
        return;
    }
    for (int e = first; e <= last; e += step) {
        add_tick(a, pow(10, e));
        if (span < 2.5) {
            add_tick(a, 2 * pow(10, e));
            add_tick(a, 5 * pow(10, e));
        }
    }
}

static void find_ticks(struct axis *a)
{
    int step = (int)ceil((a->high - a->low) / 9);
    if (a->scale == PLOT_LINEAR)
        even_ticks(a, a->low, a->high);
    if (a->scale == PLOT_LOG)
        log_ticks(a);
    for (int e = (int)ceil(a->low); a->scale == PLOT_OCTAVES && e <= a->high + 1e-9; e += step > 1 ? step : 1)
        add_tick(a, pow(2, e));
}

/* Some room at the ends, and a range where all values are one. */
static void widen(struct axis *a)
{
    double span = a->high - a->low;
    double more = span > 0 ? 0.06 * span : a->scale != PLOT_LINEAR ? 0.3 : a->low ? 0.1 * fabs(a->low) : 1;
    a->low -= more;
    a->high += more;
    find_ticks(a);
}

/* ---- marks ---- */

/* Five shapes, told apart without colour too. */
static void put_shape(struct buf *out, int style, double x, double y)
{
    static const char *const paths[] = {"M-4-4h8v8h-8z", "M0-5.5L5.2 4h-10.4z", "M0-5.8L5.8 0L0 5.8L-5.8 0z",
                                        "M0 5.5L5.2-4h-10.4z"};
    if (style % N_SHAPE == 0)
        buf_printf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"/>", x, y);
    else
        buf_printf(out, "<path transform=\"translate(%.1f %.1f)\" d=\"%s\"/>", x, y,
                   paths[style % N_SHAPE - 1]);
}

void plot_key_write(struct buf *out, int style)
{
    buf_printf(out, "<svg class=\"key s%d\" viewBox=\"-7 -7 14 14\" aria-hidden=\"true\">",
               style % PAGE_COLORS);
    put_shape(out, style, 0, 0);
    buf_puts(out, "</svg>");
}

static void put_title(struct buf *out, const char *name, struct interval v)
{
    buf_puts(out, "<title>");
    page_text(out, name);
    buf_printf(out, ": %.5g", v.value);
    if (isfinite(v.low))
        buf_printf(out, " [%.5g, %.5g]", v.low, v.high);
    buf_puts(out, "</title>");
}

static void put_tick(struct buf *out, double x, double y, const char *anchor, double value)
{
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%.4g</text>", x, y, anchor, value);
}

static void begin_svg(struct buf *out, const char *title, int height)
{
    buf_printf(
        out,
        "<figure><figcaption>%s</figcaption>\n<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"%s\">\n",
        title, WIDTH, height, title);
}

static void put_x_axis(struct buf *out, const struct axis *x, double top, double bottom, const char *title)
{
    for (int i = 0; i < x->n_tick; i++) {
        double at = place(x, x->tick[i]);
        buf_printf(out, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", at, top, bottom);
        put_tick(out, at, bottom + 17, "middle", x->tick[i]);
    }
    buf_printf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", (x->from + x->to) / 2,
               bottom + 37, title);
}

static void put_y_axis(struct buf *out, const struct axis *y, const char *title)
{
    for (int i = 0; i < y->n_tick; i++) {
        double at = place(y, y->tick[i]);
        buf_printf(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/>", LEFT, at, WIDTH - RIGHT);
        put_tick(out, LEFT - 6, at + 4, "end", y->tick[i]);
    }
    buf_printf(out, "<text transform=\"translate(13 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n",
               (y->from + y->to) / 2, title);
}

/* ---- points and lines ---- */

static bool shows(const struct axis *x, const struct axis *y, const struct plot_point *v)
{
    return fits(x, v->x) && fits(y, v->y.value);
}

static void put_bar(struct buf *out, const struct axis *y, double at, struct interval v)
{
    if (!fits(y, v.high) || !isfinite(v.low))
        return;
    double low = fits(y, v.low) ? place(y, v.low) : y->from, high = place(y, v.high);
    buf_printf(out, "<path class=\"bar\" d=\"M%.1f %.1fV%.1fM%.1f %.1fh8M%.1f %.1fh8\"/>", at, low, high,
               at - 4, low, at - 4, high);
}

static void put_series(struct buf *out, const struct plot *p, const struct axis *x, const struct axis *y,
                       const struct plot_series *s)
{
    bool is_first = true;
    buf_printf(out, "<g class=\"s%d\">", s->style % PAGE_COLORS);
    if (p->is_line)
        buf_puts(out, "<path class=\"line\" d=\"");
    for (int i = 0; p->is_line && i < s->n; i++)
        if (shows(x, y, &s->v[i])) {
            buf_printf(out, "%c%.1f %.1f", is_first ? 'M' : 'L', place(x, s->v[i].x),
                       place(y, s->v[i].y.value));
            is_first = false;
        }
    buf_puts(out, p->is_line ? "\"/>" : "");
    for (int i = 0; i < s->n; i++) {
        if (!shows(x, y, &s->v[i]))
            continue;
        buf_puts(out, "<g>");
        put_title(out, s->name, s->v[i].y);
        put_bar(out, y, place(x, s->v[i].x), s->v[i].y);
        put_shape(out, s->style, place(x, s->v[i].x), place(y, s->v[i].y.value));
        buf_puts(out, "</g>");
    }
    buf_puts(out, "</g>\n");
}

/* False if there is nothing to show. */
static bool find_axes(const struct plot *p, struct axis *x, struct axis *y)
{
    *x = (struct axis){p->x_scale, INFINITY, -INFINITY, LEFT, WIDTH - RIGHT, {0}, 0};
    *y = (struct axis){p->y_scale, INFINITY, -INFINITY, HEIGHT - BOTTOM, TOP, {0}, 0};
    for (int k = 0; k < p->n_series; k++)
        for (int i = 0; i < p->series[k].n; i++) {
            const struct plot_point *v = &p->series[k].v[i];
            if (!shows(x, y, v))
                continue;
            include(x, v->x);
            include(y, v->y.value);
            include(y, v->y.low);
            include(y, v->y.high);
        }
    if (x->low > x->high)
        return false;
    include(y, p->y_mark);
    widen(x);
    widen(y);
    return true;
}

void plot_write(struct buf *out, const struct plot *p)
{
    struct axis x, y;
    if (!find_axes(p, &x, &y)) {
        buf_printf(out, "<figure><figcaption>%s</figcaption><p>There is nothing to plot.</p></figure>\n",
                   p->title);
        return;
    }
    begin_svg(out, p->title, HEIGHT);
    put_x_axis(out, &x, TOP, HEIGHT - BOTTOM, p->x_title);
    put_y_axis(out, &y, p->y_title);
    if (isfinite(p->y_mark))
        buf_printf(out, "<path class=\"mark\" d=\"M%d %.1fH%d\"/>", LEFT, place(&y, p->y_mark),
                   WIDTH - RIGHT);
    for (int k = 0; k < p->n_series; k++)
        put_series(out, p, &x, &y, &p->series[k]);
    buf_puts(out, "</svg></figure>\n");
}

/* ---- rows of intervals ---- */

enum { ROW_HEIGHT = 36, ROW_LEFT = 10 };

static void put_row(struct buf *out, const struct axis *x, const struct plot_row *r, double y)
{
    buf_printf(out, "<text class=\"name\" x=\"%d\" y=\"%.1f\">", ROW_LEFT, y - 10);
    page_text(out, r->name);
    buf_printf(out, "</text><g class=\"s%d\">", r->style % PAGE_COLORS);
    put_title(out, r->name, r->v);
    if (fits(x, r->v.low) && fits(x, r->v.high))
        buf_printf(out, "<path class=\"bar\" d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\"/>",
                   place(x, r->v.low), y, place(x, r->v.high), place(x, r->v.low), y - 4, place(x, r->v.high),
                   y - 4);
    put_shape(out, r->style, place(x, r->v.value), y);
    buf_puts(out, "</g>\n");
}

void plot_rows_write(struct buf *out, const char *title, const char *x_title, const struct plot_row *rows,
                     int n)
{
    struct axis x = {PLOT_LINEAR, INFINITY, -INFINITY, ROW_LEFT + 8, WIDTH - RIGHT - 8, {0}, 0};
    int bottom = TOP + 8 + n * ROW_HEIGHT, n_shown = 0;
    for (int i = 0; i < n; i++) {
        include(&x, rows[i].v.value);
        include(&x, rows[i].v.low);
        include(&x, rows[i].v.high);
    }
    if (x.low > x.high)
        return;
    widen(&x);
    begin_svg(out, title, bottom + BOTTOM);
    put_x_axis(out, &x, TOP, bottom, x_title);
    for (int i = 0; i < n; i++)
        if (fits(&x, rows[i].v.value))
            put_row(out, &x, &rows[i], TOP + 26 + ROW_HEIGHT * n_shown++);
    buf_puts(out, "</svg></figure>\n");
}
