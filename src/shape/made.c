/* The tensors lie one after another; the file is mapped, so that the kernel writes it out when memory is short. */
#include "shape/made.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/mem.h"
#include "base/new_file.h"

struct tensor {
    uint64_t offset;
    size_t row_bytes; /* 0: not among them */
    int64_t n_row, n_done, n_vouched;
};

struct made {
    const struct model_file *f;
    struct tensor *v;
    struct work *work;
    uint8_t *p;
    uint64_t n_bytes;
};

static int map_file(struct made *m, const char *folder, struct lathe_err *err)
{
    static const char what[] = "quantized weights";
    void *p;
    int fd;
    if (m->work) {
        TRY(work_file(m->work, WORK_ROUNDED, m->n_bytes, &fd, err));
        TRY(new_file_map_of(fd, folder, m->n_bytes, what, &p, err));
    } else {
        TRY(new_file_map(folder, m->n_bytes, what, &p, err));
    }
    m->p = p;
    return 0;
}

int made_new(const struct model_file *f, const struct format *const *type, const char *folder,
             struct work *work, struct made **out, struct lathe_err *err)
{
    uint64_t n = model_file_n_tensor(f);
    struct made *m = mem_new(sizeof *m);
    *m = (struct made){.f = f, .work = work, .v = mem_new((n + 1) * sizeof *m->v), .n_bytes = 1};
    for (uint64_t i = 0; i < n; i++) {
        const struct mf_tensor *t = model_file_tensor(f, i);
        if (!type[i] || type[i]->block_n == 1)
            continue;
        m->v[i] = (struct tensor){.offset = m->n_bytes,
                                  .row_bytes = (size_t)(t->dim[0] / (uint64_t)type[i]->block_n) *
                                               (size_t)type[i]->block_bytes,
                                  .n_row = (int64_t)(t->dim[1] * t->dim[2])};
        m->n_bytes += (uint64_t)m->v[i].n_row * m->v[i].row_bytes;
    }
    int rc = map_file(m, folder, err);
    if (rc) {
        made_free(m);
        return rc;
    }
    *out = m;
    return 0;
}

void made_free(struct made *m)
{
    if (!m)
        return;
    if (m->p)
        munmap(m->p, m->n_bytes);
    free(m->v);
    free(m);
}

static struct tensor *find(const struct made *m, const char *name)
{
    uint64_t i = model_file_tensor_index(m->f, name);
    return i < model_file_n_tensor(m->f) && m->v[i].row_bytes ? &m->v[i] : NULL;
}

uint8_t *made_rows(struct made *m, const char *tensor, int64_t first, size_t *row_bytes)
{
    const struct tensor *v = find(m, tensor);
    if (!v)
        return NULL;
    *row_bytes = v->row_bytes;
    return m->p + v->offset + (uint64_t)first * v->row_bytes;
}

void made_done(struct made *m, const char *tensor, int64_t n)
{
    struct tensor *v = find(m, tensor);
    if (v)
        v->n_done += n;
}

void made_vouch(struct made *m, void (*told)(void *user, uint64_t i, int64_t n), void *user)
{
    for (uint64_t i = 0; i < model_file_n_tensor(m->f); i++) {
        struct tensor *v = &m->v[i];
        if (v->n_vouched == v->n_done)
            continue;
        v->n_vouched = v->n_done;
        work_vouch(m->work, WORK_ROUNDED, v->offset, (uint64_t)v->n_row * v->row_bytes);
        told(user, i, v->n_done);
    }
}

bool made_take_up(struct made *m, uint64_t i, int64_t n)
{
    if (i >= model_file_n_tensor(m->f) || !m->v[i].row_bytes || n < 0 || n > m->v[i].n_row)
        return false;
    m->v[i].n_done = m->v[i].n_vouched = n;
    return true;
}

const uint8_t *made_find(const struct made *m, uint64_t i, int64_t first)
{
    const struct tensor *v = &m->v[i];
    if (!v->row_bytes || v->n_done < v->n_row)
        return NULL;
    return m->p + v->offset + (uint64_t)first * v->row_bytes;
}
