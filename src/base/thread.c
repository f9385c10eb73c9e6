/* Threads that take no signals: one that the program waits for with sigwait would end it if a worker got it. */
#include "base/thread.h"
#include <sched.h>
#include <signal.h>

/* Those that a thread raises itself stay (a file that shrinks under its mapping is SIGBUS, see format/map_guard.h). */
static void block_signals(sigset_t *before)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigset_t others;
    sigfillset(&others);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        sigdelset(&others, own[i]);
    pthread_sigmask(SIG_BLOCK, &others, before);
}

int thread_start(pthread_t *t, void *(*run)(void *), void *arg)
{
    sigset_t before;
    block_signals(&before);
    int rc = pthread_create(t, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

void thread_be_idle(void)
{
    struct sched_param none = {0};
    pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);
}
