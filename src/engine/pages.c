/* KV pages, and memory for what is in them. */
#include "engine/pages.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t kv_bytes(const struct pages *p)
{
    return p->form.page_bytes * (size_t)p->n_page + p->form.open_slot_bytes * (size_t)p->n_slot;
}

int pages_init(struct pages *p, const struct kv_form *form, int n_page, int n_slot, bool poison,
               struct lathe_err *err)
{
    uint64_t n_bytes, open_bytes;
    *p = (struct pages){.form = *form, .n_page = n_page, .n_slot = n_slot, .poison = poison};
    if (!mem_mul(form->page_bytes, (uint64_t)n_page, &n_bytes) ||
        !mem_mul(form->open_slot_bytes, (uint64_t)n_slot, &open_bytes) || n_bytes + open_bytes < n_bytes)
        return err_set(err, LATHE_E_NOMEM, "KV cache of %d pages of %zu bytes cannot be addressed", n_page,
                       form->page_bytes);
    TRY(mem_map(n_bytes + open_bytes, "KV cache", (void **)&p->kv, err));
    p->n_ref = mem_new((size_t)n_page * sizeof *p->n_ref);
    for (int i = 0; i < n_page; i++) {
        p->n_ref[i] = 1;
        pages_drop(p, i);
    }
    for (int i = 0; i < n_slot; i++)
        pages_leave_slot(p, i);
    return 0;
}

void pages_free_all(struct pages *p)
{
    mem_unmap(p->kv, kv_bytes(p));
    free(p->n_ref);
    *p = (struct pages){0};
}

/* Where to begin with `want` pages. */
static int32_t find_place(const struct pages *p, int want)
{
    int best = 0, most = 0;
    for (int i = 0, n; i < p->n_page; i += n + 1) {
        for (n = 0; i + n < p->n_page && !p->n_ref[i + n];)
            n++;
        if (n > most)
            most = n, best = i;
    }
    return best > 0 && most > 2 * want ? best + most / 2 : best;
}

void pages_take(struct pages *p, int32_t after, int n, int32_t *out)
{
    assert(n <= p->n_free);
    for (int i = 0; i < n; i++) {
        int32_t page = after + 1;
        if (after < 0 || page >= p->n_page || p->n_ref[page])
            page = find_place(p, n - i);
        p->n_ref[page] = 1;
        out[i] = after = page;
    }
    p->n_free -= n;
}

void pages_hold(struct pages *p, int32_t page)
{
    assert(p->n_ref[page] > 0);
    p->n_ref[page]++;
}

/* Part i of a page: its keys and values of one layer and head. */
static uint8_t *part_at(const struct pages *p, int32_t page, int i)
{
    return p->kv + kv_offset(&p->form, p->n_page, page, i / p->form.n_head, i % p->form.n_head);
}

static int n_part(const struct pages *p)
{
    return p->form.n_layer * p->form.n_head;
}

void pages_drop(struct pages *p, int32_t page)
{
    assert(page >= 0 && page < p->n_page && p->n_ref[page] > 0);
    if (--p->n_ref[page])
        return;
    for (int i = 0; p->poison && i < n_part(p);
         i++) /* all ones: NaN as f16, bf16 and f32, and so of integers the scales */
        memset(part_at(p, page, i), 0xff, p->form.head_bytes);
    p->n_free++;
}

void pages_leave_slot(struct pages *p, int slot)
{
    if (p->poison)
        memset(p->kv + kv_open_offset(&p->form, p->n_page, slot, 0, 0), 0xff, p->form.open_slot_bytes);
}

void pages_copy(struct pages *p, int32_t from, int32_t to)
{
    for (int i = 0; i < n_part(p); i++)
        memcpy(part_at(p, to, i), part_at(p, from, i), p->form.head_bytes);
}

void pages_save(const struct pages *p, int32_t page, uint8_t *to)
{
    for (int i = 0; i < n_part(p); i++)
        memcpy(to + (size_t)i * p->form.head_bytes, part_at(p, page, i), p->form.head_bytes);
}

void pages_load(struct pages *p, int32_t page, const uint8_t *from)
{
    for (int i = 0; i < n_part(p); i++)
        memcpy(part_at(p, page, i), from + (size_t)i * p->form.head_bytes, p->form.head_bytes);
}

int swap_init(struct swap *s, size_t slot_bytes, uint64_t n_bytes, struct lathe_err *err)
{
    uint64_t n = n_bytes / slot_bytes;
    *s = (struct swap){.slot_bytes = slot_bytes};
    if (n > INT32_MAX)
        return err_set(err, LATHE_E_USAGE, "swap space of %llu bytes is more than %d pages of %zu",
                       (unsigned long long)n_bytes, INT32_MAX, slot_bytes);
    if (n == 0)
        return 0;
    TRY(mem_map(n * slot_bytes, "swap space", (void **)&s->memory, err));
    s->free_slots = mem_new(n * sizeof *s->free_slots);
    s->n_slot = (int)n;
    for (int i = s->n_slot - 1; i >= 0; i--)
        swap_give(s, i);
    return 0;
}

void swap_free(struct swap *s)
{
    if (s->memory)
        mem_unmap(s->memory, (size_t)s->n_slot * s->slot_bytes);
    free(s->free_slots);
    *s = (struct swap){0};
}

int32_t swap_take(struct swap *s)
{
    assert(s->n_free > 0);
    return s->free_slots[--s->n_free];
}

void swap_give(struct swap *s, int32_t slot)
{
    assert(slot >= 0 && slot < s->n_slot && s->n_free < s->n_slot);
    s->free_slots[s->n_free++] = slot;
}
