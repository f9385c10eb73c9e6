/* AMX: whether this process may use it, and giving tiles back. */
#include "base/amx.h"
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

_Thread_local const void *amx_configured;

bool amx_usable(unsigned leaf_7_edx, unsigned kind, uint64_t xcr0, bool permitted)
{
    unsigned need = AMX_TILE | kind;
    return (leaf_7_edx & need) == need && (xcr0 & XCR0_TILES) == XCR0_TILES && permitted;
}

#if defined(__x86_64__)
static struct {
    unsigned leaf_7_edx;
    uint64_t xcr0;
    bool permitted;
} amx;

static void ask(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA */
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    amx.xcr0 = (uint64_t)high << 32 | low;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        amx.leaf_7_edx = d;
    if (amx_usable(amx.leaf_7_edx, 0, amx.xcr0, true))
        amx.permitted = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

bool amx_supports(unsigned kind)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, ask);
    return amx_usable(amx.leaf_7_edx, kind, amx.xcr0, amx.permitted);
}

void amx_release_tiles(void)
{
    __asm__ volatile("tilerelease" ::: "memory");
    amx_configured = NULL;
}
#else
bool amx_supports(unsigned kind)
{
    return false;
}

void amx_release_tiles(void)
{
    amx_configured = NULL;
}
#endif
