/* Base64 (RFC 4648, section 4). */
#ifndef LATHE_BASE_BASE64_H
#define LATHE_BASE_BASE64_H
#include "base/mem.h"
#include "base/str.h"

/* Both append to out. */
void base64_encode(const unsigned char *p, size_t n, struct buf *out);
/* False on a byte that is no digit; '=' at the end may be there or not. */
bool base64_decode(struct str in, struct buf *out);
#endif
