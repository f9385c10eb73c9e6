/* Fuzzes what is beside the weights of an encoder: the first byte chooses a file of a valid folder, the rest is its content. What opens
 * is run: each line of the last choice as lathe embed reads it, of the others a fixed text. */
#include "fuzz_folder.h"
#include "cli/line_ids.h"
#include "tiny_folders.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* 's': of a sentence-transformers folder; 'c': of a cross-encoder's. */
static const struct {
    char folder;
    const char *name;
} files[] = {{'s', "modules.json"},
             {'s', "1_Pooling/config.json"},
             {'s', "sentence_bert_config.json"},
             {'s', "tokenizer_config.json"},
             {'s', "tokenizer.json"},
             {'s', "config.json"},
             {'c', "tokenizer_config.json"},
             {'c', "tokenizer.json"},
             {'c', "config.json"},
             {'c', "lines"}};
enum { N_FILE = sizeof files / sizeof *files, LINES = N_FILE - 1 };

static char root[64];

static void make_folder(char kind)
{
    snprintf(fuzz_dir, sizeof fuzz_dir, "%s/%c", root, kind);
    if (kind == 's')
        tiny_sentence_encoder(fuzz_dir);
    else
        tiny_cross_encoder(fuzz_dir);
}

static lathe_model *open_model(void)
{
    struct lathe_model_options o;
    struct lathe_err err = {0};
    lathe_model *m;
    lathe_model_options_init(&o);
    o.no_cache = true;
    o.n_thread = 1;
    int rc = lathe_model_open(fuzz_dir, &o, &m, &err);
    if (rc && (m || !err.text[0] || err.code != rc))
        abort();
    return m;
}

static void embed(lathe_engine *e, struct line_taken *t)
{
    struct lathe_request r;
    struct lathe_event ev;
    struct lathe_err err = {0};
    lathe_request_init(&r);
    r.ids = t->ids;
    r.n_ids = t->n_ids;
    r.second_at = t->second_at;
    r.embed = true;
    r.n_predict = 0;
    if (!lathe_engine_submit(e, &r, NULL, &err))
        while (lathe_engine_step(e, &err) > 0)
            ;
    while (lathe_engine_poll(e, &ev))
        for (int i = 0; i < ev.n_embedding; i++)
            if (!(ev.embedding[i] > -1e9f && ev.embedding[i] < 1e9f))
                abort();
    free(t->ids);
}

static void embed_lines(lathe_model *m, const char *path)
{
    struct lathe_model_info info;
    struct lathe_engine_options eo;
    struct lathe_err err = {0};
    struct line_taken t;
    struct line_ids *l;
    lathe_engine *e;
    lathe_model_get_info(m, &info);
    lathe_engine_options_init(&eo);
    eo.n_thread = 1;
    eo.n_ctx = info.n_ctx_text;
    if (lathe_engine_new(m, &eo, &e, &err))
        return;
    struct line_options lo = {.vocab = lathe_model_vocab(m),
                              .n_most = info.n_ctx_text,
                              .truncate = true,
                              .pairs = info.n_class > 0};
    if (line_ids_open(path, &lo, &l, &err))
        abort();
    while (line_ids_take(l, true, &t, &err) > 0)
        embed(e, &t);
    line_ids_close(l);
    lathe_engine_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int last = -1;
    static lathe_model *kept; /* of the lines, where the model stays as it is */
    char path[200];
    if (!root[0]) {
        snprintf(root, sizeof root, "/tmp/lathe-fuzz-%d", (int)getpid());
        mkdir(root, 0700);
        make_folder('s');
        make_folder('c');
        kept = open_model();
    }
    if (n == 0)
        return 0;
    int which = (int)((data[0] + N_FILE - '0' % N_FILE) % N_FILE); /* '0' is the first */
    if (last >= 0 && last != which)
        make_folder(files[last].folder);
    last = which;
    snprintf(fuzz_dir, sizeof fuzz_dir, "%s/%c", root, files[which].folder);
    folder_save(files[which].name, data + 1, n - 1);
    snprintf(path, sizeof path, "%s/c/lines", root);
    if (which == LINES) {
        embed_lines(kept, path);
        return 0;
    }
    tiny_save_text(fuzz_dir, "lines", "the cats\tcat\nthe\n");
    snprintf(path, sizeof path, "%s/lines", fuzz_dir);
    lathe_model *m = open_model();
    if (m)
        embed_lines(m, path);
    lathe_model_free(m);
    return 0;
}
