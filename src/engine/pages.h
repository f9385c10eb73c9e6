/* KV pages: a fixed number of them, each with a count of its holders. */
#ifndef LATHE_ENGINE_PAGES_H
#define LATHE_ENGINE_PAGES_H
#include "model/kv.h"

struct pages {
    struct kv_form form;
    uint8_t *kv;    /* n_page * form.page_bytes, n_slot * form.open_slot_bytes */
    int32_t *n_ref; /* [n_page] holders; 0: free */
    int n_page, n_free, n_slot;
    bool poison; /* fill freed pages with NaN, so that a read of an unwritten slot shows */
};

int pages_init(struct pages *p, const struct kv_form *form, int n_page, int n_slot, bool poison,
               struct lathe_err *err);
void pages_free_all(struct pages *p);
/* Takes n <= n_free pages with one holder each, as neighbours where that can be: the first behind page `after` (-1: none),
 * else in the middle of the longest free run, so that both neighbours can grow. */
void pages_take(struct pages *p, int32_t after, int n, int32_t *out);
/* One holder more, one less. */
void pages_hold(struct pages *p, int32_t page);
void pages_drop(struct pages *p, int32_t page);
/* The open span of the slot is not needed any more. */
void pages_leave_slot(struct pages *p, int slot);
/* What is in a page: to another page, or as form.page_bytes bytes outside of the cache. */
void pages_copy(struct pages *p, int32_t from, int32_t to);
void pages_save(const struct pages *p, int32_t page, uint8_t *to);
void pages_load(struct pages *p, int32_t page, const uint8_t *from);

/* Memory outside of the cache for pages of preempted sequences: slots of a page each. */
struct swap {
    uint8_t *memory;
    size_t slot_bytes;
    int32_t *free_slots;
    int n_slot, n_free;
};

/* As many slots as n_bytes hold, which may be none. Their memory is touched when they are used. */
int swap_init(struct swap *s, size_t slot_bytes, uint64_t n_bytes, struct lathe_err *err);
void swap_free(struct swap *s);
/* A slot; n_free > 0. */
int32_t swap_take(struct swap *s);
void swap_give(struct swap *s, int32_t slot);
static inline uint8_t *swap_at(const struct swap *s, int32_t slot)
{
    return s->memory + (size_t)slot * s->slot_bytes;
}
#endif
