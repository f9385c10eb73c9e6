/* What tiles are written with: loops over constants that become straight code. */
#ifndef LATHE_KERN_INLINE_H
#define LATHE_KERN_INLINE_H
#define UNROLL _Pragma("GCC unroll 16")
#define ALWAYS __attribute__((always_inline)) static inline
#endif
