/* KV pages: a fixed number of them, handed out and taken back. */
#ifndef LATHE_ENGINE_PAGES_H
#define LATHE_ENGINE_PAGES_H
#include "model/kv.h"

struct pages {
    struct kv_form form;
    uint8_t *kv; /* n_page * form.page_bytes */
    int32_t *free_list;
    int n_page, n_free;
    bool poison; /* fill freed pages with NaN, so that a read of an unwritten slot shows */
};

int pages_init(struct pages *p, const struct kv_form *form, int n_page, bool poison, struct lathe_err *err);
void pages_free_all(struct pages *p);
/* Takes a page; -1 when none is free. */
int32_t pages_take(struct pages *p);
void pages_give(struct pages *p, int32_t page);
#endif
