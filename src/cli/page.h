/* A page of HTML that needs nothing but itself: the frame with its style, and text of any bytes as text. */
#ifndef LATHE_CLI_PAGE_H
#define LATHE_CLI_PAGE_H
#include "base/mem.h"

enum { PAGE_COLORS = 7 }; /* classes s0 .. s6 of what is drawn */

/* `title` as page_text writes it. */
void page_begin(struct buf *out, const char *title);
void page_end(struct buf *out);
/* Text of any bytes with markup, quotes and control characters made harmless; what is no UTF-8 becomes U+FFFD. */
void page_text(struct buf *out, const char *text);
#endif
