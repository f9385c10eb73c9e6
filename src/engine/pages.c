/* KV pages. */
#include "engine/pages.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

int pages_init(struct pages *p, const struct kv_form *form, int n_page, bool poison, struct lathe_err *err)
{
    uint64_t n_bytes;
    *p = (struct pages){.form = *form, .n_page = n_page, .poison = poison};
    if (!mem_mul(form->page_bytes, (uint64_t)n_page, &n_bytes))
        return err_set(err, LATHE_E_NOMEM, "KV cache of %d pages of %zu bytes cannot be addressed", n_page,
                       form->page_bytes);
    TRY(mem_map(n_bytes, "KV cache", (void **)&p->kv, err));
    p->free_list = mem_new((size_t)n_page * sizeof *p->free_list);
    for (int i = n_page - 1; i >= 0; i--)
        pages_give(p, i);
    return 0;
}

void pages_free_all(struct pages *p)
{
    mem_unmap(p->kv, p->form.page_bytes * (size_t)p->n_page);
    free(p->free_list);
    *p = (struct pages){0};
}

int32_t pages_take(struct pages *p)
{
    return p->n_free ? p->free_list[--p->n_free] : -1;
}

void pages_give(struct pages *p, int32_t page)
{
    assert(page >= 0 && page < p->n_page && p->n_free < p->n_page);
    for (int i = 0; p->poison && i < p->form.n_layer * p->form.n_head; i++) /* all ones: NaN in every type */
        memset(p->kv + kv_offset(&p->form, p->n_page, page, i / p->form.n_head, i % p->form.n_head), 0xff,
               p->form.head_bytes);
    p->free_list[p->n_free++] = page;
}
