/* Models of the public interface: open, describe, free. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "model/disk_stream.h"
#include "model/model.h"
#include "quant/encode.h"

#define ARCH(name, load) {name, load},
static const struct architecture architectures[] = {
#include "model/architectures.inc"
};
#undef ARCH

void lathe_model_options_init(struct lathe_model_options *o)
{
    *o = (struct lathe_model_options){0};
}

static char *keep_str(struct lathe_model *m, struct str s)
{
    return arena_dup(&m->arena, s.p, s.n);
}

static int read_names(struct lathe_model *m, const struct lathe_model_options *o, struct lathe_err *err)
{
    struct str name = STR("unnamed"), arch = STR(""), chat = {0};
    bool has_chat = false;
    uint32_t type = UINT32_MAX;
    TRY(mf_str(m->file, "general.name", &name, NULL, err));
    TRY(mf_str(m->file, "general.architecture", &arch, NULL, err));
    TRY(mf_str(m->file, "tokenizer.chat_template", &chat, &has_chat, err));
    TRY(mf_u32(m->file, "general.file_type", &type, NULL, err));
    m->name = keep_str(m, name);
    m->architecture = keep_str(m, arch);
    if (o->chat_template)
        m->chat_template = keep_str(m, (struct str){o->chat_template, strlen(o->chat_template)});
    else
        m->chat_template = has_chat ? keep_str(m, chat) : NULL;
    return 0;
}

/* The type that most weights have names the file. */
static void name_file_type(struct lathe_model *m, const struct matrix_list *list)
{
    const struct matrix *best = list->v[0];
    uint64_t most = 0;
    for (size_t i = 0; i < list->n; i++) {
        uint64_t n = 0;
        for (size_t j = 0; j < list->n; j++)
            if (list->v[j]->format == list->v[i]->format)
                n += (uint64_t)list->v[j]->n_row * (uint64_t)list->v[j]->n_col;
        if (n > most) {
            most = n;
            best = list->v[i];
        }
    }
    m->file_type = keep_str(m, str_of(format_by_id(best->format)->name));
}

static int find_architecture(const char *name, const struct architecture **out, struct lathe_err *err)
{
    char known[500] = "";
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++) {
        *out = &architectures[i];
        if (strcmp(name, (*out)->name) == 0)
            return 0;
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", (*out)->name);
    }
    return err_set(err, LATHE_E_UNSUPPORTED, "architecture '%s' cannot run; known:%s", name, known);
}

static int load(struct lathe_model *m, const char *path, const struct lathe_model_options *o,
                struct lathe_err *err)
{
    TRY(model_file_open(path, &m->file, err));
    TRY(read_names(m, o, err));
    const struct architecture *arch;
    TRY(find_architecture(m->architecture, &arch, err));
    TRY(vocab_open(m, o, err));
    struct loader l = {.model = m, .file = m->file, .err = err};
    l.load_as = o->load_as ? format_encoded_as(o->load_as) : NULL;
    if (o->load_as && !l.load_as)
        return err_set(err, LATHE_E_USAGE, "weights cannot be loaded as '%.40s': f32, f16, bf16 or q8_0",
                       o->load_as);
    int rc = arch->load(&l);
    if (!rc) {
        name_file_type(m, &l.matrices);
        rc = layout_open(m, &l.matrices, o, err);
    }
    free(l.matrices.v);
    const uint8_t *panels;
    const char *streamed = rc ? NULL : layout_streams(m->layout, &panels);
    return streamed ? disk_stream_new(m, streamed, panels, &m->stream, err) : rc;
}

