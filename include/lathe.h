/* lathe.h: the public interface of liblathe.
 *
 * One model file becomes a `lathe_model` (weights, tokenizer, chat template); an engine (`lathe_engine`) runs any number of
 * requests over it, many at once, one pass over the weights a step. Everything that happens to a request comes back as
 * an ordered stream of events.
 *
 *     lathe_model_open -> lathe_engine_new -> lathe_engine_submit ... -> { lathe_engine_step ; lathe_engine_poll ... }
 *
 * Conventions. Functions that can fail return 0 or a negative code of LATHE_ERRORS and fill `err` (which may be NULL) with one
 * line that names the value at fault and the remedy. Handles are opaque; every `_free(NULL)` is legal. Text is UTF-8 with an
 * explicit length and need not end in NUL unless the function says so. A model may be shared by threads; an engine belongs to one
 * thread at a time, except lathe_engine_cancel. */
#ifndef LATHE_H
#define LATHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LATHE_API __attribute__((visibility("default")))
#define LATHE_VERSION "0.1.0"

/* ---- errors ------------------------------------------------------------------------------------------------------- */

/* name, code, HTTP status, exit code of the program, text */
#define LATHE_ERRORS(E)                                                                                              \
    E(OK, 0, 200, 0, "done")                                                                                         \
    E(FAILED, -1, 500, 1, "failed")                                                                                  \
    E(USAGE, -2, 400, 2, "wrong use")                                                                                \
    E(FILE, -3, 503, 3, "bad model or input file")                                                                   \
    E(UNSUPPORTED, -4, 501, 3, "not supported")                                                                      \
    E(NOMEM, -5, 503, 1, "out of memory")                                                                            \
    E(IO, -6, 500, 1, "input or output failed")                                                                      \
    E(LIMIT, -7, 400, 1, "a limit was reached")                                                                      \
    E(CONTEXT, -8, 400, 1, "context length exceeded")                                                                \
    E(TEMPLATE, -9, 400, 3, "chat template failed")                                                                  \
    E(NUMERIC, -10, 500, 1, "the model computed NaN")                                                                \
    E(CANCELLED, -11, 499, 1, "cancelled")                                                                           \
    E(BUSY, -12, 503, 1, "too much is waiting")                                                                      \
    E(DEADLINE, -13, 503, 1, "not done in time")

enum lathe_code {
#define E(name, code, http, exit_code, text) LATHE_E_##name = code,
    LATHE_ERRORS(E)
#undef E
};

struct lathe_err {
    int code;        /* one of lathe_code */
    char text[504];  /* one line, NUL-terminated */
};

LATHE_API const char *lathe_version(void);
/* The text, HTTP status and exit code that belong to a code; unknown codes read as FAILED. */
LATHE_API const char *lathe_code_text(int code);
LATHE_API int lathe_code_http(int code);
LATHE_API int lathe_code_exit(int code);

/* ---- files: what is in a model file, runnable or not ---------------------------------------------------------------- */

typedef struct lathe_file lathe_file;

struct lathe_file_tensor {
    const char *name; /* owned by the file */
    const char *type; /* "Q4_0", ...; a type that lathe does not know reads "type 42" */
    bool runnable;    /* has kernels */
    int n_dim;
    uint64_t dim[4];  /* innermost first; unused ones are 1 */
    uint64_t n_bytes;
};

/* Opens `path` (a GGUF file, the first part of a split one, a llama2.c checkpoint, or a Hugging Face folder) and validates all of its
 * metadata. Fails with FILE (exit 3) on anything malformed. */
LATHE_API int lathe_file_open(const char *path, lathe_file **out, struct lathe_err *err);
LATHE_API void lathe_file_free(lathe_file *f);
/* What the checkpoint has besides that is not read, such as "vision"; NULL: nothing. */
LATHE_API const char *lathe_file_left_out(const lathe_file *f);
LATHE_API uint64_t lathe_file_n_meta(const lathe_file *f);
/* Key and value of metadata entry i < n_meta, the value as text of at most `n` bytes with its NUL (arrays are shortened). */
LATHE_API const char *lathe_file_meta(const lathe_file *f, uint64_t i, char *value, size_t n);
/* The exact bytes of a string value (not NUL-terminated), owned by the file; NULL if there is no such key or it holds no string. */
LATHE_API const char *lathe_file_str(const lathe_file *f, const char *key, size_t *n_bytes);
LATHE_API uint64_t lathe_file_n_tensor(const lathe_file *f);
LATHE_API int lathe_file_tensor_at(const lathe_file *f, uint64_t i, struct lathe_file_tensor *out);

