/* The load paths of encoders and of experts in blocks, and what lathe embed reads, under failing calls (torture.h). */
/* clang-format off */
/* link: -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=free,--wrap=mmap,--wrap=munmap,--wrap=open,--wrap=openat,--wrap=close,--wrap=fstat,--wrap=stat,--wrap=read,--wrap=pread,--wrap=pwrite,--wrap=ftruncate,--wrap=flock,--wrap=posix_fallocate,--wrap=fdatasync,--wrap=rename,--wrap=mkdir,--wrap=mlock,--wrap=pipe2,--wrap=poll,--wrap=pthread_create */
/* clang-format on */
#include "torture/torture.h"
#include "cli/line_ids.h"
#include "format/model_file.h"
#include "gguf_write.h"
#include "tmp_dir.h"

/* ---- folders ---- */

/* A safetensors file of zeros: the tensors' names, types and shapes as rows. */
struct row {
    const char *name, *dtype;
    int dim[4]; /* 0 ends */
};

static void save_tensors(const char *path, const struct row *rows, int n_row)
{
    static char file[1 << 16];
    size_t at = 8, data = 0;
    for (int i = 0; i < n_row; i++) {
        const struct row *r = &rows[i];
        size_t n = r->dtype[0] == 'U' ? 1 : r->dtype[0] == 'B' ? 2 : 4;
        at += (size_t)sprintf(file + at, "%c\"%s\":{\"dtype\":\"%s\",\"shape\":[", i ? ',' : '{', r->name,
                              r->dtype);
        for (int d = 0; d < 4 && r->dim[d]; d++) {
            at += (size_t)sprintf(file + at, d ? ",%d" : "%d", r->dim[d]);
            n *= (size_t)r->dim[d];
        }
        at += (size_t)sprintf(file + at, "],\"data_offsets\":[%zu,%zu]}", data, data + n);
        data += n;
    }
    file[at++] = '}';
    assert_true(at + data <= sizeof file);
    memcpy(file, &(uint64_t){at - 8}, 8);
    memset(file + at, 0, data);
    gw_save_bytes(path, file, at + data);
}

static void save_text(const char *folder, const char *name, const char *text)
{
    char path[900];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    gw_save_bytes(path, text, strlen(text));
}

#define LAYER "bert.encoder.layer.0."
#define DENSE(name, n_out, n_in)            \
    {name ".weight", "F32", {n_out, n_in}}, \
    {                                       \
        name ".bias", "F32",                \
        {                                   \
            n_out                           \
        }                                   \
    }
#define NORM(name)                \
    {name ".weight", "F32", {8}}, \
    {                             \
        name ".bias", "F32",      \
        {                         \
            8                     \
        }                         \
    }
static const struct row bert_rows[] = {
    {"bert.embeddings.word_embeddings.weight", "F32", {7, 8}},
    {"bert.embeddings.position_embeddings.weight", "F32", {16, 8}},
    {"bert.embeddings.token_type_embeddings.weight", "F32", {2, 8}},
    NORM("bert.embeddings.LayerNorm"),
    DENSE(LAYER "attention.self.query", 8, 8),
    DENSE(LAYER "attention.self.key", 8, 8),
    DENSE(LAYER "attention.self.value", 8, 8),
    DENSE(LAYER "attention.output.dense", 8, 8),
    NORM(LAYER "attention.output.LayerNorm"),
    DENSE(LAYER "intermediate.dense", 8, 8),
    DENSE(LAYER "output.dense", 8, 8),
    NORM(LAYER "output.LayerNorm"),
    /* of the classifier */
    DENSE("bert.pooler.dense", 8, 8),
    DENSE("classifier", 1, 8),
};
enum { N_BERT = sizeof bert_rows / sizeof *bert_rows, N_CLASSIFIER = 4 };

