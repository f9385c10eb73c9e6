/* The KV cache is touched before it is needed. Memory that is new costs its first user: the kernel clears it, and under a
 * hypervisor the host has to find it (360 MiB: 30 ms here if the host has them, 800 if not), and the cache is so laid
 * out that the first tokens touch a part of all of it. A thread that runs only when nothing else wants its core does it;
 * a request that is faster touches what it needs itself. Nothing is changed by it, so it needs no lock. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "base/thread.h"
#include "engine/engine.h"

enum { PIECE_BYTES = 2 << 20, SMALL_PAGE = 4096 };

struct warm {
    pthread_t thread;
    uint8_t *p;
    size_t n_bytes;
    _Atomic bool stop;
};

/* Without the call that does it (Linux 5.14): adding nothing is a write, and cannot lose another's. */
static void touch(uint8_t *p, size_t n)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(p, n, MADV_POPULATE_WRITE) == 0 || errno != EINVAL)
        return;
#endif
    for (size_t i = 0; i < n; i += SMALL_PAGE)
        __atomic_fetch_add(p + i, 0, __ATOMIC_RELAXED);
}

static void *warm_main(void *arg)
{
    struct warm *w = arg;
    thread_be_idle();
    for (size_t at = 0; at < w->n_bytes && !w->stop; at += PIECE_BYTES)
        touch(w->p + at, w->n_bytes - at < PIECE_BYTES ? w->n_bytes - at : PIECE_BYTES);
    return NULL;
}

void lathe_engine_warm(lathe_engine *e)
{
    if (e->warm)
        return;
    struct warm *w = mem_new(sizeof *w);
    w->p = e->pages.kv;
    w->n_bytes = (size_t)e->pages.n_page * e->pages.form.page_bytes;
    if (thread_start(&w->thread, warm_main, w))
        free(w); /* then requests touch it */
    else
        e->warm = w;
}

void warm_free(struct warm *w)
{
    if (!w)
        return;
    w->stop = true;
    pthread_join(w->thread, NULL);
    free(w);
}