struct lathe_convert_options {
    const char *type; /* of the matrices: "f32", "f16", "bf16", "q8_0"; NULL: as they are */
    void (*progress)(void *user, const char *what, double share); /* may be NULL; share 0..1 */
    void (*left_out)(void *user, const char *what); /* may be NULL; see lathe_file_left_out: once at the beginning, if there is anything */
    void (*note)(void *user, const char *text); /* may be NULL; what other programs will read otherwise, once at the end */
    void *user;
};

/* Writes the model at `from`, whatever its container, to `to` as one GGUF file, which appears complete or not at all. Equal
 * models give equal bytes. A tokenizer.json becomes the keys tokenizer.ggml.* that every reader of GGUF knows; where those cannot say
 * it, or not all of it, it is in the file too, or instead, and `note` is told. opts may be NULL. */
LATHE_API int lathe_convert(const char *from, const char *to, const struct lathe_convert_options *opts, struct lathe_err *err);

/* What became of one tensor. Strings are valid during the call. */
struct lathe_quantized {
    const char *name, *from, *to;
    const char *instead_of; /* the type that its rows cannot hold, for which `to` stands in; NULL: none */
    uint64_t n_weight, n_bytes;
    double error; /* length of what was rounded away over length of the tensor: sqrt(sum (x - w)^2 / sum x^2) */
    /* With a method that looks at the products: their error sum |W x - Q x|^2 / sum |W x|^2 over the calibration text, and what it is by
     * rounding alone; 0: not measured. Of a tensor of several matrices that of the last. */
    double output_error, output_plain;
};

enum lathe_quantize_method {
    LATHE_QUANTIZE_ROUND, /* to nearest, with the scales that make the error small; weighted by importances where there are any */
    LATHE_QUANTIZE_GPTQ,  /* column after column, what one loses is made up for by the next (Frantar et al. 2022); needs a text */
    LATHE_QUANTIZE_AWQ    /* columns with large inputs are scaled up before rounding (Lin et al. 2023); needs a text */
};

struct lathe_quantize_options {
    const char *type; /* a type ("q4_0") or a mix of types ("q4_k_m"); USAGE lists them all. NULL with a target */
    /* Instead of a type, one target: each tensor gets the type that what it does to the model's answers says, measured on the calibration
     * text. 0: none */
    double target_bpw;     /* bits per weight over all tensors */
    uint64_t target_bytes; /* of the file */
    double target_kl;      /* mean divergence from the model itself, in nats */
    const char *types;     /* that a target chooses from, with commas between; NULL: "q2_k,q3_k,iq4_xs,..." up to q8_0 */
    const char *layout; /* of a folder: "gptq", "awq", "compressed-tensors", "bitsandbytes"; NULL: the usual one of the type */
    int group;        /* of "int4": columns that share a scale; 0: 128, -1: whole rows */
    bool symmetric;   /* of "int4": no zero points */
    bool pure;        /* every matrix gets the type of the mix, the output head too */
    const char *const *tensor_types; /* "PART=TYPE" for tensors whose name has the part, the first that fits; ends with NULL; may be NULL */
    int n_thread;     /* 0: one per core this process may use; the file is the same for any number */
    enum lathe_quantize_method method;
    const char *calib_text; /* what the model reads to see what matters, n_calib_text bytes; NULL: no calibration */
    size_t n_calib_text;
    const char *calib_file; /* or the path of such a text, of which no more is read than the tokens need, in pieces spread over it */
    const char *calib_name; /* of the text, for the importance matrix; may be NULL */
    int calib_ctx;          /* tokens of a chunk; 0: 512 */
    int64_t calib_tokens;   /* most that are read, in chunks spread over the text; 0: 65536. Of a text of more than 16 bytes for each (and 1 MiB) pieces are looked at */
    bool act_order;         /* GPTQ to a folder whose layout keeps it: groups are of columns sorted by the size of their inputs */
    double damping;         /* GPTQ: what is added to the diagonal, as a share of its mean; 0: 0.01 */
    bool measure_output;    /* GPTQ, AWQ: measure output_error and output_plain, which takes longer */
    const char *imatrix;      /* importance matrix to read (GGUF, as llama.cpp writes it); NULL: that of the text, if there is one */
    const char *save_imatrix; /* where that of the text is written; NULL: nowhere */
    void (*tensor)(void *user, const struct lathe_quantized *t); /* may be NULL; each tensor, in the order of the file */
    void (*progress)(void *user, const char *what, double share); /* may be NULL; share 0..1 of all stages */
    void (*left_out)(void *user, const char *what); /* may be NULL; as in lathe_convert_options */
    void (*note)(void *user, const char *text); /* may be NULL; a line that a user should know */
    void *user;
};

