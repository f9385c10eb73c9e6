/* Worker pool: pieces, barriers that count pieces, parking.
 *
 * Operations are numbered by one ever-growing sequence number. Each worker has two counters:
 *
 *     next[worker] = number << 24 | pieces of that worker's range already taken      one cache line pair each
 *     done[worker] = number << 24 | pieces that the worker has finished, of whatever range
 *
 * A counter that shows an older number is untouched, one that shows a newer number belongs to an operation
 * that can only run because this one is finished: so a worker that slept through any number of operations
 * finds out by looking, and nothing is ever reset.
 *
 * A cache line that goes from one core to another costs 0.1 us, 0.3 us between dies, and a step has hundreds of
 * barriers. So a worker only stores to its own line, the others only look at it (one counter for all is fetched twice
 * by each), and nobody looks into another's range before it has waited a while. */
#include "base/pool.h"
#include <assert.h>
#include <linux/futex.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/amx.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/numa.h"
#include "base/thread.h"
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum {
    COUNT_BITS = 24,
    SPIN_RUN = 4000,      /* polls between two runs before a worker sleeps: some 50 us */
    SPIN_HELP = 60,       /* polls at a barrier before a worker looks for pieces of others: some 1 us */
    SPIN_BARRIER = 20000, /* polls at a barrier before the core is offered to others */
    LATE_NS = 1000000,    /* a run is late if somebody waited longer than this, */
    LATE_SHARE = 5,       /* and longer than a fifth of the run: less is not worth a worker */
    LATE_WINDOW = 20,     /* parked when late in 3 of 20 runs */
    LATE_LIMIT = 3,
    PARK_MS = 100,
    PARK_MAX_MS = 6400
};
#define COUNT_MASK ((1ull << COUNT_BITS) - 1)

struct line {
    _Alignas(128) _Atomic uint64_t v;
};

struct worker {
    _Alignas(128) struct pool *pool;
    int index;
    pthread_t thread;
    _Atomic uint64_t
        waited_ns; /* at long barriers of the newest run, written by the worker, read after the run */
};

struct pool {
    struct line next[POOL_MAX_WORKER], done[POOL_MAX_WORKER];
    /* The current run, guarded like a seqlock: `first`, the sequence number of op 0, is 0 while the rest
     * changes. */
    _Alignas(128) _Atomic uint64_t first;
    const struct pool_op *_Atomic ops;
    _Atomic int n_op;
    _Atomic int n_active;                /* workers 0 .. n_active-1 have ranges */
    _Alignas(128) _Atomic uint32_t wake; /* futex: counts runs */
    _Atomic uint32_t n_sleeping;
    _Atomic uint32_t n_inside; /* workers that may look at the newest run */
    _Atomic bool stop, no_spin;
    /* Without spinning, who sleeps at a barrier: see wait_asleep. */
    _Alignas(128) _Atomic uint32_t finished; /* futex: counts wake-ups */
    _Atomic uint32_t n_asleep;
    int n_worker;      /* threads there are */
    int n_active_next; /* workers that take part in the next run */
    uint64_t next_number;
    const struct numa_plan *numa; /* NULL: nobody is pinned */
    pthread_t caller;             /* pinned, if is_pinned */
    bool is_pinned;
    /* parking, touched by the caller only */
    uint32_t late_history; /* bit per run, newest lowest */
    int n_trial;           /* runs left of the trial after parking; 0: not on trial */
    uint64_t parked_until_ns, park_ms;
    bool parked;
    /* profile */
    _Atomic bool profile;
    struct pool_time *times; /* [POOL_MAX_TIMED_OP][worker] */
    uint64_t *op_ns;
    int n_timed;
    struct worker workers[];
};

