/* SIGBUS in a mapped file becomes a flag.
 *
 * The handler may run on any thread at any instruction, so ranges live in a fixed table of atomics: `start`
 * is 0 in a free slot, TAKEN in one that is being filled, and is published last. The handler searches, maps
 * zeros over the range from the faulting page to its end (a file that lost one page has lost all behind it;
 * page by page would cost a fault each) and returns to the faulting read. It calls mmap directly, since a
 * sanitizer's wrapper of it is no place for a handler.
 *
 * Somebody may set a handler of his own after us. The next file that is opened takes SIGBUS over again and
 * passes what is not ours to him; should he in turn pass it to us, `inside` ends the circle with the default
 * action. Former handlers are kept in a table that only grows, since another thread's handler may read it. */
#include "format/map_guard.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { N_SLOT = 4096, TAKEN = 1, N_FORMER = 16 };

struct slot {
    atomic_uintptr_t start;
    atomic_size_t n;
    atomic_bool damaged;
};

static struct slot slots[N_SLOT];
static struct sigaction formers[N_FORMER];
static int n_former;        /* under the lock */
static atomic_int i_former; /* the one to pass faults to */
static uintptr_t page_mask;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool inside
    __attribute__((tls_model("initial-exec"))); /* other models may allocate, in a handler */

static bool heal(uintptr_t at)
{
    for (int i = 0; i < N_SLOT; i++) {
        uintptr_t start = atomic_load(&slots[i].start);
        size_t n = atomic_load(&slots[i].n);
        if (start <= TAKEN || at < start || at - start >= n)
            continue;
        uintptr_t page = at & ~page_mask;
        if (syscall(SYS_mmap, page, start + n - page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                    0) == -1)
            return false;
        atomic_store(&slots[i].damaged, true);
        return true;
    }
    return false;
}

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
    int saved = errno;
    /* si_code <= 0 is a signal sent by a process, whose si_addr means nothing */
    bool healed = info->si_code > 0 && heal((uintptr_t)info->si_addr);
    errno = saved;
    if (healed)
        return;
    const struct sigaction *former = &formers[atomic_load(&i_former)];
    bool handles =
        (former->sa_flags & SA_SIGINFO) || (former->sa_handler != SIG_DFL && former->sa_handler != SIG_IGN);
    if (handles && !inside) {
        inside = true;
        if (former->sa_flags & SA_SIGINFO)
            former->sa_sigaction(sig, info, context);
        else
            former->sa_handler(sig);
        inside = false;
        return;
    }
    struct sigaction plain = {.sa_handler = SIG_DFL};
    sigaction(sig, &plain, NULL);
    if (info->si_code <= 0)
        raise(sig); /* a fault would come again by itself */
}

/* Makes our handler the one of the process, unless it is. */
static void install(void)
{
    struct sigaction now, sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&sa.sa_mask);
    page_mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
    sigaction(SIGBUS, NULL, &now);
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
        return;
    int i = 0;
    while (i < n_former &&
           (formers[i].sa_sigaction != now.sa_sigaction || formers[i].sa_flags != now.sa_flags))
        i++;
    if (i == N_FORMER)
        return;
    if (i == n_former)
        formers[n_former++] = now;
    atomic_store(&i_former, i); /* known before ours can run */
    sigaction(SIGBUS, &sa, NULL);
}

int map_guard_add(void *p, size_t n, int *slot, struct lathe_err *err)
{
    pthread_mutex_lock(&lock);
    install();
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < N_SLOT; i++) {
        uintptr_t free_slot = 0;
        if (!atomic_compare_exchange_strong(&slots[i].start, &free_slot, TAKEN))
            continue;
        atomic_store(&slots[i].n, n);
        atomic_store(&slots[i].damaged, false);
        atomic_store(&slots[i].start, (uintptr_t)p);
        *slot = i;
        return 0;
    }
    return err_set(err, LATHE_E_LIMIT, "more than %d model files are open at once; close some", N_SLOT);
}

void map_guard_remove(int slot)
{
    if (slot >= 0)
        atomic_store(&slots[slot].start, 0);
}

bool map_guard_damaged(int slot)
{
    return slot >= 0 && atomic_load(&slots[slot].damaged);
}
