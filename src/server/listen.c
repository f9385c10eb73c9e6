/* Addresses that the server listens on. */
#include "server/listen.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"
#define TLS_PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

enum { HTTP_THREADS = 2, BACKLOG = 512, OTHER_FILES = 64, HOST_MAX = 64 };

/* ---- addresses ---- */

static bool address_of(const char *host, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

/* "127.0.0.1:9090" or "[::1]:9090" into its parts. */
static bool split(const char *text, char *host, size_t n_host, int *port)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (!colon || colon == text || !colon[1])
        return false;
    bool bracket = text[0] == '[' && colon[-1] == ']';
    size_t n = (size_t)(colon - text) - 2 * bracket;
    long x = strtol(colon + 1, &end, 10);
    if (*end || colon[1] < '0' || colon[1] > '9' || x > 65535 || n >= n_host)
        return false;
    memcpy(host, text + bracket, n);
    host[n] = 0;
    *port = (int)x;
    return true;
}

static const char *unix_path_of(const char *where)
{
    size_t n = strlen(UNIX_PREFIX);
    return strncmp(where, UNIX_PREFIX, n) == 0 ? where + n : NULL;
}

/* ---- what may be served ---- */

static int check_address(const struct server_config *c, const char *option, const char *host, bool has_keys,
                         struct lathe_err *err)
{
    struct sockaddr_storage address;
    if (!address_of(host, 0, &address))
        return err_set(err, LATHE_E_USAGE, "--%s %.100s is no numeric address such as 127.0.0.1 or ::1",
                       option, host);
    if (!is_loopback(&address) && !c->insecure && !has_keys)
        return err_set(
            err, LATHE_E_USAGE,
            "--%s %.100s can be reached by others and there are no keys: --keys FILE asks for them, "
            "--insecure lets everybody in",
            option, host);
    return 0;
}

static int check_admin(const struct server_config *c, bool has_keys, struct lathe_err *err)
{
    char host[HOST_MAX];
    int port;
    const char *path = unix_path_of(c->admin_listen);
    const size_t most = sizeof(struct sockaddr_un) - offsetof(struct sockaddr_un, sun_path) - 1;
    if (path && (!*path || strlen(path) > most))
        return err_set(err, LATHE_E_USAGE, "--admin-listen unix:%.120s: a socket's path has 1 to %zu bytes",
                       path, most);
    if (!path && !split(c->admin_listen, host, sizeof host, &port))
        return err_set(err, LATHE_E_USAGE,
                       "--admin-listen %.120s is no address: 127.0.0.1:9090, [::1]:9090 or "
                       "unix:/run/lathe/admin.sock",
                       c->admin_listen);
    return path ? 0 : check_address(c, "admin-listen", host, has_keys, err);
}

int listen_check(const struct server_config *c, bool has_keys, struct lathe_err *err)
{
    TRY(check_address(c, "host", c->host, has_keys, err));
    return c->admin_listen ? check_admin(c, has_keys, err) : 0;
}

/* ---- daemons ---- */

/* A guest's limits are watched from here on. */
static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    const struct listener *l = user;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            mhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = info ? guard_enter(l->server->guard, info->connect_fd) : NULL;
    } else if (*context) {
        guard_leave(l->server->guard, *context);
        *context = NULL;
    }
}

/* Starts serving on an address, or on a socket that listens already. */
static void start(struct listener *l, const struct sockaddr_storage *address, int fd)
{
    const struct server_config *c = l->server->config;
    struct MHD_OptionItem options[13] = {{MHD_OPTION_END, 0, NULL}};
    int n = 0;
    /* Not epoll: the library waits for its edges, and when a client's end comes with the last bytes that it sent the edge
     * is gone; the connection is then held until its time is over. Poll costs some 0.2 ms a step more with 1000 idle ones. */
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME;
    if (address && address->ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (address && l->server->tls) {
        flags |= MHD_USE_TLS;
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)tls_callback()};
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES};
    }
    if (address)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_SOCK_ADDR, 0, (void *)address};
    else
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_SOCKET, fd, NULL};
    if (l->requests)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, HTTP_THREADS, NULL};
    if (c->max_per_address)
        options[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT, c->max_per_address, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_LIMIT, c->max_connection, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_CONNECTION_TIMEOUT, c->idle_s, NULL};
    options[n++] =
        (struct MHD_OptionItem){MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)c->max_header_kib << 10, NULL};
    options[n++] = (struct MHD_OptionItem){MHD_OPTION_LISTEN_BACKLOG_SIZE, BACKLOG, NULL};
    options[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    errno = 0;
    l->daemon = mhd.start_daemon(flags, 0, NULL, NULL, http_on_request, l, MHD_OPTION_NOTIFY_COMPLETED,
                                 http_on_completed, l, MHD_OPTION_NOTIFY_CONNECTION, on_connection, l,
                                 MHD_OPTION_ARRAY, options, MHD_OPTION_END);
}

