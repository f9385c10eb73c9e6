/* Which layout a type is written in, rounding as the method, and the account of what it cost. */
#include "shape/quantize_folder.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include "base/cpu.h"
#include "base/mem.h"
#include "base/pool.h"
#include "quant/format.h"
#include "quant/int_round.h"
#include "quant/parts.h"
#include "shape/bad_weight.h"

typedef int fill_fn(void *, const struct packed_source *, struct packed_values *, struct lathe_err *);

/* Types and the layouts they are written in, the first of a type where none is named. */
static const struct row {
    const char *type, *layout;
    enum packed_kind kind;
} rows[] = {{"int4", "gptq", WRITE_GPTQ},
            {"int4", "awq", WRITE_AWQ},
            {"int4", "compressed-tensors", WRITE_INTS},
            {"int8", "compressed-tensors", WRITE_BYTES},
            {"nf4", "bitsandbytes", WRITE_NF4}};
enum { N_ROW = sizeof rows / sizeof *rows };

struct folder {
    const struct lathe_quantize_options *o;
    const struct row *row;
    struct packed_write w;
    fill_fn *fill;
    void *user;
    struct pool *pool;
    struct lathe_quantize_report *report;
    double error, value;
};

bool quantize_folder_is(const char *type)
{
    for (int i = 0; i < N_ROW; i++)
        if (type && strcasecmp(rows[i].type, type) == 0)
            return true;
    return false;
}

static int find_row(const struct lathe_quantize_options *o, const struct row **out, struct lathe_err *err)
{
    char all[200] = "";
    for (int i = 0; i < N_ROW; i++) {
        if (strcasecmp(rows[i].type, o->type) != 0)
            continue;
        *out = &rows[i];
        if (!o->layout || strcmp(o->layout, rows[i].layout) == 0)
            return 0;
        size_t n = strlen(all);
        snprintf(all + n, sizeof all - n, "%s%s", n ? ", " : "", rows[i].layout);
    }
    return err_set(err, LATHE_E_USAGE, "layout '%.40s' does not hold %s; those that do: %s", o->layout,
                   o->type, all);
}

/* ---- rounding ---- */

struct rounding {
    const struct folder *f;
    const struct packed_source *s;
    struct packed_values *v;
};

static void round_ints(const struct pool_op *op, int row, int worker)
{
    const struct rounding *r = op->arg;
    const struct packed_values *v = r->v;
    bool bytes = r->f->w.kind == WRITE_BYTES;
    /* a zero point of 0 is stored as -1 by gptq, which not every reader undoes */
    struct int_grid grid = {bytes ? 254 : 15,
                            bytes               ? 127
                            : r->f->w.symmetric ? 8
                                                : -1,
                            r->f->w.kind == WRITE_GPTQ, 15, v->scale_type};
    for (uint64_t g = 0; g < v->n_group; g++) {
        uint64_t at = (uint64_t)row * v->n_col + g * v->group, i = (uint64_t)row * v->n_group + g;
        struct int_group best = int_round(&grid, r->s->x + at, NULL, (int64_t)v->group, v->q + at);
        v->scale[i] = best.d;
        v->zero[i] = (uint8_t)best.z;
        for (uint64_t k = 0; bytes && k < v->group; k++) /* codes 0..254 are -127..127, stored + 128 */
            v->q[at + k]++;
    }
}

static int nearest_level(float x)
{
    int c = 0;
    while (c < 15 && x > (nf4_levels[c] + nf4_levels[c + 1]) * 0.5f)
        c++;
    return c;
}

static void round_nf4(struct rounding *r)
{
    struct packed_values *v = r->v;
    for (uint64_t g = 0; g < v->n_group; g++)
        for (int k = 0; k < 64; k++)
            v->scale[g] = fmaxf(v->scale[g], fabsf(r->s->x[g * 64 + (uint64_t)k]));
    packed_nest(v);
    for (uint64_t k = 0; k < v->n_row * v->n_col; k++) {
        float d = v->scale[k / 64];
        v->q[k] = (uint8_t)(d > 0 ? nearest_level(r->s->x[k] / d) : 7);
    }
}

static int fill_rounded(void *user, const struct packed_source *s, struct packed_values *v,
                        struct lathe_err *err)
{
    const struct folder *f = user;
    struct rounding r = {f, s, v};
    if (f->w.kind == WRITE_NF4) {
        round_nf4(&r);
        return 0;
    }
    struct pool_op op = {
        .run = round_ints, .arg = &r, .n_piece = (int)v->n_row, .layer = -1, .name = "round"};
    pool_run(f->pool, &op, 1);
    pool_settle(f->pool);
    return 0;
}

/* ---- the account ---- */

static float weight_at(const struct folder *f, const struct packed_values *v, uint64_t row, uint64_t col)
{
    uint64_t k = row * v->n_col + col, g = row * v->n_group + (uint64_t)v->g_idx[col];
    if (f->w.kind == WRITE_NF4)
        return v->scale[k / 64] * nf4_levels[v->q[k]];
    return v->scale[g] * (float)(v->q[k] - (f->w.kind == WRITE_BYTES ? 128 : v->zero[g]));
}

