/* The vocabulary's index as bytes: a head, then the tables as they are in memory, each at a multiple of 64,
 * to which the whole is filled up with zeros.
 *
 *     | head | off | type, flags | rank (SPM) | word | pair (BPE) | special | blob |
 *     pipelines:  | score | trie: first, id, label | ends of pieces | pieces | configuration |
 *
 * All sizes follow from the counts in the head, so the head alone decides whether the bytes are whole. */
#include "base/mem.h"
#include "text/pipe.h"
#include <stdlib.h>

struct head {
    char magic[8];
    uint32_t version, model, n, n_blob, max_len, n_word, n_pair, n_special;
    uint32_t has_duplicates, space_begins;
    uint32_t n_score, n_trie, n_piece_off, n_piece, n_config;
    uint32_t special_first[257];
    int32_t byte_id[256];
};
#define MAGIC "LATHEVOC"

enum {
    T_OFF,
    T_TYPE,
    T_RANK,
    T_WORD,
    T_PAIR,
    T_SPECIAL,
    T_BLOB,
    T_SCORE,
    T_TRIE_FIRST,
    T_TRIE_ID,
    T_TRIE_LABEL,
    T_PIECE_OFF,
    T_PIECE,
    T_CONFIG,
    N_TABLE,
    ALIGN = 64
};

static uint64_t round_up(uint64_t n)
{
    return (n + ALIGN - 1) / ALIGN * ALIGN;
}

/* Places of the tables; returns the bytes of the whole. Counts are of 32 bits: nothing overflows. */
static uint64_t plan(const struct head *h, uint64_t at[N_TABLE], uint64_t n_bytes[N_TABLE])
{
    uint64_t end = round_up(sizeof *h);
    n_bytes[T_OFF] = (h->n + 1ull) * sizeof(uint32_t);
    n_bytes[T_TYPE] = h->n * 2ull;
    n_bytes[T_RANK] = h->model == VOCAB_SPM ? h->n * (uint64_t)sizeof(uint32_t) : 0;
    n_bytes[T_WORD] = h->n_word * (uint64_t)sizeof(struct word_slot);
    n_bytes[T_PAIR] = h->n_pair * (uint64_t)sizeof(struct pair_slot);
    n_bytes[T_SPECIAL] = h->n_special * (uint64_t)sizeof(int32_t);
    n_bytes[T_BLOB] = h->n_blob;
    n_bytes[T_SCORE] = h->n_score * (uint64_t)sizeof(double);
    n_bytes[T_TRIE_FIRST] = h->n_trie ? (h->n_trie + 1ull) * sizeof(uint32_t) : 0;
    n_bytes[T_TRIE_ID] = h->n_trie * (uint64_t)sizeof(int32_t);
    n_bytes[T_TRIE_LABEL] = h->n_trie;
    n_bytes[T_PIECE_OFF] = h->n_piece_off * (uint64_t)sizeof(uint32_t);
    n_bytes[T_PIECE] = h->n_piece;
    n_bytes[T_CONFIG] = h->n_config;
    for (int i = 0; i < N_TABLE; i++) {
        at[i] = end;
        end = round_up(end + n_bytes[i]);
    }
    return end;
}

int vocab_index_save(const vocab *v, void **out, size_t *n, struct lathe_err *err)
{
    struct str config = v->config;
    if (v->pipe && v->pipe->config)
        config = (struct str){v->pipe->config, v->pipe->n_config};
    struct head h = {.magic = MAGIC,
                     .version = VOCAB_INDEX_VERSION,
                     .model = v->model,
                     .n = (uint32_t)v->n,
                     .n_blob = v->n_blob,
                     .max_len = v->max_len,
                     .n_word = v->word_mask + 1,
                     .n_pair = v->pair ? v->pair_mask + 1 : 0,
                     .n_special = (uint32_t)v->n_special,
                     .has_duplicates = v->has_duplicates,
                     .space_begins = v->space_begins,
                     .n_score = v->score ? (uint32_t)v->n : 0,
                     .n_trie = v->trie.n,
                     .n_piece_off = v->piece_off ? (uint32_t)v->n + 1 : 0,
                     .n_piece = v->n_piece,
                     .n_config = (uint32_t)config.n};
    const void *const table[N_TABLE] = {v->off,        v->type,      v->rank,  v->word,       v->pair,
                                        v->special,    v->blob,      v->score, v->trie.first, v->trie.id,
                                        v->trie.label, v->piece_off, v->piece, config.p};
    uint64_t at[N_TABLE], n_bytes[N_TABLE], total = plan(&h, at, n_bytes);
    TRY(mem_try(total, 1, "bytes of the vocabulary's index", out, err));
    memcpy(h.special_first, v->special_first, sizeof h.special_first);
    memcpy(h.byte_id, v->byte_id, sizeof h.byte_id);
    memcpy(*out, &h, sizeof h);
    for (int i = 0; i < N_TABLE; i++)
        if (n_bytes[i])
            memcpy((char *)*out + at[i], table[i], n_bytes[i]);
    *n = total;
    return 0;
}

