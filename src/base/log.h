/* Events for whoever runs a server: one line each on stderr, as text or JSON.
 *
 *     struct log_line l;
 *     if (log_begin(&l, LOG_WARN, "reload")) {
 *         log_text(&l, "file", path);
 *         log_end(&l);
 *     }
 *
 * A line is written by one system call, so that lines of several threads do not mix. What comes from outside is escaped: no value can
 * end a line or look like another. Any thread. */
#ifndef LATHE_BASE_LOG_H
#define LATHE_BASE_LOG_H
#include "base/mem.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_AS_TEXT, LOG_AS_JSON };
enum { LOG_LINE_MAX = 8192 };

struct log_line {
    struct buf text;
    enum log_format format;
};

/* How and from which level on; may change at any time. Before the first call: text, from LOG_INFO on. */
void log_setup(enum log_format format, enum log_level level);
/* Begins a line with time, level and event; false if nobody wants it, and then there is no line to end. */
bool log_begin(struct log_line *l, enum log_level level, const char *event);
/* Names are plain words. A value that does not fit is cut. */
void log_text(struct log_line *l, const char *name, const char *value); /* NULL: nothing is put */
void log_bytes(struct log_line *l, const char *name, const char *value, size_t n);
void log_number(struct log_line *l, const char *name, double value); /* below 2^63; three decimals, if any */
void log_end(struct log_line *l);
/* A whole line with one message. */
void log_say(enum log_level level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#endif
