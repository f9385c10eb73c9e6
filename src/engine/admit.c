/* Who runs: slots and pages for those whose turn it is, and what becomes of those who have to make room.
 *
 * A sequence is admitted when there are pages for all its tokens and the next one, and one more for each running sequence that
 * may still need one: else those would soon have to make room for each other. It takes over what the prefix cache has of it. When the cache is
 * full, the running sequence that goes last gives up its pages: copied to swap space or left to be computed again, by the
 * measured rates. It is then first in the queue of its tenant and priority. The first in order never gives way, and
 * alone it always fits, so that everything ends.
 *
 * Where slots or pages are short, a tenant has to leave others their share of them, and low priorities give way to high ones. */
#include <string.h>
#include "base/clock.h"
#include "engine/engine.h"

/* ---- prefixes ---- */

/* Tokens that need no computing if their KV is there: at least one position is left to compute, and those that are scored. */
static int n_known(const struct seq *s)
{
    return s->n_scored < s->n_token - 1 ? s->n_scored : s->n_token - 1;
}

void publish(struct lathe_engine *e, struct seq *s)
{
    for (; !e->prefix.off && s->n_in_tree < s->n_past / SPAN; s->n_in_tree++) {
        int i = s->n_in_tree;
        s->pages[i] = prefix_insert(&e->prefix, s->request.salt, seq_page_before(s, i),
                                    s->tokens + (size_t)i * SPAN, SPAN, s->pages[i]);
    }
}

void publish_end(struct lathe_engine *e, struct seq *s)
{
    int i = s->n_past / SPAN, n = s->n_past % SPAN;
    publish(e, s);
    if (n && s->n_in_tree == i && !e->pages.form.closes)
        prefix_insert(&e->prefix, s->request.salt, seq_page_before(s, i), s->tokens + (size_t)i * SPAN, n,
                      s->pages[i]);
}

static void count_hit(struct lathe_engine *e, struct seq *s, int n)
{
    if (s->was_preempted)
        return;
    s->n_cached += n;
    e->stats.n_prefix_hit_token += (uint64_t)n;
}

bool shares_next_page(const struct lathe_engine *e, const struct seq *s)
{
    return !e->prefix.off && s->n_past % SPAN == 0 && s->n_in_tree == s->n_past / SPAN &&
           s->n_past + SPAN <= n_known(s);
}

void catch_up(struct lathe_engine *e, struct seq *s)
{
    while (shares_next_page(e, s)) {
        int i = s->n_in_tree;
        int32_t page =
            prefix_child(&e->prefix, s->request.salt, seq_page_before(s, i), s->tokens + s->n_past);
        if (page < 0)
            return;
        prefix_hold(&e->prefix, page);
        prefix_drop(&e->prefix, s->pages[i]);
        s->pages[i] = page;
        s->n_in_tree++;
        s->n_past += SPAN;
        count_hit(e, s, SPAN);
    }
}

/* ---- preemption ---- */

static double now_ms(void)
{
    return (double)clock_ns() * 1e-6;
}

/* Whether computing its tokens again takes longer than copying its pages to and fro. Before anything is measured it does. */
static bool copying_pays(const struct lathe_engine *e, const struct seq *s)
{
    const struct budget *b = &e->budget;
    double n_bytes = 2.0 * pages_for(seq_n_in_pages(e, s)) * (double)e->pages.form.page_bytes;
    return b->copy_rate <= 0 || b->work_ms <= 0 ||
           n_bytes / b->copy_rate * 1e3 < b->work_ms * budget_work(b, 0, s->n_past);
}

static bool wants_swap(const struct lathe_engine *e, const struct seq *s)
{
    int n = seq_n_in_pages(e, s);
    return e->options.preempt != LATHE_PREEMPT_RECOMPUTE && n > 0 && e->swap.n_free >= pages_for(n) &&
           (e->options.preempt == LATHE_PREEMPT_SWAP || copying_pays(e, s));
}

