/* The table of weight formats: finds a row by number or name. */
#include "quant/format.h"
#include "quant/decode.h"
#include <string.h>

#define DECODE_true(name) decode_##name
#define DECODE_false(name) NULL

static const struct format rows[] = {
#define X(name, id, block, bytes, runs) {#name, id, block, bytes, runs, DECODE_##runs(name)},
    FORMATS(X)
#undef X
};

const struct format *format_by_id(uint32_t id)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

const struct format *format_by_name(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name))
            return &rows[i];
    return NULL;
}