#define BERT_SIZES                                                                                 \
    "\"hidden_size\":8,\"num_hidden_layers\":1,\"intermediate_size\":8,\"num_attention_heads\":2," \
    "\"max_position_embeddings\":16,\"hidden_act\":\"gelu\",\"pad_token_id\":0"
#define PIECE(name, kind) "{\"SpecialToken\":{\"id\":\"" name "\",\"type_id\":" kind "}}"
#define TEXT(name, kind) "{\"Sequence\":{\"id\":\"" name "\",\"type_id\":" kind "}}"
static const char word_pieces[] =
    "{\"version\":\"1.0\",\"truncation\":{\"max_length\":12,\"strategy\":\"LongestFirst\",\"stride\":0,"
    "\"direction\":\"Right\"},"
    "\"padding\":null,\"added_tokens\":[],\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,"
    "\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":"
    "\"BertPreTokenizer\"},"
    "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[" PIECE("[CLS]", "0") "," TEXT(
        "A", "0") "," PIECE("[SEP]",
                            "0") "],"
                                 "\"pair\":[" PIECE("[CLS]", "0") "," TEXT("A", "0") "," PIECE(
                                     "[SEP]",
                                     "0") "," TEXT("B",
                                                   "1") "," PIECE("[SEP]",
                                                                  "1") "],"
                                                                       "\"special_tokens\":{\"[CLS]\":{"
                                                                       "\"id\":\"[CLS]\",\"ids\":[2],"
                                                                       "\"tokens\":[\"[CLS]\"]},"
                                                                       "\"[SEP]\":{\"id\":\"[SEP]\",\"ids\":["
                                                                       "3],\"tokens\":[\"[SEP]\"]}}},"
                                                                       "\"decoder\":{\"type\":\"WordPiece\","
                                                                       "\"prefix\":\"##\",\"cleanup\":true},"
                                                                       "\"model\":{\"type\":\"WordPiece\","
                                                                       "\"unk_token\":\"[UNK]\",\"continuing_"
                                                                       "subword_prefix\":\"##\",\"max_input_"
                                                                       "chars_per_word\":100,"
                                                                       "\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,"
                                                                       "\"[CLS]\":2,\"[SEP]\":3,\"the\":4,"
                                                                       "\"cat\":5,\"##s\":6}}}";
static const char unigram[] =
    "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[],\"normalizer\":null,"
    "\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\",\"split\":"
    "true},\"post_processor\":null,"
    "\"decoder\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"always\",\"split\":true},"
    "\"model\":{\"type\":\"Unigram\","
    "\"unk_id\":0,\"vocab\":[[\"<unk>\",0.0],[\"_\",-2.0],[\"_the\",-3.0],[\"_c\",-3.0],[\"at\",-3.0],[\"s\","
    "-4.0],[\"a\",-5.0]],"
    "\"byte_fallback\":false}}";

static void write_cross(const char *folder)
{
    char path[500];
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    save_tensors(path, bert_rows, N_BERT);
    save_text(folder, "config.json",
              "{\"architectures\":[\"BertForSequenceClassification\"],\"id2label\":{\"0\":\"L\"}," BERT_SIZES
              "}");
    save_text(folder, "tokenizer.json", word_pieces);
    save_text(folder, "tokenizer_config.json", "{\"model_max_length\":14}");
}

static void write_sentence(const char *folder)
{
    char path[500];
    struct row rows[N_BERT];
    memcpy(rows, bert_rows, sizeof rows);
    for (int i = 0; i < N_BERT - N_CLASSIFIER; i++)
        rows[i].name += strlen("bert.");
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    save_tensors(path, rows, N_BERT - N_CLASSIFIER);
    save_text(folder, "config.json", "{\"architectures\":[\"BertModel\"]," BERT_SIZES "}");
    save_text(folder, "tokenizer.json", unigram);
    save_text(folder, "sentence_bert_config.json", "{\"max_seq_length\":10}");
    save_text(folder, "modules.json",
              "[{\"type\":\"sentence_transformers.models.Transformer\"},{\"type\":\"x.Pooling\"}]");
    snprintf(path, sizeof path, "%s/1_Pooling", folder);
    mkdir(path, 0700);
    save_text(path, "config.json", "{\"pooling_mode_mean_tokens\":true}");
}

