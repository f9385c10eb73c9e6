/* A line of input: with editing and history on a terminal (libedit, loaded on use), plain otherwise. */
#ifndef LATHE_CLI_LINE_H
#define LATHE_CLI_LINE_H
#include "base/mem.h"

struct line_reader;

/* Never NULL. History is kept in $XDG_STATE_HOME/lathe/history (or ~/.local/state) when the terminal can be
 * edited on. */
struct line_reader *line_open(void);
/* Next line without its newline into `out`, which is cleared before; lines that end in a backslash go on.
 * False at the end of input. */
bool line_read(struct line_reader *l, const char *prompt, struct buf *out);
void line_close(struct line_reader *l);
#endif
