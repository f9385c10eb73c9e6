/* What config.json says of a quantized folder. */
#ifndef LATHE_FORMAT_PACKED_CONFIG_H
#define LATHE_FORMAT_PACKED_CONFIG_H
#include <jansson.h>
#include "format/packed_write.h"

/* quantization_config; kept: the names of matrices of layers that stayed as they were, has_order: some columns are in an order of their
 * own. The caller owns it. */
json_t *packed_config(const struct packed_write *w, const json_t *kept, bool has_order);
#endif
