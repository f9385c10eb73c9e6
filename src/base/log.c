/* Events as lines on stderr. */
#include "base/log.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/utf8.h"

enum { END_ROOM = 16 }; /* for quotes, dots, brace and newline after a value that was cut */

static _Atomic int wanted_format = LOG_AS_TEXT, wanted_level = LOG_INFO;

void log_setup(enum log_format format, enum log_level level)
{
    wanted_format = (int)format;
    wanted_level = (int)level;
}

bool log_begin(struct log_line *l, enum log_level level, const char *event)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    struct timespec now;
    struct tm utc;
    char time[32];
    if ((int)level > wanted_level)
        return false;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%S", &utc);
    buf_init(&l->text, LOG_LINE_MAX);
    l->format = (enum log_format)wanted_format;
    buf_printf(&l->text,
               l->format == LOG_AS_JSON ? "{\"time\": \"%s.%03ldZ\", \"level\": \"%s\", \"event\": \"%s\""
                                        : "%s.%03ldZ %s %s",
               time, now.tv_nsec / 1000000, names[level], event);
    return true;
}

static bool has_room(const struct log_line *l, size_t n)
{
    return l->text.n + n + END_ROOM < l->text.limit;
}

/* One character that stands for itself, else an escape that both forms share. */
static bool put_character(struct log_line *l, const char *p, int n, uint32_t c)
{
    if (!has_room(l, 8))
        return false;
    if (n == 0)
        buf_puts(&l->text, "\\ufffd");
    else if (c == '"' || c == '\\')
        buf_printf(&l->text, "\\%c", (char)c);
    else if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029)
        buf_printf(&l->text, "\\u%04x", (unsigned)c);
    else
        buf_put(&l->text, p, (size_t)n);
    return true;
}

static void put_name(struct log_line *l, const char *name)
{
    buf_printf(&l->text, l->format == LOG_AS_JSON ? ", \"%s\": " : " %s=", name);
}

void log_bytes(struct log_line *l, const char *name, const char *value, size_t n)
{
    if (!has_room(l, strlen(name) + 16))
        return;
    put_name(l, name);
    buf_putc(&l->text, '"');
    while (n > 0) {
        uint32_t c = 0;
        int n_c = utf8_get(value, n, &c), n_used = n_c ? n_c : 1;
        if (!put_character(l, value, n_c, c)) {
            buf_puts(&l->text, "...");
            break;
        }
        value += n_used;
        n -= (size_t)n_used;
    }
    buf_putc(&l->text, '"');
}

void log_text(struct log_line *l, const char *name, const char *value)
{
    if (value)
        log_bytes(l, name, value, strlen(value));
}

void log_number(struct log_line *l, const char *name, double value)
{
    if (!has_room(l, strlen(name) + 40))
        return;
    put_name(l, name);
    buf_printf(&l->text, value == (double)(int64_t)value ? "%.0f" : "%.3f", value);
}

void log_end(struct log_line *l)
{
    buf_puts(&l->text, l->format == LOG_AS_JSON ? "}\n" : "\n");
    for (size_t at = 0; at < l->text.n;) { /* a pipe may take a part */
        ssize_t n = write(STDERR_FILENO, l->text.p + at, l->text.n - at);
        if (n < 0 && errno != EINTR)
            break; /* there is nobody to tell */
        at += n > 0 ? (size_t)n : 0;
    }
    buf_free(&l->text);
}

void log_say(enum log_level level, const char *event, const char *format, ...)
{
    char text[1024];
    struct log_line l;
    va_list args;
    if (!log_begin(&l, level, event))
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    log_text(&l, "message", text);
    log_end(&l);
}
