/* A float as the text of at most nine digits that reads as the same float again, as JSON allows it. */
#ifndef LATHE_CLI_FLOAT_TEXT_H
#define LATHE_CLI_FLOAT_TEXT_H
#include <stddef.h>

enum { FLOAT_TEXT = 32 };
/* Writes no NUL; returns the length. x is finite. */
size_t float_text(float x, char out[FLOAT_TEXT]);
#endif
