/* Tiny random models and engines over them for the engine's tests. A failure ends the test with its words. */
#ifndef LATHE_TESTS_ENGINE_TINY_H
#define LATHE_TESTS_ENGINE_TINY_H
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gguf_write.h"
#include "tmp_dir.h"
#include "unit.h"

static inline lathe_model *tiny_open(const char *path)
{
    struct lathe_model_options o;
    struct lathe_err err;
    lathe_model *m;
    lathe_model_options_init(&o);
    o.no_cache = true;
    o.n_thread = 1;
    if (lathe_model_open(path, &o, &m, &err))
        fail_msg("%s", err.text);
    return m;
}

static inline lathe_model *tiny_model(struct gw_shape shape, int type, uint64_t seed)
{
    gw_random_llama(tmp_path("tiny.gguf"), shape, type, seed);
    return tiny_open(tmp_path("tiny.gguf"));
}

static inline lathe_engine *tiny_engine_of(const lathe_model *m, const struct lathe_engine_options *o)
{
    struct lathe_err err;
    lathe_engine *e;
    if (lathe_engine_new(m, o, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static inline lathe_engine *tiny_engine(const lathe_model *m, int n_seq, int n_ctx, int n_thread, int n_chunk)
{
    struct lathe_engine_options o;
    lathe_engine_options_init(&o);
    o.n_seq = n_seq;
    o.n_ctx = n_ctx;
    o.n_thread = n_thread;
    o.n_chunk = n_chunk;
    return tiny_engine_of(m, &o);
}

static inline uint64_t tiny_submit(lathe_engine *e, const struct lathe_request *r)
{
    struct lathe_err err;
    uint64_t id;
    if (lathe_engine_submit(e, r, &id, &err))
        fail_msg("%s", err.text);
    return id;
}

static inline int tiny_step(lathe_engine *e)
{
    struct lathe_err err;
    int n = lathe_engine_step(e, &err);
    if (n < 0)
        fail_msg("%s", err.text);
    return n;
}
#endif
