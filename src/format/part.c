/* A file on disk as a guarded read-only mapping. */
#include "format/view.h"
#include "format/map_guard.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *mf_path_tail(const char *path)
{
    size_t n = strlen(path);
    return n > 200 ? path + n - 200 : path;
}

static int refuse_kind(const char *path, const struct stat *st, struct lathe_err *err)
{
    const char *tail = mf_path_tail(path);
    if (S_ISDIR(st->st_mode))
        return err_set(err, LATHE_E_FILE, "%s is a folder; name the model file in it", tail);
    if (!S_ISREG(st->st_mode))
        return err_set(
            err, LATHE_E_FILE,
            "%s is not a regular file (%s); a model is mapped into memory, so copy it to a file first", tail,
            S_ISFIFO(st->st_mode)   ? "a pipe"
            : S_ISSOCK(st->st_mode) ? "a socket"
                                    : "a device");
    if (st->st_size == 0)
        return err_set(err, LATHE_E_FILE, "%s is empty; download it again", tail);
    return 0;
}

static int map_part(struct mf_part *part, int fd, struct lathe_err *err)
{
    struct stat st;
    if (fstat(fd, &st))
        return err_set(err, LATHE_E_IO, "%s: %s", mf_path_tail(part->path), strerror(errno));
    TRY(refuse_kind(part->path, &st, err));
    void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        return err_set(err, LATHE_E_IO, "%s: cannot map %lld bytes: %s", mf_path_tail(part->path),
                       (long long)st.st_size, strerror(errno));
    part->p = p;
    part->n = (uint64_t)st.st_size;
    part->id = (struct mf_identity){(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
                                    (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec};
    return map_guard_add(p, (size_t)st.st_size, &part->guard, err);
}

int mf_part_open(struct mf_part *part, const char *path, struct lathe_err *err)
{
    *part = (struct mf_part){.guard = -1, .path = mem_dup(path, strlen(path))};
    int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe without a writer must not block */
    if (fd < 0)
        return err_set(err, LATHE_E_FILE, "cannot open %s: %s", mf_path_tail(path), strerror(errno));
    int rc = map_part(part, fd, err);
    close(fd);
    return rc;
}

void mf_part_close(struct mf_part *part)
{
    map_guard_remove(part->guard);
    if (part->p)
        munmap((void *)part->p, part->n);
    free(part->path);
    *part = (struct mf_part){.guard = -1};
}

const char *mf_sniff(const uint8_t *p, uint64_t n)
{
    static const struct {
        const char *magic, *what;
        int at;
    } rows[] = {
        {"version https://git-lfs",
         "it is a Git LFS pointer, not the model itself; run `git lfs pull` where it came from", 0},
        {"<!DOCTYPE", "it is a web page; download the file itself, not the page about it", 0},
        {"<!doctype", "it is a web page; download the file itself, not the page about it", 0},
        {"<html", "it is a web page; download the file itself, not the page about it", 0},
        {"FUGG", "it is a big-endian GGUF file, which is not supported; get the little-endian one", 0},
        {"ggjt", "it is a GGML file of the time before GGUF; convert it to GGUF", 0},
        {"tjgg", "it is a GGML file of the time before GGUF; convert it to GGUF", 0},
        {"lmgg", "it is a GGML file of the time before GGUF; convert it to GGUF", 0},
        {"fmgg", "it is a GGML file of the time before GGUF; convert it to GGUF", 0},
        {"algg", "it is a GGML adapter, not a model", 0},
        {"{\"", "it is a safetensors file; name the folder that it is in", 8},
        {"PK\3\4", "it is a ZIP or PyTorch archive; convert the model to GGUF", 0},
        {"\x80\2", "it is a Python pickle; convert the model to GGUF", 0},
        {"\x1f\x8b", "it is compressed by gzip; unpack it first", 0},
        {"\x28\xb5\x2f\xfd", "it is compressed by zstd; unpack it first", 0},
        {"\xfd"
         "7zXZ",
         "it is compressed by xz; unpack it first", 0},
        {"{", "it is a JSON file, not a model", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].magic);
        if (n >= len + (size_t)rows[i].at && !memcmp(p + rows[i].at, rows[i].magic, len))
            return rows[i].what;
    }
    return NULL;
}
