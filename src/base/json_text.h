/* Text of any bytes as a JSON string. */
#ifndef LATHE_BASE_JSON_TEXT_H
#define LATHE_BASE_JSON_TEXT_H
#include <jansson.h>
#include <stddef.h>

/* A new string of the n bytes at p; what is not UTF-8 becomes U+FFFD, byte by byte. */
json_t *json_text(const char *p, size_t n);
#endif
