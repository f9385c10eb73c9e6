/* A kind of note is a row: its form, and what is done when it is read again. */
#include "shape/resume.h"
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/mem.h"
#include "format/view.h"
#include "model/cache_file.h"

enum kind { LAYER = 1, MADE, ERROR, COUNT, VECTOR, IMPORTANCE, TENSOR, MEASURED, JUDGED, ORDER };

struct pair { /* of a tensor, or with 0 of none */
    uint64_t tensor;
    double a, b;
};

struct made_note {
    uint64_t tensor;
    int64_t n_row;
};

struct measured_note {
    uint64_t tensor;
    struct sensitivity v;
};

struct sums_head { /* sums and counts follow, then the name */
    int32_t n_col, n_mat;
};

/* ---- the key ---- */

static void add_text(XXH3_state_t *s, const char *p, size_t n)
{
    uint64_t n_bytes = p ? n : UINT64_MAX;
    XXH3_128bits_update(s, &n_bytes, sizeof n_bytes);
    if (p)
        XXH3_128bits_update(s, p, n);
}

static void add_file(XXH3_state_t *s, const char *path)
{
    struct stat st;
    if (!path || stat(path, &st))
        return;
    uint64_t id[5] = {(uint64_t)st.st_dev, (uint64_t)st.st_ino, (uint64_t)st.st_size,
                      (uint64_t)st.st_mtim.tv_sec, (uint64_t)st.st_mtim.tv_nsec};
    XXH3_128bits_update(s, id, sizeof id);
}

static void add_string(XXH3_state_t *s, const char *p)
{
    add_text(s, p, p ? strlen(p) : 0);
}

/* The notes of the object that this function is in, the program or the library: the linker's digest of all of it is one
 * (NT_GNU_BUILD_ID), so that no build goes on with another's work. */
static int add_build(struct dl_phdr_info *o, size_t n, void *user)
{
    const uintptr_t here = (uintptr_t)add_build;
    bool own = false;
    for (int i = 0; i < o->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &o->dlpi_phdr[i];
        own |= h->p_type == PT_LOAD && here - (o->dlpi_addr + h->p_vaddr) < h->p_memsz;
    }
    for (int i = 0; own && i < o->dlpi_phnum; i++)
        if (o->dlpi_phdr[i].p_type == PT_NOTE)
            add_text(user, (const char *)(o->dlpi_addr + o->dlpi_phdr[i].p_vaddr), o->dlpi_phdr[i].p_memsz);
    return own;
}

/* What types and layouts follow from. */
static void add_options(XXH3_state_t *s, const struct lathe_quantize_options *o)
{
    double targets[] = {o->target_bpw, o->target_kl, (double)o->target_bytes};
    int32_t folder[] = {o->group, o->symmetric, o->act_order};
    XXH3_128bits_update(s, targets, sizeof targets);
    XXH3_128bits_update(s, folder, sizeof folder);
    add_string(s, o->type);
    add_string(s, o->types);
    add_string(s, o->layout);
    for (const char *const *t = o->tensor_types; t && *t; t++)
        add_string(s, *t);
}

static XXH128_hash_t key_of(const struct lathe_quantize_options *o, const struct model_file *f,
                            const struct format *const *type, uint32_t file_type)
{
    XXH3_state_t *s = XXH3_createState();
    uint64_t numbers[] = {
        file_type,         (uint64_t)o->method,    (uint64_t)o->calib_ctx, (uint64_t)o->calib_tokens,
        o->measure_output, o->save_imatrix != NULL};
    cache_key_start(s, f);
    add_options(s, o);
    add_text(s, LATHE_VERSION, strlen(LATHE_VERSION));
    dl_iterate_phdr(add_build, s);
    XXH3_128bits_update(s, numbers, sizeof numbers);
    XXH3_128bits_update(s, &o->damping, sizeof o->damping);
    for (uint64_t i = 0; i < model_file_n_tensor(f); i++) {
        uint32_t id = type[i] ? (uint32_t)type[i]->id : UINT32_MAX;
        XXH3_128bits_update(s, &id, sizeof id);
    }
    add_text(s, o->calib_text, o->n_calib_text);
    add_text(s, o->calib_name, o->calib_name ? strlen(o->calib_name) : 0);
    add_file(s, o->imatrix);
    XXH128_hash_t key = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    return key;
}

