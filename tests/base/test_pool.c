/* The worker pool: every piece of every operation runs exactly once and in order, with any number of threads,
 * pieces and operations; on a crowded machine too, where workers sleep through whole runs; and a busy
 * neighbour parks the others. */
#include "base/pool.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "float_state.h"
#include "gguf_write.h"
#include "unit.h"
#include <time.h>
#include <signal.h>

enum { MAX_OP = 40, MAX_PIECE = 70 };

struct board {
    _Atomic int count[MAX_OP][MAX_PIECE];
    _Atomic int n_early; /* pieces that ran before the operation before theirs was complete */
    _Atomic int n_wrong; /* pieces or workers out of range */
    int n_piece[MAX_OP];
    int n_worker;
    uint64_t spin; /* work per piece */
};

struct op_arg {
    struct board *board;
    int op;
};

static void run_piece(const struct pool_op *op, int piece, int worker)
{
    const struct op_arg *a = op->arg;
    struct board *b = a->board;
    if (piece < 0 || piece >= b->n_piece[a->op] || worker < 0 || worker >= b->n_worker) {
        atomic_fetch_add(&b->n_wrong, 1);
        return;
    }
    if (a->op > 0)
        for (int i = 0; i < b->n_piece[a->op - 1]; i++)
            if (atomic_load_explicit(&b->count[a->op - 1][i], memory_order_relaxed) != 1) {
                atomic_fetch_add(&b->n_early, 1);
                break;
            }
    for (volatile uint64_t i = 0; i < b->spin; i++)
        ;
    atomic_fetch_add_explicit(&b->count[a->op][piece], 1, memory_order_relaxed);
}

/* n_run runs over the same array of operations, whose shapes change in between, as a model's pass does. */
static void many_runs(int n_thread, int n_run, uint64_t spin, uint64_t seed, bool no_spin)
{
    struct pool *p;
    struct lathe_err err;
    if (pool_new(n_thread, &p, &err))
        fail_msg("%s", err.text);
    assert_int_equal(pool_n_worker(p), n_thread);
    pool_set_no_spin(p, no_spin);
    struct board *b = calloc(1, sizeof *b);
    struct op_arg args[MAX_OP];
    struct pool_op ops[MAX_OP];
    b->n_worker = n_thread;
    b->spin = spin;
    for (int r = 0; r < n_run; r++) {
        int n_op = (int)(gw_next(&seed) % (MAX_OP + 1));
        for (int i = 0; i < n_op; i++) {
            args[i] = (struct op_arg){b, i};
            b->n_piece[i] = (int)(gw_next(&seed) % 4 ? gw_next(&seed) % MAX_PIECE : gw_next(&seed) % 3);
            ops[i] = (struct pool_op){.run = run_piece, .arg = &args[i], .n_piece = b->n_piece[i]};
            for (int k = 0; k < MAX_PIECE; k++)
                atomic_store_explicit(&b->count[i][k], 0, memory_order_relaxed);
        }
        pool_run(p, ops, n_op);
        for (int i = 0; i < n_op; i++)
            for (int k = 0; k < MAX_PIECE; k++)
                if (atomic_load(&b->count[i][k]) != (k < b->n_piece[i]))
                    fail_msg("%d threads, run %d: piece %d of %d of operation %d ran %d times", n_thread, r,
                             k, b->n_piece[i], i, atomic_load(&b->count[i][k]));
    }
    assert_int_equal(b->n_wrong, 0);
    assert_int_equal(b->n_early, 0);
    pool_free(p);
    free(b);
}

static void each_piece_runs_once(void **state)
{
    for (int n_thread = 1; n_thread <= 5; n_thread++)
        for (int no_spin = 0; no_spin < 2; no_spin++)
            many_runs(n_thread, 400, 0, (uint64_t)n_thread, no_spin);
}

/* More threads than cores: workers are taken off their cores anywhere and come back runs later. */
static void crowded(void **state)
{
    for (int no_spin = 0; no_spin < 2; no_spin++) {
        many_runs(4 * cpu_count(), 1500, 30, 17, no_spin);
        many_runs(16, 300, 300, 18, no_spin);
    }
}

static void no_pieces_and_one_piece(void **state)
{
    for (int n_thread = 1; n_thread < 4; n_thread++) {
        struct pool *p;
        assert_int_equal(pool_new(n_thread, &p, NULL), 0);
        struct board *b = calloc(1, sizeof *b);
        struct op_arg args[3] = {{b, 0}, {b, 1}, {b, 2}};
        struct pool_op ops[3];
        b->n_worker = n_thread;
        for (int i = 0; i < 3; i++)
            ops[i] = (struct pool_op){.run = run_piece, .arg = &args[i]};
        pool_run(p, ops, 3);
        pool_run(p, ops, 0);
        for (int i = 0; i < 3; i++)
            ops[i].n_piece = b->n_piece[i] = i % 2;
        pool_run(p, ops, 3);
        assert_int_equal(b->count[1][0], 1);
        assert_int_equal(b->n_wrong, 0);
        pool_free(p);
        free(b);
    }
}

static void threads_out_of_range(void **state)
{
    struct pool *p;
    struct lathe_err err;
    assert_int_equal(pool_new(0, &p, &err), LATHE_E_USAGE);
    assert_int_equal(pool_new(POOL_MAX_WORKER + 1, &p, &err), LATHE_E_USAGE);
    assert_null(p);
    pool_free(NULL);
    for (int i = 0; i < 50; i++) { /* freed at once, before the workers have begun */
        assert_int_equal(pool_new(4, &p, NULL), 0);
        pool_free(p);
    }
}