struct lathe_quantize_report {
    uint64_t bytes_before, bytes_after; /* of the files */
    uint64_t n_tensor, n_weight;
    uint64_t n_fallback; /* tensors that have another type than they should have, because of the length of their rows */
    int64_t n_calib; /* tokens of the calibration text that were read */
    double predicted_kl; /* with a target: mean divergence, the sum of what tensors cost by rounding */
    double measured_kl;  /* with target_kl: that of the file, on parts of the text that were not used before */
    uint64_t n_better, n_compared; /* with measure_output: products that are closer than by rounding alone, of all; with AWQ those of one input count as one */
    double error, worst_error; /* as lathe_quantized's, of all tensors together and of the worst */
    char worst[256];     /* its name; "": nothing was rounded */
};

/* Writes the model at `from` (as lathe_convert reads it) to `to` as one GGUF file of another weight type, which appears complete or
 * not at all. Types "int4", "int8" and "nf4" are written as a folder of safetensors, from one: `to` is that folder, new or
 * empty. Each block gets the scales that make its squared error small. Norms, vectors and what routes stay f32. NUMERIC names a
 * weight that is no finite number, FILE a calibration text that is shorter than a chunk. `report` may be NULL. Ended in the middle, it
 * leaves TO.work, where the same call goes on; FAILED if another process writes `to`. */
LATHE_API int lathe_quantize(const char *from, const char *to, const struct lathe_quantize_options *opts,
                             struct lathe_quantize_report *report, struct lathe_err *err);

/* ---- vocabulary and text -------------------------------------------------------------------------------------------- */

typedef struct lathe_vocab lathe_vocab;

enum lathe_tokenize_flags {
    LATHE_TOK_SPECIAL = 1, /* spell of a special token in the text becomes that token; otherwise it is plain text */
    LATHE_TOK_BOS = 2      /* add the tokens of beginning and end of sequence that the model asks for */
};

/* Reads only the vocabulary of a model file (vocabulary-only files too), or of a Hugging Face tokenizer.json. */
LATHE_API int lathe_vocab_open(const char *path, lathe_vocab **out, struct lathe_err *err);
LATHE_API void lathe_vocab_free(lathe_vocab *v);
LATHE_API int lathe_vocab_size(const lathe_vocab *v);
/* Ids of the beginning and end of sequence, or -1. */
LATHE_API int lathe_vocab_bos(const lathe_vocab *v);
LATHE_API int lathe_vocab_eos(const lathe_vocab *v);
/* Whether the token ends an answer (end of sequence, end of turn, end of message). */
LATHE_API bool lathe_vocab_is_eog(const lathe_vocab *v, int id);
/* Text to ids. `*ids` is malloc-ed for the caller, who frees it. Any bytes are legal input, invalid UTF-8 included. */
LATHE_API int lathe_tokenize(const lathe_vocab *v, const char *text, size_t n_bytes, int flags, int32_t **ids, size_t *n_ids,
                             struct lathe_err *err);
/* What an embedding or a classification reads: one text, or two where `second` is not NULL, with the tokens of beginning and end that
 * the model asks for. *second_at goes into the request. More than n_most ids are cut off the longer text (0: none are). UNSUPPORTED
 * if the tokenizer has no form for two texts. */
LATHE_API int lathe_tokenize_pair(const lathe_vocab *v, const char *first, size_t n_first, const char *second, size_t n_second,
                                  int n_most, int32_t **ids, size_t *n_ids, int *second_at, struct lathe_err *err);
/* The bytes of one token (not NUL-terminated, may be a part of a UTF-8 character), owned by the vocabulary. With `special`
 * control tokens read as their spelling, otherwise as nothing. */
