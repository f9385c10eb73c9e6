/* A progress bar on stderr, only when that is a terminal. */
#include "base/progress.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"

#define BAR_WIDTH 30

void progress_show(struct progress *p, const char *what, double share)
{
    if (p->shown == 0 && !isatty(STDERR_FILENO))
        p->shown = -1;
    if (p->shown < 0)
        return;
    double now = clock_s();
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    if (strncmp(p->what, what, sizeof p->what - 1) != 0) {
        if (!p->what[0] || share < p->share) {
            p->start_s = now;
            p->start = share;
        }
        snprintf(p->what, sizeof p->what, "%s", what);
        p->last_s = 0;
    }
    p->share = share;
    if (now - p->last_s < 0.1 && share < 1)
        return;
    p->last_s = now;
    p->shown = 1;
    int full = (int)(share * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)full);
    bar[BAR_WIDTH] = 0;
    double passed = now - p->start_s, done = share - p->start;
    fprintf(stderr, "\r\033[K%s [%s] %3.0f %%", p->what, bar, share * 100);
    if (done > 0.02 && passed > 1)
        fprintf(stderr, ", %.0f s left", passed * (1 - share) / done);
    fflush(stderr);
}

void progress_end(struct progress *p)
{
    if (p->shown > 0)
        fputs("\r\033[K", stderr);
    memset(p, 0, sizeof *p);
}