static inline void relax(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Every thread computes with round-to-nearest and denormals kept, whatever its creator had set. Returns the
 * old state. */
static unsigned float_state_set(unsigned state)
{
#if defined(__x86_64__)
    unsigned old = _mm_getcsr();
    _mm_setcsr(state);
    return old;
#elif defined(__aarch64__)
    uint64_t old, new = state;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    if (old != new)
        __asm__ volatile("msr fpcr, %0" : : "r"(new));
    return (unsigned)old;
#else
    return state;
#endif
}
#if defined(__aarch64__)
#define FLOAT_STATE 0u
#else
#define FLOAT_STATE 0x1f80u
#endif

static int range_start(int n_piece, int n_active, int w)
{
    return (int)((int64_t)n_piece * w / n_active);
}

/* An operation as one worker sees it. */
struct turn {
    struct pool *pool;
    const struct pool_op *op;
    uint64_t first, number; /* of the run, of the operation */
    int n_piece, n_active, me;
    bool no_spin;
    uint64_t n_done; /* pieces that this worker has finished */
    struct pool_time *time;
};

/* Takes the next piece of owner's range, or -1. */
static int claim(const struct turn *t, int owner, int n_range)
{
    _Atomic uint64_t *next = &t->pool->next[owner].v;
    uint64_t v = atomic_load_explicit(next, memory_order_relaxed);
    for (;;) {
        uint64_t taken = v & COUNT_MASK, at = v >> COUNT_BITS;
        if (at > t->number)
            return -1;
        if (at < t->number)
            taken = 0;
        if (taken >= (uint64_t)n_range)
            return -1;
        if (atomic_compare_exchange_weak_explicit(next, &v, t->number << COUNT_BITS | (taken + 1),
                                                  memory_order_acquire, memory_order_relaxed))
            return (int)taken;
    }
}

static bool is_done(const struct turn *t)
{
    uint64_t sum = 0;
    for (int w = 0; w < t->n_active; w++) {
        uint64_t v = atomic_load_explicit(&t->pool->done[w].v, memory_order_acquire);
        if (v >> COUNT_BITS > t->number)
            return true;
        if (v >> COUNT_BITS == t->number)
            sum += v & COUNT_MASK;
    }
    return sum >= (uint64_t)t->n_piece;
}

/* The operation's pieces; false if the run is over. A worker that was taken off its core may come back when
 * the caller has already rewritten the operations for the next run: `first` is cleared before that, so a
 * number read while it still stands is of this run, and with it claim() finds nothing left once the run is
 * over. */
static bool op_pieces(struct pool *p, const struct pool_op *op, uint64_t first, int *n_piece)
{
    *n_piece = op->n_piece;
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&p->first, memory_order_relaxed) == first;
}

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wake_asleep(const struct turn *t)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load(&t->pool->n_asleep) && is_done(t)) {
        atomic_fetch_add(&t->pool->finished, 1);
        futex_wake_all(&t->pool->finished);
    }
}

/* Runs what is left to take of owner's range. */
static void work(struct turn *t, int owner)
{
    int start = range_start(t->n_piece, t->n_active, owner),
        n = range_start(t->n_piece, t->n_active, owner + 1) - start;
    uint64_t n_before = t->n_done;
    for (int piece; (piece = claim(t, owner, n)) >= 0; t->n_done++) {
        if (t->time && !t->time->start_ns)
            t->time->start_ns = clock_ns();
        t->op->run(t->op, start + piece, t->me);
    }
    if (t->n_done == n_before)
        return;
    if (t->time)
        t->time->end_ns = clock_ns();
    atomic_store_explicit(&t->pool->done[t->me].v, t->number << COUNT_BITS | t->n_done, memory_order_release);
    if (t->no_spin)
        wake_asleep(t);
}

/* Sleeps until the operation or the run is over. Either it sees that this is so, or who finishes it sees n_asleep. */
static void wait_asleep(struct turn *t)
{
    struct pool *p = t->pool;
    atomic_fetch_add(&p->n_asleep, 1);
    atomic_thread_fence(memory_order_seq_cst);
    for (;;) {
        uint32_t seen = atomic_load(&p->finished);
        if (is_done(t) || atomic_load(&p->first) != t->first)
            break;
        futex_wait(&p->finished, seen);
    }
    atomic_fetch_sub(&p->n_asleep, 1);
}

/* Waits for the barrier, and helps if it takes long, or until the run is over, which a late worker may find out only so;
 * returns the ns waited if that was long enough to matter. */
static uint64_t wait_done(struct turn *t)
{
    for (int spin = 0; spin <= (t->no_spin ? SPIN_HELP : SPIN_BARRIER); spin++) {
        if (is_done(t))
            return 0;
        relax();
        if (spin == SPIN_HELP)
            for (int i = 1; i < t->n_active; i++)
                work(t, (t->me + i) % t->n_active);
    }
    uint64_t start = clock_ns();
    if (t->no_spin) {
        wait_asleep(t);
        return clock_ns() - start;
    }
    while (!is_done(t) && atomic_load(&t->pool->first) == t->first)
        sched_yield();
    return clock_ns() - start + 200000;
}

