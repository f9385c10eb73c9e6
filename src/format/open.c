/* Opening a model file of any container. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "format/hf.h"

static int read_container(struct model_file *f, struct lathe_err *err)
{
    const uint8_t *p = f->part.p;
    uint64_t n = f->part.n;
    if (n >= 4 && !memcmp(p, "GGUF", 4))
        return gguf_read(f, err);
    if (llama2c_looks_like(p, n))
        return llama2c_read(f, err);
    if (safetensors_looks_like(p, n)) {
        f->in_folder = true;
        return 0;
    }
    const char *what = mf_sniff(p, n);
    return err_set(
        err, what && strstr(what, "not supported") ? LATHE_E_UNSUPPORTED : LATHE_E_FILE,
        "%s is not a GGUF model: %s", mf_path_tail(f->part.path),
        what ? what
             : "it does not start with GGUF; name a .gguf file or a llama2.c checkpoint, or a folder "
               "of safetensors");
}

static int open_one(const char *path, struct model_file **out, struct lathe_err *err)
{
    struct model_file *f = mf_new();
    int rc = mf_part_open(&f->part, path, err);
    if (!rc)
        rc = read_container(f, err);
    if (f->part.p && model_file_damaged(f))
        rc = err_set(err, LATHE_E_FILE,
                     "%s became shorter while it was read; wait until it is written, then try again",
                     mf_path_tail(path));
    if (rc) {
        model_file_free(f);
        f = NULL;
    }
    *out = f;
    return rc;
}

int model_file_open(const char *path, struct model_file **out, struct lathe_err *err)
{
    struct stat st;
    struct model_file *f;
    *out = NULL;
    if (stat(path, &st))
        return err_set(err, LATHE_E_FILE, "cannot open %s: %s", mf_path_tail(path), strerror(errno));
    if (S_ISDIR(st.st_mode) || hf_is_index(path))
        return hf_open(path, !S_ISDIR(st.st_mode), out, err);
    TRY(open_one(path, &f, err));
    if (f->in_folder) {
        model_file_free(f);
        return hf_open(path, true, out, err);
    }
    int rc = split_join(&f, path, open_one, err);
    if (rc) {
        model_file_free(f);
        return rc;
    }
    *out = f;
    return 0;
}
