/* Attention over pages, blockwise with a running softmax (Milakov, Gimelshein 2018; Dao et al. 2022).
 *
 * Every query meets its spans in ascending order: each span's (max, sum, output) is computed from scratch and
 * merged by one function, for prefill and decode alike. A piece is up to 64 rows of one sequence for one
 * key-value head, with all query heads that share it; their query vectors lie side by side in the scratch, so
 * that one tile serves rows and heads. Where keys and values come from and go to: kv_rows.c. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "kern/scalar.h"
#include "model/pass_impl.h"

/* Keys that a row at `pos` of the sequence sees, from position 0 on. */
static int keys_of(const struct pass_seq *s, int pos)
{
    return s->n_key ? s->n_key : pos + 1;
}

static int n_span(const struct pass *p, const struct attn_piece *a)
{
    int n_key = keys_of(&p->batch->seqs[a->seq], p->row_pos[a->row + a->n_row - 1]);
    return (n_key + SPAN - 1) / SPAN;
}

/* A pair is a piece and a key-value head. Where there are too few of them to share out evenly, the spans of all pairs,
 * one pair after another, are cut into parts of equal length: few, since a part has to load its queries, and where one
 * cuts a pair the results of its spans go through memory. */
static void plan_parts(struct pass *p)
{
    const struct model_config *c = &p->model->config;
    int pairs = p->n_piece * c->n_head_kv, n_worker = pool_n_worker(p->pool);
    p->n_part = p->n_span = p->most_spans = p->most_vec = 0;
    for (int i = 0; i < p->n_piece; i++) {
        const struct attn_piece *a = &p->pieces[i];
        int spans = n_span(p, a), vec = a->n_row * (c->n_head / c->n_head_kv);
        p->most_spans = spans > p->most_spans ? spans : p->most_spans;
        p->most_vec = vec > p->most_vec ? vec : p->most_vec;
        p->n_span += spans * c->n_head_kv;
    }
    int64_t floats = (int64_t)pairs * p->most_spans * p->most_vec * (p->form.value_dim + 2);
    if (p->batch->n_row > SMALL_ROWS || pairs >= PARTS_PER_WORKER * n_worker || p->most_spans < 2 ||
        floats > p->n_partial)
        return;
    int each = p->n_span / PART_SPANS / n_worker;
    each = each < 1 ? 1 : each > PARTS_PER_WORKER ? PARTS_PER_WORKER : each;
    p->n_part = each * n_worker < p->n_span ? each * n_worker : p->n_span;
}

/* Rows of the pieces that a sequence is cut into: equal ones of at most QUERY_ROWS, `times` as many as those would be, of which
 * four rows of any group of heads fill whole tiles. */
static int rows_of_piece(int n_row, int times)
{
    int n_piece = (n_row + QUERY_ROWS - 1) / QUERY_ROWS * times, n = (n_row + n_piece - 1) / n_piece;
    return (n + 3) / 4 * 4;
}

/* How many times as many pieces as of QUERY_ROWS each worker's PAIRS_PER_WORKER take. Small batches are cut by spans. */
static int times_of_pieces(const struct pass *p)
{
    const struct pass_batch *b = p->batch;
    int n_piece = 0, wanted = PAIRS_PER_WORKER * pool_n_worker(p->pool);
    for (int i = 0; i < b->n_seq; i++)
        n_piece += (b->seqs[i].n_row + QUERY_ROWS - 1) / QUERY_ROWS;
    int pairs = n_piece * p->model->config.n_head_kv;
    return b->n_row > SMALL_ROWS && pairs < wanted ? (wanted + pairs - 1) / pairs : 1;
}

