/* The load paths of models that generate, under failing calls (torture.h). */
/* clang-format off */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free,--wrap=mmap,--wrap=munmap,--wrap=open,--wrap=openat,--wrap=close,--wrap=fstat,--wrap=stat,--wrap=read,--wrap=pread,--wrap=pwrite,--wrap=ftruncate,--wrap=flock,--wrap=posix_fallocate,--wrap=fdatasync,--wrap=rename,--wrap=mkdir,--wrap=mlock,--wrap=pipe2,--wrap=poll,--wrap=pthread_create */
/* clang-format on */
#include "torture/torture.h"
#include <jansson.h>
#include "base/cache_folder.h"
#include "format/model_file.h"
#include "gguf_write.h"
#include "kern/kern_cost.h"
#include "kern/kern_verdicts.h"
#include "model/cache_file.h"
#include "quant/format.h"
#include "tiny_folders.h"
#include "tmp_dir.h"

/* ---- what is loaded ---- */

static char gguf[400], split[400], checkpoint[400], folder[400], converted[400];

static int load_view(const char *path, struct lathe_err *err)
{
    struct model_file *f;
    int rc = model_file_open(path, &f, err);
    struct str *tokens = NULL;
    uint64_t n;
    if (!rc)
        rc = mf_strs(f, "tokenizer.ggml.tokens", &tokens, &n, err);
    free(tokens);
    model_file_free(f);
    return rc;
}

static int load_gguf(struct lathe_err *err)
{
    return load_view(gguf, err);
}
static int load_split(struct lathe_err *err)
{
    return load_view(split, err);
}
static int load_llama2c(struct lathe_err *err)
{
    return load_view(checkpoint, err);
}

static int load_folder(struct lathe_err *err)
{
    struct model_file *f;
    int rc = model_file_open(folder, &f, err);
    model_file_free(f);
    return rc;
}

static int convert(struct lathe_err *err)
{
    const struct lathe_convert_options o = {.type = "f16"};
    return convert_over(folder, converted, &o, err);
}

static int load_file(struct lathe_err *err)
{
    lathe_file *f;
    int rc = lathe_file_open(gguf, &f, err);
    lathe_file_free(f);
    return rc;
}

static int load_vocab(struct lathe_err *err)
{
    lathe_vocab *v = NULL;
    int32_t *ids = NULL;
    size_t n;
    int rc = lathe_vocab_open(gguf, &v, err);
    if (!rc)
        rc = lathe_tokenize(v, "the and ing", 11, 0, &ids, &n, err);
    free(ids);
    lathe_vocab_free(v);
    return rc;
}

/* A tokenizer.json of the oracle's rows, and a text that takes the ways of long ones. */
static const char *tokenizer_json;
static int load_tokenizer(struct lathe_err *err)
{
    static const char part[] = "<s>the cat sat on the mat \xff e\xcc\x81 low lower lowest ";
    lathe_vocab *v = NULL;
    int32_t *ids = NULL;
    char text[60 * sizeof part], *back = NULL;
    size_t n = 0, n_ids, n_back;
    for (; n + sizeof part <= sizeof text; n += sizeof part - 1)
        memcpy(text + n, part, sizeof part - 1);
    memset(text + n / 2, 'a', n / 2); /* one word longer than what is on the stack */
    int rc = lathe_vocab_open(tokenizer_json, &v, err);
    if (!rc)
        rc = lathe_tokenize(v, text, n, LATHE_TOK_SPECIAL | LATHE_TOK_BOS, &ids, &n_ids, err);
    if (!rc)
        rc = lathe_detokenize(v, ids, n_ids, true, &back, &n_back, err);
    free(back);
    free(ids);
    lathe_vocab_free(v);
    return rc;
}

/* Whatever fails, every row that answers has passed. */
static int load_verdicts(struct lathe_err *err)
{
    struct kern_verdicts v;
    char kernels[500];
    bool kept = cache_folder(cache, "kernels", kernels, sizeof kernels);
    static const struct kern_trial trial = {kern_check_row, kern_cost_measure};
    kern_verdicts_settle(&v, kept ? kernels : NULL, &trial);
    for (int i = 0; i < KERN_N_ROW; i++) {
        const struct kern_row *r = kern_row(i), *best = kern_choose_by(&v, r->op, r->format, KERN_MANY);
        if (best->isa == CPU_C ? r->isa != CPU_C && cpu_has(r->isa) : v.of[best - kern_row(0)] != KERN_PASSED)
            return err_set(err, LATHE_E_FAILED, "%s does not answer", r->name);
    }
    return 0;
}

static int load_model(bool no_cache, bool lock, struct lathe_err *err)
{
    struct lathe_model_options o;
    lathe_model *m;
    lathe_model_options_init(&o);
    o.cache_dir = cache;
    o.no_cache = no_cache;
    o.lock = lock;
    o.n_thread = 2;
    int rc = lathe_model_open(gguf, &o, &m, err);
    lathe_model_free(m);
    return rc;
}

