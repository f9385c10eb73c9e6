/* SplitMix64 (Steele, Lea, Flood 2014): pseudo-random numbers of a counter. */
#ifndef LATHE_BASE_SPLITMIX_H
#define LATHE_BASE_SPLITMIX_H
#include <stdint.h>

#define SPLITMIX_STEP 0x9e3779b97f4a7c15u

/* Its finalizer: every bit of x changes half of the bits. */
static inline uint64_t splitmix_mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline uint64_t splitmix_next(uint64_t *state)
{
    return splitmix_mix(*state += SPLITMIX_STEP);
}

/* Uniform in [0, 1), of the upper 53 bits. */
static inline double splitmix_share(uint64_t x)
{
    return (double)(x >> 11) * 0x1p-53;
}
#endif
