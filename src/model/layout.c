/* The layout of all matrices: panels in declaration order, one after another, as the kernels read them.
 *
 * It is made once for a file, in memory, and kept in the cache folder (cache_file.h, layout_keep.h), so that a second
 * start reads it and converts nothing:
 *
 *     | header, 4096 bytes | panels of matrix 0 | panels of matrix 1 | ...
 *
 * Its key also covers layout version, numeric class and tensor list. When the cache cannot be written
 * (read-only, full, locked by another process that converts now) the layout stays in memory alone. Where memory for it is
 * not to be had, it is made in the file, window by window, and mapped: disk_stream.h says which of it is read in when.
 * Who names a folder for it (spill_folder) gets it in a nameless file there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xxhash.h>
#include "base/cpu.h"
#include "base/mem_room.h"
#include "base/new_file.h"
#include "base/numa.h"
#include "base/pool.h"
#include "format/map_guard.h"
#include "model/cache_file.h"
#include "model/layout_keep.h"
#include "model/model.h"

/* The first window is short by the header of the file, so that all others begin on a huge page of it. */
enum { LAYOUT_VERSION = 2, WINDOW_BYTES = 32 << 20, STEP_BYTES = 4 << 20, LOAD_THREADS = 8 };

struct layout {
    struct cache_view view; /* of the kept file, or of memory */
    const uint8_t *panels;
    struct cache_id id;
    char path[4100];          /* of the kept file, "" if there is none */
    struct layout_keep *keep; /* is writing that file now */
    bool streams;             /* the file is larger than memory */
};

static XXH128_hash_t layout_key(const struct lathe_model *m, const struct matrix_list *list)
{
    XXH3_state_t *s = XXH3_createState();
    cache_key_start(s, m->file);
    uint64_t fixed[2] = {LAYOUT_VERSION, list->layout_bytes};
    XXH3_128bits_update(s, fixed, sizeof fixed);
    for (size_t i = 0; i < list->n; i++) {
        const struct matrix *x = list->v[i];
        uint64_t row[5] = {x->format, (uint64_t)x->n_row, (uint64_t)x->n_col, x->offset, x->panel_stride};
        uint64_t changed[3] = {x->file_format, (uint64_t)x->head_dim, (uint64_t)x->n_half};
        XXH3_128bits_update(s, row, sizeof row);
        if (!matrix_rows_as_they_are(x))
            XXH3_128bits_update(s, changed, sizeof changed);
    }
    XXH128_hash_t key = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    return key;
}

/* ---- packing ---- */

enum { PACK_PANELS = 32 }; /* panels of one piece */

/* Packs the part of a matrix that falls into bytes [from, from + n) of the layout. */
struct pack {
    const struct matrix *m;
    uint8_t *window;
    uint64_t from, n;
    int first_panel, last_panel;
};

static void pack_panel(const struct pack *a, int panel, uint8_t *out)
{
    const struct matrix *m = a->m;
    size_t row_bytes;
    int n_row = m->n_row - panel * LANES < LANES ? m->n_row - panel * LANES : LANES;
    uint8_t *room = matrix_rows_as_they_are(m) ? NULL : mem_new(m->panel_bytes);
    const uint8_t *rows = matrix_rows(m, panel * LANES, n_row, room, &row_bytes);
    panel_pack(m->format, rows, row_bytes, n_row, m->n_col, out);
    free(room);
}

static void pack_piece(const struct pool_op *op, int piece, int worker)
{
    const struct pack *a = op->arg;
    size_t size = a->m->panel_bytes;
    int first = a->first_panel + piece * PACK_PANELS, last = first + PACK_PANELS;
    for (int p = first; p < last && p < a->last_panel; p++) {
        uint64_t at = a->m->offset + (uint64_t)p * a->m->panel_stride;
        if (at >= a->from + a->n || at + size <= a->from)
            continue;
        if (at >= a->from && at + size <= a->from + a->n) {
            pack_panel(a, p, a->window + (at - a->from));
            continue;
        }
        uint8_t *whole = mem_new(size); /* cut by the window's edge */
        pack_panel(a, p, whole);
        uint64_t lo = at > a->from ? at : a->from,
                 hi = at + size < a->from + a->n ? at + size : a->from + a->n;
        memcpy(a->window + (lo - a->from), whole + (lo - at), hi - lo);
        free(whole);
    }
}

