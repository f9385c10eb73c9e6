/* How this thread rounds and what it does with denormals, and a state that no kernel is made for. */
#ifndef LATHE_TESTS_FLOAT_STATE_H
#define LATHE_TESTS_FLOAT_STATE_H
#include <stdint.h>
#if defined(__x86_64__)
#include <xmmintrin.h>

enum { ODD_STATE = 0xe040 }; /* flush, denormals are zero, toward zero */
static inline unsigned float_state(void)
{
    return _mm_getcsr();
}
static inline void float_state_set(unsigned state)
{
    _mm_setcsr(state);
}
#elif defined(__aarch64__)
enum { ODD_STATE = 0x1c00000 }; /* flush, toward zero */
static inline unsigned float_state(void)
{
    uint64_t state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(state));
    return (unsigned)state;
}
static inline void float_state_set(unsigned state)
{
    uint64_t wide = state;
    __asm__ volatile("msr fpcr, %0" : : "r"(wide));
}
#endif
#endif