LATHE_API const char *lathe_token_text(const lathe_vocab *v, int32_t id, bool special, size_t *n_bytes);
/* A whole text of ids, not NUL-terminated, malloc-ed for the caller. It is the sum of lathe_token_text, which reads as in the middle of
 * a text, but for its two ends: some tokenizers write no space in front of the first word. */
LATHE_API int lathe_detokenize(const lathe_vocab *v, const int32_t *ids, size_t n_ids, bool special, char **text, size_t *n_bytes,
                               struct lathe_err *err);

/* Renders a chat template (Jinja). `vars_json` is an object of the template's variables: messages, tools, add_generation_prompt,
 * bos_token ... `date` (YYYY-MM-DD, or NULL for today) is what strftime_now sees. `*out` is malloc-ed for the caller.
 * Bounded in steps, depth and output. */
LATHE_API int lathe_template_render(const char *source, size_t n_source, const char *vars_json, size_t n_vars, const char *date,
                                    char **out, size_t *n_out, struct lathe_err *err);

/* ---- model ---------------------------------------------------------------------------------------------------------- */

typedef struct lathe_model lathe_model;

struct lathe_model_options {
    const char *cache_dir; /* where laid-out weights and verdicts on kernels are kept; NULL: $XDG_CACHE_HOME/lathe or ~/.cache/lathe */
    bool no_cache;         /* lay out in memory, write nothing */
    bool exact;            /* f32 activations: the reference that quantized activations are judged by; slow */
    bool native;           /* BF16 weights times bf16 activations, by the CPU's own dots: the bits of its instruction set only */
    bool lock;             /* mlock the weights */
    const char *chat_template; /* the Jinja template to use instead of the file's; NULL: the file's */
    const char *load_as;   /* "q8_0" ...: matrices in f32, f16 or bf16 are laid out as this type; NULL: as they are */
    uint64_t memory_bytes; /* NOMEM if the weights and what the process has are more than this; 0: no bound */
    bool stream;           /* instead of NOMEM the rest of the weights is read from the kept layout for each pass. Without a bound that is
                              done where the weights are more than the memory that there is */
    const char *spill_folder; /* weights are laid out in a file without name there, and mapped, so that the system can take their memory
                                 back; NULL: in memory, or in the kept file */
    int n_thread;          /* threads that lay out weights; 0: one per core */
    void (*progress)(void *user, const char *what, double share); /* may be NULL; share 0..1 */
    void *user;
};

struct lathe_model_info {
    const char *name, *architecture, *file_type; /* owned by the model */
    const char *chat_template;                   /* NUL-terminated, or NULL */
    const char *left_out;  /* what the checkpoint has besides that is not read ("vision"); NULL: nothing */
    uint64_t n_param;
    uint64_t weight_bytes; /* what one decode step reads: all matrices once, of the embedding only the rows looked up */
    uint64_t expert_bytes; /* of weight_bytes, those of the experts that one token chooses */
    uint64_t resident_bytes;
    double ops_per_token;  /* multiply-adds x 2 of one token through all layers, without the output head */
    double ops_head;       /* the same of the output head, per row */
    int n_layer, n_embd, n_ff, n_head, n_head_kv, head_dim, n_vocab, n_ctx_train;
    bool generates;        /* false: an encoder, which gives embeddings or classes alone */
    int n_class;           /* of its classifier; 0: it has none */
    int n_ctx_text;        /* longest text that its tokenizer was made for, at most n_ctx_train */
    bool layout_cached;    /* this open found its layout on disk */
    double load_ms;
};

/* Default options. */
LATHE_API void lathe_model_options_init(struct lathe_model_options *o);
/* Opens, validates and lays out a model; a layout made by this open is written to the cache folder in the background. opts may be
 * NULL. UNSUPPORTED names the first tensor, type or architecture that
 * cannot run. */
LATHE_API int lathe_model_open(const char *path, const struct lathe_model_options *opts, lathe_model **out, struct lathe_err *err);
/* Engines over the model must be freed first. */
LATHE_API void lathe_model_free(lathe_model *m);
LATHE_API void lathe_model_get_info(const lathe_model *m, struct lathe_model_info *out);
/* Reads the laid-out weights that are kept in the cache folder (waits until they are written, where this open began to) and
 * compares them with the digest in their file; FILE if they are damaged. *path is the model's: where they are, NULL if they are not kept; *n_bytes how many. */
