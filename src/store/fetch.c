/* HTTP with redirects, retries and resumption.
 *
 * Redirects are followed here, not by libcurl, so that it is plain where the token goes: to the origin it is for, and
 * nowhere else. A transfer that breaks is gone on with (Range, and If-Range with the entity tag that is kept beside the
 * part), after a pause that doubles; one that brought bytes starts to count anew. */
#include "store/fetch.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/file_at.h"
#include "store/curl_lib.h"

enum { MAX_REDIRECT = 10, MAX_PAUSE = 60, URL_BYTES = 8192, TAG_BYTES = 256 };

struct transfer {
    const struct fetch *f;
    const struct fetch_file *file; /* NULL: into out */
    struct buf *out;
    char *next;
    CURL *c;
    int fd;
    uint64_t at;         /* bytes that the part has */
    uint64_t got;        /* of this request */
    char tag[TAG_BYTES]; /* of the part */
    char new_tag[TAG_BYTES];
    uint64_t range_from; /* of the answer; UINT64_MAX without */
    int retry_after;
    bool again; /* what went wrong may pass */
    struct lathe_err *err;
};

static const char *what_of(const struct transfer *t, const char *url)
{
    return t->file ? t->file->what : url;
}

/* ---- what comes in ---- */

/* The value of a header line if it has this name; else NULL. */
static const char *header_value(const char *line, const char *name, char *out, size_t n)
{
    size_t len = strlen(name);
    if (strncasecmp(line, name, len) != 0 || line[len] != ':')
        return NULL;
    const char *p = line + len + 1 + strspn(line + len + 1, " \t");
    snprintf(out, n, "%.*s", (int)strcspn(p, "\r\n"), p);
    return out;
}

/* Link: <URL>; rel="next" */
static void read_link(struct transfer *t, const char *value)
{
    const char *from = strchr(value, '<'), *to = from ? strchr(from, '>') : NULL;
    if (t->next && to && strstr(to, "rel=\"next\"") && to - from < 2048)
        snprintf(t->next, 2048, "%.*s", (int)(to - from - 1), from + 1);
}

static size_t on_header(char *p, size_t size, size_t n, void *user)
{
    struct transfer *t = user;
    char line[4096], value[4096];
    n *= size;
    snprintf(line, sizeof line, "%.*s", (int)(n < sizeof line ? n : sizeof line - 1), p);
    if (strncmp(line, "HTTP/", 5) == 0) {
        t->new_tag[0] = 0;
        t->range_from = UINT64_MAX;
        t->retry_after = -1;
    } else if (header_value(line, "etag", value, sizeof value)) {
        if (strncmp(value, "W/", 2) != 0 && strlen(value) < TAG_BYTES)
            snprintf(t->new_tag, sizeof t->new_tag, "%.*s", TAG_BYTES - 1, value);
    } else if (header_value(line, "content-range", value, sizeof value)) {
        if (sscanf(value, "bytes %" SCNu64, &t->range_from) != 1)
            t->range_from = UINT64_MAX;
    } else if (header_value(line, "retry-after", value, sizeof value)) {
        t->retry_after = atoi(value);
    } else if (header_value(line, "link", value, sizeof value)) {
        read_link(t, value);
    }
    return n;
}

static int disk(struct transfer *t)
{
    t->again = false;
    return err_set(t->err, LATHE_E_IO, "%.200s cannot be written: %s; what is there is kept for the next try",
                   t->file->part, strerror(errno));
}

static int restart(struct transfer *t)
{
    t->at = 0;
    return ftruncate(t->fd, 0) ? disk(t) : 0;
}

/* The tag of what is being written, beside it: before the first byte, so that it is never that of others. */
static int keep_tag(struct transfer *t)
{
    char path[4300];
    snprintf(path, sizeof path, "%s.etag", t->file->part);
    snprintf(t->tag, sizeof t->tag, "%s", t->new_tag);
    if (!t->tag[0])
        return unlink(path) && errno != ENOENT ? disk(t) : 0;
    FILE *f = fopen(path, "we");
    if (!f)
        return disk(t);
    bool bad = fputs(t->tag, f) < 0;
    return fclose(f) || bad ? disk(t) : 0;
}

static int write_part(struct transfer *t, const char *p, size_t n)
{
    if (t->file->size && t->at + n > t->file->size) {
        t->again = false;
        restart(t);
        return err_set(t->err, LATHE_E_FAILED,
                       "%.200s: the server sends more than the %" PRIu64 " bytes that it has", t->file->what,
                       t->file->size);
    }
    if (!file_write_at(t->fd, p, n, t->at))
        return disk(t);
    t->at += n;
    if (t->f->progress && t->file->size)
        t->f->progress(t->f->user, t->file->what, (double)t->at / (double)t->file->size);
    return 0;
}

