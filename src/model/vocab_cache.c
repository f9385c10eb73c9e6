/* The vocabulary of a model, with its index from the cache folder, or built and kept there.
 *
 * A second start maps the index and builds nothing; its digest is checked, since it is small (a few MB). What
 * gets past that (somebody wrote it on purpose) cannot do more than give wrong tokens, see vocab.h. */
#include <stdlib.h>
#include "model/cache_file.h"
#include "model/model.h"

enum { MAX_INDEX_BYTES = 1 << 30 };

static struct cache_id index_id(const struct model_file *f)
{
    struct cache_id id = {.magic = "LATHEIDX", .suffix = ".idx", .version = VOCAB_INDEX_VERSION};
    XXH3_state_t *s = XXH3_createState();
    cache_key_start(s, f);
    XXH3_128bits_update(s, id.magic, 8);
    XXH3_128bits_update(s, &id.version, sizeof id.version);
    id.key = XXH3_128bits_digest(s);
    XXH3_freeState(s);
    return id;
}

static bool load_kept(struct lathe_model *m, const char *path, const struct cache_id *id)
{
    struct cache_view *v = mem_new(sizeof *v);
    if (cache_view_open(v, path, id, true)) {
        if (cache_view_size(v) <= MAX_INDEX_BYTES && cache_view_intact(v) &&
            vocab_load_index(m->file, cache_view_bytes(v), cache_view_size(v), &m->vocab, NULL) == 0) {
            m->vocab_index = v;
            return true;
        }
        cache_view_close(v);
    }
    free(v);
    return false;
}

/* A failure is no error: the next start builds the index again. */
static void keep(const vocab *v, const char *path, const struct cache_id *id)
{
    struct cache_writer w;
    void *p;
    size_t n;
    if (vocab_index_save(v, &p, &n, NULL))
        return;
    if (n <= MAX_INDEX_BYTES && cache_write_start(&w, path))
        cache_write_end(&w, id, cache_write(&w, p, n));
    free(p);
}

int vocab_open(struct lathe_model *m, const struct lathe_model_options *o, struct lathe_err *err)
{
    char path[4100];
    struct cache_id id = index_id(m->file);
    bool cached = !o->no_cache && cache_path(o->cache_dir, &id, path, sizeof path);
    if (cached && load_kept(m, path, &id))
        return 0;
    TRY(vocab_load(m->file, &m->vocab, err));
    if (cached && !model_file_damaged(m->file))
        keep(m->vocab, path, &id);
    return 0;
}

void vocab_close(struct lathe_model *m)
{
    vocab_free(m->vocab);
    if (m->vocab_index)
        cache_view_close(m->vocab_index);
    free(m->vocab_index);
    m->vocab = NULL;
    m->vocab_index = NULL;
}