static int load_cold(struct lathe_err *err)
{
    return load_model(false, false, err);
}
static int load_in_memory(struct lathe_err *err)
{
    return load_model(true, true, err);
}

/* A model from the cache, an engine, one token. */
static int load_and_run(struct lathe_err *err)
{
    struct lathe_model_options mo;
    struct lathe_engine_options eo;
    struct lathe_request r;
    struct lathe_event e;
    lathe_model *m;
    lathe_engine *engine = NULL;
    int32_t ids[3] = {1, 2, 3};
    uint64_t id;
    lathe_model_options_init(&mo);
    mo.cache_dir = cache;
    int rc = lathe_model_open(gguf, &mo, &m, err);
    lathe_engine_options_init(&eo);
    eo.n_thread = 2;
    eo.n_ctx = 64;
    eo.n_seq = 1;
    if (!rc)
        rc = lathe_engine_new(m, &eo, &engine, err);
    lathe_request_init(&r);
    r.ids = ids;
    r.n_ids = 3;
    r.n_predict = 1;
    if (!rc)
        rc = lathe_engine_submit(engine, &r, &id, err);
    while (!rc && (rc = lathe_engine_step(engine, err)) > 0)
        rc = 0;
    while (engine && lathe_engine_poll(engine, &e))
        if (!rc && e.kind == LATHE_EVENT_DONE && e.finish == LATHE_FINISH_ERROR) {
            rc = e.err.code;
            *err = e.err;
        }
    lathe_engine_free(engine);
    lathe_model_free(m);
    return rc;
}

/* A kept file read into memory; any failure is gone around by its caller. */
static const struct cache_id kept_id = {.magic = "LATHELAY", .suffix = ".lay", .version = 1};
static const char *kept_file;
static int load_kept_file(struct lathe_err *err)
{
    struct cache_view v;
    struct pool *pool;
    if (pool_new(2, &pool, err))
        return err->code;
    if (cache_view_load(&v, kept_file, &kept_id, pool))
        cache_view_close(&v);
    pool_free(pool);
    return 0;
}

static void views(void **state)
{
    torture("gguf", load_gguf, true, false);
    torture("split", load_split, true, false);
    torture("llama2.c", load_llama2c, true, false);
    torture("folder", load_folder, true, false);
    torture("convert", convert, false, false);
    torture("file", load_file, true, false);
}

static void vocabulary(void **state)
{
    torture("vocabulary", load_vocab, true, false);
}

static void tokenizers(void **state)
{
    static const char *const names[] = {"llama2", "llama3", "roberta", "unigram", "t5", "bert", "pre_bert"};
    static char line[1 << 20];
    size_t n_found = 0;
    FILE *f = fopen(LATHE_TEST_DATA "/tokenizer_cases.jsonl", "r");
    assert_non_null(f);
    tokenizer_json = tmp_path("tokenizer.json");
    while (fgets(line, sizeof line, f)) {
        json_t *row = json_loads(line, JSON_ALLOW_NUL, NULL);
        const char *name = json_string_value(json_object_get(row, "name"));
        for (size_t i = 0; name && i < sizeof names / sizeof *names; i++)
            if (strcmp(name, names[i]) == 0) {
                json_dump_file(json_object_get(row, "tokenizer"), tokenizer_json, 0);
                torture(name, load_tokenizer, false, false); /* read_file goes around fstat */
                n_found++;
            }
        json_decref(row);
    }
    fclose(f);
    assert_int_equal(n_found, sizeof names / sizeof *names);
}

static void verdicts(void **state)
{
    torture("verdicts", load_verdicts, false, true);
    torture("kept", load_verdicts, false, false);
}

static void model_cold(void **state)
{
    torture("cold cache", load_cold, false, true);
}

static void model_in_memory(void **state)
{
    torture("no cache", load_in_memory, false, false);
}

static void model_warm_and_engine(void **state)
{
    torture("engine", load_and_run, false, false);
}

static void kept_file_in_memory(void **state)
{
    struct cache_writer w;
    static uint8_t content[5 << 20];
    kept_file = tmp_path("kept.lay");
    assert_true(cache_write_start(&w, kept_file) && cache_write(&w, content, sizeof content));
    assert_true(cache_write_end(&w, &kept_id, true));
    torture("kept file", load_kept_file, false, false);
}

static void write_checkpoint(void)
{
    /* dim 2, hidden 1, one layer and head, 3 tokens: 6 + 2 + 16 + 2 + 6 + 2 + 2 floats */
    int32_t file[7 + 36] = {2, 1, 1, 1, 1, 3, 1};
    uint8_t tokens[4 + 3 * 9] = {1};
    for (int i = 0; i < 3; i++) {
        tokens[4 + 9 * i + 4] = 1;
        tokens[4 + 9 * i + 8] = (uint8_t)('a' + i);
    }
    gw_save_bytes(checkpoint, file, sizeof file);
    gw_save_bytes(tmp_path("tok3.bin"), tokens, sizeof tokens);
}

