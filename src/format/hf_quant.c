/* Quantized matrices of Hugging Face folders. What belongs to one has its name and another ending:
 *
 *     method               integers          scales, zero points ...
 *     gptq, awq            X.qweight         X.scales X.qzeros X.g_idx
 *     compressed-tensors   X.weight_packed   X.weight_scale X.weight_zero_point X.weight_shape X.weight_g_idx
 *                          X.weight (I8)     X.weight_scale
 *     bitsandbytes         X.weight (U8)     X.weight.absmax X.weight.quant_map X.weight.nested_absmax
 *                                            X.weight.nested_quant_map X.weight.quant_state.bitsandbytes__nf4
 *
 * Parts may be in several files and in any order: all are collected, sorted by name, and checked together. A matrix without such
 * parts is one of floats, as in every other folder. Integers stay where they are; g_idx, which says each column's group, is read
 * and becomes an order of columns in which groups are consecutive. */
#include "format/hf_quant.h"
#include <inttypes.h>
#include <stdlib.h>
#include "quant/format.h"
#include "quant/parts.h"

enum method { HQ_GPTQ = 1, HQ_AWQ = 2, HQ_CT = 4, HQ_BNB = 8 };
enum part { INTS, SCALES, ZEROS, SHAPE, INDEX, MAP, NESTED, NESTED_MAP, STATE, N_PART };

struct piece {
    char *stem;
    enum part part;
    const char *path;
    struct st_tensor t;
};

struct hf_quant {
    enum method method;
    int64_t group; /* -1: whole rows */
    int bits;      /* of integers: 4, 8, or 12 where some have 4 and some 8 */
    bool zeros_less_one;
    struct piece *piece;
    uint64_t n, cap;
};

static const struct {
    const char *name;
    enum method method;
} methods[] = {{"gptq", HQ_GPTQ}, {"awq", HQ_AWQ}, {"compressed-tensors", HQ_CT}, {"bitsandbytes", HQ_BNB}};

static const struct {
    enum method method;
    const char *end;
    enum part part;
    const char *dtype; /* that it must have to count as a part; NULL: any */
} endings[] = {
    {HQ_GPTQ | HQ_AWQ, ".qweight", INTS, NULL},
    {HQ_GPTQ | HQ_AWQ, ".scales", SCALES, NULL},
    {HQ_GPTQ | HQ_AWQ, ".qzeros", ZEROS, NULL},
    {HQ_GPTQ | HQ_AWQ, ".g_idx", INDEX, NULL},
    {HQ_CT, ".weight_packed", INTS, NULL},
    {HQ_CT, ".weight_scale", SCALES, NULL},
    {HQ_CT, ".weight_zero_point", ZEROS, NULL},
    {HQ_CT, ".weight_shape", SHAPE, NULL},
    {HQ_CT, ".weight_g_idx", INDEX, NULL},
    {HQ_CT, ".weight", INTS, "I8"},
    {HQ_BNB, ".weight", INTS, "U8"},
    {HQ_BNB, ".weight.absmax", SCALES, NULL},
    {HQ_BNB, ".weight.quant_map", MAP, NULL},
    {HQ_BNB, ".weight.nested_absmax", NESTED, NULL},
    {HQ_BNB, ".weight.nested_quant_map", NESTED_MAP, NULL},
    {HQ_BNB, ".weight.quant_state.bitsandbytes__nf4", STATE, NULL},
};

enum key_kind { IS, OWN, UNUSED };
static const struct {
    uint32_t set;
    const char *key;
    enum key_kind kind;
    const char *value;
} keys[] = {
#define QKEY(set, key, kind, value) {set, key, kind, value},
#include "format/hf_quant.inc"
#undef QKEY
};

/* ---- quantization_config ---- */

static int refuse_key(struct hf *h, const char *key, const json_t *v)
{
    char *text = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT);
    int rc = err_set(h->err, LATHE_E_UNSUPPORTED,
                     "%sconfig.json: quantization_config: %.60s is %.60s, which cannot run", h->path, key,
                     text ? text : "?");
    free(text);
    return rc;
}