/* Bytes [from, from + n) of the layout, into window. */
static void pack_window(const struct matrix_list *list, struct pool *pool, uint64_t from, uint64_t n,
                        uint8_t *window)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct matrix *m = list->v[i];
        uint64_t end = m->offset + (uint64_t)m->n_panel * m->panel_stride;
        if (end <= from || m->offset >= from + n)
            continue;
        struct pack a = {.m = m, .window = window, .from = from, .n = n, .last_panel = m->n_panel};
        if (m->offset < from)
            a.first_panel = (int)((from - m->offset) / m->panel_stride);
        if (end > from + n)
            a.last_panel = (int)((from + n - m->offset + m->panel_stride - 1) / m->panel_stride);
        struct pool_op op = {.run = pack_piece, .arg = &a, .name = "layout", .layer = -1};
        op.n_piece = (a.last_panel - a.first_panel + PACK_PANELS - 1) / PACK_PANELS;
        pool_run(pool, &op, 1);
        pool_settle(pool);
    }
}

/* Tensors from `first` on that lie before `end` in the layout have been read: their pages go. Returns the first that
 * has not. */
static size_t drop_packed(struct lathe_model *m, const struct matrix_list *list, size_t first, uint64_t end)
{
    size_t i = first;
    for (; i < list->n; i++) {
        const struct matrix *x = list->v[i];
        if (x->offset + (uint64_t)(x->n_panel - 1) * x->panel_stride + x->panel_bytes > end)
            break;
        model_file_drop(m->file, x->tensor);
    }
    return i;
}

/* The rows of a large tensor that have been read, of one that is not yet whole: an output head is a third of some models. */
static void drop_begun(struct lathe_model *m, const struct matrix *x, uint64_t end)
{
    if (x->offset >= end || !matrix_rows_as_they_are(x))
        return;
    uint64_t n_row = (end - x->offset) / x->panel_stride * LANES;
    model_file_drop_rows(m->file, x->tensor, n_row < (uint64_t)x->n_row ? n_row : (uint64_t)x->n_row);
}

/* Lays everything out, to `target` or, without one, window by window to the file. */
static int pack_all(struct lathe_model *m, const struct matrix_list *list,
                    const struct lathe_model_options *o, struct cache_writer *file, uint8_t *target,
                    struct lathe_err *err)
{
    struct pool *pool;
    uint8_t *window = target;
    size_t n_dropped = 0;
    int rc = 0;
    TRY(pool_new(o->n_thread > 0 ? o->n_thread : cpu_count(), &pool, err));
    if (!target)
        rc = mem_map(WINDOW_BYTES, "layout window", (void **)&window, err);
    for (uint64_t at = 0; !rc && at < list->layout_bytes;) {
        uint64_t n = target ? STEP_BYTES : WINDOW_BYTES - (at ? 0 : CACHE_HEADER_BYTES);
        n = n < list->layout_bytes - at ? n : list->layout_bytes - at;
        pack_window(list, pool, at, n, target ? target + at : window);
        if (!target && !cache_write(file, window, n))
            rc = LATHE_E_IO;
        at += n;
        n_dropped = drop_packed(m, list, n_dropped, at);
        if (n_dropped < list->n)
            drop_begun(m, list->v[n_dropped], at);
        if (o->progress)
            o->progress(o->user, "laying out weights", (double)at / (double)list->layout_bytes);
    }
    if (!target)
        mem_unmap(window, WINDOW_BYTES);
    pool_free(pool);
    drop_packed(m, list, 0, UINT64_MAX);
    if (!rc && model_file_damaged(m->file))
        return err_set(err, LATHE_E_FILE, "%s was cut while it was read", model_file_path(m->file));
    return rc;
}

/* ---- the cached file ---- */

/* What may be streamed leaves room for what is not planned yet; otherwise that plan refuses it. */
static bool fits_memory(uint64_t n_bytes, const struct lathe_model_options *o)
{
    return n_bytes <= mem_room("") / 8 * 7 &&
           (!o->memory_bytes ||
            mem_resident() + n_bytes <= (o->stream ? o->memory_bytes / 4 * 3 : o->memory_bytes));
}