void attention_plan(struct pass *p)
{
    const struct pass_batch *b = p->batch;
    int times = times_of_pieces(p);
    p->n_piece = 0;
    for (int i = 0; i < b->n_seq; i++) {
        const struct pass_seq *s = &b->seqs[i];
        int n_each = rows_of_piece(s->n_row, times);
        for (int r = 0; r < s->n_row; r += n_each) {
            int n = s->n_row - r < n_each ? s->n_row - r : n_each;
            p->pieces[p->n_piece++] = (struct attn_piece){i, s->row0 + r, n};
        }
        for (int r = 0; r < s->n_row; r++)
            p->row_pos[s->row0 + r] = s->pos0 + r, p->row_seq[s->row0 + r] = i;
    }
    plan_parts(p);
}

/* Pair i of a piece of attention and a key-value head. */
struct pair {
    const struct attn_piece *a;
    int kv_head;
};

static struct pair pair_at(const struct pass *p, int i)
{
    int n_kv = p->model->config.n_head_kv;
    if (p->limits.by_head)
        return (struct pair){&p->pieces[i % p->n_piece], i / p->n_piece};
    return (struct pair){&p->pieces[i / n_kv], i % n_kv};
}

/* ---- reading ---- */

/* Rows of one head are short and lie far apart, often in the other core's cache: the hardware's streams do not
 * find them. */
enum { AHEAD = 3 };
static void prefetch_floats(const float *x, int n, bool to_write)
{
    for (int i = 0; i < n; i += 16)
        if (to_write)
            __builtin_prefetch(x + i, 1);
        else
            __builtin_prefetch(x + i, 0);
}

/* Query vectors of the piece: rotated, scaled, [row][head of the group]. */
static void load_queries(const struct pass *p, const struct attn_piece *a, int layer, int kv_head,
                         float *query)
{
    const struct model_config *c = &p->model->config;
    const float *norm = p->model->layers[layer].q_norm, scale = p->attn_scale;
    int group = c->n_head / c->n_head_kv, hd = c->head_dim;
    for (int r = 0; r < a->n_row; r++) {
        if (r + AHEAD < a->n_row)
            prefetch_floats(p->qkv + (a->row + r + AHEAD) * p->qkv_stride + kv_head * group * hd, group * hd,
                            false);
        const float *cs = pass_rope_at(p, layer, p->row_pos[a->row + r]);
        const float *q = p->qkv + (a->row + r) * p->qkv_stride + kv_head * group * hd;
        for (int g = 0; g < group; g++, query += hd) {
            const float *from = q + g * hd;
            if (norm) {
                p->kern->rmsnorm(from, norm, hd, c->norm_eps, query);
                from = query;
            }
            if (c->n_rot)
                p->kern->rope(from, cs, c->n_rot / 2, scale, query);
            for (int d = c->n_rot; d < hd; d++)
                query[d] = from[d] * scale;
        }
    }
}

/* One span of keys and values: of the open ones, or as its page has it. */
struct span_view {
    const uint8_t *k, *v;
    bool closed, sink; /* sink: the first position's key is apart */
};

/* Which keys of a span each query of a tile sees: [first, n), ascending in the queries. */
struct visible {
    int first[TILE_TOK], n[TILE_TOK];
    bool cut; /* some first is not 0 */
};

/* The softmax where windows begin in the span: keys in front of one have no share, and where they are all, the query has no keys
 * there. */
static void window_softmax(const struct pass *p, const struct visible *seen, int n, float *score, float *max,
                           float *sum)
{
    int n_key[TILE_TOK];
    for (int i = 0; i < n; i++) {
        n_key[i] = seen->first[i] < seen->n[i] ? seen->n[i] : 0;
        for (int k = 0; k < seen->first[i]; k++)
            score[i * SPAN + k] = -INFINITY;
    }
    p->kern->span_softmax(score, n, n_key, max, sum);
    for (int i = 0; i < n; i++)
        memset(score + i * SPAN, 0, (size_t)seen->first[i] * sizeof *score);
}

/* Scores with the first position's key, which is in f16 and in one column: of a tile whose lanes begin at each of its numbers the
 * first lane. The others read on into the values. */
