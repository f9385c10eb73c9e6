/* The bound, and what is left of it. */
#include "shape/memory.h"
#include <stdlib.h>
#include "base/mem_room.h"
#include "shape/layer_inputs.h"

enum { LEAST_BYTES = 64 << 20, PAGES_BYTES = 8 << 20 /* of mapped files, that are in use */ };

uint64_t memory_bound(const struct model_file *f)
{
    uint64_t all = 0;
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++)
        all += model_file_tensor(f, i)->n_bytes;
    return all / 5 > LEAST_BYTES ? all / 5 : LEAST_BYTES;
}

/* Panels of the largest layer, in the 8 bits or more that it has while it is looked at; rounded ones are held beside them. */
static uint64_t layer_bytes(struct lathe_model *m)
{
    uint64_t most = 0;
    struct layer_input *inputs = mem_new((size_t)layer_inputs_most(m) * sizeof *inputs);
    for (int i = 0; i < m->config.n_layer; i++) {
        uint64_t sum = 0;
        for (int k = 0, n = layer_inputs(m, i, inputs); k < n; k++)
            for (int j = 0; j < inputs[k].n_w; j++)
                sum += matrix_bytes(inputs[k].w[j]);
        most = sum > most ? sum : most;
    }
    free(inputs);
    return most;
}

uint64_t memory_for_moments(const struct model_file *f, struct calib *c)
{
    uint64_t bound = memory_bound(f), taken = PAGES_BYTES + mem_anonymous() +
                                              pass_buffer_bytes(calib_pass(c)) + layer_bytes(calib_model(c));
    return bound > taken ? bound - taken : 0;
}
