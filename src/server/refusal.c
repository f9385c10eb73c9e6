/* Why a body is refused. */
#include "server/refusal.h"
#include <stdarg.h>
#include <stdio.h>

bool refuse(struct refusal *no, unsigned status, const char *param, const char *code, const char *format, ...)
{
    va_list args;
    no->status = status;
    no->code = code;
    snprintf(no->param, sizeof no->param, "%s", param ? param : "");
    va_start(args, format);
    vsnprintf(no->text, sizeof no->text, format, args);
    va_end(args);
    return false;
}

const char *refusal_code(int code)
{
    static const struct {
        int code;
        const char *name;
    } names[] = {{LATHE_E_CONTEXT, "context_length_exceeded"},
                 {LATHE_E_BUSY, "server_busy"},
                 {LATHE_E_DEADLINE, "deadline_exceeded"},
                 {LATHE_E_CANCELLED, "cancelled"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return NULL;
}

bool refuse_err(struct refusal *no, const char *param, const struct lathe_err *err)
{
    return refuse(no, (unsigned)lathe_code_http(err->code), param, refusal_code(err->code), "%s", err->text);
}
