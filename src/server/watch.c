/* Watches the sockets of suspended connections, in one thread for all of them: who leaves is told by epoll, who has waited for long by
 * its time limit. */
#include "server/watch.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "server/exchange.h"

struct watch {
    int epoll, stop;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    struct watched {
        struct exchange *x; /* NULL: not watched */
        uint64_t due_ns;    /* when its silence ends; 0: never */
    } * by_fd;              /* [n_fd] */
    int n_fd;
    uint64_t silence_ns;
    void (*gone)(void *user, struct exchange *x);
    void *user;
};

static int socket_of(const struct exchange *x)
{
    const union MHD_ConnectionInfo *info =
        mhd.get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

void watch_add(struct watch *w, struct exchange *x)
{
    int fd = socket_of(x);
    if (fd < 0)
        return;
    pthread_mutex_lock(&w->lock);
    if (fd >= w->n_fd) {
        int n = (fd + 64) * 2;
        w->by_fd = mem_grow(w->by_fd, (size_t)n * sizeof *w->by_fd);
        memset(w->by_fd + w->n_fd, 0, (size_t)(n - w->n_fd) * sizeof *w->by_fd);
        w->n_fd = n;
    }
    w->by_fd[fd] = (struct watched){x, x->tells_silence ? clock_ns() + w->silence_ns : 0};
    struct epoll_event e = {.events = EPOLLRDHUP | EPOLLONESHOT, .data.fd = fd};
    epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &e);
    pthread_mutex_unlock(&w->lock);
}

void watch_remove(struct watch *w, struct exchange *x)
{
    int fd = socket_of(x);
    if (fd < 0)
        return;
    pthread_mutex_lock(&w->lock);
    if (fd < w->n_fd && w->by_fd[fd].x == x) {
        w->by_fd[fd].x = NULL;
        epoll_ctl(w->epoll, EPOLL_CTL_DEL, fd, NULL);
    }
    pthread_mutex_unlock(&w->lock);
}

/* The exchange on the socket, with a reference, if its client has gone. An event may be older than the socket's present
 * use, so that the socket itself is asked; while it is watched it is open. */
static struct exchange *who_left(struct watch *w, int fd)
{
    pthread_mutex_lock(&w->lock);
    struct exchange *x = fd < w->n_fd ? w->by_fd[fd].x : NULL;
    struct pollfd now = {.fd = fd, .events = POLLRDHUP};
    if (x && poll(&now, 1, 0) == 1)
        exchange_ref(x);
    else
        x = NULL;
    pthread_mutex_unlock(&w->lock);
    return x;
}

/* One whose silence has ended, with a reference, from *fd on. Exchanges lock before the watch does, so that they are told
 * without its lock. */
static struct exchange *who_waits(struct watch *w, int *fd, uint64_t now)
{
    struct exchange *x = NULL;
    pthread_mutex_lock(&w->lock);
    for (; !x && *fd < w->n_fd; ++*fd)
        if (w->by_fd[*fd].x && w->by_fd[*fd].due_ns && w->by_fd[*fd].due_ns <= now)
            x = exchange_ref(w->by_fd[*fd].x);
    pthread_mutex_unlock(&w->lock);
    return x;
}

static void end_silences(struct watch *w)
{
    int fd = 0;
    uint64_t now = clock_ns();
    for (struct exchange *x; (x = who_waits(w, &fd, now)) != NULL; exchange_unref(x))
        exchange_end_silence(x);
}

static void *watch_main(void *arg)
{
    struct watch *w = arg;
    struct epoll_event events[64];
    uint64_t tick_ns = w->silence_ns / 8 < 1000000000 ? w->silence_ns / 8 + 1000000 : 1000000000;
    uint64_t next_ns = clock_ns() + tick_ns;
    for (;;) {
        uint64_t now = clock_ns();
        if (now >= next_ns) {
            end_silences(w);
            next_ns = now + tick_ns;
        }
        int n = epoll_wait(w->epoll, events, 64, (int)((next_ns - now) / 1000000) + 1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == w->stop)
                return NULL;
            struct exchange *x = who_left(w, events[i].data.fd);
            if (!x)
                continue;
            w->gone(w->user, x);
            exchange_unref(x);
        }
        if (n < 0 && errno != EINTR)
            return NULL;
    }
}

int watch_new(void (*gone)(void *user, struct exchange *x), void *user, int silence_ms, struct watch **out,
              struct lathe_err *err)
{
    struct watch *w = mem_new(sizeof *w);
    w->silence_ns = (uint64_t)silence_ms * 1000000;
    w->gone = gone;
    w->user = user;
    pthread_mutex_init(&w->lock, NULL);
    w->epoll = epoll_create1(EPOLL_CLOEXEC);
    w->stop = eventfd(0, EFD_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = w->stop};
    bool is_open = w->epoll >= 0 && w->stop >= 0 && !epoll_ctl(w->epoll, EPOLL_CTL_ADD, w->stop, &e);
    int why = is_open ? pthread_create(&w->thread, NULL, watch_main, w) : errno;
    if (why) {
        watch_free(w);
        return err_set(err, LATHE_E_FAILED, "the watch over connections cannot start: %s", strerror(why));
    }
    w->started = true;
    *out = w;
    return 0;
}

void watch_free(struct watch *w)
{
    uint64_t one = 1;
    if (!w)
        return;
    if (w->started && write(w->stop, &one, sizeof one) == sizeof one)
        pthread_join(w->thread, NULL);
    if (w->epoll >= 0)
        close(w->epoll);
    if (w->stop >= 0)
        close(w->stop);
    pthread_mutex_destroy(&w->lock);
    free(w->by_fd);
    free(w);
}