/* The first bytes of an answer: does it go on where the part ends? */
static int begin_body(struct transfer *t, long status)
{
    if (status == 206 && t->range_from == t->at)
        return 0;
    if (status == 206) {
        t->again = true;
        return restart(t)
                   ? LATHE_E_IO
                   : err_set(t->err, LATHE_E_FAILED,
                             "%.200s: the server sent another range than it was asked for", t->file->what);
    }
    TRY(restart(t));
    return keep_tag(t);
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
    struct transfer *t = user;
    long status = 0;
    n *= size;
    curl.easy_getinfo(t->c, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206)
        return n; /* the words of an error page are not shown */
    if (!t->file)
        return buf_put(t->out, p, n) ? 0 : n;
    if (!t->got && begin_body(t, status))
        return 0;
    t->got += n;
    return write_part(t, p, n) ? 0 : n;
}

/* ---- one request ---- */

static bool has_origin(const char *url, const char *origin)
{
    size_t n = strlen(origin);
    return strncasecmp(url, origin, n) == 0 && (url[n] == '/' || url[n] == '?' || !url[n]);
}

static struct curl_slist *headers_for(const struct transfer *t, const char *url)
{
    char line[1200];
    struct curl_slist *list = NULL;
    if (t->f->token && has_origin(url, t->f->origin)) {
        snprintf(line, sizeof line, "Authorization: Bearer %s", t->f->token);
        list = curl.slist_append(list, line);
    }
    if (t->file && t->at && t->tag[0]) {
        snprintf(line, sizeof line, "If-Range: %s", t->tag);
        list = curl.slist_append(list, line);
    }
    return list;
}

static CURLcode request(struct transfer *t, const char *url, struct curl_slist *headers)
{
    CURL *c = t->c;
    char range[64];
    curl.easy_reset(c);
    curl.easy_setopt(c, CURLOPT_URL, url);
    curl.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl.easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl.easy_setopt(c, CURLOPT_USERAGENT, "lathe/" LATHE_VERSION);
    curl.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl.easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 30L);
    curl.easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl.easy_setopt(c, CURLOPT_LOW_SPEED_TIME, 60L);
    curl.easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl.easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl.easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl.easy_setopt(c, CURLOPT_WRITEDATA, t);
    if (t->file && t->at) {
        snprintf(range, sizeof range, "%" PRIu64 "-", t->at);
        curl.easy_setopt(c, CURLOPT_RANGE, range);
    }
    t->got = 0;
    return curl.easy_perform(c);
}

static int transfer_failed(struct transfer *t, const char *url, CURLcode rc)
{
    static const CURLcode for_good[] = {CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT,
                                        CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE,
                                        CURLE_OUT_OF_MEMORY};
    if (t->err->code) /* of a callback */
        return t->err->code;
    if (rc == CURLE_WRITE_ERROR)
        return err_set(t->err, LATHE_E_LIMIT, "%.200s has more than %zu bytes", url, t->out->limit);
    t->again = true;
    for (size_t i = 0; i < sizeof for_good / sizeof *for_good; i++)
        t->again &= rc != for_good[i];
    return err_set(t->err, LATHE_E_FAILED, "%.200s: %s", what_of(t, url), curl.easy_strerror(rc));
}

static int status_failed(struct transfer *t, const char *url, long status)
{
    const char *advice =
        status == 401 || status == 403
            ? (t->f->token ? "; the token may not read it: accept the model's terms on its page first"
                           : "; it needs a token: put one into the environment as HF_TOKEN")
        : status == 404 ? "; is the name right?"
        : status == 429 ? "; too many requests, try again later"
                        : "";
    t->again = status == 408 || status == 429 || status >= 500;
    if (status == 416 && t->file && t->at) { /* the part is not of what is there now */
        t->again = true;
        TRY(restart(t));
    }
    return err_set(t->err, LATHE_E_FAILED, "%.200s: the server answers %ld%s", what_of(t, url), status,
                   advice);
}

