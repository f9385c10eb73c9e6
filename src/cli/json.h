/* The one JSON object that --json prints. */
#ifndef LATHE_CLI_JSON_H
#define LATHE_CLI_JSON_H
#include <jansson.h>

/* Prints the object on stdout with a newline and frees it; returns 0 for commands to return. Bytes that are
 * no UTF-8 must not be in it: json_text replaces them. */
int json_print(json_t *object);
/* A string of n bytes in which what is no UTF-8 became U+FFFD. */
json_t *json_text(const char *p, size_t n);
#endif
