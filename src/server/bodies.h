/* Request bodies in memory: each has a limit, and all together have one, which follow from what the process may take. */
#ifndef LATHE_SERVER_BODIES_H
#define LATHE_SERVER_BODIES_H
#include <stdatomic.h>
#include "base/mem.h"

struct bodies {
    uint64_t each, all;     /* limits in bytes */
    _Atomic uint64_t n_now; /* of all that are held */
};

/* `memory_bytes`: of the process; 0: no bound. */
void bodies_init(struct bodies *b, uint64_t memory_bytes);
/* Adds a part to a body whose limit is b->each. False if all bodies together would pass theirs: the part is dropped. */
bool bodies_put(struct bodies *b, struct buf *body, const char *part, size_t n);
/* Frees a body. */
void bodies_drop(struct bodies *b, struct buf *body);
#endif
