/* Running code that this machine may refuse: kernels for instructions that a CPU claims and its system does not save, or
 * that are wrong in a way that only such a CPU shows. An illegal instruction or a bad access then is a kernel that failed
 * its check, not a program that cannot start. */
#ifndef LATHE_KERN_KERN_TRAP_H
#define LATHE_KERN_KERN_TRAP_H
#include <stdbool.h>

/* run(arg) on the calling thread; false if SIGILL, SIGSEGV or SIGBUS cut it short, in which case what it held is not
 * given back. Faults of other threads meanwhile go to the handlers that were there before, which stand again
 * afterwards. One caller at a time in the process. */
bool kern_trap(void (*run)(void *arg), void *arg);
#endif