/* Reads the kept file into memory: weights on huge pages are read a third faster than on pages of 4 KiB (Zen 4:
 * 54 against 35 GB/s). False where huge pages or memory are not to be had: the file is mapped then. */
static bool cache_load(struct layout *l, const char *path, const struct cache_id *id, uint64_t n_bytes,
                       const struct lathe_model_options *o)
{
    struct pool *pool;
    int n_thread = o->n_thread > 0 ? o->n_thread : cpu_count();
    if (n_bytes < MEM_HUGE_FROM || !mem_huge_pages() ||
        pool_new(n_thread < LOAD_THREADS ? n_thread : LOAD_THREADS, &pool, NULL))
        return false;
    bool ok = cache_view_load(&l->view, path, id, pool);
    pool_free(pool);
    return ok;
}

/* fits: into memory; else it is mapped and not read in. */
static bool cache_take(struct layout *l, const char *path, const struct cache_id *id, uint64_t n_bytes,
                       bool fits, const struct lathe_model_options *o)
{
    if (!(fits && cache_load(l, path, id, n_bytes, o)) && !cache_view_open(&l->view, path, id, fits))
        return false;
    if (cache_view_size(&l->view) != n_bytes) {
        cache_view_close(&l->view);
        return false;
    }
    l->panels = cache_view_bytes(&l->view);
    snprintf(l->path, sizeof l->path, "%s", path);
    return true;
}

/* Makes the layout in a file. False: the caller makes it in memory. */
static bool cache_make(struct lathe_model *m, const struct matrix_list *list, const char *path,
                       const struct cache_id *id, const struct lathe_model_options *o, int *rc,
                       struct lathe_err *err)
{
    struct cache_writer w;
    if (!cache_write_start(&w, path))
        return false;
    *rc = pack_all(m, list, o, &w, NULL, err);
    if (w.failed) /* the disk, not the model */
        *rc = 0;
    return cache_write_end(&w, id, *rc == 0) || *rc != 0;
}

/* Before anything is read: afterwards it would be too late to stay below the bound. */
static int check_room(uint64_t n_bytes, const struct lathe_model_options *o, struct lathe_err *err)
{
    uint64_t have = mem_resident(), bound = o->memory_bytes;
    if (bound && !o->stream && have + n_bytes > bound)
        return err_set(err, LATHE_E_NOMEM,
                       "weights of %.1f MiB and %.1f MiB that the process has are more than the %.1f MiB of "
                       "memory that it may take (streamed, the rest is read from the disk for every token)",
                       (double)n_bytes / 1048576.0, (double)have / 1048576.0, (double)bound / 1048576.0);
    return 0;
}

/* Where no file of them can be made, to be read as they are needed. */
static int refuse_memory(uint64_t n_bytes, const struct lathe_model_options *o, struct lathe_err *err)
{
    uint64_t room = mem_room(""), most = o->memory_bytes && o->memory_bytes < room ? o->memory_bytes : room;
    return err_set(
        err, LATHE_E_NOMEM,
        "weights of %.1f MiB are more than the %.1f MiB of memory that there is, and to stream them "
        "a file of the same size is needed in the cache folder, where it cannot be made",
        (double)n_bytes / 1048576.0, (double)most / 1048576.0);
}

/* Beside the weights a window of the file's pages is resident at a time. */
static int make_in_memory(struct lathe_model *m, const struct matrix_list *list,
                          const struct lathe_model_options *o, struct lathe_err *err)
{
    struct layout *l = m->layout;
    struct cache_view *v = &l->view;
    TRY(mem_map(list->layout_bytes, "laid-out weights", (void **)&v->room, err));
    numa_spread(v->room, list->layout_bytes);
    v->room_bytes = v->map_bytes = list->layout_bytes;
    l->panels = v->map = v->room;
    return pack_all(m, list, o, NULL, v->map, err);
}