static void swap_out(struct lathe_engine *e, struct seq *s)
{
    int n = pages_for(seq_n_in_pages(e, s));
    double start = now_ms();
    if (!s->saved)
        s->saved = mem_new((size_t)s->n_page_max * sizeof *s->saved);
    for (int i = 0; i < n; i++) {
        s->saved[i] = swap_take(&e->swap);
        pages_save(&e->pages, s->pages[i], swap_at(&e->swap, s->saved[i]));
    }
    s->n_saved = seq_n_in_pages(e, s); /* an open span is computed again: less than a page, in one pass */
    budget_note_copy(&e->budget, (double)n * (double)e->pages.form.page_bytes, now_ms() - start);
}

void leave_slot(struct lathe_engine *e, struct seq *s)
{
    e->slots[s->slot] = NULL;
    pages_leave_slot(&e->pages, s->slot);
    e->n_running--;
}

/* `for_pages`: they are needed now; else they stay in the prefix cache as long as there is room. */
static void preempt(struct lathe_engine *e, struct seq *s, bool for_pages)
{
    bool swaps = (for_pages || e->prefix.off) && wants_swap(e, s);
    *(swaps ? &e->stats.n_preempt_swap : &e->stats.n_preempt_recompute) += 1;
    if (swaps)
        swap_out(e, s);
    else
        publish_end(e, s);
    seq_drop_pages(e, s);
    leave_slot(e, s);
    s->n_past = 0;
    s->was_preempted = true;
    s->state = SEQ_WAITING;
    queue_push_front(&e->queue, s);
}

/* The running sequence that goes last; of `tenant` if that is given. NULL: none runs. */
static struct seq *last_running(const struct lathe_engine *e, const struct tenant *tenant)
{
    struct seq *last = NULL;
    for (int i = 0; i < e->plan.n_seq; i++) {
        struct seq *s = e->slots[i];
        if (s && s->state == SEQ_RUNNING && (!tenant || s->tenant == tenant) &&
            (!last || queue_before(last, s)))
            last = s;
    }
    return last;
}

/* Counts what the tenants of running sequences have, of slots or of pages. */
static void count_held(const struct lathe_engine *e, bool pages)
{
    for (int i = 0; i < e->plan.n_seq; i++)
        if (e->slots[i])
            e->slots[i]->tenant->n_held = 0;
    for (int i = 0; i < e->plan.n_seq; i++)
        if (e->slots[i])
            e->slots[i]->tenant->n_held += pages ? e->slots[i]->n_page : 1;
}

/* The one that has to give its slot or its pages to s; NULL: s waits. A lower priority, or, of a tenant that has more than its
 * share while s's has less, the one that goes last. */
static struct seq *who_gives_way(const struct lathe_engine *e, const struct seq *s, bool pages)
{
    int n_tenant = e->queue.n_active ? e->queue.n_active : 1, all = pages ? e->plan.n_page : e->plan.n_seq;
    int share = (all + n_tenant - 1) / n_tenant, need = pages ? pages_for(s->n_token + 1) : 1;
    struct seq *last = last_running(e, NULL);
    const struct tenant *richest = NULL;
    if (last && last->request.priority < s->request.priority)
        return last;
    s->tenant->n_held = 0;
    count_held(e, pages);
    for (int i = 0; i < e->plan.n_seq; i++) {
        const struct seq *r = e->slots[i];
        if (r && r->state == SEQ_RUNNING && r->tenant != s->tenant && r->tenant->n_held > share &&
            (!richest || r->tenant->n_held > richest->n_held))
            richest = r->tenant;
    }
    if (!richest || s->tenant->n_held + need > share)
        return NULL;
    last = last_running(e, richest);
    return last->request.priority <= s->request.priority ? last : NULL;
}

/* ---- admission ---- */