static void sink_scores(const struct pass *p, const struct span_view *view, struct scratch *s, int v0, int n)
{
    float lanes[TILE_TOK * LANES];
    int hd = p->form.head_dim;
    p->k.tile(view->k + kv_sink_at(&p->form), 1, LANES, 1, hd, s->query + v0 * hd, hd, n, false, lanes,
              LANES);
    for (int i = 0; i < n; i++)
        s->score[i * SPAN] = lanes[i * LANES];
}

/* Scores of queries v0 .. v0+n with the first n_group groups of keys, or with all. */
static void key_scores(const struct pass *p, const struct span_view *view, struct scratch *s, int v0, int n,
                       int n_group)
{
    int hd = p->form.head_dim;
    if (view->closed && p->k.strip) {
        p->k.strip(view->k, STRIP_GROUPS, hd, s->query + v0 * hd, hd, n, s->score, SPAN);
        if (view->sink)
            sink_scores(p, view, s, v0, n);
    } else {
        p->k.tile(view->k, SPAN, LANES, n_group, hd, s->query + v0 * hd, hd, n, false, s->score, SPAN);
    }
}

/* out[n][value_dim], of the first n_key values; of a closed span's all. */
static void value_sums(const struct pass *p, const struct span_view *view, const float *score, int n,
                       int n_key, float *out)
{
    int vd = p->form.value_dim;
    if (!view->closed || !p->v.strip) {
        p->v.tile(view->v, vd, LANES, vd / LANES, n_key, score, SPAN, n, false, out, vd);
        return;
    }
    enum format_id of = p->form.v.format;
    for (int i = 0; i < kv_n_strip(of, vd); i++)
        p->v.strip(view->v + kv_value_strips(of, vd, i), kv_value_groups(of, vd, i), SPAN, score, SPAN, n,
                   out + i * kv_value_lanes(of), vd);
}

/* Queries v0 .. v0+n against one span: max, sum and out[n][value_dim] of the span alone. */
static void span_tile(const struct pass *p, const struct span_view *view, struct scratch *s, int v0, int n,
                      const struct visible *seen, float *max, float *sum, float *out)
{
    const int *n_key = seen->n;
    const float cap = p->model->config.attn_softcap;
    int vd = p->form.value_dim, most = 0, least = SPAN;
    for (int i = 0; i < n; i++) {
        most = n_key[i] > most ? n_key[i] : most;
        least = n_key[i] < least ? n_key[i] : least;
    }
    key_scores(p, view, s, v0, n, (most + LANES - 1) / LANES);
    if (cap > 0)
        p->kern->softcap(s->score, n * SPAN, cap * EXP_LOG2E);
    if (seen->cut)
        window_softmax(p, seen, n, s->score, max, sum);
    else
        p->kern->span_softmax(s->score, n, n_key, max, sum);
    value_sums(p, view, s->score, n, least, out);
    /* The last keys are seen by ever fewer queries: those of later rows, which come later. */
    for (int k = least, i = 0; k < most; k++) {
        while (n_key[i] <= k)
            i++;
        p->v.tile(view->v + (size_t)k * (size_t)(vd * kv_elem_bytes(p->form.v.open)), vd, LANES, vd / LANES,
                  1, s->score + i * SPAN + k, SPAN, n - i, true, out + i * vd, vd);
    }
}

/* Where the results of one span wait for their merge, if spans of one pair lie in several parts. */
struct partial {
    float *max, *sum, *out; /* [n_vec], [n_vec], [n_vec][value_dim] */
};

static struct partial partial_at(const struct pass *p, int pair, int span)
{
    int n_vec = p->most_vec;
    float *base = p->partials + ((int64_t)pair * p->most_spans + span) * n_vec * (p->form.value_dim + 2);
    return (struct partial){base, base + n_vec, base + 2 * n_vec};
}