static bool says_nothing(const json_t *v)
{
    return !v || json_is_null(v) || json_is_false(v) || (json_is_object(v) && !json_object_size(v)) ||
           (json_is_array(v) && !json_array_size(v));
}

static int check_key(struct hf *h, enum method method, const char *key, const json_t *v)
{
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        if (!(keys[i].set & method) || strcmp(keys[i].key, key) != 0)
            continue;
        return keys[i].kind != IS || json_is_null(v) || hf_is_one_of(v, keys[i].value)
                   ? 0
                   : refuse_key(h, key, v);
    }
    return key[0] == '_' || says_nothing(v) ? 0 : refuse_key(h, key, v);
}

/* Those that are 4 or 8. */
static int read_bits(struct hf *h, struct hf_quant *q, const json_t *config, const char *key, int fallback)
{
    double bits;
    TRY(hf_number(h, config, key, fallback, 4, 8, &bits));
    q->bits |= (int)bits;
    return 0;
}

static int read_group(struct hf *h, struct hf_quant *q, const json_t *config)
{
    double group;
    TRY(hf_number(h, config, "group_size", -1, -1, 1 << 24, &group));
    q->group = (int64_t)group;
    return (double)q->group == group && q->group ? 0
                                                 : refuse_key(h, "group_size", hf_get(config, "group_size"));
}

/* Weights of one group of layers: integers of 4 or 8 bits, by row or by groups of columns. */
static int check_weights(struct hf *h, struct hf_quant *q, const json_t *w)
{
    static const struct {
        const char *key, *values;
    } wants[] = {{"num_bits", "4|8"},
                 {"type", "\"int\""},
                 {"dynamic", "false"},
                 {"strategy", "\"group\"|\"channel\""},
                 {"block_structure", "null"}};
    for (size_t i = 0; i < sizeof wants / sizeof *wants; i++) {
        const json_t *v = hf_get(w, wants[i].key);
        if (v && !hf_is_one_of(v, wants[i].values))
            return refuse_key(h, wants[i].key, v);
    }
    TRY(read_bits(h, q, w, "num_bits", 8));
    TRY(read_group(h, q, w));
    const char *strategy = json_string_value(hf_get(w, "strategy"));
    if (strategy && strcmp(strategy, "channel") == 0)
        q->group = -1;
    return 0;
}

static int check_groups(struct hf *h, struct hf_quant *q, const json_t *groups)
{
    const char *name;
    json_t *group;
    int64_t first = 0;
    json_object_foreach((json_t *)groups, name, group)
    {
        const json_t *w = hf_get(group, "weights");
        if (!json_is_object(w))
            return refuse_key(h, name, group);
        TRY(check_weights(h, q, w));
        if (first && first != q->group)
            return refuse_key(h, "group_size", hf_get(w, "group_size"));
        first = q->group;
    }
    return first ? 0 : refuse_key(h, "config_groups", groups);
}

static int read_config(struct hf *h, const json_t *config)
{
    const char *name = json_string_value(hf_get(config, "quant_method")), *key;
    struct hf_quant *q = mem_new(sizeof *q);
    json_t *v;
    h->quant = q;
    for (size_t i = 0; name && i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0)
            q->method = methods[i].method;
    if (!q->method)
        return err_set(
            h->err, LATHE_E_UNSUPPORTED,
            "%sconfig.json: quantization_config: weights quantized by '%.40s' cannot run; get those in "
            "F32, F16 or BF16, by gptq, awq, compressed-tensors or bitsandbytes, or a GGUF file",
            h->path, name ? name : "");
    json_object_foreach((json_t *)config, key, v) TRY(check_key(h, q->method, key, v));
    if (q->method & (HQ_GPTQ | HQ_AWQ)) {
        TRY(read_bits(h, q, config, "bits", 4));
        TRY(read_group(h, q, config));
    }
    if (q->method == HQ_CT)
        TRY(check_groups(h, q, hf_get(config, "config_groups")));
    v = hf_get(config, "checkpoint_format");
    if (!v)
        v = hf_get(config, "format");
    q->zeros_less_one = !v || !hf_is_one_of(v, "\"gptq_v2\"");
    if (q->method == HQ_GPTQ && v && !hf_is_one_of(v, "\"gptq\"|\"gptq_v2\""))
        return refuse_key(h, "checkpoint_format", v);
    if (q->method == HQ_BNB && !json_is_true(hf_get(config, "load_in_4bit")))
        return refuse_key(h, "load_in_4bit", json_object_get(config, "load_in_4bit"));
    return 0;
}