static void run_ops(struct pool *p, int me, uint64_t first, const struct pool_op *ops, int n_op, int n_active)
{
    uint64_t sum = 0, last = p->profile && me == 0 ? clock_ns() : 0;
    bool timed = p->profile;
    struct turn t = {.pool = p,
                     .first = first,
                     .n_active = n_active,
                     .me = me,
                     .no_spin = atomic_load_explicit(&p->no_spin, memory_order_relaxed)};
    for (int i = 0; i < n_op && op_pieces(p, &ops[i], first, &t.n_piece); i++) {
        t.op = &ops[i];
        t.number = first + (uint64_t)i;
        t.n_done = 0;
        t.time = timed && i < POOL_MAX_TIMED_OP ? &p->times[i * p->n_worker + me] : NULL;
        work(&t, me);
        sum += wait_done(&t);
        if (timed && me == 0 && i < POOL_MAX_TIMED_OP) {
            uint64_t now = clock_ns();
            p->op_ns[i] = now - last;
            last = now;
        }
    }
    amx_release();
    atomic_store_explicit(&p->workers[me].waited_ns, sum, memory_order_relaxed);
}

/* Waits until the run counter moves on from `seen`: spins, then sleeps. */
static uint32_t wait_wake(struct pool *p, uint32_t seen, bool parked)
{
    uint32_t v;
    const int n_spin = parked || atomic_load_explicit(&p->no_spin, memory_order_relaxed) ? 1 : SPIN_RUN;
    for (int spin = 0; spin < n_spin; spin++) {
        if ((v = atomic_load_explicit(&p->wake, memory_order_acquire)) != seen)
            return v;
        relax();
    }
    atomic_fetch_add(&p->n_sleeping, 1);
    while ((v = atomic_load(&p->wake)) == seen)
        futex_wait(&p->wake, seen);
    atomic_fetch_sub(&p->n_sleeping, 1);
    return v;
}

