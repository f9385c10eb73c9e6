/* The one JSON object that --json prints. */
#ifndef LATHE_CLI_JSON_H
#define LATHE_CLI_JSON_H
#include "base/json_text.h"

/* Prints the object on stdout with a newline and frees it; returns 0 for commands to return. Bytes that are
 * no UTF-8 must not be in it: json_text replaces them. */
int json_print(json_t *object);
#endif