int hf_quant_config(struct hf *h)
{
    const json_t *q = hf_get(h->whole, "quantization_config");
    if (!q)
        q = hf_get(h->config, "quantization_config");
    const char *method = json_string_value(json_object_get(q, "quant_method"));
    /* gpt-oss is published in MXFP4, which the names of its tensors say again */
    if (!q || (h->class->set & HF_GPTOSS && method && strcmp(method, "mxfp4") == 0))
        return 0;
    return read_config(h, q);
}

void hf_quant_free(struct hf *h)
{
    if (h->quant)
        free(h->quant->piece);
    free(h->quant);
    h->quant = NULL;
}

/* ---- parts ---- */

bool hf_quant_take(struct hf *h, const struct mf_part *part, const struct st_tensor *t)
{
    struct hf_quant *q = h->quant;
    size_t n = strlen(t->name);
    for (size_t i = 0; q && i < sizeof endings / sizeof *endings; i++) {
        size_t end = strlen(endings[i].end);
        if (!(endings[i].method & q->method) || n <= end || strcmp(t->name + n - end, endings[i].end) != 0 ||
            (endings[i].dtype && strcmp(endings[i].dtype, t->dtype) != 0))
            continue;
        if (q->n == q->cap) {
            q->cap = q->cap ? 2 * q->cap : 256;
            q->piece = mem_grow(q->piece, q->cap * sizeof *q->piece);
        }
        q->piece[q->n++] = (struct piece){arena_dup(&h->f->arena, t->name, n - end), endings[i].part,
                                          mf_path_tail(part->path), *t};
        return true;
    }
    return false;
}

/* The parts of one matrix. */
struct matrix {
    struct hf *h;
    const char *stem, *path;
    const struct st_tensor *part[N_PART]; /* NULL: absent */
    struct mf_packed p;
};

static int wrong(const struct matrix *m, const char *what)
{
    return err_set(m->h->err, LATHE_E_FILE,
                   "%s: the quantized matrix %.100s %s; the file is damaged or of another model", m->path,
                   m->stem, what);
}

static bool has(const struct matrix *m, enum part part, const char *dtype, uint64_t rows, uint64_t columns)
{
    const struct st_tensor *t = m->part[part];
    return t && strcmp(t->dtype, dtype) == 0 && t->n_dim == 2 && t->dim[0] == rows && t->dim[1] == columns;
}

static bool is_vector(const struct matrix *m, enum part part, const char *dtype, uint64_t n)
{
    const struct st_tensor *t = m->part[part];
    return t && strcmp(t->dtype, dtype) == 0 && t->n_dim == 1 && t->dim[0] == n;
}

static bool is_bounded(uint64_t n)
{
    return n > 0 && n <= INT32_MAX;
}

static int refuse_zeros(const struct matrix *m)
{
    return err_set(m->h->err, LATHE_E_UNSUPPORTED,
                   "%s: %.100s has zero points of integers of 8 bits, which cannot run", m->path, m->stem);
}

/* Zero points of 8 bits are all in the middle; padding at the end of a column may be anything. */
static int check_bytes_zeros(const struct matrix *m, bool by_row)
{
    const struct mf_packed *p = &m->p;
    uint64_t n = (p->n_row + 3) / 4 * p->n_group;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t row = 4 * (by_row ? i / p->n_group : i % (p->n_row / 4));
        for (uint64_t k = 0; k < 4 && row + k < p->n_row; k++)
            if ((uint8_t)(p->zeros[4 * i + k] + p->zero_plus) != 128)
                return refuse_zeros(m);
    }
    return 0;
}

