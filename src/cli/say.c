/* What commands say to people: one-line errors, notes on stderr. */
#include "cli/say.h"
#include <stdio.h>

int say_error(const struct lathe_err *err)
{
    fprintf(stderr, "lathe: %s\n", err->text[0] ? err->text : lathe_code_text(err->code));
    return lathe_code_exit(err->code);
}

void say_left_out(void *user, const char *what)
{
    if (what)
        fprintf(stderr, "lathe: %s is left out: of this checkpoint only the text model is read\n", what);
}
