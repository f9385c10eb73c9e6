/* Chat templates: a Jinja interpreter for what real templates use, bounded in steps, depth and output.
 * Semantics are those of Python's jinja2 as transformers configures it: trim_blocks, lstrip_blocks, loop
 * controls, `tojson` that keeps non-ASCII, raise_exception, strftime_now, a `generation` block that passes
 * through. */
#ifndef LATHE_TEXT_TEMPLATE_H
#define LATHE_TEXT_TEMPLATE_H
#include "base/mem.h"
#include "base/str.h"

/* `vars` is a JSON object. TEMPLATE names line and cause (also of raise_exception). `date` NULL: today. */
int template_render(struct str source, struct str vars, const char *date, struct buf *out,
                    struct lathe_err *err);
#endif