#define X(name, text) " " text
#define KNOWN_ISAS CPU_ISAS(X)
int lathe_model_open(const char *path, const struct lathe_model_options *opts, lathe_model **out,
                     struct lathe_err *err)
{
    struct lathe_model_options o;
    uint64_t start = clock_ns();
    *out = NULL;
    lathe_model_options_init(&o);
    if (opts)
        o = *opts;
    if (cpu_bad_mask())
        return err_set(err, LATHE_E_USAGE, "LATHE_CPU is '%s'; known:" KNOWN_ISAS, cpu_bad_mask());
    if (o.exact && o.native)
        return err_set(err, LATHE_E_USAGE, "--exact is f32 activations, --precision native bf16: not both");
    kern_begin(o.cache_dir, !o.no_cache);
    struct lathe_model *m = mem_new(sizeof *m);
    m->exact = o.exact;
    m->native = o.native;
    int rc = load(m, path, &o, err);
    if (rc) {
        lathe_model_free(m);
        return rc;
    }
    m->load_ms = (double)(clock_ns() - start) / 1e6;
    *out = m;
    return 0;
}

void lathe_model_free(lathe_model *m)
{
    if (!m)
        return;
    disk_stream_free(m->stream);
    layout_free(m->layout);
    vocab_close(m);
    model_file_free(m->file);
    arena_free(&m->arena);
    free(m);
}

int lathe_model_verify(const lathe_model *m, const char **path, uint64_t *n_bytes, struct lathe_err *err)
{
    return layout_verify(m->layout, path, n_bytes, err);
}

const lathe_vocab *lathe_model_vocab(const lathe_model *m)
{
    return m->vocab;
}

/* A matrix of which there are n, n_read read by one token. */
static void add_matrix(const struct matrix *x, struct lathe_model_info *o, int n, int n_read, double *n_ops)
{
    uint64_t bytes = matrix_bytes(x);
    o->weight_bytes += bytes * (uint64_t)n_read;
    o->resident_bytes += bytes * (uint64_t)n;
    *n_ops += 2.0 * x->n_row * x->n_col * n_read;
}

static void add_layer(const struct lathe_model *m, const struct model_layer *y, struct lathe_model_info *o)
{
    const struct matrix *attention[] = {&y->q, &y->k, &y->v, &y->o};
    const struct expert dense = {y->gate, y->up, y->down}, *e = y->moe ? y->moe->expert : &dense;
    const struct matrix *ffn[] = {&e->gate, &e->up, &e->down};
    for (size_t j = 0; j < sizeof attention / sizeof *attention; j++)
        add_matrix(attention[j], o, 1, 1, &o->ops_per_token);
    const uint64_t before = o->weight_bytes;
    for (size_t j = 0; j < sizeof ffn / sizeof *ffn; j++)
        add_matrix(ffn[j], o, y->moe ? m->config.n_expert : 1, y->moe ? m->config.n_expert_used : 1,
                   &o->ops_per_token);
    if (!y->moe)
        return;
    o->expert_bytes += o->weight_bytes - before;
    add_matrix(&y->moe->router, o, 1, 1, &o->ops_per_token);
}

void lathe_model_get_info(const lathe_model *m, struct lathe_model_info *out)
{
    const struct model_config *c = &m->config;
    *out = (struct lathe_model_info){.name = m->name,
                                     .architecture = m->architecture,
                                     .file_type = m->file_type,
                                     .chat_template = m->chat_template,
                                     .left_out = model_file_left_out(m->file),
                                     .n_param = m->n_param,
                                     .n_layer = c->n_layer,
                                     .n_embd = c->n_embd,
                                     .n_ff = c->n_ff,
                                     .n_head = c->n_head,
                                     .n_head_kv = c->n_head_kv,
                                     .head_dim = c->head_dim,
                                     .n_vocab = c->n_vocab,
                                     .n_ctx_train = c->n_ctx_train,
                                     .generates = !c->encoder,
                                     .n_class = c->n_class,
                                     .n_ctx_text = c->n_ctx_text,
                                     .layout_cached = m->layout_cached,
                                     .load_ms = m->load_ms};
    for (int i = 0; i < c->n_layer; i++)
        add_layer(m, &m->layers[i], out);
    if (m->head)
        add_matrix(m->head, out, 1, 1, &out->ops_head);
    if (c->n_class) {
        add_matrix(&m->pooler, out, 1, 1, &out->ops_head);
        add_matrix(&m->classifier, out, 1, 1, &out->ops_head);
    }
    if (!m->tied) /* its rows are read in the file, and which ones the clients decide */
        out->resident_bytes += m->embd.tensor->n_bytes;
}