static uint64_t bytes_of(const struct folder *f, const struct packed_values *v)
{
    struct packed_part part[PACKED_MAX_PART];
    uint64_t sum = 0;
    int n = packed_parts(&f->w, v->scale_type, v->n_row, v->n_col, part);
    for (int i = 0; i < n; i++)
        sum += part[i].n_bytes;
    return sum;
}

static void add_up(struct folder *f, const struct packed_source *s, const struct packed_values *v)
{
    struct lathe_quantize_report *r = f->report;
    double error = 0, value = 0;
    for (uint64_t i = 0; i < v->n_row; i++)
        for (uint64_t k = 0; k < v->n_col; k++) {
            double x = (double)s->x[i * v->n_col + k], e = x - (double)weight_at(f, v, i, k);
            error += e * e;
            value += x * x;
        }
    struct lathe_quantized now = {.name = s->name,
                                  .from = "float",
                                  .to = f->row->type,
                                  .n_weight = v->n_row * v->n_col,
                                  .n_bytes = bytes_of(f, v),
                                  .error = value > 0 ? sqrt(error / value) : 0};
    f->error += error;
    f->value += value;
    r->n_tensor++;
    r->n_weight += now.n_weight;
    if (now.error > r->worst_error) {
        r->worst_error = now.error;
        snprintf(r->worst, sizeof r->worst, "%s", s->name);
    }
    if (f->o->tensor)
        f->o->tensor(f->o->user, &now);
}

static int fill(void *user, const struct packed_source *s, struct packed_values *v, struct lathe_err *err)
{
    struct folder *f = user;
    for (uint64_t k = 0; k < v->n_row * v->n_col; k++)
        if (!isfinite(s->x[k]))
            return bad_weight(s->name, k / v->n_col, k % v->n_col, err);
    TRY(f->fill(f->fill == fill_rounded ? f : f->user, s, v, err));
    add_up(f, s, v);
    return 0;
}

static void kept(void *user, const char *name, uint64_t n_weight, uint64_t n_bytes)
{
    struct folder *f = user;
    struct lathe_quantized now = {.name = name,
                                  .from = "float",
                                  .to = "as it was",
                                  .instead_of = f->row->type,
                                  .n_weight = n_weight,
                                  .n_bytes = n_bytes};
    f->report->n_tensor++;
    f->report->n_weight += n_weight;
    f->report->n_fallback++;
    if (f->o->tensor)
        f->o->tensor(f->o->user, &now);
}

static void progress(void *user, double share)
{
    const struct folder *f = user;
    if (f->o->progress)
        f->o->progress(f->o->user, "writing", share);
}

/* ---- all ---- */

static uint64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int check_group(const struct folder *f, struct lathe_err *err)
{
    int g = f->o->group;
    if (f->row->kind == WRITE_NF4 || f->row->kind == WRITE_BYTES)
        return g ? err_set(err, LATHE_E_USAGE, "%s has no groups to choose: leave --group out", f->row->type)
                 : 0;
    return g == -1 || g == 0 || g % 32 == 0
               ? 0
               : err_set(err, LATHE_E_USAGE,
                         "groups of %d columns cannot run; multiples of 32 can, and -1: whole rows", g);
}

int quantize_folder(const char *from, const char *to, const struct lathe_quantize_options *o, fill_fn *own,
                    void *user, struct lathe_quantize_report *report, struct lathe_err *err)
{
    struct folder f = {.o = o, .fill = own ? own : fill_rounded, .user = user, .report = report};
    char path[4300];
    TRY(find_row(o, &f.row, err));
    TRY(check_group(&f, err));
    if (!own && (o->method != LATHE_QUANTIZE_ROUND || o->calib_text || o->imatrix || o->pure ||
                 (o->tensor_types && o->tensor_types[0])))
        return err_set(
            err, LATHE_E_USAGE,
            "a folder of %s is rounded, all matrices of its layers: leave --method, --calib, --imatrix, "
            "--pure and --tensor-type out",
            f.row->type);
    f.w = (struct packed_write){.kind = f.row->kind,
                                .group = f.row->kind == WRITE_BYTES ? -1
                                         : o->group                 ? o->group
                                                                    : 128,
                                .symmetric = o->symmetric || f.row->kind == WRITE_BYTES,
                                .fill = fill,
                                .kept = kept,
                                .progress = progress,
                                .user = &f};
    TRY(pool_new(o->n_thread > 0 ? o->n_thread : cpu_count(), &f.pool, err));
    int rc = packed_write(from, &f.w, to, err);
    pool_free(f.pool);
    report->error = f.value > 0 ? sqrt(f.error / f.value) : 0;
    snprintf(path, sizeof path, "%s/model.safetensors", to);
    report->bytes_after = size_of(path);
    snprintf(path, sizeof path, "%s/model.safetensors", from);
    report->bytes_before = size_of(path);
    return rc;
}