/* In a file without name, mapped. */
static int make_spilled(struct lathe_model *m, const struct matrix_list *list,
                        const struct lathe_model_options *o, struct lathe_err *err)
{
    struct layout *l = m->layout;
    struct cache_view *v = &l->view;
    size_t n = list->layout_bytes;
    void *p;
    TRY(new_file_map(o->spill_folder, n, "laid-out weights", &p, err));
    v->room = v->map = p;
    v->room_bytes = v->map_bytes = n;
    l->panels = p;
    return pack_all(m, list, o, NULL, v->map, err);
}

/* Takes the kept file, or makes it where memory is short; otherwise makes the layout in memory and begins to keep it. */
static int open_kept(struct lathe_model *m, const struct matrix_list *list, const char *path, bool fits,
                     const struct lathe_model_options *o, struct lathe_err *err)
{
    struct layout *l = m->layout;
    const struct cache_id *id = &l->id;
    uint64_t n = list->layout_bytes;
    int rc = 0;
    m->layout_cached = cache_take(l, path, id, n, fits, o);
    if (!m->layout_cached && !fits) {
        if (cache_make(m, list, path, id, o, &rc, err) && rc == 0)
            cache_take(l, path, id, n, fits, o);
        TRY(rc);
    }
    l->streams = l->panels && !fits;
    if (l->streams) /* reading its metadata and vectors may have mapped much of the model's file */
        drop_packed(m, list, 0, UINT64_MAX);
    if (l->panels)
        return 0;
    if (!fits)
        return refuse_memory(n, o, err);
    TRY(make_in_memory(m, list, o, err));
    l->keep = layout_keep_start(path, id, l->panels, n);
    if (l->keep)
        snprintf(l->path, sizeof l->path, "%s", path);
    return 0;
}

int layout_open(struct lathe_model *m, const struct matrix_list *list, const struct lathe_model_options *o,
                struct lathe_err *err)
{
    char path[4100];
    struct layout *l = mem_new(sizeof *l);
    l->id = (struct cache_id){"LATHELAY", ".lay", LAYOUT_VERSION, layout_key(m, list)};
    l->view.guard = -1;
    m->layout = l;
    bool fits = fits_memory(list->layout_bytes, o);
    TRY(check_room(list->layout_bytes, o, err));
    if (o->spill_folder)
        TRY(make_spilled(m, list, o, err));
    else if (!o->no_cache && cache_path(o->cache_dir, &l->id, path, sizeof path))
        TRY(open_kept(m, list, path, fits, o, err));
    else if (fits)
        TRY(make_in_memory(m, list, o, err));
    else
        return refuse_memory(list->layout_bytes, o, err);
    for (size_t i = 0; i < list->n; i++)
        list->v[i]->panels = l->panels + list->v[i]->offset;
    if (o->lock && mlock(l->view.map, l->view.map_bytes) != 0)
        return err_set(err, LATHE_E_FAILED,
                       "cannot lock %zu bytes of weights in memory: %s; raise 'ulimit -l'", l->view.map_bytes,
                       strerror(errno));
    return 0;
}

const char *layout_streams(const struct layout *l, const uint8_t **panels)
{
    *panels = l->panels;
    return l->streams ? l->path : NULL;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    layout_keep_end(l->keep);
    cache_view_close(&l->view);
    free(l);
}

int layout_verify(struct layout *l, const char **path, uint64_t *n_bytes, struct lathe_err *err)
{
    struct cache_view kept = {.guard = -1};
    if (l->keep && !layout_keep_end(l->keep))
        l->path[0] = 0;
    l->keep = NULL;
    *path = l->path[0] ? l->path : NULL;
    *n_bytes = 0;
    if (!*path)
        return 0;
    bool intact = cache_view_open(&kept, l->path, &l->id, true) && cache_view_intact(&kept);
    *n_bytes = intact ? cache_view_size(&kept) : 0;
    cache_view_close(&kept);
    return intact ? 0
                  : err_set(err, LATHE_E_FILE, "%s is damaged: delete it, the next start makes it anew",
                            l->path);
}

bool model_damaged(const struct lathe_model *m)
{
    return model_file_damaged(m->file) || map_guard_damaged(m->layout->view.guard) ||
           (m->vocab_index && map_guard_damaged(m->vocab_index->guard));
}