static int open_address(struct listener *l, const char *option, const char *host, int port,
                        struct lathe_err *err)
{
    struct sockaddr_storage address;
    address_of(host, port, &address);
    snprintf(l->host, sizeof l->host, "%s", host);
    start(l, &address, -1);
    if (!l->daemon)
        return err_set(err, LATHE_E_IO, "%.100s port %d cannot be served: %s; --%s chooses another", host,
                       port, errno ? strerror(errno) : "the HTTP library refuses", option);
    return 0;
}

/* Whether a socket's file is left over from a server that is no more. */
static bool is_stale(const struct sockaddr_un *a)
{
    struct stat st;
    if (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof *a) && errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return dead;
}

static int open_unix(struct listener *l, const char *path, struct lathe_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    if (is_stale(&a))
        unlink(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) || chmod(path, 0660) || listen(fd, BACKLOG)) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return err_set(err, LATHE_E_IO, "--admin-listen unix:%.120s cannot be served: %s", path,
                       strerror(why));
    }
    snprintf(l->unix_path, sizeof l->unix_path, "%s", path);
    start(l, NULL, fd);
    if (!l->daemon) {
        close(fd);
        return err_set(err, LATHE_E_IO, "--admin-listen unix:%.120s cannot be served by the HTTP library",
                       path);
    }
    return 0;
}

static int open_admin(struct server *s, const char *where, struct lathe_err *err)
{
    char host[HOST_MAX];
    int port;
    s->admin = (struct listener){.server = s, .operations = true};
    const char *path = unix_path_of(where);
    if (path)
        return open_unix(&s->admin, path, err);
    split(where, host, sizeof host, &port);
    return open_address(&s->admin, "admin-listen", host, port, err);
}

/* A connection is a file, and shells allow 1024 of them by default where the system would allow more. */
static void allow_files(int n_connection)
{
    struct rlimit l;
    rlim_t need = (rlim_t)n_connection + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= need)
        return;
    l.rlim_cur = l.rlim_max < need ? l.rlim_max : need;
    if (setrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < need)
        log_say(LOG_WARN, "few_files", "max-connections is %d, and only %llu files may be open (ulimit -n)",
                n_connection, (unsigned long long)l.rlim_cur);
}

int listen_open(struct server *s, struct lathe_err *err)
{
    const struct server_config *c = s->config;
    allow_files(c->max_connection);
    s->main = (struct listener){.server = s, .requests = true, .operations = !c->admin_listen};
    TRY(open_address(&s->main, "port", c->host, c->port, err));
    return c->admin_listen ? open_admin(s, c->admin_listen, err) : 0;
}

void listen_close(struct server *s)
{
    struct listener *all[] = {&s->main, &s->admin};
    for (int i = 0; i < 2; i++) {
        if (all[i]->daemon)
            mhd.stop_daemon(all[i]->daemon);
        if (all[i]->unix_path[0])
            unlink(all[i]->unix_path);
        all[i]->daemon = NULL;
        all[i]->unix_path[0] = 0;
    }
}

bool listen_url(const struct listener *l, char *out, size_t n)
{
    if (!l->daemon)
        return false;
    if (l->unix_path[0])
        return snprintf(out, n, UNIX_PREFIX "%s", l->unix_path) > 0;
    const union MHD_DaemonInfo *info = mhd.get_daemon_info(l->daemon, MHD_DAEMON_INFO_BIND_PORT);
    bool v6 = strchr(l->host, ':') != NULL;
    return snprintf(out, n, "http%s://%s%s%s:%d", l->server->tls ? "s" : "", v6 ? "[" : "", l->host,
                    v6 ? "]" : "", info ? info->port : 0) > 0;
}