LATHE_API int lathe_model_verify(const lathe_model *m, const char **path, uint64_t *n_bytes, struct lathe_err *err);
/* The model's vocabulary, owned by the model. */
LATHE_API const lathe_vocab *lathe_model_vocab(const lathe_model *m);
/* Renders the model's chat template. `vars_json` is an object with messages, tools, add_generation_prompt ...; bos_token and
 * eos_token are the model's unless it has them. `date` and `*out` as in lathe_template_render. TEMPLATE if the model has none. */
LATHE_API int lathe_chat_render(const lathe_model *m, const char *vars_json, size_t n_vars, const char *date, char **out,
                                size_t *n_out, struct lathe_err *err);
/* A rendered chat to ids: special tokens are parsed, and the beginning-of-sequence token is added only if the text lacks it.
 * `*ids` as in lathe_tokenize. */
LATHE_API int lathe_chat_tokenize(const lathe_vocab *v, const char *text, size_t n, int32_t **ids, size_t *n_ids,
                                  struct lathe_err *err);

/* Remembers conversations, so that one that grew is tokenized from where it grew on, with the same ids. Safe from any thread. */
typedef struct lathe_chat_cache lathe_chat_cache;

/* Of at most n_bytes; the vocabulary has to outlive it. */
LATHE_API lathe_chat_cache *lathe_chat_cache_new(const lathe_vocab *v, size_t n_bytes);
LATHE_API void lathe_chat_cache_free(lathe_chat_cache *c);
/* As lathe_chat_tokenize. Only texts of the same salt help each other. *n_reused, which may be NULL: ids that were remembered. */
LATHE_API int lathe_chat_cache_tokenize(lathe_chat_cache *c, uint64_t salt, const char *text, size_t n, int32_t **ids,
                                        size_t *n_ids, size_t *n_reused, struct lathe_err *err);

/* ---- engine: requests in, events out ---------------------------------------------------------------------------------- */

typedef struct lathe_engine lathe_engine;

/* What becomes of a sequence that has to give its KV pages to another one. It goes on with the same tokens either way. */
enum lathe_preempt {
    LATHE_PREEMPT_AUTO,      /* whichever the measured rates say is cheaper */
    LATHE_PREEMPT_SWAP,      /* its pages are copied to memory and back, while there is room in swap_bytes */
    LATHE_PREEMPT_RECOMPUTE  /* its tokens run through the model again */
};

/* What the KV cache keeps. Q8_0 and Q4 are integers of 8 and 4 bits with a scale and a least value, of keys for each channel over 64
 * positions, of values for each position over 64 channels. The 64 positions that a token is in itself are in f16 for it: a
 * sequence that runs has that much more. A model opened with `exact` keeps f32. */
enum lathe_kv_type { LATHE_KV_F16, LATHE_KV_BF16, LATHE_KV_Q8_0, LATHE_KV_Q4 };
/* For lathe_engine_options.kv_value_type. */
#define LATHE_KV_VALUES(type) ((int)(type) + 1)

enum lathe_firm { LATHE_FIRM_CTX = 1, LATHE_FIRM_SEQ = 2, LATHE_FIRM_KV = 4, LATHE_FIRM_CHUNK = 8, LATHE_FIRM_SWAP = 16, LATHE_FIRM_QUEUE = 32 };

struct lathe_engine_options {
    int n_thread;   /* 0: one per core this process may use */
    int n_ctx;      /* longest sequence in tokens; 0: the model's own */
    int n_seq;      /* sequences that run at once, >= 1 */
    int n_kv_token; /* tokens of KV cache over all sequences; 0: n_ctx * n_seq */
    int n_chunk;    /* most prompt tokens that one pass takes; 0: 512 */
    float target_itl_ms; /* while sequences generate, prompts get no more of a pass than keeps it this short; 0: no bound */
    enum lathe_kv_type kv_type; /* of keys, and of values unless kv_value_type says otherwise */
    int kv_value_type;          /* LATHE_KV_VALUES(an enum lathe_kv_type); 0: as the keys */
    bool no_prefix_cache;  /* nothing of a sequence is kept for later ones that begin alike */
    enum lathe_preempt preempt;
    uint64_t swap_bytes;   /* memory for the pages of preempted sequences */
    int n_queue;           /* requests that may wait; 0: no bound */
    int64_t n_queue_token; /* prompt tokens that may wait; 0: 1024 for each of n_queue, at least 16 whole contexts */
    /* Most that the whole process may take, and of that what the caller's own buffers will; 0: no bound. Where n_ctx,
     * n_seq, n_kv_token, n_chunk, n_queue and swap_bytes do not fit they are made smaller, but for those whose bit is in `firm`; n_kv_token 0
     * is then what is left. NOMEM, with the numbers, if nothing fits. */
    uint64_t memory_bytes, reserve_bytes;
    unsigned firm; /* of enum lathe_firm */
    bool no_spin;   /* threads that wait sleep at once: less power, and some microseconds more at each operation's end */
    bool no_fusion; /* run fused operations apart (for measuring what fusion earns) */
    bool profile;   /* time every operation; see lathe_engine_profile */
};