static void profile(void **state)
{
    struct pool *p;
    assert_int_equal(pool_new(2, &p, NULL), 0);
    struct board *b = calloc(1, sizeof *b);
    struct op_arg args[2] = {{b, 0}, {b, 1}};
    struct pool_op ops[2];
    b->n_worker = 2;
    b->spin = 20000;
    for (int i = 0; i < 2; i++) {
        b->n_piece[i] = 8;
        ops[i] = (struct pool_op){.run = run_piece, .arg = &args[i], .n_piece = 8};
    }
    pool_set_profile(p, true);
    uint64_t start = clock_ns();
    pool_run(p, ops, 2);
    uint64_t took = clock_ns() - start, sum = 0;
    for (int i = 0; i < 2; i++) {
        uint64_t busy = 0;
        for (int w = 0; w < 2; w++) {
            struct pool_time t = pool_time(p, i, w);
            assert_true(t.end_ns >= t.start_ns);
            busy += t.end_ns - t.start_ns;
        }
        assert_true(busy > 0);
        sum += pool_op_ns(p, i);
    }
    assert_true(sum > 0 && sum <= took);
    pool_free(p);
    free(b);
}

/* ---- a busy neighbour ---- */

static _Atomic bool hog_stop;

static void *hog(void *cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(*(int *)cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    while (!atomic_load_explicit(&hog_stop, memory_order_relaxed))
        ;
    return NULL;
}

/* Seconds of n_run runs that share one core with the hog; the results of every run are checked. */
static void with_a_hog(void **state)
{
    cpu_set_t was;
    int cpu[2], n = 0;
    sched_getaffinity(0, sizeof was, &was);
    for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
        if (CPU_ISSET(i, &was))
            cpu[n++] = i;
    cpu[1] = cpu[n - 1]; /* the only one, if there is only one */
    pthread_t threads[3];
    hog_stop = false;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, hog, &cpu[1]);
    many_runs(2, 150, 2000, 23, false);
    many_runs(3, 100, 2000, 24, true);
    hog_stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    many_runs(2, 150, 2000, 25, false); /* and after it has gone */
}

/* ---- waiting ---- */

static void sleep_piece(const struct pool_op *op, int piece, int worker)
{
    if (piece == 0)
        nanosleep(&(struct timespec){.tv_nsec = 40000000}, NULL);
}

static uint64_t process_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Processor time while two of three workers wait 40 ms for a piece. */
static uint64_t waiting_ns(bool no_spin)
{
    struct pool *p;
    assert_int_equal(pool_new(3, &p, NULL), 0);
    pool_set_no_spin(p, no_spin);
    struct pool_op op = {.run = sleep_piece, .n_piece = 3};
    uint64_t before = process_ns();
    pool_run(p, &op, 1);
    uint64_t took = process_ns() - before;
    pool_free(p);
    return took;
}

static void without_spinning_waiting_costs_nothing(void **state)
{
    assert_true(waiting_ns(true) < 4000000);
    assert_true(waiting_ns(false) > waiting_ns(true));
}

static volatile sig_atomic_t n_signal;

static void on_signal(int number)
{
    n_signal++;
}

/* A signal that the caller has blocked stays pending: no worker takes it. */
static void workers_take_no_signals(void **state)
{
    struct pool *p;
    struct lathe_err err;
    sigset_t one, before;
    struct sigaction act = {.sa_handler = on_signal}, was;
    assert_int_equal(pool_new(4, &p, &err), 0);
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    sigaction(SIGUSR1, &act, &was);
    pthread_sigmask(SIG_BLOCK, &one, &before);
    kill(getpid(), SIGUSR1);
    const struct timespec soon = {.tv_nsec = 20000000};
    nanosleep(&soon, NULL);
    assert_int_equal(n_signal, 0);
    assert_int_equal(sigtimedwait(&one, NULL, &soon), SIGUSR1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sigaction(SIGUSR1, &was, NULL);
    pool_free(p);
}

/* Of denormals and rounding: 1 + 3/4 of the last place is rounded up, 3/2 of the smallest normal's half stays. */
static void run_denormal(const struct pool_op *op, int piece, int worker)
{
    volatile float tiny = 0x1.8p-127f, one = 1.0f, most = 0x1.8p-24f;
    if (tiny * one == 0 || one + most == one)
        atomic_fetch_add((_Atomic int *)op->arg, 1);
}

static void computes_however_the_caller_rounds(void **state)
{
    struct pool *p;
    struct lathe_err err;
    _Atomic int n_wrong = 0;
    unsigned was = float_state();
    float_state_set(was | ODD_STATE);
    assert_int_equal(pool_new(3, &p, &err), 0);
    const struct pool_op op = {.run = run_denormal, .arg = &n_wrong, .n_piece = 64};
    for (int i = 0; i < 20; i++)
        pool_run(p, &op, 1);
    unsigned after = float_state();
    pool_free(p);
    float_state_set(was);
    assert_int_equal(n_wrong, 0);
    assert_int_equal(after & ODD_STATE, ODD_STATE);
}

int main(void)
{
    alarm(240); /* a hang is a failure */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_piece_runs_once),
        cmocka_unit_test(without_spinning_waiting_costs_nothing),
        cmocka_unit_test(workers_take_no_signals),
        cmocka_unit_test(computes_however_the_caller_rounds),
        cmocka_unit_test(crowded),
        cmocka_unit_test(no_pieces_and_one_piece),
        cmocka_unit_test(threads_out_of_range),
        cmocka_unit_test(profile),
        cmocka_unit_test(with_a_hog),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
