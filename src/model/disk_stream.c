/* Which pages of a mapped layout are in memory, layer by layer:
 *
 *     layer 0          layer 1          layer 2          ...  head
 *     |kept  |tail    |kept  |tail    |kept  |tail    |
 *
 * Kept parts are read in and locked. Where the process may not lock, what they are crowded out by is dropped instead: the tails.
 * Those come and go: while the pass is in a layer, a thread reads the next one's. Of the one before the mapping goes, and without
 * the lock also what the page cache has of it. No tail is longer than it has to be, so that the disk has something to do all the time.
 *
 * Of a layer with experts only those are read that rows choose, and which ones is not known before: there nothing is read ahead, and
 * of the one before only the mapping goes, while the page cache keeps what was used last. */
#include "model/disk_stream.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/thread.h"
#include "model/cache_file.h"
#include "model/model.h"

enum { STEP_BYTES = 4 << 20, RATE_BYTES = 64 << 20 };

/* Bytes of the layout. */
struct unit {
    uint64_t from, to, kept; /* [from, kept) stays, [kept, to) comes and goes */
};

struct disk_stream {
    const uint8_t *panels;
    int fd;
    bool sparse; /* experts are chosen */
    struct unit *unit;
    int n_unit;
    uint64_t n_bytes, most, active; /* all of them, of the largest unit, those that a token reads */
    uint64_t end;                   /* of the last unit in the layout */
    struct disk_stream_plan plan;
    bool planned, runs, locked;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    int at, next;
    _Atomic uint64_t turn; /* grows with each move; 0: there was none */
    bool stop;
};

/* ---- pages ---- */

/* Bytes of the file in whole huge pages: as such they are read and mapped at a tenth of what small ones cost. */
struct piece {
    uint8_t *p;
    uint64_t at, n;
};

/* Those that [from, to) of the layout touches if `all`, else those that it fills. */
static struct piece piece_of(const struct disk_stream *s, uint64_t from, uint64_t to, bool all)
{
    const uint64_t page = MEM_HUGE_PAGE, end = CACHE_HEADER_BYTES + s->end;
    from += CACHE_HEADER_BYTES;
    to += CACHE_HEADER_BYTES;
    from = (all ? from : from + page - 1) / page * page;
    if (to < end)
        to = (all ? to + page - 1 : to) / page * page;
    to = to < end ? to : end;
    return (struct piece){(uint8_t *)s->panels - CACHE_HEADER_BYTES + from, from, to > from ? to - from : 0};
}

/* Reads [from, to) in; not to its end if the pass moves on from turn `now` meanwhile. */
static void read_in(struct disk_stream *s, uint64_t from, uint64_t to, uint64_t now)
{
    struct piece all = piece_of(s, from, to, true);
    for (uint64_t at = 0; at < all.n && s->turn == now; at += STEP_BYTES) {
        uint64_t n = all.n - at < STEP_BYTES ? all.n - at : STEP_BYTES;
#ifdef MADV_POPULATE_READ
        if (madvise(all.p + at, n, MADV_POPULATE_READ) != 0)
#endif
            madvise(all.p + at, n, MADV_WILLNEED);
    }
}

static void drop(struct disk_stream *s, uint64_t from, uint64_t to)
{
    struct piece x = piece_of(s, from, to, false);
    if (!x.n)
        return;
    madvise(x.p, x.n, MADV_DONTNEED);
    if (!s->sparse && !s->locked)
        posix_fadvise(s->fd, (off_t)x.at, (off_t)x.n, POSIX_FADV_DONTNEED);
}

/* ---- units ---- */

static void cover(struct unit *u, const struct matrix *m)
{
    if (!m->panels)
        return;
    uint64_t end = m->offset + (uint64_t)(m->n_panel - 1) * m->panel_stride + m->panel_bytes;
    u->from = m->offset < u->from ? m->offset : u->from;
    u->to = end > u->to ? end : u->to;
}

static struct unit layer_unit(const struct lathe_model *m, const struct model_layer *y)
{
    const struct matrix *all[] = {&y->q, &y->k, &y->v, &y->o, &y->gate, &y->up, &y->down};
    struct unit u = {.from = UINT64_MAX};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cover(&u, all[i]);
    for (int i = 0; y->moe && i < m->config.n_expert; i++) {
        cover(&u, &y->moe->expert[i].gate);
        cover(&u, &y->moe->expert[i].up);
        cover(&u, &y->moe->expert[i].down);
    }
    if (y->moe)
        cover(&u, &y->moe->router);
    return u;
}

static void find_units(struct disk_stream *s, const struct lathe_model *m)
{
    int n_layer = m->config.n_layer;
    s->unit = mem_new((size_t)(n_layer + 1) * sizeof *s->unit);
    for (int i = 0; i < n_layer; i++)
        s->unit[i] = layer_unit(m, &m->layers[i]);
    s->unit[n_layer] = (struct unit){.from = UINT64_MAX};
    if (m->head)
        cover(&s->unit[n_layer], m->head);
    s->n_unit = n_layer + (s->unit[n_layer].to > 0);
    for (int i = 0; i < s->n_unit; i++) {
        uint64_t n = s->unit[i].to - s->unit[i].from;
        s->n_bytes += n;
        s->most = n > s->most ? n : s->most;
        s->end = s->unit[i].to > s->end ? s->unit[i].to : s->end;
        s->unit[i].kept = s->unit[i].from;
    }
}