int resume_open(const struct lathe_quantize_options *o, const struct model_file *f,
                const struct format *const *type, uint32_t file_type, const char *to, struct work **out,
                struct lathe_err *err)
{
    enum work_state state;
    TRY(work_open(to, key_of(o, f, type, file_type), out, &state, err));
    if (state == WORK_OTHER && o->note)
        o->note(o->user, "what an earlier run left is of another model or of other options: begun anew");
    return 0;
}

/* ---- layers ---- */

struct reading {
    const struct resume_told *told;
    struct resume_layers *layers;
};

static bool take_sums(struct imatrix *m, const uint8_t *p, size_t n)
{
    struct sums_head h;
    char name[MF_MAX_NAME + 1];
    if (!m || n < sizeof h)
        return false;
    memcpy(&h, p, sizeof h);
    uint64_t n_sum = (uint64_t)h.n_col * (uint64_t)h.n_mat, n_number = n_sum + (uint64_t)h.n_mat,
             at = sizeof h + n_number * sizeof(float);
    if (h.n_col > 1 << 28 || h.n_mat > 1 << 28 || h.n_col < 1 || h.n_mat < 1 || n <= at ||
        n - at >= sizeof name)
        return false;
    memcpy(name, p + at, n - at);
    name[n - at] = 0;
    float *v = mem_new(n_number * sizeof *v);
    memcpy(v, p + sizeof h, n_number * sizeof *v);
    imatrix_put(m, &(struct imatrix_sums){name, h.n_col, h.n_mat, v, v + n_sum});
    free(v);
    return true;
}

static bool take_numbers(const struct resume_told *t, uint32_t kind, const uint8_t *p, size_t n)
{
    uint64_t tensor;
    bool known = kind == VECTOR ? t->vector != NULL : t->order != NULL;
    if (!known || n <= sizeof tensor || (n - sizeof tensor) % 4)
        return false;
    memcpy(&tensor, p, sizeof tensor);
    void *v = mem_new(n - sizeof tensor);
    memcpy(v, p + sizeof tensor, n - sizeof tensor);
    if (kind == VECTOR)
        t->vector(t->user, tensor, v, (n - sizeof tensor) / 4);
    else
        t->order(t->user, tensor, v, (n - sizeof tensor) / 4);
    free(v);
    return true;
}

static bool take_pair(const struct resume_told *t, uint32_t kind, const uint8_t *p, size_t n)
{
    struct pair x;
    if (n != sizeof x)
        return false;
    memcpy(&x, p, sizeof x);
    if (kind == ERROR && t->error)
        t->error(t->user, x.tensor, x.a, x.b);
    if (kind == COUNT && t->count)
        t->count(t->user, x.a, x.b);
    return true;
}

static int not_of_this(struct lathe_err *err)
{
    return err_set(err, LATHE_E_FILE, "the notes of an earlier run are not of this one: remove them");
}

static int take_layers(void *user, uint32_t kind, const uint8_t *p, size_t n, struct lathe_err *err)
{
    const struct reading *r = user;
    struct made_note made;
    bool ok = true;
    if (kind == LAYER && (ok = n == sizeof *r->layers))
        memcpy(r->layers, p, n);
    if (kind == MADE && (ok = n == sizeof made && r->told->made)) {
        memcpy(&made, p, n);
        ok = made_take_up(r->told->made, made.tensor, made.n_row);
    }
    if (kind == ERROR || kind == COUNT)
        ok = take_pair(r->told, kind, p, n);
    if (kind == VECTOR || kind == ORDER)
        ok = take_numbers(r->told, kind, p, n);
    if (kind == IMPORTANCE)
        ok = take_sums(r->told->importance, p, n);
    return ok ? 0 : not_of_this(err);
}

int resume_layers(const struct work *w, const struct resume_told *told, struct resume_layers *out,
                  struct lathe_err *err)
{
    struct reading r = {told, out};
    *out = (struct resume_layers){0};
    return w ? work_each(w, take_layers, &r, err) : 0;
}

/* ---- notes ---- */

void resume_note_error(struct work *w, uint64_t tensor, double error, double plain)
{
    struct pair x = {tensor, error, plain};
    if (w)
        work_note(w, ERROR, &x, sizeof x);
}

void resume_note_count(struct work *w, double error, double plain)
{
    struct pair x = {0, error, plain};
    if (w)
        work_note(w, COUNT, &x, sizeof x);
}