/* What query i's output is divided by; with a sink (Xiao et al. 2023), a logit more in the softmax, whose value is zero. */
static float share_of(const struct pass *p, const struct scratch *s, int i, int layer, int head)
{
    const float *sinks = p->model->layers[layer].sinks;
    if (!sinks)
        return 1.0f / s->run_sum[i];
    float sink = sinks[head] * EXP_LOG2E, max = s->run_max[i];
    if (sink <= max)
        return 1.0f / (s->run_sum[i] + scalar_exp2(sink - max));
    float scale = scalar_exp2(max - sink);
    return scale / (s->run_sum[i] * scale + 1.0f);
}

static void store_outputs(const struct pass *p, const struct attn_piece *a, int layer, int kv_head,
                          struct scratch *s)
{
    const struct model_config *c = &p->model->config;
    int group = c->n_head / c->n_head_kv, hd = c->head_dim;
    for (int i = 0; i < a->n_row * group; i++) {
        int row = a->row + i / group;
        if (i % group == 0 && row + AHEAD < a->row + a->n_row)
            prefetch_floats(p->att + (row + AHEAD) * p->att_stride + kv_head * group * hd, group * hd, true);
        float *out = p->att + row * p->att_stride + (kv_head * group + i % group) * hd;
        const float *o = s->run_out + i * p->form.value_dim,
                    inverse = share_of(p, s, i, layer, kv_head * group + i % group);
        for (int d = 0; d < hd; d++)
            out[d] = o[d] * inverse;
    }
}

static void begin_merge(struct scratch *s, int n_vec)
{
    for (int i = 0; i < n_vec; i++)
        s->run_max[i] = -INFINITY;
}

static int within_span(int n)
{
    return n < 0 ? 0 : n > SPAN ? SPAN : n;
}

/* Which keys of the span the queries v .. v+n see; false if none sees any. */
static bool see_keys(const struct pass *p, const struct attn_piece *a, int layer, int span, int v, int n,
                     struct visible *seen)
{
    int group = p->model->config.n_head / p->model->config.n_head_kv, window = p->model->layers[layer].window;
    const int32_t *pos = p->row_pos + a->row + v / group;
    const struct pass_seq *s = &p->batch->seqs[a->seq];
    bool any = false;
    seen->cut = false;
    for (int i = 0, head = v % group; i < n; i++) {
        int keys = keys_of(s, *pos) - span * SPAN;
        seen->n[i] = within_span(keys);
        seen->first[i] = window ? within_span(keys - window) : 0;
        seen->cut |= seen->first[i] > 0;
        any |= seen->first[i] < seen->n[i];
        if (++head == group)
            pos++, head = 0;
    }
    return any;
}

/* The first span that any query of the piece sees. */
static int first_span(const struct pass *p, const struct attn_piece *a, int layer)
{
    int window = p->model->layers[layer].window, first = p->row_pos[a->row] + 1 - window;
    return window && first > 0 ? first / SPAN : 0;
}

/* The next queries of a piece, from v on, that meet a span in the same form, at most a tile of them: those in the span itself
 * come first and meet it open. */
static int next_queries(const struct pass *p, const struct attn_piece *a, int layer, int kv_head, int span,
                        int v, struct span_view *view)
{
    int group = p->model->config.n_head / p->model->config.n_head_kv, n = a->n_row * group - v;
    int n_open = ((span + 1) * SPAN - p->row_pos[a->row]) * group;
    const struct pass_seq *s = &p->batch->seqs[a->seq];
    bool closed = p->form.closes && v >= n_open;
    const uint8_t *at =
        closed ? kv_page_at(p, s, span, layer, kv_head) : kv_open_at(p, s, span, layer, kv_head);
    *view = (struct span_view){at, at + (closed ? p->form.k.bytes : p->form.k.open_bytes), closed,
                               span == 0 && kv_has_sink(&p->form)};
    if (p->form.closes && !closed && n > n_open - v)
        n = n_open - v;
    return n < TILE_TOK ? n : TILE_TOK;
}

