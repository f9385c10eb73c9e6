/* lathe_quantize to a folder of safetensors: the types int4, int8 and nf4 in the layouts that others load. */
#ifndef LATHE_SHAPE_QUANTIZE_FOLDER_H
#define LATHE_SHAPE_QUANTIZE_FOLDER_H
#include "lathe.h"
#include "format/packed_write.h"

/* Whether the type is one of those that are written as a folder. */
bool quantize_folder_is(const char *type);
int quantize_folder(const char *from, const char *to, const struct lathe_quantize_options *o,
                    struct lathe_quantize_report *report, struct lathe_err *err);
#endif