/* n numbers of 4 bytes that belong to a tensor. */
static void note_numbers(struct work *w, uint32_t kind, uint64_t tensor, const void *v, size_t n)
{
    if (!w)
        return;
    uint8_t *p = mem_new(sizeof tensor + n * 4);
    memcpy(p, &tensor, sizeof tensor);
    memcpy(p + sizeof tensor, v, n * 4);
    work_note(w, kind, p, sizeof tensor + n * 4);
    free(p);
}

void resume_note_vector(struct work *w, uint64_t tensor, const float *v, size_t n)
{
    note_numbers(w, VECTOR, tensor, v, n);
}

void resume_note_order(struct work *w, uint64_t tensor, const int *order, size_t n)
{
    note_numbers(w, ORDER, tensor, order, n);
}

void resume_note_importance(struct work *w, const struct imatrix *m, int first)
{
    for (int i = first; i < imatrix_n_tensor(m); i++) {
        struct imatrix_sums e = imatrix_get(m, i);
        struct sums_head h = {e.n_col, e.n_mat};
        size_t sum = (size_t)e.n_col * (size_t)e.n_mat * sizeof(float),
               count = (size_t)e.n_mat * sizeof(float), name = strlen(e.name);
        uint8_t *p = mem_new(sizeof h + sum + count + name);
        memcpy(p, &h, sizeof h);
        memcpy(p + sizeof h, e.sum, sum);
        memcpy(p + sizeof h + sum, e.count, count);
        memcpy(p + sizeof h + sum + count, e.name, name);
        work_note(w, IMPORTANCE, p, sizeof h + sum + count + name);
        free(p);
    }
}

static void note_made(void *user, uint64_t tensor, int64_t n)
{
    struct made_note x = {tensor, n};
    work_note(user, MADE, &x, sizeof x);
}

void resume_note_layer(struct work *w, struct made *made, const struct resume_layers *at)
{
    if (made)
        made_vouch(made, note_made, w);
    work_note(w, LAYER, at, sizeof *at);
}

/* ---- targets ---- */

static int take_target(void *user, uint32_t kind, const uint8_t *p, size_t n, struct lathe_err *err)
{
    const struct resume_target *t = user;
    struct measured_note x;
    double kl;
    bool ok = true;
    if (kind == MEASURED && (ok = n == sizeof x)) {
        memcpy(&x, p, n);
        t->measured(t->user, x.tensor, &x.v);
    }
    if (kind == JUDGED && (ok = n == sizeof kl)) {
        memcpy(&kl, p, n);
        t->judged(t->user, kl);
    }
    return ok ? 0 : not_of_this(err);
}

int resume_target(const struct work *w, const struct resume_target *t, struct lathe_err *err)
{
    return work_each(w, take_target, (void *)t, err);
}

int resume_note_measured(struct work *w, uint64_t tensor, const struct sensitivity *v, struct lathe_err *err)
{
    struct measured_note x = {tensor, *v};
    work_note(w, MEASURED, &x, sizeof x);
    return work_commit(w, true, err);
}

int resume_note_judged(struct work *w, double kl, struct lathe_err *err)
{
    work_note(w, JUDGED, &kl, sizeof kl);
    return work_commit(w, true, err);
}

/* ---- tensors ---- */

struct tensors {
    void (*tensor)(void *user, uint64_t i, double error, double value);
    void *user;
    uint64_t n;
};

static int take_tensor(void *user, uint32_t kind, const uint8_t *p, size_t n, struct lathe_err *err)
{
    struct tensors *t = user;
    struct pair x;
    if (kind != TENSOR || n != sizeof x)
        return 0;
    memcpy(&x, p, n);
    if (x.tensor != t->n)
        return err_set(err, LATHE_E_FILE, "the notes of an earlier run miss tensor %llu: remove them",
                       (unsigned long long)t->n);
    t->tensor(t->user, t->n++, x.a, x.b);
    return 0;
}

int resume_tensors(const struct work *w, void (*tensor)(void *user, uint64_t i, double error, double value),
                   void *user, uint64_t *n, struct lathe_err *err)
{
    struct tensors t = {tensor, user, 0};
    int rc = w ? work_each(w, take_tensor, &t, err) : 0;
    *n = t.n;
    return rc;
}

int resume_note_tensor(struct work *w, uint64_t i, uint64_t first, uint64_t end, double error, double value,
                       struct lathe_err *err)
{
    struct pair x = {i, error, value};
    work_note(w, TENSOR, &x, sizeof x);
    work_vouch(w, WORK_OUT, first, end - first);
    return work_commit(w, work_sync_is_due(w), err);
}