/* All spans of one key-value head, merged as they come. */
static void attend(const struct pass *p, const struct attn_piece *a, int layer, int kv_head, int worker)
{
    struct scratch *s = &p->scratch[worker];
    int n_vec = a->n_row * (p->model->config.n_head / p->model->config.n_head_kv), vd = p->form.value_dim;
    load_queries(p, a, layer, kv_head, s->query);
    s->query_tag = 0;
    begin_merge(s, n_vec);
    for (int span = first_span(p, a, layer); span < n_span(p, a); span++) {
        for (int v = 0, n; v < n_vec; v += n) {
            float max[TILE_TOK], sum[TILE_TOK];
            struct visible seen;
            struct span_view view;
            n = next_queries(p, a, layer, kv_head, span, v, &view);
            if (!see_keys(p, a, layer, span, v, n, &seen))
                continue;
            span_tile(p, &view, s, v, n, &seen, max, sum, s->span_out);
            p->kern->span_merge(s->run_max + v, s->run_sum + v, s->run_out + v * vd, max, sum, s->span_out, n,
                                vd);
        }
    }
    store_outputs(p, a, layer, kv_head, s);
}

/* Spans [first, last) of one pair; their results wait in p->partials. */
static void attend_spans(const struct attention *at, int pair, int first, int last, int worker)
{
    const struct pass *p = at->pass;
    struct scratch *s = &p->scratch[worker];
    int n_kv = p->model->config.n_head_kv, kv_head = pair_at(p, pair).kv_head, vd = p->form.value_dim;
    const struct attn_piece *a = pair_at(p, pair).a;
    int n_vec = a->n_row * (p->model->config.n_head / n_kv);
    if (s->query_tag != at->tag + (uint64_t)pair)
        load_queries(p, a, at->layer, kv_head, s->query);
    s->query_tag = at->tag + (uint64_t)pair;
    for (int span = first; span < last; span++) {
        struct partial part = partial_at(p, pair, span);
        for (int v = 0, n; v < n_vec; v += n) {
            struct visible seen;
            struct span_view view;
            n = next_queries(p, a, at->layer, kv_head, span, v, &view);
            if (see_keys(p, a, at->layer, span, v, n, &seen))
                span_tile(p, &view, s, v, n, &seen, part.max + v, part.sum + v, part.out + v * vd);
            else
                for (int i = 0; i < n; i++)
                    part.max[v + i] = -INFINITY;
        }
    }
}

/* Merges what attend_spans left, spans ascending. */
static void merge_spans(const struct pass *p, int layer, int pair, int worker)
{
    struct scratch *s = &p->scratch[worker];
    int n_kv = p->model->config.n_head_kv, vd = p->form.value_dim;
    const struct attn_piece *a = pair_at(p, pair).a;
    int n_vec = a->n_row * (p->model->config.n_head / n_kv);
    begin_merge(s, n_vec);
    for (int span = 0; span < n_span(p, a); span++) {
        struct partial part = partial_at(p, pair, span);
        for (int v = 0; v < n_vec; v += TILE_TOK)
            p->kern->span_merge(s->run_max + v, s->run_sum + v, s->run_out + v * vd, part.max + v,
                                part.sum + v, part.out + v * vd, n_vec - v < TILE_TOK ? n_vec - v : TILE_TOK,
                                vd);
    }
    store_outputs(p, a, layer, pair_at(p, pair).kv_head, s);
}

/* ---- operations ---- */

/* Puts the piece's rows whose position lies in spans [first, last) into their pages. */
static void put_rows(const struct pass *p, const struct attn_piece *a, int layer, int kv_head, int first,
                     int last)
{
    for (int r = a->row; r < a->row + a->n_row; r++)
        if (p->row_pos[r] / SPAN >= first && p->row_pos[r] / SPAN < last)
            kv_put_row(p, &p->batch->seqs[a->seq], r, layer, kv_head);
}

