/* Worker pool: runs a program of operations, each cut into pieces, with a barrier after each operation.
 *
 * A barrier counts finished pieces, not threads: a worker that the kernel took off its core holds up nobody
 * unless it holds a piece. Every worker owns a contiguous range of an operation's pieces, so that it reads
 * memory in one stream, and takes from others' ranges when its own is empty and they take long. A worker that is late again and
 * again (a busy neighbour on its core) is parked and tried again later, at growing intervals. The caller is
 * worker 0. Results must not depend on which worker runs a piece. */
#ifndef LATHE_BASE_POOL_H
#define LATHE_BASE_POOL_H
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct pool;
struct numa_plan;

struct pool_op {
    void (*run)(const struct pool_op *op, int piece, int worker);
    const void *arg;
    int n_piece;
    int layer;        /* -1 outside of layers */
    const char *name; /* for profiles */
    double bytes;     /* of weights and KV that it must read */
    double n_ops;     /* operations (multiply-add counts two) */
    bool is_int8;
};

enum {
    POOL_MAX_WORKER = 256,
    POOL_MAX_TIMED_OP = 4096 /* operations of one run that a profile covers */
};

/* Starts n_worker - 1 threads. */
int pool_new(int n_worker, struct pool **out, struct lathe_err *err);
void pool_free(struct pool *p);
/* Pins the workers (base/numa.h), from its next run on the caller too. Between runs; the plan outlives the pool. */
void pool_pin(struct pool *p, const struct numa_plan *plan);
/* Who waits sleeps after a few looks instead of many: less power, and a wake-up at each barrier that is waited for. Between runs. */
void pool_set_no_spin(struct pool *p, bool on);
int pool_n_worker(const struct pool *p);
/* Runs ops[0..n_op) in order; returns when all pieces of the last are done. One caller at a time. */
void pool_run(struct pool *p, const struct pool_op *ops, int n_op);
/* Waits until no worker looks at the newest run's operations any more: pool_run returns when their pieces are
 * done, which a late worker may still find out. Call it before memory goes that operations or their arguments
 * are in. */
void pool_settle(struct pool *p);

/* Per-worker busy times of the newest run, recorded while `on`; see pool_time. */
void pool_set_profile(struct pool *p, bool on); /* between runs */
struct pool_time {
    uint64_t start_ns, end_ns; /* first piece taken to last piece done; 0 if the worker had none */
};
/* Of op i of the newest run and worker w. */
struct pool_time pool_time(const struct pool *p, int op, int worker);
/* Wall time of op i: from the end of the op before it to the end of its barrier. */
uint64_t pool_op_ns(const struct pool *p, int op);
#endif