struct lathe_engine_plan {
    uint64_t weight_bytes, kv_bytes, buffer_bytes, total_bytes;
    uint64_t swap_bytes; /* of buffer_bytes */
    uint64_t stream_bytes; /* of the weights, read from the disk for every pass; 0: all are in memory */
    double stream_rate;    /* bytes a second that the disk gave */
    int n_thread, n_ctx, n_seq, n_kv_token, n_page, page_tokens;
    int n_chunk;
    int n_queue;           /* 0: no bound */
    int64_t n_queue_token;
    uint64_t memory_bytes; /* the bound; 0: none */
    const char *placement; /* with several NUMA nodes which workers are on which, else ""; the engine's */
};

struct lathe_logit_bias {
    int32_t token;
    float bias; /* added to the logit; -INFINITY bans */
};

/* What becomes of the vectors of a text's tokens; the numbers are GGUF's. */
enum lathe_pooling {
    LATHE_POOL_MODEL,    /* as the model's file says; else the last token's of a model that generates, their mean of others */
    LATHE_POOL_MEAN,
    LATHE_POOL_CLS,      /* the first token's */
    LATHE_POOL_LAST,
    LATHE_POOL_CLASSES   /* the first token's through the model's classifier: a logit for each class, never normalized */
};

/* How to choose the next token. lathe_sampling_init sets greedy decoding without penalties. Applied in this order: bias,
 * penalties, DRY, top-k, typical, top-p, min-p, temperature. */
struct lathe_sampling {
    float temperature;       /* 0: greedy */
    int top_k;               /* 0: off */
    float top_p;             /* 1: off */
    float min_p;             /* 0: off */
    float typical_p;         /* 1: off */
    float repeat_penalty;    /* 1: off; over the last penalty_last_n tokens */
    float frequency_penalty; /* 0: off */
    float presence_penalty;  /* 0: off */
    int penalty_last_n;      /* 64; -1: whole context */
    float dry_multiplier;    /* 0: off */
    float dry_base;          /* 1.75 */
    int dry_allowed_length;  /* 2 */
    int dry_penalty_last_n;  /* -1: whole context */
    uint64_t seed;           /* randomness is keyed by (seed, candidate, position) */
    const struct lathe_logit_bias *bias;
    size_t n_bias;
};

struct lathe_request {
    const int32_t *ids; /* the prompt; copied at submit */
    size_t n_ids;
    int n_predict;      /* most tokens to generate; -1: until the context is full; 0: only score the prompt */
    struct lathe_sampling sampling;
    const char *const *stop; /* strings that end the answer and are not part of it; copied at submit */
    size_t n_stop;
    int n_logprob;      /* 0..20: alternatives reported with each token; -1: no logprobs */
    bool ignore_eos;
    bool special;       /* control tokens are written as their spelling */
    uint32_t candidate; /* index of this answer among those of one prompt; keys the randomness */
    uint64_t tenant;    /* who asks: tenants that wait get equal shares of tokens */
    uint64_t salt;      /* computed prefixes are shared only by requests of equal salt */
    int priority;       /* -100..100; higher ones go first, and are preempted last */
    double timeout_ms;       /* ends with DEADLINE if it is not done in this time after submit; 0: no bound */
    double ttft_deadline_ms; /* the same for its first token */
    bool prompt_logprobs;    /* with n_logprob >= 0: a PROMPT event for every prompt token */
    bool embed;              /* no answer: DONE has the embedding of the prompt, or its classes */
    enum lathe_pooling pooling; /* with embed */
    bool not_normalized;     /* with embed: the embedding has the length that the model gave it */
    int n_dimension;         /* with embed: only the first so many numbers of the embedding, whose length is 1 by themselves; 0: all */
    int second_at;           /* of models that read pairs: ids from here on are the second text; 0: there is one text */
    /* If set, called for every position whose logits exist, in order, with logits[n_vocab] valid during the call:
     * the prompt's positions from `logits_from` on, and every generated one. A row with NaN ends the request with NUMERIC. */
    void (*on_logits)(void *user, uint64_t id, int position, const float *logits, int n_vocab);
    void *user;
    int logits_from; /* first prompt position to score; n_ids - 1 scores only what sampling needs */
};

