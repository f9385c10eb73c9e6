/* The load paths of encoders and of experts in blocks, and what lathe embed reads, under failing calls (torture.h). */
/* clang-format off */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free,--wrap=mmap,--wrap=munmap,--wrap=open,--wrap=openat,--wrap=close,--wrap=fstat,--wrap=stat,--wrap=read,--wrap=pread,--wrap=pwrite,--wrap=ftruncate,--wrap=flock,--wrap=posix_fallocate,--wrap=fdatasync,--wrap=rename,--wrap=mkdir,--wrap=mlock,--wrap=pipe2,--wrap=poll,--wrap=pthread_create */
/* clang-format on */
#include "torture/torture.h"
#include "cli/line_ids.h"
#include "format/model_file.h"
#include "gguf_write.h"
#include "tiny_folders.h"
#include "tmp_dir.h"

/* ---- what is loaded ---- */

static const char *model; /* a folder or a GGUF file */
static char written[400];

static int load_view(struct lathe_err *err)
{
    struct model_file *f;
    int rc = model_file_open(model, &f, err);
    model_file_free(f);
    return rc;
}

static int convert(struct lathe_err *err)
{
    return convert_over(model, written, NULL, err);
}

/* Steps until the request is done. */
static int run(lathe_engine *e, const struct lathe_request *r, struct lathe_err *err)
{
    struct lathe_event ev;
    uint64_t id;
    int rc = lathe_engine_submit(e, r, &id, err);
    while (!rc && (rc = lathe_engine_step(e, err)) > 0)
        rc = 0;
    while (lathe_engine_poll(e, &ev))
        if (!rc && ev.kind == LATHE_EVENT_DONE && ev.finish == LATHE_FINISH_ERROR) {
            rc = ev.err.code;
            *err = ev.err;
        }
    return rc;
}

static int answer(lathe_model *m, struct lathe_err *err)
{
    static const char first[] = "the cats", second[] = "the cat sat";
    struct lathe_model_info info;
    struct lathe_engine_options o;
    struct lathe_request r;
    lathe_engine *e = NULL;
    int32_t *ids = NULL;
    lathe_model_get_info(m, &info);
    lathe_engine_options_init(&o);
    o.n_thread = 2;
    o.n_ctx = info.n_ctx_text;
    lathe_request_init(&r);
    r.embed = !info.generates;
    r.n_predict = info.generates ? 2 : 0;
    int rc = lathe_tokenize_pair(lathe_model_vocab(m), first, sizeof first - 1, info.n_class ? second : NULL,
                                 sizeof second - 1, info.n_ctx_text, &ids, &r.n_ids, &r.second_at, err);
    r.ids = ids;
    if (!rc)
        rc = lathe_engine_new(m, &o, &e, err);
    if (!rc)
        rc = run(e, &r, err);
    lathe_engine_free(e);
    free(ids);
    return rc;
}

static int load_and_answer(struct lathe_err *err)
{
    struct lathe_model_options o;
    lathe_model *m;
    lathe_model_options_init(&o);
    o.cache_dir = cache;
    o.n_thread = 2;
    int rc = lathe_model_open(model, &o, &m, err);
    if (!rc)
        rc = answer(m, err);
    lathe_model_free(m);
    return rc;
}

static char lines[400];
static const lathe_vocab *vocab;

/* As `lathe embed` reads its input. */
static int read_lines(struct lathe_err *err)
{
    struct line_options o = {.vocab = vocab, .n_most = 12, .truncate = true, .pairs = true};
    struct line_ids *l = NULL;
    struct line_taken t;
    int n = 0, rc = line_ids_open(lines, &o, &l, err);
    while (!rc && (rc = line_ids_take(l, true, &t, err)) > 0) {
        free(t.ids);
        n++;
        rc = 0;
    }
    if (!rc && n != 3)
        fail_msg("%d lines of 3", n);
    line_ids_close(l);
    return rc;
}

/* ---- the runs ---- */

static void every_way(const char *what, const char *path)
{
    char name[64], gguf[400];
    model = path;
    snprintf(name, sizeof name, "%s folder", what);
    torture(name, load_view, true, false);
    snprintf(name, sizeof name, "%s cold", what);
    torture(name, load_and_answer, false, true);
    snprintf(name, sizeof name, "%s warm", what);
    torture(name, load_and_answer, false, false);
    snprintf(written, sizeof written, "%s.gguf", path);
    snprintf(name, sizeof name, "%s convert", what);
    torture(name, convert, false, false);
    snprintf(gguf, sizeof gguf, "%s", written);
    model = gguf;
    snprintf(name, sizeof name, "%s GGUF", what);
    torture(name, load_and_answer, false, true);
}

static void cross_encoder(void **state)
{
    tiny_cross_encoder(tmp_path("cross"));
    every_way("cross", tmp_path("cross"));
}

static void sentence_encoder(void **state)
{
    tiny_sentence_encoder(tmp_path("sentence"));
    every_way("sentence", tmp_path("sentence"));
}

static void experts_in_blocks(void **state)
{
    tiny_gpt_oss(tmp_path("gptoss"));
    every_way("gpt-oss", tmp_path("gptoss"));
}

static void lines_of_text(void **state)
{
    lathe_vocab *v;
    char path[500];
    static const char text[] =
        "the cat\tthe cats\nthe\n\xff the the the the the the the the the the the the the\n";
    tiny_cross_encoder(tmp_path("cross"));
    snprintf(path, sizeof path, "%s/tokenizer.json", tmp_path("cross"));
    assert_int_equal(lathe_vocab_open(path, &v, NULL), 0);
    vocab = v;
    strcpy(lines, tmp_path("lines"));
    gw_save_bytes(lines, text, sizeof text - 1);
    torture("lines", read_lines, false, false);
    lathe_vocab_free(v);
}

int main(void)
{
    strcpy(cache, tmp_path("cache"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_encoder),
        cmocka_unit_test(sentence_encoder),
        cmocka_unit_test(experts_in_blocks),
        cmocka_unit_test(lines_of_text),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    empty_cache();
    return rc;
}
