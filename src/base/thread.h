/* Threads of the library: they take no signals of the program that it is in. */
#ifndef LATHE_BASE_THREAD_H
#define LATHE_BASE_THREAD_H
#include <pthread.h>

/* pthread_create without attributes; 0 or an errno number. */
int thread_start(pthread_t *t, void *(*run)(void *), void *arg);
/* The calling thread from now on runs when nothing else wants its core. */
void thread_be_idle(void);
#endif
