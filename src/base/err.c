/* Errors: codes from one list, words for the user. */
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>

int err_set(struct lathe_err *err, int code, const char *fmt, ...)
{
    if (!err)
        return code;
    err->code = code;
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    for (char *p = err->text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    return code;
}

int err_not_built(struct lathe_err *err, const char *what, const char *packages)
{
#ifdef LATHE_EDGE
    return err_set(
        err, LATHE_E_UNSUPPORTED,
        "this is the edge build, which %s: use the whole program, built by make where %s is installed", what,
        packages);
#else
    return err_set(err, LATHE_E_UNSUPPORTED, "this build %s: install %s and build again", what, packages);
#endif
}

const char *lathe_version(void)
{
    return LATHE_VERSION;
}

struct code_row {
    int code, http, exit_code;
    const char *text;
};

static const struct code_row *code_find(int code)
{
    static const struct code_row rows[] = {
#define E(name, code_, http_, exit_, text_) {code_, http_, exit_, text_},
        LATHE_ERRORS(E)
#undef E
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return &rows[i];
    return &rows[1];
}

const char *lathe_code_text(int code)
{
    return code_find(code)->text;
}

int lathe_code_http(int code)
{
    return code_find(code)->http;
}

int lathe_code_exit(int code)
{
    return code_find(code)->exit_code;
}
