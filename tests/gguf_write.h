/* Writes GGUF files for tests: whole random llama models, or single pieces, malformed on purpose where the
 * test wants it.
 *
 * A failure to write ends the test program with a message. */
#ifndef LATHE_TESTS_GGUF_WRITE_H
#define LATHE_TESTS_GGUF_WRITE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- a whole model ---- */

struct gw_shape {
    int n_embd, n_ff, n_head, n_head_kv, head_dim, n_layer; /* head_dim 0: n_embd / n_head */
    int n_vocab; /* 0: what the vocabulary needs (GW_N_VOCAB); more is filled with unused tokens */
    int n_ctx;   /* 0: 2048 */
    bool untied; /* an output head of its own */
    bool bias;   /* biases on attention and feed-forward */
};

enum { GW_N_VOCAB = 256 + 16 + 3 }; /* bytes, merges, special tokens */

/* A llama model with random weights, a byte-level vocabulary (256 bytes, a few merges, <|endoftext|>
 * <|im_start|> <|im_end|>) and a ChatML template. `type` is a GGML type number: F32 0, F16 1, BF16 30, Q4_0
 * 2, Q4_1 3, Q8_0 8; the quantized ones need n_embd, n_ff and n_head * head_dim in multiples of 32. Equal
 * arguments write equal bytes. */
void gw_random_llama(const char *path, struct gw_shape shape, int type, uint64_t seed);
/* A shape that every type takes: 2 layers, 64 wide, 4 heads over 2, a few hundred KB at most. */
struct gw_shape gw_small(void);

/* ---- pieces ---- */

struct gw;
struct gw *gw_new(void); /* version 3, alignment 32 */
void gw_free(struct gw *g);
void gw_u32(struct gw *g, const char *key, uint32_t v);
void gw_f32(struct gw *g, const char *key, float v);
void gw_bool(struct gw *g, const char *key, bool v);
void gw_str(struct gw *g, const char *key, const char *v);
void gw_strs(struct gw *g, const char *key, const char *const *v, uint64_t n);
void gw_i32s(struct gw *g, const char *key, const int32_t *v, uint64_t n);
void gw_f32s(struct gw *g, const char *key, const float *v, uint64_t n);
/* Any kind and any bytes as value; a key of n_key bytes, which may hold anything. */
void gw_raw(struct gw *g, const void *key, uint64_t n_key, uint32_t kind, const void *value, size_t n_value);
/* A tensor with its data, placed after the former one; the bytes are copied. */
void gw_tensor(struct gw *g, const char *name, uint32_t type, int n_dim, const uint64_t *dim,
               const void *data, size_t n_bytes);
/* The same from f32 values, encoded to one of the six types; rows of cols values. */
void gw_matrix(struct gw *g, const char *name, uint32_t type, uint64_t cols, uint64_t rows, const float *x);
/* Tensor information as given, without data. */
void gw_tensor_raw(struct gw *g, const void *name, uint64_t n_name, uint32_t n_dim, const uint64_t *dim,
                   uint32_t type, uint64_t offset);
/* Overrides of header fields: 0 keeps the true one. */
void gw_header(struct gw *g, uint32_t version, uint64_t n_tensor, uint64_t n_meta);
/* The file's bytes, malloc-ed for the caller. */
uint8_t *gw_bytes(const struct gw *g, size_t *n);
void gw_save(const struct gw *g, const char *path);
void gw_save_bytes(const char *path, const void *p, size_t n);

/* Encodes n values (whole blocks) and returns the bytes written. */
size_t gw_encode(uint32_t type, const float *x, size_t n, void *out);

/* ---- random numbers: splitmix64 ---- */
uint64_t gw_next(uint64_t *state);
float gw_uniform(uint64_t *state); /* in [-1, 1) */
#endif
