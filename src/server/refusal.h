/* Why a body is refused: what the API's error object will say. */
#ifndef LATHE_SERVER_REFUSAL_H
#define LATHE_SERVER_REFUSAL_H
#include <lathe.h>

struct refusal {
    unsigned status;
    char param[64]; /* "" if it is no single field */
    const char *code;
    char text[560];
};

/* Fill it in. False, so that callers return it. */
__attribute__((format(printf, 5, 6))) bool refuse(struct refusal *no, unsigned status, const char *param,
                                                  const char *code, const char *format, ...);
bool refuse_err(struct refusal *no, const char *param, const struct lathe_err *err);
/* The `code` of an error object for an error of the library; NULL for those that have none. */
const char *refusal_code(int code);
#endif
