/* Lines of a stream as token ids, read ahead by a thread. */
#include "cli/line_ids.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <poll.h>
#include "base/mem.h"
#include "cli/input.h"

/* N_AHEAD: lines that wait, at most; LINE_LIMIT: bytes of one. */
enum { N_AHEAD = 512, LINE_LIMIT = 16 << 20, BLOCK = 64 << 10 };

struct item {
    struct line_taken taken;
    int code;
};

struct line_ids {
    struct line_options o;
    int fd, stop[2];    /* a byte in `stop` ends a read that waits */
    bool owns_fd, runs; /* runs: there is a thread */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct item ring[N_AHEAD]; /* under the lock, as all that follows */
    uint64_t n_put, n_taken;
    bool ended, closing;
    struct lathe_err err; /* of the last item, if it has a code: nothing comes after it */
};

/* ---- the thread ---- */

/* False if nobody takes lines any more, or this was the last one. */
static bool put_item(struct line_ids *l, struct item item, const struct lathe_err *err)
{
    pthread_mutex_lock(&l->lock);
    while (l->n_put - l->n_taken == N_AHEAD && !l->closing)
        pthread_cond_wait(&l->changed, &l->lock);
    bool goes = !l->closing;
    if (goes) {
        l->ring[l->n_put++ % N_AHEAD] = item;
        if (item.code)
            l->err = *err;
    }
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (!goes)
        free(item.taken.ids);
    return goes && !item.code;
}

static int tokenize(const struct line_ids *l, uint64_t number, const char *text, size_t n,
                    struct line_taken *t, struct lathe_err *err)
{
    const struct line_options *o = &l->o;
    const char *tab = o->pairs ? memchr(text, '\t', n) : NULL;
    size_t n_first = tab ? (size_t)(tab - text) : n;
    struct lathe_err cause;
    int rc = lathe_tokenize_pair(o->vocab, text, n_first, tab ? tab + 1 : NULL, tab ? n - n_first - 1 : 0,
                                 o->truncate ? o->n_most : 0, &t->ids, &t->n_ids, &t->second_at, &cause);
    if (rc)
        return err_set(err, rc, "line %llu: %s", (unsigned long long)number, cause.text);
    if (t->n_ids > (size_t)o->n_most)
        return err_set(err, LATHE_E_CONTEXT,
                       "line %llu has %zu tokens, %d are the most; --truncate cuts longer lines",
                       (unsigned long long)number, t->n_ids, o->n_most);
    if (t->n_ids == 0)
        return err_set(err, LATHE_E_USAGE,
                       "line %llu has no tokens: this model gives nothing for an empty text",
                       (unsigned long long)number);
    return 0;
}

static bool put_line(struct line_ids *l, uint64_t number, const char *text, size_t n)
{
    struct lathe_err err;
    struct item item = {.code = 0};
    item.code = tokenize(l, number, text, n, &item.taken, &err);
    if (item.code) {
        free(item.taken.ids);
        item.taken.ids = NULL;
    }
    return put_item(l, item, &err);
}

static bool put_failure(struct line_ids *l, const struct lathe_err *err)
{
    return put_item(l, (struct item){.code = err->code}, err);
}

/* Bytes into `block`; 0 at the end, or when closing. */
static ssize_t read_some(const struct line_ids *l, char *block)
{
    struct pollfd fds[] = {{.fd = l->fd, .events = POLLIN}, {.fd = l->stop[0], .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return -1;
        if (fds[1].revents)
            return 0;
        ssize_t n = fds[0].revents ? read(l->fd, block, BLOCK) : -1;
        if (n >= 0 || (fds[0].revents && errno != EINTR && errno != EAGAIN))
            return n;
    }
}

/* The lines of a block; `rest` has what came before of a line that has not ended. False: enough. */
static bool split_block(struct line_ids *l, struct buf *rest, const char *p, size_t n, uint64_t *number)
{
    while (n) {
        const char *end = memchr(p, '\n', n);
        size_t len = end ? (size_t)(end - p) : n;
        bool whole = end && rest->n == 0;
        if (!whole && buf_put(rest, p, len)) {
            struct lathe_err err;
            err_set(&err, LATHE_E_LIMIT, "line %llu has more than %d MiB", (unsigned long long)*number,
                    LINE_LIMIT >> 20);
            return put_failure(l, &err);
        }
        if (!end)
            return true;
        if (!put_line(l, (*number)++, whole ? p : rest->p ? rest->p : "", whole ? len : rest->n))
            return false;
        buf_clear(rest);
        p += len + 1;
        n -= len + 1;
    }
    return true;
}

static void *reader(void *arg)
{
    struct line_ids *l = arg;
    struct buf rest;
    char *block = mem_new(BLOCK);
    uint64_t number = 1;
    ssize_t n;
    bool goes = true;
    buf_init(&rest, LINE_LIMIT);
    while (goes && (n = read_some(l, block)) > 0)
        goes = split_block(l, &rest, block, (size_t)n, &number);
    if (goes && n < 0) {
        struct lathe_err err;
        err_set(&err, LATHE_E_FILE, "the lines cannot be read: %s", strerror(errno));
        put_failure(l, &err);
    } else if (goes && rest.n) {
        put_line(l, number, rest.p, rest.n);
    }
    pthread_mutex_lock(&l->lock);
    l->ended = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    buf_free(&rest);
    free(block);
    return NULL;
}

/* ---- who takes them ---- */

int line_ids_take(struct line_ids *l, bool waits, struct line_taken *out, struct lathe_err *err)
{
    pthread_mutex_lock(&l->lock);
    while (waits && l->n_put == l->n_taken && !l->ended)
        pthread_cond_wait(&l->changed, &l->lock);
    int rc = l->n_put > l->n_taken;
    if (rc) {
        struct item item = l->ring[l->n_taken++ % N_AHEAD];
        *out = item.taken;
        if (item.code) {
            *err = l->err;
            rc = item.code;
        }
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->lock);
    return rc;
}

int line_ids_open(const char *path, const struct line_options *o, struct line_ids **out,
                  struct lathe_err *err)
{
    struct line_ids *l = mem_new(sizeof *l);
    int rc = 0;
    *out = NULL;
    l->o = *o;
    l->stop[0] = l->stop[1] = -1;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->changed, NULL);
    l->owns_fd = path != NULL;
    l->fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (l->fd < 0)
        rc = err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno));
    else if (pipe2(l->stop, O_CLOEXEC))
        rc = err_set(err, LATHE_E_FAILED, "a pipe cannot be made: %s", strerror(errno));
    else if ((errno = pthread_create(&l->thread, NULL, reader, l)))
        rc = err_set(err, LATHE_E_FAILED, "a thread cannot start: %s", strerror(errno));
    l->runs = !rc;
    if (rc) {
        l->ended = true;
        line_ids_close(l);
        return rc;
    }
    *out = l;
    return 0;
}

void line_ids_close(struct line_ids *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
    if (l->runs) {
        ssize_t ignored = write(l->stop[1], "", 1);
        (void)ignored;
        pthread_join(l->thread, NULL);
    }
    for (uint64_t i = l->n_taken; i < l->n_put; i++)
        free(l->ring[i % N_AHEAD].taken.ids);
    for (int i = 0; i < 2; i++)
        if (l->stop[i] >= 0)
            close(l->stop[i]);
    if (l->owns_fd && l->fd >= 0)
        close(l->fd);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    free(l);
}
