/* Tile instructions by the names that kernels use: the real ones, or in twins those of the model (amx_model.h), whose state is
 * `m`; the real ones have no use for it. Tiles are literal numbers. */
#ifndef LATHE_KERN_AMX_TILES_H
#define LATHE_KERN_AMX_TILES_H
#include <immintrin.h>
#include "base/amx.h"
#include "kern/x86/amx_model.h"

#ifdef LATHE_TWIN
#define TILES_NEW(m) struct amx_model amx_state = {0}, *m = &amx_state
#define tile_zero(m, t) amx_model_zero(m, t)
#define tile_load(m, t, p, stride) amx_model_load(m, t, p, stride)
#define tile_store(m, t, p, stride) amx_model_store(m, t, p, stride)
#define tile_dot_su(m, dst, a, b) amx_model_dpbsud(m, dst, a, b)
#define tile_dot_bf16(m, dst, a, b) amx_model_dpbf16ps(m, dst, a, b)
#define TILE_NAME(name) name##_twin

static inline void tiles_configure(struct amx_model *m, const struct amx_config *c)
{
    amx_model_config(m, c);
}
#else
#define TILES_NEW(m) struct amx_model *m = NULL
#define tile_zero(m, t) _tile_zero(t)
/* GCC's intrinsic does not say that it reads memory: nothing that is stored may move across it. */
#define tile_load(m, t, p, stride)         \
    do {                                   \
        __asm__ volatile("" ::: "memory"); \
        _tile_loadd(t, p, stride);         \
        __asm__ volatile("" ::: "memory"); \
    } while (0)
#define tile_store(m, t, p, stride) _tile_stored(t, p, stride)
#define tile_dot_su(m, dst, a, b) _tile_dpbsud(dst, a, b)
#define tile_dot_bf16(m, dst, a, b) _tile_dpbf16ps(dst, a, b)
#define TILE_NAME(name) name

/* The configuration stays until the worker's run ends (base/amx.h): one load a run, not one a call. */
static inline void tiles_configure(struct amx_model *m, const struct amx_config *c)
{
    if (amx_configured != c) {
        _tile_loadconfig(c);
        amx_configured = c;
    }
}
#endif
#endif
