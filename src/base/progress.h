/* A progress bar on stderr, only when that is a terminal. */
#ifndef LATHE_BASE_PROGRESS_H
#define LATHE_BASE_PROGRESS_H

struct progress {
    int shown;             /* -1: not a terminal */
    double start_s, start; /* when the bar began, and its share then */
    double share;
    double last_s;
    char what[64];
};

/* `p` zeroed before the first call. Draws `what` with share 0..1 at most ten times a second. A share that goes on under another name is
 * the same bar, whose time left counts from its beginning; one that falls is a new one. */
void progress_show(struct progress *p, const char *what, double share);
/* Wipes the line. Legal on a bar that never showed. */
void progress_end(struct progress *p);
#endif
