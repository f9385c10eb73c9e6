/* The tile registers of AMX. Linux gives their state, 8 KiB a thread, to processes that ask (arch_prctl, since 5.16), and a
 * thread that leaves them in use pays for them at every switch and keeps its core from sleeping deeply: workers release
 * them when a run of operations ends. */
#ifndef LATHE_BASE_AMX_H
#define LATHE_BASE_AMX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits of CPUID leaf 7, EDX. */
enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };
enum { XCR0_TILES = 3 << 17 }; /* configuration and data */

/* Whether tiles with `kind` (AMX_INT8, AMX_BF16) can be used: leaf 7 has both, the system saves both parts of the state,
 * and has not refused. */
bool amx_usable(unsigned leaf_7_edx, unsigned kind, uint64_t xcr0, bool permitted);
/* The same of this machine; asks the kernel the first time, for all threads of the process. */
bool amx_supports(unsigned kind);

/* The configuration that the calling thread's tiles have; NULL: none, they are released. Kernels set it. */
extern _Thread_local const void *amx_configured;
void amx_release_tiles(void);

static inline void amx_release(void)
{
    if (amx_configured)
        amx_release_tiles();
}
#endif