int disk_stream_new(const struct lathe_model *m, const char *path, const uint8_t *panels,
                    struct disk_stream **out, struct lathe_err *err)
{
    struct lathe_model_info info;
    struct disk_stream *s = mem_new(sizeof *s);
    *out = NULL;
    s->panels = panels;
    s->sparse = m->config.n_expert > 0;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0) {
        free(s);
        return err_set(err, LATHE_E_IO, "%s, from which weights are to be read, cannot be opened: %s", path,
                       strerror(errno));
    }
    lathe_model_get_info(m, &info);
    s->active = info.weight_bytes;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->moved, NULL);
    find_units(s, m);
    s->locked = true;
    drop(s, 0, s->end); /* of the mapping, what reading its header brought along */
    *out = s;
    return 0;
}

/* ---- the thread ---- */

static void *stream_main(void *arg)
{
    struct disk_stream *s = arg;
    uint64_t seen = 0;
    for (;;) {
        pthread_mutex_lock(&s->lock);
        while (!s->stop && s->turn == seen)
            pthread_cond_wait(&s->moved, &s->lock);
        int at = s->at, next = s->next;
        bool stop = s->stop;
        seen = s->turn;
        pthread_mutex_unlock(&s->lock);
        if (stop)
            return NULL;
        read_in(s, s->unit[at].kept, s->unit[at].to, seen);
        read_in(s, s->unit[next].kept, s->unit[next].to, seen);
    }
}

void disk_stream_at(struct disk_stream *s, int at, int next)
{
    at = at < s->n_unit ? at : 0;
    next = next < s->n_unit ? next : 0;
    pthread_mutex_lock(&s->lock);
    for (; s->at != at; s->at = (s->at + 1) % s->n_unit) /* some may have been passed over */
        if (s->at != next)
            drop(s, s->unit[s->at].kept, s->unit[s->at].to);
    s->next = next;
    s->turn++;
    pthread_cond_signal(&s->moved);
    pthread_mutex_unlock(&s->lock);
}

/* ---- the plan ---- */

uint64_t disk_stream_least(const struct disk_stream *s)
{
    return s->n_bytes < 3 * s->most ? s->n_bytes : 3 * s->most;
}

/* Gives every unit a tail of so many bytes, or all of it. What stays is what the tails' huge pages leave. */
static void set_tails(struct disk_stream *s, uint64_t tail)
{
    uint64_t longest = 0;
    s->plan.read_bytes = 0;
    for (int i = 0; i < s->n_unit; i++) {
        struct unit *u = &s->unit[i];
        u->kept = u->to - u->from > tail ? u->to - tail : u->from;
        uint64_t n = piece_of(s, u->kept, u->to, false).n;
        s->plan.read_bytes += n;
        longest = n > longest ? n : longest;
    }
    s->plan.kept_bytes = s->n_bytes - s->plan.read_bytes;
    s->plan.window_bytes = 3 * longest; /* where the pass is, the next one, and one that is being dropped */
}

/* The shortest tails with which no more than `bytes` are in memory. */
static void choose_kept(struct disk_stream *s, uint64_t bytes)
{
    uint64_t tail = s->sparse && bytes < s->n_bytes ? s->most : 0;
    set_tails(s, tail);
    while (tail < s->most && s->plan.kept_bytes + s->plan.window_bytes > bytes)
        set_tails(s, tail += MEM_HUGE_PAGE);
    if (s->sparse) /* the page cache has what was used last */
        s->plan.read_bytes = bytes >= s->n_bytes
                                 ? 0
                                 : (uint64_t)((double)s->active * (1 - (double)bytes / (double)s->n_bytes));
}

/* Of the beginning of the file, read anew. */
static void measure_rate(struct disk_stream *s)
{
    uint64_t from = s->unit[0].from, n = s->n_bytes < RATE_BYTES ? s->n_bytes : RATE_BYTES;
    fdatasync(s->fd); /* it may have been made just now */
    posix_fadvise(s->fd, 0, CACHE_HEADER_BYTES + (off_t)(from + n), POSIX_FADV_DONTNEED);
    uint64_t start = clock_ns();
    read_in(s, from, from + n, 0);
    s->plan.rate = (double)n / ((double)(clock_ns() - start + 1) / 1e9);
}

static void keep(struct disk_stream *s)
{
    for (int i = 0; i < s->n_unit; i++) {
        struct unit *u = &s->unit[i];
        struct piece x = piece_of(s, u->from, u->kept, true); /* tails begin behind it */
        if (u->kept > u->from && (!s->locked || mlock(x.p, x.n) != 0)) {
            s->locked = false;
            read_in(s, u->from, u->kept, 0);
        }
    }
}

void disk_stream_start(struct disk_stream *s, uint64_t bytes)
{
    if (s->planned)
        return;
    s->planned = true;
    choose_kept(s, bytes);
    measure_rate(s);
    keep(s);
    if (s->plan.read_bytes && !s->sparse) /* without the thread pages come as they are touched */
        s->runs = thread_start(&s->thread, stream_main, s) == 0;
}

struct disk_stream_plan disk_stream_get(const struct disk_stream *s)
{
    return s->plan;
}

void disk_stream_free(struct disk_stream *s)
{
    if (!s)
        return;
    if (s->runs) {
        pthread_mutex_lock(&s->lock);
        s->stop = true;
        pthread_cond_signal(&s->moved);
        pthread_mutex_unlock(&s->lock);
        pthread_join(s->thread, NULL);
    }
    pthread_cond_destroy(&s->moved);
    pthread_mutex_destroy(&s->lock);
    close(s->fd);
    free(s->unit);
    free(s);
}
