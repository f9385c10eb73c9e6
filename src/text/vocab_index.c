/* The vocabulary's index as bytes: a head, then the tables as they are in memory, each at a multiple of 64,
 * to which the whole is filled up with zeros.
 *
 *     | head | off | type, flags | rank (SPM) | word | pair (BPE) | special | blob |
 *
 * All sizes follow from the counts in the head, so the head alone decides whether the bytes are whole. */
#include "base/mem.h"
#include "text/vocab_impl.h"
#include <stdlib.h>

struct head {
    char magic[8];
    uint32_t version, model, n, n_blob, max_len, n_word, n_pair, n_special;
    uint32_t has_duplicates, space_begins;
    uint32_t special_first[257];
    int32_t byte_id[256];
};
#define MAGIC "LATHEVOC"

enum { T_OFF, T_TYPE, T_RANK, T_WORD, T_PAIR, T_SPECIAL, T_BLOB, N_TABLE, ALIGN = 64 };

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
    for (int i = 0; i < N_TABLE; i++) {
        at[i] = end;
        end = round_up(end + n_bytes[i]);
    }
    return end;
}

int vocab_index_save(const vocab *v, void **out, size_t *n, struct lathe_err *err)
{
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
                     .space_begins = v->space_begins};
    const void *const table[N_TABLE] = {v->off, v->type, v->rank, v->word, v->pair, v->special, v->blob};
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
static const char *head_fault(const struct head *h, const vocab *v, uint64_t n_token)
{
    if (memcmp(h->magic, MAGIC, sizeof h->magic) || h->version != VOCAB_INDEX_VERSION)
        return "it is of another version";
    if (h->model != v->model || h->n != n_token || !h->n || h->n > VOCAB_LIMIT)
        return "it is of another vocabulary";
    if (!is_power_of_two(h->n_word) || (v->model == VOCAB_BPE ? !is_power_of_two(h->n_pair) : h->n_pair != 0))
        return "a table's size is wrong";
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
        fault = head_fault(&h, v, tokens ? tokens->n : 0);
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
    return 0;
}