/* One request with its redirects. */
static int attempt(struct transfer *t, const char *first)
{
    char url[URL_BYTES];
    snprintf(url, sizeof url, "%s", first);
    for (int hop = 0; hop <= MAX_REDIRECT; hop++) {
        struct curl_slist *headers = headers_for(t, url);
        long status = 0;
        char *to = NULL;
        t->err->code = 0;
        t->again = false;
        CURLcode rc = request(t, url, headers);
        curl.slist_free_all(headers);
        if (rc)
            return transfer_failed(t, url, rc);
        curl.easy_getinfo(t->c, CURLINFO_RESPONSE_CODE, &status);
        curl.easy_getinfo(t->c, CURLINFO_REDIRECT_URL, &to);
        if (status == 200 || status == 206)
            return t->file && !t->got && status == 200 ? restart(t) : 0;
        if (status < 300 || status > 399 || !to)
            return status_failed(t, url, status);
        if (strncmp(url, "https:", 6) == 0 && strncmp(to, "https:", 6) != 0)
            return err_set(t->err, LATHE_E_FAILED,
                           "%.200s: the server sends on to %.200s, which is not encrypted", what_of(t, url),
                           to);
        if (strlen(to) >= sizeof url)
            return err_set(t->err, LATHE_E_FAILED, "%.200s: the server sends on to a URL of %zu bytes",
                           what_of(t, url), strlen(to));
        memmove(url, to, strlen(to) + 1);
    }
    return err_set(t->err, LATHE_E_FAILED, "%.200s: more than %d redirects", what_of(t, first), MAX_REDIRECT);
}

/* ---- until it is there ---- */

static bool is_complete(struct transfer *t, const char *url)
{
    if (!t->file || !t->file->size || t->at == t->file->size)
        return true;
    t->again = true;
    err_set(t->err, LATHE_E_FAILED, "%.200s ends at %" PRIu64 " of %" PRIu64 " bytes", what_of(t, url), t->at,
            t->file->size);
    return false;
}

static void wait_for(struct transfer *t, int n_failed)
{
    double pause = 0.5 * (1 << (n_failed < 8 ? n_failed : 8));
    char line[700];
    if (t->retry_after > 0)
        pause = t->retry_after;
    pause = pause > MAX_PAUSE ? MAX_PAUSE : pause;
    snprintf(line, sizeof line, "%s; trying again in %g s", t->err->text, pause);
    if (t->f->note)
        t->f->note(t->f->user, line);
    struct timespec ts = {(time_t)pause, (long)((pause - (double)(time_t)pause) * 1e9)};
    while (nanosleep(&ts, &ts) && errno == EINTR)
        ;
}

static int run(struct transfer *t, const char *url)
{
    int n_failed = 0, rc;
    uint64_t most = t->at;
    for (;;) {
        rc = attempt(t, url);
        if (!rc && is_complete(t, url))
            return 0;
        rc = t->err->code;
        if (t->at > most)
            n_failed = 0;
        most = t->at > most ? t->at : most;
        if (!t->again || n_failed >= t->f->n_retry)
            return rc;
        wait_for(t, n_failed++);
    }
}

static int start(struct transfer *t, struct lathe_err *own)
{
    if (!t->err)
        t->err = own;
    *t->err = (struct lathe_err){0};
    TRY(curl_lib_load(t->err));
    t->c = curl.easy_init();
    return t->c ? 0 : err_set(t->err, LATHE_E_FAILED, "libcurl cannot start");
}

int fetch_text(const struct fetch *f, const char *url, struct buf *out, char *next, struct lathe_err *err)
{
    struct lathe_err own = {0};
    struct transfer t = {.f = f, .out = out, .next = next, .fd = -1, .err = err};
    if (next)
        next[0] = 0;
    TRY(start(&t, &own));
    int rc = run(&t, url);
    curl.easy_cleanup(t.c);
    return rc;
}

/* What an earlier try left, if it can be gone on with. */
static int open_part(struct transfer *t)
{
    char path[4300];
    struct stat st;
    t->fd = open(t->file->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (t->fd < 0 || fstat(t->fd, &st))
        return disk(t);
    t->at = (uint64_t)st.st_size;
    snprintf(path, sizeof path, "%s.etag", t->file->part);
    FILE *f = fopen(path, "re");
    if (f && !fgets(t->tag, sizeof t->tag, f))
        t->tag[0] = 0;
    if (f)
        fclose(f);
    if (strpbrk(t->tag, "\r\n") || (t->file->size && t->at > t->file->size) ||
        (!t->tag[0] && !t->file->checked))
        TRY(restart(t));
    if (t->file->size > t->at && fallocate(t->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)t->file->size) &&
        errno != EOPNOTSUPP)
        return disk(t);
    return 0;
}

int fetch_file(const struct fetch *f, const struct fetch_file *file, struct lathe_err *err)
{
    char path[4300];
    struct lathe_err own = {0};
    struct transfer t = {.f = f, .file = file, .fd = -1, .err = err};
    TRY(start(&t, &own));
    int rc = open_part(&t);
    if (!rc && !(file->size && t.at == file->size))
        rc = run(&t, file->url);
    if (!rc && fsync(t.fd))
        rc = disk(&t);
    if (t.fd >= 0)
        close(t.fd);
    curl.easy_cleanup(t.c);
    snprintf(path, sizeof path, "%s.etag", file->part);
    if (!rc)
        unlink(path);
    return rc;
}