/* Small batches: one piece per sequence and head writes its rows and attends. */
static void fused_piece(const struct pool_op *op, int piece, int worker)
{
    const struct attention *at = op->arg;
    struct pass *p = at->pass;
    struct pair pair = pair_at(p, piece);
    if (!at->is_put)
        put_rows(p, pair.a, at->layer, pair.kv_head, 0, p->limits.n_ctx);
    attend(p, pair.a, at->layer, pair.kv_head, worker);
}

/* First span of part i. Earlier parts get the odd spans: the last span of a pair is not full, but its rows are put
 * into their page there. */
static int part_start(const struct pass *p, int i)
{
    return (int)(((int64_t)p->n_span * i + p->n_part - 1) / p->n_part);
}

/* Few sequences: the piece is a part of the list of all spans. Who finishes the last span of a pair merges them. */
static void part_piece(const struct pool_op *op, int piece, int worker)
{
    const struct attention *at = op->arg;
    struct pass *p = at->pass;
    int n_kv = p->model->config.n_head_kv, first = part_start(p, piece), last = part_start(p, piece + 1);
    for (int pair = 0; pair < p->n_piece * n_kv && last > 0; pair++) {
        const struct attn_piece *a = pair_at(p, pair).a;
        int kv_head = pair_at(p, pair).kv_head;
        int n = n_span(p, a), from = first > 0 ? first : 0, to = last < n ? last : n;
        first -= n;
        last -= n;
        if (from >= to)
            continue;
        if (!at->is_put)
            put_rows(p, a, at->layer, kv_head, from, to);
        if (to - from == n) {
            attend(p, a, at->layer, kv_head, worker);
            continue;
        }
        attend_spans(at, pair, from, to, worker);
        if (atomic_fetch_add(&p->spans_done[pair], to - from) + to - from == n) {
            atomic_store_explicit(&p->spans_done[pair], 0, memory_order_relaxed); /* for the next layer */
            merge_spans(p, at->layer, pair, worker);
        }
    }
}

static void attend_piece(const struct pool_op *op, int piece, int worker)
{
    const struct attention *at = op->arg;
    struct pass *p = at->pass;
    struct pair pair = pair_at(p, piece);
    /* longest first: late rows meet more spans */
    attend(p, p->pieces + (p->n_piece - 1 - (pair.a - p->pieces)), at->layer, pair.kv_head, worker);
}

void attention_add(struct pass *p, struct attention *a, enum kv_state state)
{
    const struct model_config *c = &p->model->config;
    double kv_bytes = 0, n_ops = 0;
    bool one_piece_each = p->n_piece == p->batch->n_seq && !p->limits.no_fusion;
    for (int i = 0; i < p->batch->n_seq; i++) {
        const struct pass_seq *s = &p->batch->seqs[i];
        double keys = s->pos0 + s->n_row;
        kv_bytes += keys / SPAN * (double)p->form.head_bytes * c->n_head_kv;
        n_ops += 4.0 * c->head_dim * c->n_head * s->n_row * (s->pos0 + (s->n_row + 1) / 2.0);
    }
    struct pool_op *op;
    if (state == KV_TO_PUT && (!one_piece_each || p->n_closing)) {
        kv_put_add(p, a);
        state = KV_PUT;
    }
    if (state == KV_PUT)
        kv_close_add(p, a);
    a->is_put = state != KV_TO_PUT;
    if (one_piece_each && p->n_part > 0) {
        a->tag = p->next_tag + 1;
        p->next_tag += (uint64_t)(p->n_piece * c->n_head_kv);
        op = pass_add(p, "attention", a->layer, p->n_part, a, part_piece);
    } else if (one_piece_each) {
        op = pass_add(p, "attention", a->layer, p->n_piece * c->n_head_kv, a, fused_piece);
    } else {
        op = pass_add(p, "attention", a->layer, p->n_piece * c->n_head_kv, a, attend_piece);
    }
    op->bytes = kv_bytes;
    op->n_ops = n_ops;
    if (a->layer + 1 < c->n_layer)
        kv_keep_add(p, a);
}