#define GPT "model.layers.0."
static const struct row gpt_rows[] = {
    {"model.embed_tokens.weight", "BF16", {7, 32}},
    {"model.norm.weight", "BF16", {32}},
    {"lm_head.weight", "BF16", {7, 32}},
    {GPT "input_layernorm.weight", "BF16", {32}},
    {GPT "post_attention_layernorm.weight", "BF16", {32}},
    {GPT "self_attn.q_proj.weight", "BF16", {32, 32}},
    {GPT "self_attn.q_proj.bias", "BF16", {32}},
    {GPT "self_attn.k_proj.weight", "BF16", {16, 32}},
    {GPT "self_attn.k_proj.bias", "BF16", {16}},
    {GPT "self_attn.v_proj.weight", "BF16", {16, 32}},
    {GPT "self_attn.v_proj.bias", "BF16", {16}},
    {GPT "self_attn.o_proj.weight", "BF16", {32, 32}},
    {GPT "self_attn.o_proj.bias", "BF16", {32}},
    {GPT "self_attn.sinks", "BF16", {2}},
    {GPT "mlp.router.weight", "BF16", {2, 32}},
    {GPT "mlp.router.bias", "BF16", {2}},
    {GPT "mlp.experts.gate_up_proj_blocks", "U8", {2, 64, 1, 16}},
    {GPT "mlp.experts.gate_up_proj_scales", "U8", {2, 64, 1}},
    {GPT "mlp.experts.gate_up_proj_bias", "BF16", {2, 64}},
    {GPT "mlp.experts.down_proj_blocks", "U8", {2, 32, 1, 16}},
    {GPT "mlp.experts.down_proj_scales", "U8", {2, 32, 1}},
    {GPT "mlp.experts.down_proj_bias", "BF16", {2, 32}},
};

static void write_gpt_oss(const char *folder)
{
    char path[500];
    mkdir(folder, 0700);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    save_tensors(path, gpt_rows, sizeof gpt_rows / sizeof *gpt_rows);
    save_text(folder, "config.json",
              "{\"architectures\":[\"GptOssForCausalLM\"],\"hidden_size\":32,\"intermediate_size\":32,\"num_"
              "hidden_layers\":1,"
              "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":16,\"num_local_experts\":2,"
              "\"num_experts_per_tok\":1,"
              "\"max_position_embeddings\":128,\"tie_word_embeddings\":false,\"quantization_config\":{"
              "\"quant_method\":\"mxfp4\"}}");
    save_text(folder, "tokenizer.json", unigram);
}

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

/* A file that could not be written whole is not there; what was there before stays. */
static int convert(struct lathe_err *err)
{
    static const char before[] = "what was there";
    struct stat st;
    gw_save_bytes(written, before, sizeof before);
    int rc = lathe_convert(model, written, NULL, err);
    if (__real_stat(written, &st) || (rc != 0) != (st.st_size == sizeof before))
        fail_msg("convert: code %d, %lld bytes: %s", rc, (long long)st.st_size, err->text);
    return rc;
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
    write_cross(tmp_path("cross"));
    every_way("cross", tmp_path("cross"));
}

static void sentence_encoder(void **state)
{
    write_sentence(tmp_path("sentence"));
    every_way("sentence", tmp_path("sentence"));
}

static void experts_in_blocks(void **state)
{
    write_gpt_oss(tmp_path("gptoss"));
    every_way("gpt-oss", tmp_path("gptoss"));
}

static void lines_of_text(void **state)
{
    lathe_vocab *v;
    char path[500];
    static const char text[] =
        "the cat\tthe cats\nthe\n\xff the the the the the the the the the the the the the\n";
    write_cross(tmp_path("cross"));
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