static void *worker_main(void *arg)
{
    struct worker *me = arg;
    struct pool *p = me->pool;
    float_state_set(FLOAT_STATE);
    uint32_t seen = 0;
    bool parked = false;
    for (;;) {
        seen = wait_wake(p, seen, parked);
        if (atomic_load(&p->stop))
            return NULL;
        atomic_fetch_add(&p->n_inside, 1);
        uint64_t first = atomic_load(&p->first);
        const struct pool_op *ops = atomic_load_explicit(&p->ops, memory_order_relaxed);
        int n_op = atomic_load_explicit(&p->n_op, memory_order_relaxed);
        int n_active = atomic_load_explicit(&p->n_active, memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        /* Otherwise the next run is being set up, and its wake-up is still to come. */
        if (first != 0 && first == atomic_load_explicit(&p->first, memory_order_relaxed)) {
            parked = me->index >= n_active;
            if (!parked)
                run_ops(p, me->index, first, ops, n_op, n_active);
        }
        atomic_fetch_sub(&p->n_inside, 1);
    }
}

/* Decides, between two runs, whether the other workers take part. */
static void park_update(struct pool *p, uint64_t run_ns)
{
    if (p->n_worker == 1)
        return;
    if (p->parked) {
        if (clock_ns() >= p->parked_until_ns) {
            p->parked = false;
            p->n_trial = LATE_WINDOW;
            p->late_history = 0;
            p->n_active_next = p->n_worker;
        }
        return;
    }
    bool late = false;
    uint64_t limit = run_ns / LATE_SHARE > LATE_NS ? run_ns / LATE_SHARE : LATE_NS;
    for (int i = 0; i < p->n_worker; i++)
        late |= atomic_load_explicit(&p->workers[i].waited_ns, memory_order_relaxed) > limit;
    p->late_history = (p->late_history << 1 | late) & ((1u << LATE_WINDOW) - 1);
    bool again = p->n_trial > 0;
    if (__builtin_popcount(p->late_history) >= (again ? 1 : LATE_LIMIT)) {
        p->park_ms = !again ? PARK_MS : p->park_ms * 2 < PARK_MAX_MS ? p->park_ms * 2 : PARK_MAX_MS;
        p->parked = true;
        p->parked_until_ns = clock_ns() + p->park_ms * 1000000u;
        p->n_active_next = 1;
    } else if (again) {
        p->n_trial--;
    }
}

void pool_settle(struct pool *p)
{
    atomic_store(&p->first, 0); /* who looks from now on finds no run */
    while (atomic_load(&p->n_inside))
        sched_yield();
}

void pool_pin(struct pool *p, const struct numa_plan *plan)
{
    p->numa = plan;
    p->is_pinned = false;
    for (int i = 1; i < p->n_worker; i++)
        numa_pin(plan, i, p->workers[i].thread);
}

static void pin_caller(struct pool *p)
{
    if (!p->numa || (p->is_pinned && pthread_equal(p->caller, pthread_self())))
        return;
    p->caller = pthread_self();
    p->is_pinned = true;
    numa_pin(p->numa, 0, p->caller);
}

void pool_run(struct pool *p, const struct pool_op *ops, int n_op)
{
    unsigned old = float_state_set(FLOAT_STATE);
    pin_caller(p);
    if (atomic_load_explicit(&p->profile, memory_order_relaxed)) {
        p->n_timed = n_op < POOL_MAX_TIMED_OP ? n_op : POOL_MAX_TIMED_OP;
        memset(p->times, 0, (size_t)p->n_timed * (size_t)p->n_worker * sizeof *p->times);
    }
    for (int i = 0; i < p->n_worker; i++)
        atomic_store_explicit(&p->workers[i].waited_ns, 0, memory_order_relaxed);
    int n_active = p->n_active_next;
    uint64_t first = p->next_number;
    p->next_number += (uint64_t)n_op + 1;
    atomic_store_explicit(&p->first, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    atomic_store_explicit(&p->ops, ops, memory_order_relaxed);
    atomic_store_explicit(&p->n_op, n_op, memory_order_relaxed);
    atomic_store_explicit(&p->n_active, n_active, memory_order_relaxed);
    atomic_store_explicit(&p->first, first, memory_order_release);
    if (n_active > 1) {
        atomic_fetch_add(&p->wake, 1);
        if (atomic_load(&p->n_sleeping))
            futex_wake_all(&p->wake);
    }
    uint64_t start = clock_ns();
    run_ops(p, 0, first, ops, n_op, n_active);
    /* before the caller may rewrite the operations: see op_pieces */
    atomic_store_explicit(&p->first, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
#ifdef __SANITIZE_THREAD__
    /* A late worker may read operations that the caller already rewrites; it drops what it read then. The
     * sanitizer cannot know, so under it nobody is late. */
    pool_settle(p);
#endif
    park_update(p, clock_ns() - start);
    float_state_set(old);
}

static int start_workers(struct pool *p, int n_worker)
{
    int rc = 0;
    for (int i = 1; i < n_worker && !rc; i++) {
        rc = thread_start(&p->workers[i].thread, worker_main, &p->workers[i]);
        p->n_worker += !rc;
    }
    return rc;
}

int pool_new(int n_worker, struct pool **out, struct lathe_err *err)
{
    *out = NULL;
    if (n_worker < 1 || n_worker > POOL_MAX_WORKER)
        return err_set(err, LATHE_E_USAGE, "threads: %d is not in 1..%d", n_worker, POOL_MAX_WORKER);
    void *raw;
    TRY(mem_try(1, sizeof(struct pool) + (size_t)n_worker * sizeof(struct worker), "worker pool", &raw, err));
    struct pool *p = raw;
    p->n_worker = 1;
    p->next_number = 1;
    for (int i = 0; i < n_worker; i++) {
        p->workers[i].pool = p;
        p->workers[i].index = i;
    }
    int rc = start_workers(p, n_worker);
    if (rc) {
        int i = p->n_worker;
        pool_free(p);
        return err_set(err, LATHE_E_FAILED, "thread %d of %d cannot start: %s", i, n_worker, strerror(rc));
    }
    p->n_active_next = n_worker;
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->wake, 1);
    futex_wake_all(&p->wake);
    for (int i = 1; i < p->n_worker; i++)
        pthread_join(p->workers[i].thread, NULL);
    free(p->times);
    free(p->op_ns);
    free(p);
}

void pool_set_no_spin(struct pool *p, bool on)
{
    atomic_store(&p->no_spin, on);
}

int pool_n_worker(const struct pool *p)
{
    return p->n_worker;
}

void pool_set_profile(struct pool *p, bool on)
{
    if (on && !p->times) {
        p->times = mem_new((size_t)POOL_MAX_TIMED_OP * (size_t)p->n_worker * sizeof *p->times);
        p->op_ns = mem_new(POOL_MAX_TIMED_OP * sizeof *p->op_ns);
    }
    atomic_store_explicit(&p->profile, on, memory_order_relaxed);
}

struct pool_time pool_time(const struct pool *p, int op, int worker)
{
    assert(op < p->n_timed && worker < p->n_worker);
    return p->times[op * p->n_worker + worker];
}

uint64_t pool_op_ns(const struct pool *p, int op)
{
    assert(op < p->n_timed);
    return p->op_ns[op];
}