/* Scales, zero points and the number of groups; a row's scales are together or apart. */
static int check_scales(struct matrix *m, bool by_row)
{
    struct mf_packed *p = &m->p;
    const struct st_tensor *s = m->part[SCALES], *z = m->part[ZEROS];
    if (!s)
        return wrong(m, "has no scales");
    if (s->type != FORMAT_F16 && s->type != FORMAT_BF16)
        return err_set(m->h->err, LATHE_E_UNSUPPORTED,
                       "%s: the scales of %.100s are %s; those in F16 and BF16 run", m->path, m->stem,
                       s->dtype);
    p->scale_type = s->type;
    p->scales = s->data;
    uint64_t group = m->h->quant->group < 0 ? p->n_col : (uint64_t)m->h->quant->group;
    p->group = group;
    p->n_group = (p->n_col + group - 1) / group;
    uint64_t n = by_row ? p->n_row : p->n_group, inner = by_row ? p->n_group : p->n_row;
    if (!has(m, SCALES, s->dtype, n, inner) && !(by_row && inner == 1 && is_vector(m, SCALES, s->dtype, n)))
        return wrong(m, "has scales of another shape than its integers and the group size say");
    if (!z)
        return 0;
    const uint64_t in_word = packed_in_word(p);
    if (!by_row && !has(m, ZEROS, "I32", p->n_group, p->n_row / in_word))
        return wrong(m, "has zero points of another shape than its scales");
    if (by_row && !has(m, ZEROS, "I32", (p->n_row + in_word - 1) / in_word, p->n_group))
        return wrong(m, "has zero points of another shape than its scales");
    p->zeros = z->data;
    return p->bits == 8 ? check_bytes_zeros(m, by_row) : 0;
}

/* Columns in the order of their groups, each of which has as many as it should. */
static int read_order(struct matrix *m)
{
    struct mf_packed *p = &m->p;
    const struct st_tensor *t = m->part[INDEX];
    bool plain = true;
    void *room;
    if (!t)
        return 0;
    if (!is_vector(m, INDEX, "I32", p->n_col))
        return wrong(m, "has a g_idx that is no number for each column");
    if (p->n_group == 1)
        return 0;
    TRY(mem_try(p->n_group + 1, sizeof(uint64_t), "groups of columns", &room, m->h->err));
    uint64_t *next = room;
    int32_t *order = arena_alloc(&m->h->f->arena, p->n_col * sizeof *order), g;
    for (uint64_t i = 0; i < p->n_group; i++)
        next[i] = i * p->group;
    int rc = 0;
    for (uint64_t k = 0; !rc && k < p->n_col; k++) {
        memcpy(&g, t->data + 4 * k, 4);
        uint64_t end = g < 0 || (uint64_t)g >= p->n_group ? 0 : ((uint64_t)g + 1) * p->group;
        end = end < p->n_col ? end : p->n_col;
        if (g < 0 || (uint64_t)g >= p->n_group || next[g] >= end)
            rc = err_set(m->h->err, LATHE_E_FILE,
                         "%s: g_idx of %.100s has %d at column %" PRIu64 ": there are %" PRIu64
                         " groups of %" PRIu64 " columns; the file is damaged",
                         m->path, m->stem, g, k, p->n_group, p->group);
        else
            order[next[g]++] = (int32_t)k;
        plain &= !rc && (uint64_t)g == k / p->group;
    }
    free(room);
    p->order = plain ? NULL : order;
    return rc;
}

