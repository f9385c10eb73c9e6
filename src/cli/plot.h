/* Plots as SVG inside of a page: points and lines with error bars, and rows of intervals. Their colours are the page's (page.h): the class s0 .. s6
 * of a series, which has a shape of its own besides. No script, and text stays text. */
#ifndef LATHE_CLI_PLOT_H
#define LATHE_CLI_PLOT_H
#include <stdbool.h>
#include "base/mem.h"
#include "measure/interval.h"

enum plot_scale { PLOT_LINEAR, PLOT_LOG, PLOT_OCTAVES /* powers of two are marked */ };

struct plot_point {
    double x;
    struct interval y; /* without bars where there is no interval */
};

struct plot_series {
    const char *name; /* of any bytes */
    int style;        /* >= 0: colour and shape */
    const struct plot_point *v;
    int n;
};

struct plot {
    const char *title, *x_title, *y_title; /* ASCII without markup, the program's own */
    enum plot_scale x_scale, y_scale;
    bool is_line;  /* the points of a series are joined */
    double y_mark; /* a line across; NAN: none */
    const struct plot_series *series;
    int n_series;
};

/* Points that the scale does not have (logarithm of 0) are left out; with none left it says that there is nothing. */
void plot_write(struct buf *out, const struct plot *p);

struct plot_row {
    const char *name; /* of any bytes */
    int style;
    struct interval v;
};
/* An interval a line, the name above it. */
void plot_rows_write(struct buf *out, const char *title, const char *x_title, const struct plot_row *rows,
                     int n);
/* The mark of a style alone, for a line of text. */
void plot_key_write(struct buf *out, int style);
#endif
