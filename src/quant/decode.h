/* The decoders behind the rows of quant/format.h, one file each. Everybody else goes through the table.
 *
 * Each writes y[n] = the weights of n / block_n consecutive blocks at x, which may lie at any address. */
#ifndef LATHE_QUANT_DECODE_H
#define LATHE_QUANT_DECODE_H
#include "quant/format.h"

#define DECODER_true(name) void decode_##name(const void *x, float *y, int64_t n);
#define DECODER_false(name)
#define X(name, id, block, bytes, runs) DECODER_##runs(name)
FORMATS(X)
#undef X
#endif
