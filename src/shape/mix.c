/* Mixes: rows of mixes.inc, looked through for each tensor. */
#include "shape/mix.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/mem.h"
#include "quant/encode.h"

struct mix {
    const char *name;
    uint32_t file_type, type;
};

#define OUTPUT NULL
enum when {
    ALWAYS,
    SPREAD,
    EIGHTH,
    SIXTEENTH,
    FIRST_2,
    FIRST_4,
    GROUPED,
    LARGE,
    PLAIN,
    EIGHT,
    NOT_EIGHT,
    EXPERTS
};

#define ALIAS(name, of)
#define RULE(mix, part, when, type)
#define FALLBACK(type, other)
#define KEEP(part)
static const struct mix mixes[] = {
#define MIX(name, number, type) {#name, number, FORMAT_##type},
#include "shape/mixes.inc"
#undef MIX
};
#define MIX(name, number, type)

#undef ALIAS
static const struct {
    const char *name, *of;
} aliases[] = {
#define ALIAS(name, of) {#name, #of},
#include "shape/mixes.inc"
#undef ALIAS
};
#define ALIAS(name, of)

#undef RULE
static const struct {
    const char *mix, *part;
    enum when when;
    uint32_t type;
} rules[] = {
#define RULE(mix, part, when, type) {#mix, part, when, FORMAT_##type},
#include "shape/mixes.inc"
#undef RULE
};
#define RULE(mix, part, when, type)

#undef FALLBACK
static const struct {
    uint32_t type, other;
} fallbacks[] = {
#define FALLBACK(type, other) {FORMAT_##type, FORMAT_##other},
#include "shape/mixes.inc"
#undef FALLBACK
};
#define FALLBACK(type, other)

#undef KEEP
static const char *const kept[] = {
#define KEEP(part) part,
#include "shape/mixes.inc"
#undef KEEP
};

enum { N_MIX = sizeof mixes / sizeof *mixes, N_ALIAS = sizeof aliases / sizeof *aliases };

int mix_find(const char *name, const struct mix **out, struct lathe_err *err)
{
    char all[512];
    size_t used = 0;
    for (int i = 0; i < N_ALIAS; i++)
        if (strcasecmp(name, aliases[i].name) == 0)
            name = aliases[i].of;
    for (int i = 0; i < N_MIX; i++) {
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", mixes[i].name);
        if (strcasecmp(name, mixes[i].name) == 0) {
            *out = &mixes[i];
            return 0;
        }
    }
    for (uint32_t id = 0; id < FORMAT_END; id++)
        if (format_by_id(id) && format_by_id(id)->runs && strcasecmp(format_by_id(id)->name, name) == 0)
            return err_set(err, LATHE_E_USAGE, "type '%.40s' is read, but cannot be written; use one of: %s",
                           name, all);
    return err_set(err, LATHE_E_USAGE, "type '%.40s' is unknown; use one of: %s", name, all);
}

uint32_t mix_file_type(const struct mix *m)
{
    return m->file_type;
}

const char *mix_name(const struct mix *m)
{
    return m->name;
}

/* ---- the model ---- */

static int number(const struct model_file *f, struct str arch, const char *key, uint32_t *out,
                  struct lathe_err *err)
{
    char full[160];
    snprintf(full, sizeof full, STR_FMT ".%s", (int)(arch.n < 64 ? arch.n : 64), arch.p, key);
    const struct mf_meta *m = model_file_find(f, full);
    if (!m || m->kind != MF_ARRAY)
        return mf_u32(f, full, out, NULL, err);
    int32_t *v;
    uint64_t n;
    TRY(mf_i32s(f, full, &v, &n, err));
    if (n && v[0] > 0)
        *out = (uint32_t)v[0];
    free(v);
    return 0;
}

/* "part=type" */
static const struct format *own_type(const char *rule, const char **equals)
{
    *equals = strrchr(rule, '=');
    return *equals && *equals != rule ? format_encoded_as(*equals + 1) : NULL;
}

