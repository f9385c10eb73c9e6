/* A Hugging Face folder while it is opened: config.json and its companions beside safetensors files become the metadata
 * and tensors that the same model has as GGUF. Inside of src/format. */
#ifndef LATHE_FORMAT_HF_H
#define LATHE_FORMAT_HF_H
#include <jansson.h>
#include "format/meta_build.h"
#include "format/safetensors.h"

/* Classes of transformers that are read, as bits: which rows of hf_config.inc and hf_names.inc are theirs. */
enum hf_set {
    HF_LLAMA = 1,
    HF_MISTRAL = 1 << 1,
    HF_MIXTRAL = 1 << 2,
    HF_QWEN2 = 1 << 3,
    HF_QWEN3 = 1 << 4,
    HF_QWEN3MOE = 1 << 5,
    HF_GEMMA2 = 1 << 6,
    HF_GEMMA3 = 1 << 7,
    HF_PHI3 = 1 << 8,
    HF_GPTOSS = 1 << 9,
    HF_BERT = 1 << 10,
    HF_BERTCLS = 1 << 11, /* with a head that classifies */
    HF_OUTER = 1 << 12,   /* what is around the model that is read (hf_outer.c) */
    HF_QWEN2VL = 1 << 13,
    HF_HALVES = HF_LLAMA | HF_MISTRAL |
                HF_MIXTRAL, /* GGUF has their rotary pairs side by side, the folder as halves */
    HF_GEMMA = HF_GEMMA2 | HF_GEMMA3,
    HF_QWEN = HF_QWEN2 | HF_QWEN3 | HF_QWEN3MOE | HF_QWEN2VL,
    HF_MOE = HF_MIXTRAL | HF_QWEN3MOE | HF_GPTOSS,
    HF_ENCODER = HF_BERT | HF_BERTCLS,
    HF_DECODER = HF_HALVES | HF_QWEN | HF_GEMMA | HF_PHI3 | HF_GPTOSS
};

struct hf_class {
    const char *name; /* as "architectures" in config.json has it */
    const char *arch; /* general.architecture of GGUF */
    uint32_t set;
    double rope_theta; /* where config.json has none */
    int head_dim;      /* the same; 0: hidden_size / num_attention_heads */
    bool tied;         /* tie_word_embeddings, the same */
};

struct hf {
    struct model_file *f;
    const struct hf_class *class;
    json_t *whole;     /* config.json */
    json_t *config;    /* of the model that is read: it, or an object in it */
    bool is_outer;     /* the checkpoint has more than that model */
    char folder[4096]; /* ends with '/' */
    const char *path;  /* its tail, for errors */
    uint64_t n_layer, n_expert, n_head, head_dim, n_embd;
    bool tied, has_head, takes_head; /* takes_head: a head that is there counts, whatever `tied` says */
    struct mf_tensor **experts;      /* by row of hf_names.inc and layer; of hf_names.c */
    struct hf_quant *quant;          /* of hf_quant.c; NULL: weights are floats */
    struct hf_fused *fused;          /* [n_layer], of hf_fused.c; NULL: none yet */
    struct lathe_err *err;
};

/* Maps a file of the folder, which lives as long as the view, and reads it as JSON of at most max bytes. *out stays NULL
 * if the file is not there and not `required`. The caller decrefs *out. */
int hf_json(struct hf *h, const char *name, uint64_t max, bool required, json_t **out);
/* The same without reading: its bytes. p stays NULL if it is not there. */
int hf_bytes(struct hf *h, const char *name, struct str *out);

/* A key of config.json; NULL if it is absent or null. */
json_t *hf_get(const json_t *object, const char *key);
/* The number of a key, or `fallback`. FILE if it is something else, or out of range. */
int hf_number(struct hf *h, const json_t *object, const char *key, double fallback, double min, double max,
              double *out);
/* The key under its architecture: "%.block_count" becomes "llama.block_count". Valid until the next call's `out`. */
const char *hf_key(const struct hf *h, const char *pattern, char out[80]);

/* If *class is that of a checkpoint with more than one model, it becomes that of its text, whose configuration *h then has. */
int hf_outer(struct hf *h, const char **class);
/* config.json to metadata, by the rows of hf_config.inc. Sets the numbers of *h. */
int hf_config(struct hf *h);
/* What config.json says of rotary positions; may add tensors of factors. After hf_config. */
int hf_rope(struct hf *h);
/* Tokenizer, chat template, ids with a meaning. */
int hf_tokenizer(struct hf *h);
/* Adds the file's tensors under GGUF's names, by the rows of hf_names.inc; there is room for them. */
int hf_tensors(struct hf *h, const struct mf_part *part, const struct st_tensor *t, uint64_t n);
/* hf_fused.c: the tensors of gpt-oss that all experts of a layer share; `what` is the end of the name there. At the end they become
 * those that GGUF has, at most HF_FUSED_MORE more of a layer than the folder has. */
enum { HF_FUSED_MORE = 2 };
int hf_fused_take(struct hf *h, const char *what, uint64_t layer, const struct mf_part *part,
                  const struct st_tensor *t);
int hf_fused_end(struct hf *h);
/* After all tensors: experts and heads are complete. */
int hf_tensors_end(struct hf *h);
/* A new tensor of the view; '%' in the pattern is the layer. */
struct mf_tensor *hf_new_tensor(struct hf *h, const char *pattern, uint64_t layer);
/* An f32 vector made here. */
struct mf_tensor *hf_add_vector(struct hf *h, const char *name, const float *v, uint64_t n);

/* Opens the folder of path: path is the folder, or a safetensors file or index in it (`file`). */
int hf_open(const char *path, bool file, struct model_file **out, struct lathe_err *err);
/* Whether the name is that of an index of safetensors files. */
bool hf_is_index(const char *path);
#endif
