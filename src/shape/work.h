/* What a quantization has done so far, kept beside what it writes, so that one that was ended in the middle (a signal, a crash, the
 * power) goes on there. A folder OUT.work with files of bytes and a journal, whose records vouch for parts of the files with a digest.
 * What the journal does not say, or what is not as it says, is done again. One thread. */
#ifndef LATHE_SHAPE_WORK_H
#define LATHE_SHAPE_WORK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xxhash.h>
#include "base/err.h"

struct work;

/* ROWS holds only what was vouched for last, the others all of it. */
enum work_file { WORK_ROWS, WORK_ROUNDED, WORK_OUT, N_WORK_FILE };

/* Takes up what is there for `to` under the same key, or begins. *state: what was found. FAILED if another process is at it. */
enum work_state { WORK_NEW, WORK_TAKEN_UP, WORK_OTHER /* of another key: it is gone */ };
int work_open(const char *to, XXH128_hash_t key, struct work **out, enum work_state *state,
              struct lathe_err *err);
/* keep: it stays, to be taken up later; else nothing is left of it. NULL is nothing. */
void work_close(struct work *w, bool keep);
/* After a run that ended with rc: kept if anything was done and what stopped it has nothing to do with what it was told. */
void work_end(struct work *w, int rc);

const char *work_path(const struct work *w, enum work_file file);
/* A name in the folder for what is whole before it is moved to its place; it may have a work of its own meanwhile. */
const char *work_beside(const struct work *w);
/* Opens a file of n_bytes, reserved, to be read and written; *fd is the caller's. IO. */
int work_file(struct work *w, enum work_file file, uint64_t n_bytes, int *fd, struct lathe_err *err);

/* Notes of whoever uses it: kinds are his own, from 1 on. They and what is vouched for count from work_commit on, all or nothing. */
void work_note(struct work *w, uint32_t kind, const void *p, size_t n);
void work_vouch(struct work *w, enum work_file file, uint64_t offset, uint64_t n_bytes);
/* `sync`: they are on the disk when it returns; without it they survive the end of the process, though not of the system. */
int work_commit(struct work *w, bool sync, struct lathe_err *err);

/* Whether the disk has not had everything for some seconds: for commits that are many. */
bool work_sync_is_due(const struct work *w);

/* Calls fn with each note that was found at the beginning, in order; stops at a result other than 0 and returns it. */
typedef int work_note_fn(void *user, uint32_t kind, const uint8_t *p, size_t n, struct lathe_err *err);
int work_each(const struct work *w, work_note_fn *fn, void *user, struct lathe_err *err);
#endif