enum lathe_event_kind { LATHE_EVENT_TOKEN = 1, LATHE_EVENT_DONE = 2, LATHE_EVENT_PROMPT = 3 };
enum lathe_finish { LATHE_FINISH_STOP = 1, LATHE_FINISH_LENGTH = 2, LATHE_FINISH_ERROR = 3, LATHE_FINISH_CANCELLED = 4 };

struct lathe_logprob {
    int32_t token;
    float logprob; /* natural, of the model's own distribution at temperature 1, before any change to the logits */
};

struct lathe_timings {
    double queue_ms, prefill_ms, decode_ms;
    int n_prompt, n_cached, n_generated;
};

struct lathe_event {
    enum lathe_event_kind kind;
    uint64_t id;      /* of the request */
    int32_t token;    /* TOKEN: the id that was sampled; PROMPT: the prompt's, in order from the first */
    const char *text; /* TOKEN: text that became certain (whole UTF-8 characters, no part of a stop string), may be empty; DONE: the rest
                         that was held back. Valid until the next call of lathe_engine_step. */
    size_t n_text;
    float logprob;    /* TOKEN, with n_logprob >= 0, and PROMPT; NAN for the first token of a prompt, which nothing predicts */
    const struct lathe_logprob *top; /* TOKEN and PROMPT: n_top alternatives, best first; valid as text is */
    int n_top;
    const float *embedding; /* DONE of a request with `embed`: [n_embedding], of length 1 unless not_normalized; valid as text is */
    int n_embedding;        /* n_embd, or the request's n_dimension, or of LATHE_POOL_CLASSES n_class */
    enum lathe_finish finish;     /* DONE */
    struct lathe_err err;         /* DONE with FINISH_ERROR */
    struct lathe_timings timings; /* DONE */
};

LATHE_API void lathe_engine_options_init(struct lathe_engine_options *o);
LATHE_API void lathe_sampling_init(struct lathe_sampling *s);
LATHE_API void lathe_request_init(struct lathe_request *r);
/* The engine keeps a pointer to the model. NOMEM names the bytes that do not fit. */
LATHE_API int lathe_engine_new(const lathe_model *m, const struct lathe_engine_options *opts, lathe_engine **out,
                               struct lathe_err *err);
LATHE_API void lathe_engine_free(lathe_engine *e);
LATHE_API void lathe_engine_get_plan(const lathe_engine *e, struct lathe_engine_plan *out);
/* Touches the memory of the KV cache in the background, so that no later request waits for memory that is new. By a thread
 * that runs when nothing else does; blocked signals stay blocked in it. */
LATHE_API void lathe_engine_warm(lathe_engine *e);
/* Queues a request; CONTEXT if prompt and answer can never fit, BUSY if too much waits, DEADLINE if what waits before it
 * takes longer by the measured rates than it has, USAGE for values out of range. */
LATHE_API int lathe_engine_submit(lathe_engine *e, const struct lathe_request *r, uint64_t *id, struct lathe_err *err);
/* One pass over the weights for all running requests. Returns the number of requests that are not finished (0: nothing to do), or
 * a negative code when the engine itself failed. */
LATHE_API int lathe_engine_step(lathe_engine *e, struct lathe_err *err);
/* Takes the next event; false when there is none. */
LATHE_API bool lathe_engine_poll(lathe_engine *e, struct lathe_event *out);
/* Ends a request at the next step. Safe from any thread and from a signal handler. False if 256 others wait for that step: call
 * it again after the step. */
LATHE_API bool lathe_engine_cancel(lathe_engine *e, uint64_t id);

/* ---- state of an engine ------------------------------------------------------------------------------------------------- */

