/* The bound, and what is left of it. */
#include "shape/memory.h"
#include "base/mem_room.h"

enum { LEAST_BYTES = 64 << 20, PAGES_BYTES = 8 << 20 /* of mapped files, that are in use */ };

uint64_t memory_bound(const struct model_file *f)
{
    uint64_t all = 0;
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        all += model_file_tensor(f, i)->n_bytes;
    return all / 5 > LEAST_BYTES ? all / 5 : LEAST_BYTES;
}

uint64_t memory_for_moments(const struct model_file *f, struct calib *c)
{
    uint64_t bound = memory_bound(f),
             taken = PAGES_BYTES + mem_anonymous() + pass_buffer_bytes(calib_pass(c));
    return bound > taken ? bound - taken : 0;
}