static int check_gptq(struct matrix *m)
{
    const struct st_tensor *q = m->part[INTS];
    m->p.bits = m->h->quant->bits;
    const uint64_t in_word = packed_in_word(&m->p);
    if (strcmp(q->dtype, "I32") != 0 || q->n_dim != 2 || !is_bounded(q->dim[0]) || !is_bounded(q->dim[1]) ||
        q->dim[0] > INT32_MAX / in_word || q->dim[1] % in_word)
        return wrong(m, "has a qweight that is no matrix of packed integers");
    m->p.layout = PACKED_GPTQ;
    m->p.n_col = q->dim[0] * in_word;
    m->p.n_row = q->dim[1];
    m->p.zero = 8;
    m->p.zero_plus = m->h->quant->zeros_less_one;
    TRY(check_scales(m, false));
    if (!m->part[ZEROS])
        return wrong(m, "has no qzeros");
    return read_order(m);
}

static int check_awq(struct matrix *m)
{
    const struct st_tensor *q = m->part[INTS];
    if (strcmp(q->dtype, "I32") != 0 || q->n_dim != 2 || !is_bounded(q->dim[0]) || !is_bounded(q->dim[1]) ||
        q->dim[1] > INT32_MAX / 8 || m->part[INDEX])
        return wrong(m, "has a qweight that is no matrix of packed integers of 4 bits");
    m->p.layout = PACKED_AWQ;
    m->p.bits = 4;
    m->p.n_col = q->dim[0];
    m->p.n_row = q->dim[1] * 8;
    TRY(check_scales(m, false));
    return m->part[ZEROS] ? 0 : wrong(m, "has no qzeros");
}

/* Whether that is what the matrix says its shape is. */
static bool is_shape(const struct matrix *m, uint64_t n_row, uint64_t n_col)
{
    const struct st_tensor *t = m->part[SHAPE];
    int64_t want[2] = {(int64_t)n_row, (int64_t)n_col};
    int32_t narrow[2] = {(int32_t)want[0], (int32_t)want[1]};
    return (is_vector(m, SHAPE, "I64", 2) && memcmp(t->data, want, sizeof want) == 0) ||
           (is_vector(m, SHAPE, "I32", 2) && memcmp(t->data, narrow, sizeof narrow) == 0);
}

static int check_compressed(struct matrix *m)
{
    const struct st_tensor *q = m->part[INTS];
    bool bytes = strcmp(q->dtype, "I8") == 0;
    if ((!bytes && strcmp(q->dtype, "I32") != 0) || q->n_dim != 2 || !is_bounded(q->dim[0]) ||
        !is_bounded(q->dim[1]) || (!bytes && q->dim[1] > INT32_MAX / 8))
        return wrong(m, "has integers that are no matrix");
    m->p.layout = bytes ? PACKED_BYTES : PACKED_INTS;
    m->p.bits = bytes || is_shape(m, q->dim[0], q->dim[1] * 4) ? 8 : 4;
    m->p.n_row = q->dim[0];
    m->p.n_col = q->dim[1] * (bytes ? 1 : packed_in_word(&m->p));
    m->p.zero = 8;
    if (bytes && m->part[ZEROS])
        return refuse_zeros(m);
    if (!(m->p.bits & m->h->quant->bits) || (!bytes && !is_shape(m, m->p.n_row, m->p.n_col)))
        return wrong(m, "has a weight_shape or bits other than its integers");
    TRY(check_scales(m, true));
    return read_order(m);
}

/* ---- bitsandbytes ---- */

static int read_state(struct matrix *m, json_t *s)
{
    struct mf_packed *p = &m->p;
    const json_t *shape = hf_get(s, "shape");
    const char *type = json_string_value(hf_get(s, "quant_type"));
    double rows = json_number_value(json_array_get(shape, 0)),
           columns = json_number_value(json_array_get(shape, 1)), group, nested, offset;
    if (!type || strcmp(type, "nf4") != 0 || json_array_size(shape) != 2 ||
        !(rows >= 1 && rows <= INT32_MAX) || !(columns >= 1 && columns <= INT32_MAX))
        return wrong(m, "has a quant_state of no matrix in nf4");
    TRY(hf_number(m->h, s, "blocksize", 64, 64, 1 << 20, &group));
    TRY(hf_number(m->h, s, "nested_blocksize", 256, 1, 1 << 20, &nested));
    TRY(hf_number(m->h, s, "nested_offset", 0, -3e38, 3e38, &offset));
    p->n_row = (uint64_t)rows;
    p->n_col = (uint64_t)columns;
    p->group = (uint64_t)group;
    p->nested_group = (uint64_t)nested;
    p->offset = (float)offset;
    return 0;
}

