/* The journal: a head, then records, each with a checksum that goes on from that of the record before it.
 *
 *     head     magic, key, checksum
 *     record   kind, bytes (u32 each), the bytes, checksum
 *
 * Records are appended in groups that end with one of kind COMMIT, after the files they vouch for. Opened again, the journal is cut
 * behind the last group of which everything is as it says: ROWS is written over and over, so that of all groups only the newest can be
 * right about it, and if it is not, nothing is. The folder is held by a lock on the journal. */
#include "shape/work.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file_at.h"
#include "base/mem.h"
#include "base/remove_tree.h"

enum { COMMIT = 0x10000, VOUCH, PIECE_BYTES = 1 << 20, MAX_PATH = 4200, MAX_PUT = 1 << 30, TRIES = 20 };
enum { SYNC_S = 4 }; /* between two times that the disk has all that is written */

static const char magic[8] = "LATHEWK1", journal_name[] = "journal";
static const char *const names[N_WORK_FILE] = {"rows", "rounded", "out"};

struct head {
    char magic[8];
    XXH128_hash_t key;
    uint64_t sum;
};

struct vouch {
    uint64_t file, offset, n_bytes;
    XXH128_hash_t digest;
};
_Static_assert(sizeof(struct head) == 32 && sizeof(struct vouch) == 40, "no holes, as they are summed");

struct work {
    char folder[MAX_PATH], journal[MAX_PATH], beside[MAX_PATH], path[N_WORK_FILE][MAX_PATH];
    int lock;            /* the journal, to be written */
    int fd[N_WORK_FILE]; /* to read what is vouched for; -1: not opened yet */
    bool dirty[N_WORK_FILE];
    uint64_t n_bytes, n_found; /* of the journal: with what was committed; what was found */
    uint64_t sum;              /* of the last record */
    struct buf put;            /* not committed yet */
    uint64_t put_sum;
    double synced_s; /* when the disk last had everything */
};

/* ---- files ---- */

static int io_error(const char *path, struct lathe_err *err)
{
    return err_set(err, LATHE_E_IO, "%.200s cannot be written: %s", path, strerror(errno));
}

const char *work_path(const struct work *w, enum work_file file)
{
    return w->path[file];
}

const char *work_beside(const struct work *w)
{
    return w->beside;
}

int work_file(struct work *w, enum work_file file, uint64_t n_bytes, int *fd, struct lathe_err *err)
{
    *fd = open(w->path[file], O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (*fd < 0)
        return io_error(w->path[file], err);
    int e = n_bytes ? posix_fallocate(*fd, 0, (off_t)n_bytes) : 0;
    if (!e)
        return 0;
    close(*fd);
    *fd = -1;
    errno = e;
    return io_error(w->path[file], err);
}

static int reader_of(struct work *w, enum work_file file)
{
    if (w->fd[file] < 0)
        w->fd[file] = open(w->path[file], O_RDONLY | O_CLOEXEC);
    return w->fd[file];
}

/* Of the part of the file; false if it does not have it. */
static bool digest_of(struct work *w, const struct vouch *v, XXH128_hash_t *out)
{
    uint8_t *room = mem_new(PIECE_BYTES);
    XXH3_state_t *s = XXH3_createState();
    int fd = reader_of(w, (enum work_file)v->file);
    uint64_t at = 0;
    bool ok = fd >= 0;
    XXH3_128bits_reset(s);
    while (ok && at < v->n_bytes) {
        size_t n = v->n_bytes - at < PIECE_BYTES ? (size_t)(v->n_bytes - at) : PIECE_BYTES;
        ok = file_read_at(fd, room, n, v->offset + at);
        if (ok)
            XXH3_128bits_update(s, room, n);
        at += n;
    }
    *out = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    free(room);
    return ok;
}

static bool is_true(struct work *w, const struct vouch *v)
{
    XXH128_hash_t now;
    return v->file < N_WORK_FILE && digest_of(w, v, &now) && XXH128_isEqual(now, v->digest);
}

/* ---- reading ---- */

struct record {
    uint32_t kind, n;
    const uint8_t *p;
    uint64_t sum, end; /* checksum; where the next one begins */
};

static uint64_t sum_of(uint64_t before, uint32_t kind, uint32_t n, const void *p)
{
    uint32_t first[2] = {kind, n};
    return XXH3_64bits_withSeed(p, n, XXH3_64bits_withSeed(first, sizeof first, before));
}

/* The record at `at` of the journal's bytes p[n], which comes after one with this checksum. */
static bool read_record(const uint8_t *p, uint64_t n, uint64_t at, uint64_t before, struct record *r)
{
    if (n - at < 16)
        return false;
    memcpy(&r->kind, p + at, 4);
    memcpy(&r->n, p + at + 4, 4);
    if (n - at - 16 < r->n)
        return false;
    r->p = p + at + 8;
    r->end = at + 16 + r->n;
    memcpy(&r->sum, r->p + r->n, 8);
    return r->sum == sum_of(before, r->kind, r->n, r->p);
}

/* How much of the journal's bytes p[n] is true. */
static uint64_t true_bytes(struct work *w, const uint8_t *p, uint64_t n)
{
    struct vouch rows = {0}, rows_now = {0};
    struct record r;
    uint64_t sum = w->sum, good = sizeof(struct head);
    for (uint64_t at = good; read_record(p, n, at, sum, &r); at = r.end) {
        sum = r.sum;
        if (r.kind == COMMIT) {
            good = r.end;
            w->sum = sum;
            rows = rows_now;
        }
        struct vouch v;
        if (r.kind != VOUCH)
            continue;
        if (r.n != sizeof v)
            break;
        memcpy(&v, r.p, sizeof v);
        if (v.file == WORK_ROWS)
            rows_now = v;
        else if (!is_true(w, &v))
            break;
    }
    return rows.n_bytes && !is_true(w, &rows) ? 0 : good;
}

static const uint8_t *map_journal(const struct work *w, uint64_t n)
{
    const uint8_t *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, w->lock, 0);
    return p == MAP_FAILED ? NULL : p;
}