int mix_read(struct mix_model *m, const struct model_file *f, struct lathe_err *err)
{
    struct str arch = {0};
    uint32_t n_layer = 0, n_expert = 0, n_head = 0, n_head_kv = 0;
    char names[300];
    const char *equals;
    for (const char *const *own = m->own; own && *own; own++)
        if (!own_type(*own, &equals)) {
            format_encoded_names(names, sizeof names);
            return err_set(err, LATHE_E_USAGE, "'%.100s' is no NAME=TYPE with a type of: %s", *own, names);
        }
    TRY(mf_str(f, "general.architecture", &arch, NULL, err));
    TRY(number(f, arch, "block_count", &n_layer, err));
    TRY(number(f, arch, "expert_count", &n_expert, err));
    TRY(number(f, arch, "attention.head_count", &n_head, err));
    TRY(number(f, arch, "attention.head_count_kv", &n_head_kv, err));
    m->n_layer = (int)n_layer;
    m->n_expert = (int)n_expert;
    m->grouped = n_head_kv && n_head / n_head_kv >= 4;
    m->has_output = model_file_tensor_find(f, "output.weight") != NULL;
    return 0;
}

/* ---- the choice ---- */

static bool holds(const struct mix_model *m, const struct mf_tensor *t, enum when when)
{
    int n = m->n_layer, l = strncmp(t->name, "blk.", 4) == 0 ? atoi(t->name + 4) : 0;
    switch (when) {
    case ALWAYS:
        return true;
    case SPREAD:
        return l < n / 8 || l >= 7 * n / 8 || (l - n / 8) % 3 == 2;
    case EIGHTH:
        return l < n / 8;
    case SIXTEENTH:
        return l < n / 16;
    case FIRST_2:
        return l < 2;
    case FIRST_4:
        return l < 4;
    case GROUPED:
        return m->grouped;
    case LARGE:
        return n == 80 && m->grouped;
    case PLAIN:
        return !m->weighted && l < n / 8;
    case EIGHT:
        return m->n_expert == 8;
    case NOT_EIGHT:
        return m->n_expert != 8;
    case EXPERTS:
        return t->dim[2] > 1;
    }
    return false;
}

static bool is_output(const struct mix_model *m, const struct mf_tensor *t)
{
    return strcmp(t->name, m->has_output ? "output.weight" : "token_embd.weight") == 0;
}

static bool is_kept(const struct mf_tensor *t)
{
    size_t n = strlen(t->name), end = strlen(".weight");
    if (t->n_dim < 2 || n < end || strcmp(t->name + n - end, ".weight") != 0)
        return true;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        if (strstr(t->name, kept[i]))
            return true;
    return false;
}

bool mix_is_matrix(const struct mf_tensor *t)
{
    return !is_kept(t);
}

/* The first of the user's rules that fits; NULL: none. */
static const struct format *own_rule(const struct mix_model *m, const struct mf_tensor *t)
{
    const char *equals;
    for (const char *const *own = m->own; own && *own; own++) {
        const struct format *f = own_type(*own, &equals);
        if (memmem(t->name, strlen(t->name), *own, (size_t)(equals - *own)))
            return f;
    }
    return NULL;
}

bool mix_is_own(const struct mix_model *m, const struct mf_tensor *t)
{
    return own_rule(m, t) != NULL;
}

static uint32_t wanted_type(const struct mix_model *m, const struct mf_tensor *t)
{
    const struct format *own = own_rule(m, t);
    if (own)
        return own->id;
    bool output = is_output(m, t);
    for (size_t i = 0; !m->pure && i < sizeof rules / sizeof *rules; i++)
        if ((strcmp(rules[i].mix, "any") == 0 || strcmp(rules[i].mix, m->mix->name) == 0) &&
            (rules[i].part ? !output && strstr(t->name, rules[i].part) : output) &&
            holds(m, t, rules[i].when))
            return rules[i].type;
    return m->mix->type;
}

const struct format *mix_type(const struct mix_model *m, const struct mf_tensor *t,
                              const struct format **wanted)
{
    *wanted = NULL;
    if (is_kept(t))
        return NULL;
    uint32_t id = wanted_type(m, t), first = id;
    *wanted = format_by_id(id);
    for (size_t i = 0; i < sizeof fallbacks / sizeof *fallbacks; i++)
        if (fallbacks[i].type == first && t->dim[0] % (uint64_t)(*wanted)->block_n)
            id = fallbacks[i].other;
    return format_by_id(t->dim[0] % (uint64_t)format_by_id(id)->block_n ? (uint32_t)FORMAT_F16 : id);
}