static int check_nf4_scales(struct matrix *m)
{
    struct mf_packed *p = &m->p;
    const struct st_tensor *s = m->part[SCALES];
    p->n_group = (p->n_row * p->n_col + p->group - 1) / p->group;
    if (!s)
        return wrong(m, "has no absmax");
    p->scales = s->data;
    if (is_vector(m, SCALES, "F32", p->n_group))
        return 0;
    if (!is_vector(m, SCALES, "U8", p->n_group) ||
        !is_vector(m, NESTED, "F32", (p->n_group + p->nested_group - 1) / p->nested_group) ||
        !is_vector(m, NESTED_MAP, "F32", 256))
        return wrong(m, "has scales of another shape than its integers say");
    p->map = m->part[NESTED_MAP]->data;
    p->nested = m->part[NESTED]->data;
    return 0;
}

static int check_nf4(struct matrix *m)
{
    const struct st_tensor *q = m->part[INTS], *state = m->part[STATE];
    json_error_t why;
    if (!state || strcmp(state->dtype, "U8") != 0 || state->n_bytes > 4096)
        return wrong(m, "has no quant_state in nf4");
    json_t *s = json_loadb((const char *)state->data, state->n_bytes, JSON_REJECT_DUPLICATES, &why);
    int rc = json_is_object(s) ? read_state(m, s) : wrong(m, "has a quant_state that is no JSON");
    json_decref(s);
    TRY(rc);
    m->p.layout = PACKED_NF4;
    if (q->n_bytes * 2 != m->p.n_row * m->p.n_col)
        return wrong(m, "has another number of weights than its quant_state says");
    if (!is_vector(m, MAP, "F32", 16) || memcmp(m->part[MAP]->data, nf4_levels, sizeof nf4_levels) != 0)
        return wrong(m, "has a quant_map other than that of nf4");
    return check_nf4_scales(m);
}

/* ---- the end ---- */

static int add(struct matrix *m)
{
    const enum method method = m->h->quant->method;
    if (!m->part[INTS])
        return wrong(m, "has no integers");
    TRY(method == HQ_GPTQ  ? check_gptq(m)
        : method == HQ_AWQ ? check_awq(m)
        : method == HQ_CT  ? check_compressed(m)
                           : check_nf4(m));
    m->p.q = m->part[INTS]->data;
    m->p.q_bytes = m->part[INTS]->n_bytes;
    uint32_t type = packed_type(&m->p);
    if (!type)
        return err_set(m->h->err, LATHE_E_UNSUPPORTED,
                       "%s: %.100s has groups of %" PRIu64 " in rows of %" PRIu64
                       " columns; multiples of 32 run, of 64 in nf4",
                       m->path, m->stem, m->p.group, m->p.n_col);
    return hf_add_packed(m->h, m->stem, m->path, type, &m->p);
}

static int by_stem(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    int c = strcmp(x->stem, y->stem);
    return c ? c : (int)x->part - (int)y->part;
}

int hf_quant_end(struct hf *h)
{
    struct hf_quant *q = h->quant;
    if (!q)
        return 0;
    if (!q->n)
        return err_set(h->err, LATHE_E_FILE,
                       "%sconfig.json: quantization_config says that weights are quantized, and none of the "
                       "tensors is",
                       h->path);
    qsort(q->piece, q->n, sizeof *q->piece, by_stem);
    for (uint64_t i = 0; i < q->n;) {
        struct matrix m = {.h = h, .stem = q->piece[i].stem, .path = q->piece[i].path};
        for (; i < q->n && strcmp(q->piece[i].stem, m.stem) == 0; i++) {
            if (m.part[q->piece[i].part])
                return wrong(&m, "has a part twice");
            m.part[q->piece[i].part] = &q->piece[i].t;
        }
        TRY(add(&m));
    }
    return 0;
}