static struct head head_of(XXH128_hash_t key)
{
    struct head h = {.key = key};
    memcpy(h.magic, magic, sizeof magic);
    h.sum = XXH3_64bits(&h, offsetof(struct head, sum));
    return h;
}

/* Finds what of the journal counts. */
static enum work_state read_journal(struct work *w, const struct head *want)
{
    struct stat st;
    const uint8_t *p = NULL;
    uint64_t n = fstat(w->lock, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (n >= sizeof *want)
        p = map_journal(w, n);
    if (!p)
        return WORK_NEW;
    bool same = memcmp(p, want, sizeof *want) == 0;
    w->sum = want->sum;
    w->n_bytes = w->n_found = same ? true_bytes(w, p, n) : 0;
    munmap((void *)p, n);
    return !same ? WORK_OTHER : w->n_bytes > sizeof *want ? WORK_TAKEN_UP : WORK_NEW;
}

int work_each(const struct work *w, work_note_fn *fn, void *user, struct lathe_err *err)
{
    struct record r;
    struct head h;
    const uint8_t *p = w->n_found ? map_journal(w, w->n_found) : NULL;
    int rc = 0;
    if (!p)
        return 0;
    memcpy(&h, p, sizeof h);
    uint64_t sum = h.sum;
    for (uint64_t at = sizeof h; !rc && read_record(p, w->n_found, at, sum, &r); at = r.end) {
        sum = r.sum;
        if (r.kind < COMMIT)
            rc = fn(user, r.kind, r.p, r.n, err);
    }
    munmap((void *)p, w->n_found);
    return rc;
}

/* ---- writing ---- */

static int append(struct work *w, const void *p, size_t n, struct lathe_err *err)
{
    if (!file_write_at(w->lock, p, n, w->n_bytes))
        return io_error(w->journal, err);
    w->n_bytes += n;
    return 0;
}

void work_note(struct work *w, uint32_t kind, const void *p, size_t n)
{
    uint32_t first[2] = {kind, (uint32_t)n};
    w->put_sum = sum_of(w->put.n ? w->put_sum : w->sum, kind, (uint32_t)n, p);
    buf_put(&w->put, first, sizeof first);
    if (n)
        buf_put(&w->put, p, n);
    buf_put(&w->put, &w->put_sum, sizeof w->put_sum);
}

void work_vouch(struct work *w, enum work_file file, uint64_t offset, uint64_t n_bytes)
{
    struct vouch v = {.file = file, .offset = offset, .n_bytes = n_bytes};
    digest_of(w, &v, &v.digest); /* what cannot be read now will not be as it says */
    w->dirty[file] = true;
    work_note(w, VOUCH, &v, sizeof v);
}

bool work_sync_is_due(const struct work *w)
{
    return clock_s() - w->synced_s > SYNC_S;
}

int work_commit(struct work *w, bool sync, struct lathe_err *err)
{
    if (sync)
        w->synced_s = clock_s();
    for (int i = 0; i < N_WORK_FILE && sync; i++) {
        if (w->dirty[i] && fdatasync(w->fd[i]))
            return io_error(w->path[i], err);
        w->dirty[i] = false;
    }
    work_note(w, COMMIT, NULL, 0);
    if (w->put.full)
        return err_set(err, LATHE_E_LIMIT, "%.200s: more than %d bytes of notes", w->journal, MAX_PUT);
    TRY(append(w, w->put.p, w->put.n, err));
    w->sum = w->put_sum;
    buf_clear(&w->put);
    return sync && fdatasync(w->lock) ? io_error(w->journal, err) : 0;
}

/* ---- opening ---- */

/* The journal, locked. Whoever was done may have taken the folder away in between: then it is made again. */
static int lock_journal(struct work *w, const char *to, struct lathe_err *err)
{
    for (int i = 0; i < TRIES; i++) {
        if (mkdir(w->folder, 0777) && errno != EEXIST)
            return io_error(to, err);
        w->lock = open(w->journal, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (w->lock < 0 && errno == ENOENT)
            continue;
        if (w->lock < 0)
            return io_error(w->journal, err);
        if (flock(w->lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK)
            return err_set(err, LATHE_E_FAILED, "%.200s is being written by another process", to);
        if (file_is_at(w->lock, w->journal))
            return 0;
        close(w->lock);
        w->lock = -1;
    }
    errno = EBUSY;
    return io_error(w->journal, err);
}

/* Behind what counts nothing is left; where nothing counts the files go too. */
static int begin(struct work *w, const struct head *h, struct lathe_err *err)
{
    if (w->n_bytes <= sizeof *h) {
        remove_tree_inside(w->folder, journal_name);
        w->n_bytes = w->n_found = 0;
        w->sum = h->sum;
    }
    if (ftruncate(w->lock, (off_t)w->n_bytes))
        return io_error(w->journal, err);
    return w->n_bytes ? 0 : append(w, h, sizeof *h, err);
}

int work_open(const char *to, XXH128_hash_t key, struct work **out, enum work_state *state,
              struct lathe_err *err)
{
    struct work *w = mem_new(sizeof *w);
    const struct head h = head_of(key);
    *out = NULL;
    w->lock = -1;
    w->synced_s = clock_s();
    buf_init(&w->put, MAX_PUT);
    int n = snprintf(w->folder, sizeof w->folder, "%.4100s.work", to);
    snprintf(w->journal, sizeof w->journal, "%.*s/%s", n, w->folder, journal_name);
    snprintf(w->beside, sizeof w->beside, "%.*s/whole", n, w->folder);
    for (int i = 0; i < N_WORK_FILE; i++) {
        w->fd[i] = -1;
        snprintf(w->path[i], sizeof w->path[i], "%.*s/%s", n, w->folder, names[i]);
    }
    int rc = lock_journal(w, to, err);
    if (!rc) {
        *state = read_journal(w, &h);
        rc = begin(w, &h, err);
    }
    if (rc)
        work_close(w, true);
    else
        *out = w;
    return rc;
}

void work_close(struct work *w, bool keep)
{
    if (!w)
        return;
    if (!keep) {
        remove_tree_inside(w->folder, journal_name);
        unlink(w->journal);
        rmdir(w->folder);
    }
    for (int i = 0; i < N_WORK_FILE; i++)
        if (w->fd[i] >= 0)
            close(w->fd[i]);
    if (w->lock >= 0)
        close(w->lock);
    else
        rmdir(w->folder); /* if there is nothing in it */
    buf_free(&w->put);
    free(w);
}

void work_end(struct work *w, int rc)
{
    work_close(w, w && (rc == LATHE_E_IO || rc == LATHE_E_NOMEM) && w->n_bytes > sizeof(struct head));
}