/* The end of what is known lies in a page that others hold too, or in swap space: the sequence gets a copy. */
static void fill_pages(struct lathe_engine *e, struct seq *s, const struct prefix_match *m)
{
    double start = now_ms();
    int first = m->n_page, n = pages_for(s->n_saved);
    s->n_past = m->n_page * SPAN;
    if (s->n_saved > s->n_past + m->n_more) {
        for (int i = first; i < n; i++)
            pages_load(&e->pages, s->pages[i], swap_at(&e->swap, s->saved[i]));
        s->n_past = s->n_saved;
        budget_note_copy(&e->budget, (double)(n - first) * (double)e->pages.form.page_bytes,
                         now_ms() - start);
    } else if (m->more >= 0) {
        pages_copy(&e->pages, m->more, s->pages[first]);
        s->n_past += m->n_more;
    }
    if (m->more >= 0)
        prefix_drop(&e->prefix, m->more);
    seq_drop_saved(e, s);
}

/* Running sequences that have not all the pages yet that they may need. */
static int n_growing(const struct lathe_engine *e)
{
    int n = 0;
    for (int i = 0; i < e->plan.n_seq; i++)
        n += e->slots[i] && e->slots[i]->n_page < e->slots[i]->n_page_max;
    return n;
}

/* Gives the sequence its pages, of which *found is what is known; false if they are not there. */
static bool take_pages(struct lathe_engine *e, struct seq *s, struct prefix_match *found)
{
    struct prefix *t = &e->prefix;
    int need = pages_for(s->n_token + 1), n_kept = n_growing(e);
    struct prefix_match m = prefix_match(t, s->request.salt, s->tokens, n_known(s), s->pages);
    s->n_page = s->n_in_tree = m.n_page;
    need = (need < s->n_page_max ? need : s->n_page_max) - m.n_page;
    if (m.more >= 0 && prefix_n_available(t) < need + n_kept) { /* it may be the very page that is needed */
        prefix_drop(t, m.more);
        m.more = -1;
        m.n_more = 0;
    }
    if (prefix_n_available(t) < need + n_kept) {
        seq_drop_pages(e, s);
        return false;
    }
    prefix_take(t, seq_page_before(s, m.n_page), need, s->pages + m.n_page);
    s->n_page += need;
    *found = m;
    return true;
}

/* There is one. */
static int free_slot(const struct lathe_engine *e)
{
    int i = 0;
    while (e->slots[i])
        i++;
    return i;
}

static bool enter(struct lathe_engine *e, struct seq *s)
{
    struct prefix_match found;
    if (!take_pages(e, s, &found))
        return false;
    queue_remove(&e->queue, s);
    fill_pages(e, s, &found);
    if (!s->started_ns) {
        s->started_ns = clock_ns();
        e->stats.n_prefix_query_token += (uint64_t)s->n_prompt;
    }
    count_hit(e, s, s->n_past);
    s->state = SEQ_RUNNING;
    s->slot = free_slot(e);
    e->slots[s->slot] = s;
    e->n_running++;
    return true;
}

void admit(struct lathe_engine *e)
{
    for (struct seq *s; (s = queue_best(&e->queue));) {
        if (e->n_running == e->plan.n_seq) {
            struct seq *gives_way = who_gives_way(e, s, false);
            if (!gives_way)
                return;
            preempt(e, gives_way, false);
        }
        while (!enter(e, s)) {
            struct seq *gives_way = who_gives_way(e, s, true);
            if (!gives_way)
                return;
            preempt(e, gives_way, true);
        }
    }
}

void grow(struct lathe_engine *e)
{
    for (int i = 0; i < e->plan.n_seq; i++) {
        struct seq *s = e->slots[i];
        while (s && e->slots[i] == s && s->state == SEQ_RUNNING && pages_for(s->n_token) > s->n_page) {
            if (prefix_n_available(&e->prefix) == 0) {
                preempt(e, last_running(e, NULL), true);
                continue;
            }
            prefix_take(&e->prefix, seq_page_before(s, s->n_page), 1, s->pages + s->n_page);
            s->n_page++;
        }
    }
}