/* ---- the way back ---- */

static bool is_power_of_two(uint32_t n)
{
    return n && (n & (n - 1)) == 0;
}

/* What is wrong with the head, NULL if nothing. */
static const char *head_fault(const struct head *h, const vocab *v, const struct mf_meta *tokens)
{
    bool pipe = v->model == VOCAB_PIPE, pairs = h->n_pair && is_power_of_two(h->n_pair);
    if (memcmp(h->magic, MAGIC, sizeof h->magic) || h->version != VOCAB_INDEX_VERSION)
        return "it is of another version";
    if (h->model != v->model || (tokens && h->n != tokens->n) || !h->n || h->n > VOCAB_LIMIT)
        return "it is of another vocabulary";
    if (!is_power_of_two(h->n_word) || (h->n_pair && !pairs) || (!pipe && pairs != (v->model == VOCAB_BPE)))
        return "a table's size is wrong";
    if ((h->n_score && h->n_score != h->n) || h->n_trie > INT32_MAX ||
        h->n_piece_off != (pipe ? h->n + 1 : 0) ||
        (!pipe && (h->n_score || h->n_trie || h->n_piece || h->n_config)))
        return "a table of its pipeline has the wrong size";
    for (int i = 0; i < 256; i++)
        if (h->special_first[i] > h->special_first[i + 1] || h->byte_id[i] < -1 ||
            h->byte_id[i] >= (int32_t)h->n)
            return "its table of bytes is wrong";
    if (h->special_first[256] > h->n_special || h->n_special > h->n)
        return "its table of special tokens is wrong";
    return NULL;
}

int index_map(vocab *v, const struct model_file *f, const void *index, size_t n, struct lathe_err *err)
{
    struct head h;
    uint64_t at[N_TABLE], n_bytes[N_TABLE];
    const struct mf_meta *tokens = model_file_find(f, "tokenizer.ggml.tokens");
    const char *fault = n < sizeof h || (uintptr_t)index % 8 ? "it is cut" : NULL;
    if (!fault) {
        memcpy(&h, index, sizeof h); /* what is checked is what is used, whatever happens to the bytes */
        fault = head_fault(&h, v, tokens);
    }
    if (!fault && plan(&h, at, n_bytes) != n)
        fault = "its size is wrong";
    if (fault)
        return err_set(err, LATHE_E_FILE, "the kept index of the vocabulary (%zu bytes) cannot be used: %s",
                       n, fault);
    char *p = (char *)index; /* never written: `borrowed` */
    v->borrowed = true;
    v->n = (int)h.n;
    v->n_blob = h.n_blob;
    v->max_len = h.max_len;
    v->n_special = (int)h.n_special;
    v->word_mask = h.n_word - 1;
    v->pair_mask = h.n_pair - 1;
    v->has_duplicates = h.has_duplicates;
    v->space_begins = h.space_begins;
    memcpy(v->special_first, h.special_first, sizeof h.special_first);
    memcpy(v->byte_id, h.byte_id, sizeof h.byte_id);
    v->off = (uint32_t *)(p + at[T_OFF]);
    v->type = (uint8_t *)(p + at[T_TYPE]);
    v->flags = v->type + h.n;
    v->rank = v->model == VOCAB_SPM ? (uint32_t *)(p + at[T_RANK]) : NULL;
    v->word = (struct word_slot *)(p + at[T_WORD]);
    v->pair = h.n_pair ? (struct pair_slot *)(p + at[T_PAIR]) : NULL;
    v->special = (int32_t *)(p + at[T_SPECIAL]);
    v->blob = p + at[T_BLOB];
    v->score = h.n_score ? (double *)(p + at[T_SCORE]) : NULL;
    v->trie = (struct trie){h.n_trie, (uint32_t *)(p + at[T_TRIE_FIRST]), (int32_t *)(p + at[T_TRIE_ID]),
                            (uint8_t *)(p + at[T_TRIE_LABEL])};
    v->piece_off = h.n_piece_off ? (uint32_t *)(p + at[T_PIECE_OFF]) : NULL;
    v->piece = p + at[T_PIECE];
    v->n_piece = h.n_piece;
    v->config = (struct str){p + at[T_CONFIG], h.n_config};
    return 0;
}