struct lathe_engine_stats {
    int n_running, n_waiting;  /* requests; preempted ones wait */
    int64_t n_waiting_token;   /* that waiting requests have to compute before their first token */
    int n_page, n_page_used;   /* KV pages; used: by running requests */
    int n_page_cached;         /* kept for requests that begin alike, and free when they are needed */
    /* since the engine began */
    uint64_t n_pass, n_row;    /* passes over the weights, and rows (tokens) in them */
    uint64_t n_prompt_token, n_generated_token;
    uint64_t n_prefix_query_token, n_prefix_hit_token; /* prompt tokens admitted, and those of them whose KV was there */
    uint64_t n_preempt_recompute, n_preempt_swap;
    uint64_t n_prefix_evicted; /* pages */
    uint64_t expert_bytes;     /* weights of experts that passes have read: each that rows chose, once a pass and layer */
    uint64_t stream_bytes;     /* weights that passes read from the disk: lathe_engine_plan.stream_bytes of each */
    int most_in_pass;          /* sequences */
    /* measured lately; 0: not yet */
    double prefill_rate, decode_rate; /* tokens per second; decode: of all sequences together */
    double step_ms;
    int n_chunk_now;           /* prompt tokens that the next pass takes beside the sequences that generate now */
};

LATHE_API void lathe_engine_get_stats(const lathe_engine *e, struct lathe_engine_stats *out);

enum lathe_request_state { LATHE_REQUEST_WAITING, LATHE_REQUEST_PREFILL, LATHE_REQUEST_DECODE, LATHE_REQUEST_PREEMPTED };

struct lathe_request_info {
    uint64_t id, tenant;
    enum lathe_request_state state;
    double age_ms; /* since submit */
    int n_prompt, n_generated, n_cached, n_page, priority;
};

/* Request i of those that are not finished, running ones first; false past the last. */
LATHE_API bool lathe_engine_request(const lathe_engine *e, int i, struct lathe_request_info *out);

/* ---- what it costs ---------------------------------------------------------------------------------------------------- */

struct lathe_op_stat {
    const char *name;       /* "qkv", "attention", "ffn_up", ... */
    uint64_t n_call;
    double seconds;         /* wall time of the operation, summed over its calls */
    double weight_bytes;    /* bytes of weights and KV that had to be read */
    double ops;             /* integer or float operations (multiply and add count as two) */
    bool is_int8;           /* ops are int8 (else f32) */
};

struct lathe_trace_event {
    const char *name;
    int thread, layer;      /* layer -1: outside of layers */
    double start_us, duration_us;
};

/* Operation i of the profile since lathe_engine_profile_reset; false past the last. Needs options.profile. */
LATHE_API bool lathe_engine_profile(const lathe_engine *e, int i, struct lathe_op_stat *out);
LATHE_API void lathe_engine_profile_reset(lathe_engine *e);
/* Event i of the trace of the newest step; false past the last. */
LATHE_API bool lathe_engine_trace(const lathe_engine *e, int i, struct lathe_trace_event *out);

struct lathe_kernel_info {
    const char *op, *weight, *activation, *isa, *name, *numeric_class;
    bool available; /* this CPU, as masked by LATHE_CPU, can run it */
    bool chosen;
    const char *why;     /* one phrase */
    /* Of its check against plain C: "passed", "failed"; of a row that this CPU cannot run "twin passed" or "twin failed" if
     * the same source in instructions that the CPU has was checked instead; else, and for plain C, "". */
    const char *verdict;
    /* Microseconds of a call with one token and with a tile of twelve, 1024 columns of 16 rows; of other operations,
     * with a vector of 1024. 0: this CPU cannot run it. */
    double cost_one_us, cost_many_us;
};

/* Kernel row i of the table; false past the last. Before the first model is opened it checks the kernels of this CPU, as that
 * does; LATHE_CACHE_DIR and LATHE_NO_CACHE in the environment then say where the verdicts are kept. */
LATHE_API bool lathe_kernel(int i, struct lathe_kernel_info *out);
/* The instruction sets in use, such as "avx512vnni avx2 c". LATHE_CPU masks what the CPU has. */
LATHE_API const char *lathe_isa(void);
/* Cores this process may use. */
LATHE_API int lathe_n_core(void);
/* Bytes that this process may come to: what it has now, and what the machine and its cgroups leave. UINT64_MAX if nothing
 * tells. */
LATHE_API uint64_t lathe_memory_room(void);

#ifdef __cplusplus
}
#endif
#endif