/* A llama of one layer and one head in two files and an index: names, rows, columns. */
static const struct {
    const char *name;
    int rows, cols;
} tensors[] = {
    {"model.embed_tokens.weight", 3, 4},
    {"model.layers.0.input_layernorm.weight", 0, 4},
    {"model.layers.0.self_attn.q_proj.weight", 4, 4},
    {"model.layers.0.self_attn.k_proj.weight", 4, 4},
    {"model.layers.0.self_attn.v_proj.weight", 4, 4},
    {"model.layers.0.self_attn.o_proj.weight", 4, 4},
    {"model.layers.0.post_attention_layernorm.weight", 0, 4},
    {"model.layers.0.mlp.gate_proj.weight", 4, 4},
    {"model.layers.0.mlp.up_proj.weight", 4, 4},
    {"model.layers.0.mlp.down_proj.weight", 4, 4},
    {"model.norm.weight", 0, 4},
};
enum { N_TENSOR = sizeof tensors / sizeof *tensors, IN_FIRST = 5 };

static void write_shard(int first, int last, const char *name)
{
    static char file[1 << 14];
    uint64_t n = 0;
    int at = 8, data = 0;
    for (int i = first; i < last; i++) {
        int rows = tensors[i].rows, bytes = (rows ? rows : 1) * tensors[i].cols * 4;
        at += sprintf(file + at, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[", i == first ? '{' : ',',
                      tensors[i].name);
        at += rows ? sprintf(file + at, "%d,%d", rows, tensors[i].cols)
                   : sprintf(file + at, "%d", tensors[i].cols);
        at += sprintf(file + at, "],\"data_offsets\":[%d,%d]}", data, data + bytes);
        data += bytes;
    }
    file[at++] = '}';
    n = (uint64_t)at - 8;
    memcpy(file, &n, sizeof n);
    memset(file + at, 0, (size_t)data);
    gw_save_bytes(tmp_path(name), file, (size_t)(at + data));
}

static void write_folder(void)
{
    static const char config[] = "{\"architectures\":[\"LlamaForCausalLM\"],\"hidden_size\":4,\"num_hidden_"
                                 "layers\":1,\"intermediate_size\":4,"
                                 "\"num_attention_heads\":1,\"tie_word_embeddings\":true,\"rope_scaling\":{"
                                 "\"type\":\"llama3\",\"factor\":2}}";
    char index[2000];
    int at = sprintf(index, "{\"weight_map\":");
    mkdir(folder, 0700);
    for (int i = 0; i < N_TENSOR; i++)
        at += sprintf(index + at, "%c\"%s\":\"%s.safetensors\"", i ? ',' : '{', tensors[i].name,
                      i < IN_FIRST ? "a" : "b");
    at += sprintf(index + at, "}}");
    write_shard(0, IN_FIRST, "hf/a.safetensors");
    write_shard(IN_FIRST, N_TENSOR, "hf/b.safetensors");
    gw_save_bytes(tmp_path("hf/model.safetensors.index.json"), index, (size_t)at);
    gw_save_bytes(tmp_path("hf/config.json"), config, sizeof config - 1);
    tiny_save_text(tmp_path("hf"), "tokenizer.json", tiny_unigram);
    gw_save_bytes(tmp_path("hf/generation_config.json"), "{\"eos_token_id\":[1,2]}", 22);
}

static void write_split(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct gw *g = gw_new();
        char name[64];
        gw_u32(g, "split.no", i);
        gw_u32(g, "split.count", 2);
        snprintf(name, sizeof name, "t%u", i);
        gw_tensor(g, name, FORMAT_F32, 1, (uint64_t[]){1}, &(float){1}, 4);
        snprintf(name, sizeof name, "s-%05u-of-00002.gguf", i + 1);
        gw_save(g, tmp_path(name));
        gw_free(g);
    }
}

int main(void)
{
    struct gw_shape s = {.n_embd = 32, .n_ff = 32, .n_head = 2, .n_head_kv = 1, .n_layer = 1};
    strcpy(gguf, tmp_path("m.gguf"));
    strcpy(split, tmp_path("s-00002-of-00002.gguf"));
    strcpy(checkpoint, tmp_path("m.bin"));
    strcpy(cache, tmp_path("cache"));
    gw_random_llama(gguf, s, FORMAT_Q4_0, 1);
    write_split();
    write_checkpoint();
    strcpy(folder, tmp_path("hf"));
    strcpy(converted, tmp_path("converted.gguf"));
    write_folder();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views),
        cmocka_unit_test(vocabulary),
        cmocka_unit_test(tokenizers),
        cmocka_unit_test(verdicts),
        cmocka_unit_test(model_cold),
        cmocka_unit_test(model_in_memory),
        cmocka_unit_test(model_warm_and_engine),
        cmocka_unit_test(kept_file_in_memory),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    empty_cache();
    return rc;
}
