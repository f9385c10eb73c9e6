/* What commands say to people: one-line errors, notes on stderr. */
#ifndef LATHE_CLI_SAY_H
#define LATHE_CLI_SAY_H
#include <lathe.h>

/* Prints "lathe: <text>" on stderr; returns the exit code that belongs to the error. */
int say_error(const struct lathe_err *err);
/* What the checkpoint has and is not read; NULL: nothing is said. A callback of lathe_convert and lathe_quantize, too: user is
 * not looked at. */
void say_left_out(void *user, const char *what);
#endif
