/* Encoders: f32 to a weight format, to nearest. Only some formats have one; shaping a model well is another room's. */
#ifndef LATHE_QUANT_ENCODE_H
#define LATHE_QUANT_ENCODE_H
#include "quant/format.h"

/* y = block-coded x[n], y unaligned; n % block_n of the format == 0. */
typedef void encode_fn(const float *x, void *y, int64_t n);

/* NULL if the format has none. */
encode_fn *format_encoder(uint32_t id);
/* The format of an encoder by its name in small letters ("q8_0"); NULL if there is none. */
const struct format *format_encoded_as(const char *name);
#endif
