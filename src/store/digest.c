/* Digests of files, by GnuTLS, which is loaded on use. */
#include "store/digest.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/library.h"
#include "base/mem.h"

static bool is_hex(const char *p, size_t n)
{
    return strlen(p) == n && strspn(p, "0123456789abcdefABCDEF") == n;
}

bool digest_read(const char *text, char out[DIGEST_CHARS])
{
    bool git = strncmp(text, "git:", 4) == 0, sha = strncmp(text, "sha256:", 7) == 0;
    const char *hex = git ? text + 4 : sha ? text + 7 : text;
    if (!is_hex(hex, git ? 40 : 64))
        return false;
    snprintf(out, DIGEST_CHARS, "%s%s", git ? "git:" : "sha256:", hex);
    for (char *p = strchr(out, ':'); *p; p++)
        *p = *p >= 'A' && *p <= 'F' ? (char)(*p + 32) : *p;
    return true;
}

#ifdef LATHE_HAVE_PULL
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

enum { BLOCK = 1 << 20 };

static struct {
    __typeof__(gnutls_hash_init) *init;
    __typeof__(gnutls_hash) *add;
    __typeof__(gnutls_hash_deinit) *end;
} hash;

static int load(struct lathe_err *err)
{
    static const struct library_call calls[] = {{"gnutls_hash_init", (void **)&hash.init},
                                                {"gnutls_hash", (void **)&hash.add},
                                                {"gnutls_hash_deinit", (void **)&hash.end}};
    static const struct library library = {.file = "libgnutls.so.30",
                                           .package = "libgnutls30",
                                           .wanted = "checking digests needs",
                                           .calls = calls,
                                           .n_call = sizeof calls / sizeof *calls};
    return hash.init ? 0 : library_load(&library, err);
}

static int add_file(gnutls_hash_hd_t h, int fd, uint64_t n, const char *path,
                    void (*progress)(void *user, const char *what, double share), void *user,
                    struct lathe_err *err)
{
    char *block = mem_new(BLOCK);
    uint64_t done = 0;
    ssize_t k;
    while ((k = read(fd, block, BLOCK)) > 0 || (k < 0 && errno == EINTR)) {
        if (k < 0)
            continue;
        hash.add(h, block, (size_t)k);
        done += (uint64_t)k;
        if (progress)
            progress(user, "checking", (double)done / (double)n);
    }
    free(block);
    if (k < 0 || done != n)
        return err_set(err, LATHE_E_IO, "%.200s cannot be read: %s", path,
                       k < 0 ? strerror(errno) : "it became another");
    return 0;
}

int digest_file(const char *path, const char *like, char out[DIGEST_CHARS],
                void (*progress)(void *user, const char *what, double share), void *user,
                struct lathe_err *err)
{
    bool git = strncmp(like, "git:", 4) == 0;
    unsigned char sum[32];
    gnutls_hash_hd_t h;
    struct stat st;
    char head[64];
    TRY(load(err));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) {
        err_set(err, LATHE_E_FILE, "%.200s cannot be read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return LATHE_E_FILE;
    }
    int rc = hash.init(&h, git ? GNUTLS_DIG_SHA1 : GNUTLS_DIG_SHA256)
                 ? err_set(err, LATHE_E_FAILED, "GnuTLS cannot compute %s", git ? "SHA-1" : "SHA-256")
                 : 0;
    if (!rc) {
        if (git) /* Git's own head of a blob, its NUL included */
            hash.add(h, head, (size_t)snprintf(head, sizeof head, "blob %lld", (long long)st.st_size) + 1);
        rc = add_file(h, fd, (uint64_t)st.st_size, path, progress, user, err);
        hash.end(h, sum);
    }
    close(fd);
    char *p = out + sprintf(out, "%s", git ? "git:" : "sha256:");
    for (int i = 0; i < (git ? 20 : 32); i++)
        p += sprintf(p, "%02x", sum[i]);
    return rc;
}
#else
int digest_file(const char *path, const char *like, char out[DIGEST_CHARS],
                void (*progress)(void *user, const char *what, double share), void *user,
                struct lathe_err *err)
{
    return err_not_built(err, "cannot check digests", "libgnutls28-dev");
}
#endif
