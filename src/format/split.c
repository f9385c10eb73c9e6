/* Split GGUF files: NAME-00001-of-00003.gguf and its siblings as one view.
 *
 * The first part has the metadata; each part has tensors and says by split.no, split.count and
 * split.tensors.count where it belongs. Tensors of all parts are joined in one table; the parts stay open
 * inside the first. */
#include "format/view.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct split {
    uint32_t no, count;
    uint64_t n_tensor;
};

static int read_split(const struct model_file *f, struct split *s, struct lathe_err *err)
{
    *s = (struct split){.count = 1};
    TRY(mf_u32(f, "split.count", &s->count, NULL, err));
    TRY(mf_u32(f, "split.no", &s->no, NULL, err));
    TRY(mf_u64(f, "split.tensors.count", &s->n_tensor, NULL, err));
    if (s->count > MF_MAX_PART)
        return err_set(err, LATHE_E_FILE, "%s: split.count is %u; at most %d parts are read",
                       mf_path_tail(f->part.path), s->count, MF_MAX_PART);
    if (s->count > 1 && s->no >= s->count)
        return err_set(err, LATHE_E_FILE, "%s: split.no is %u of split.count %u; it counts from 0",
                       mf_path_tail(f->part.path), s->no, s->count);
    return 0;
}

/* Bytes of the path before "-00001-of-00003.gguf" if it ends in exactly that for this part, else -1. */
static int stem_len(const char *path, const struct split *s)
{
    char end[40];
    int n = snprintf(end, sizeof end, "-%05u-of-%05u.gguf", s->no + 1, s->count);
    size_t len = strlen(path);
    return len > (size_t)n && !strcmp(path + len - (size_t)n, end) ? (int)(len - (size_t)n) : -1;
}

static int open_part(const char *stem, int n_stem, const struct split *want, struct model_file **out,
                     int (*open_one)(const char *, struct model_file **, struct lathe_err *),
                     struct lathe_err *err)
{
    char path[4096];
    struct split s;
    if (snprintf(path, sizeof path, "%.*s-%05u-of-%05u.gguf", n_stem, stem, want->no + 1, want->count) >=
        (int)sizeof path)
        return err_set(err, LATHE_E_FILE, "%s: the path is too long", mf_path_tail(stem));
    if (access(path, F_OK) && errno == ENOENT)
        return err_set(err, LATHE_E_FILE, "part %u of %u is missing: %s; put it beside the others",
                       want->no + 1, want->count, mf_path_tail(path));
    TRY(open_one(path, out, err));
    TRY(read_split(*out, &s, err));
    if (s.no != want->no || s.count != want->count)
        return err_set(err, LATHE_E_FILE,
                       "%s says that it is part %u of %u (split.no, split.count); rename or replace it",
                       mf_path_tail(path), s.no + 1, s.count);
    return 0;
}

/* One table with the tensors of all parts. */
static int join_tensors(struct model_file *f, struct lathe_err *err)
{
    uint64_t n = f->n_tensor;
    void *p;
    for (int i = 0; i < f->n_more; i++)
        n += f->more[i]->n_tensor;
    TRY(mem_try(n, sizeof *f->tensor, "tensor table of the split model", &p, err));
    struct mf_tensor *all = p;
    memcpy(all, f->tensor, f->n_tensor * sizeof *all);
    uint64_t at = f->n_tensor;
    for (int i = 0; i < f->n_more; i++) {
        memcpy(all + at, f->more[i]->tensor, f->more[i]->n_tensor * sizeof *all);
        at += f->more[i]->n_tensor;
    }
    free(f->tensor);
    f->tensor = all;
    f->n_tensor = n;
    return mf_index_tensors(f, err);
}

int split_join(struct model_file **f, const char *path,
               int (*open_one)(const char *, struct model_file **, struct lathe_err *), struct lathe_err *err)
{
    struct split s;
    TRY(read_split(*f, &s, err));
    if (s.count <= 1)
        return 0;
    int n_stem = stem_len(path, &s);
    if (n_stem < 0)
        return err_set(err, LATHE_E_FILE,
                       "%s is part %u of %u, so its name must end in -%05u-of-%05u.gguf; rename it",
                       mf_path_tail(path), s.no + 1, s.count, s.no + 1, s.count);
    struct model_file *first = NULL;
    struct split part = s;
    int rc = 0;
    for (part.no = 0; part.no < s.count; part.no++) {
        struct model_file *one = NULL;
        rc = open_part(path, n_stem, &part, &one, open_one, err);
        if (one && !first) {
            first = one;
            first->more = mem_new(s.count * sizeof *first->more);
        } else if (one) {
            first->more[first->n_more++] = one;
        }
        if (rc)
            goto done;
    }
    TRY_GOTO(join_tensors(first, err));
    TRY_GOTO(read_split(first, &s, err));
    if (s.n_tensor && s.n_tensor != first->n_tensor)
        rc = err_set(
            err, LATHE_E_FILE,
            "%s: split.tensors.count is %llu, but the %u parts have %llu tensors; a part is of another model",
            mf_path_tail(path), (unsigned long long)s.n_tensor, s.count, (unsigned long long)first->n_tensor);
done:
    if (rc) {
        model_file_free(first);
        return rc;
    }
    model_file_free(*f);
    *f = first;
    return 0;
}
