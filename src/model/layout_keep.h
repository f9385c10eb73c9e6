/* Writes a layout that lives in memory to the cache folder, in the background: the first start does not wait for the disk. */
#ifndef LATHE_MODEL_LAYOUT_KEEP_H
#define LATHE_MODEL_LAYOUT_KEEP_H
#include "model/cache_file.h"

struct layout_keep;

/* Starts to write bytes[n], which stay and do not change until layout_keep_end. NULL where it cannot be written or
 * another process is writing it. */
struct layout_keep *layout_keep_start(const char *path, const struct cache_id *id, const uint8_t *bytes,
                                      size_t n);
/* Waits until all is written, and frees; whether the file is there. NULL gives false. */
bool layout_keep_end(struct layout_keep *k);
#endif
