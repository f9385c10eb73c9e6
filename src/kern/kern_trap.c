/* Faults of one call as a value. */
#include "kern/kern_trap.h"
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>

static const int faults[] = {SIGILL, SIGSEGV, SIGBUS};
enum { N_FAULT = sizeof faults / sizeof *faults };

static struct sigaction formers[N_FAULT];
static _Thread_local sigjmp_buf *out_of
    __attribute__((tls_model("initial-exec"))); /* other models may allocate, in a handler */

static void on_fault(int sig, siginfo_t *info, void *context)
{
    if (out_of)
        siglongjmp(*out_of, 1);
    const struct sigaction *former = &formers[0];
    for (int i = 0; i < N_FAULT; i++)
        former = faults[i] == sig ? &formers[i] : former;
    if (former->sa_flags & SA_SIGINFO) {
        former->sa_sigaction(sig, info, context);
    } else if (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN) {
        former->sa_handler(sig);
    } else {
        sigaction(sig, former, NULL);
        if (info->si_code <= 0)
            raise(sig); /* a fault comes again by itself */
    }
}

bool kern_trap(void (*run)(void *arg), void *arg)
{
    struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigjmp_buf here;
    sigemptyset(&sa.sa_mask);
    for (int i = 0; i < N_FAULT; i++)
        sigaction(faults[i], &sa, &formers[i]);
    bool whole = sigsetjmp(here, 1) == 0;
    if (whole) {
        out_of = &here;
        run(arg);
    }
    out_of = NULL;
    for (int i = 0; i < N_FAULT; i++)
        sigaction(faults[i], &formers[i], NULL);
    return whole;
}
