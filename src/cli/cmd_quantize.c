/* lathe quantize: a model in fewer bits, and what that cost. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/cli.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "base/progress.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/quantize_kinds.h"
#include "cli/say.h"

enum { MAX_TYPE = 64 };

struct account {
    struct progress bar;
    struct {
        char type[32];
        uint64_t n_tensor, n_bytes;
    } of[MAX_TYPE];
    int n_type;
    char fallback[160]; /* the first of them */
    uint64_t n_bytes;   /* of all tensors */
    struct quantize_kinds kinds;
    bool target; /* types were chosen for one */
    bool scaled; /* weights are scaled: they are not to be compared with the model's one by one */
};

static void show_progress(void *user, const char *what, double share)
{
    progress_show(&((struct account *)user)->bar, what, share);
}

static void show_note(void *user, const char *text)
{
    progress_end(&((struct account *)user)->bar);
    fprintf(stderr, "lathe: note: %s\n", text);
}

static void add_tensor(void *user, const struct lathe_quantized *t)
{
    struct account *a = user;
    int i = 0;
    while (i < a->n_type && strcmp(a->of[i].type, t->to) != 0)
        i++;
    if (i == a->n_type && i < MAX_TYPE)
        snprintf(a->of[a->n_type++].type, sizeof a->of[i].type, "%s", t->to);
    if (i < MAX_TYPE) {
        a->of[i].n_tensor++;
        a->of[i].n_bytes += t->n_bytes;
    }
    a->n_bytes += t->n_bytes;
    quantize_kinds_add(&a->kinds, t->name, t->to);
    if (t->instead_of && !a->fallback[0])
        snprintf(a->fallback, sizeof a->fallback, "%.100s: %s instead of %s", t->name, t->to, t->instead_of);
}

static json_t *types_json(const struct account *a)
{
    json_t *types = json_object();
    for (int i = 0; i < a->n_type; i++)
        json_object_set_new(types, a->of[i].type,
                            json_pack("{sI sI}", "tensors", (json_int_t)a->of[i].n_tensor, "bytes",
                                      (json_int_t)a->of[i].n_bytes));
    return types;
}

static int print_json(const struct account *a, const struct lathe_quantize_report *r)
{
    json_t *j =
        json_pack("{so sI sI sI sI sf sI sf so sf sI sI sI}", "types", types_json(a), "tensors",
                  (json_int_t)r->n_tensor, "weights", (json_int_t)r->n_weight, "bytes_before",
                  (json_int_t)r->bytes_before, "bytes_after", (json_int_t)r->bytes_after, "bits_per_weight",
                  8 * (double)a->n_bytes / (double)r->n_weight, "fallbacks", (json_int_t)r->n_fallback,
                  "relative_error", r->error, "worst_tensor", json_text(r->worst, strlen(r->worst)),
                  "worst_error", r->worst_error, "calibration_tokens", (json_int_t)r->n_calib, "compared",
                  (json_int_t)r->n_compared, "better", (json_int_t)r->n_better);
    if (a->target) {
        json_object_set_new(j, "kinds", quantize_kinds_json(&a->kinds));
        json_object_set_new(j, "predicted_kl", json_real(r->predicted_kl));
    }
    if (r->measured_kl > 0)
        json_object_set_new(j, "measured_kl", json_real(r->measured_kl));
    return json_print(j);
}

static void print_text(const struct account *a, const struct lathe_quantize_report *r)
{
    for (int i = 0; i < a->n_type; i++)
        printf("%-8s %5" PRIu64 " tensors %10.1f MiB\n", a->of[i].type, a->of[i].n_tensor,
               (double)a->of[i].n_bytes / 1048576);
    if (r->n_fallback)
        printf("%" PRIu64 " tensors have rows that their type cannot hold and got another (%s)\n",
               r->n_fallback, a->fallback);
    if (r->n_calib)
        printf("calibrated on %" PRId64 " tokens\n", r->n_calib);
    if (a->target)
        quantize_kinds_print(&a->kinds);
    if (a->target)
        printf("predicted KL divergence by rounding %.4g\n", r->predicted_kl);
    if (r->measured_kl > 0)
        printf("measured KL divergence %.4g\n", r->measured_kl);
    if (r->n_compared)
        printf("%" PRIu64 " of %" PRIu64 " products are closer than by rounding alone\n", r->n_better,
               r->n_compared);
    printf("%.1f MiB -> %.1f MiB, %.2f bits per weight", (double)r->bytes_before / 1048576,
           (double)r->bytes_after / 1048576, 8 * (double)a->n_bytes / (double)r->n_weight);
    if (!a->scaled)
        printf(", relative error %.4g", r->error);
    if (!a->scaled && r->worst[0])
        printf(" (worst %.4g: %s)", r->worst_error, r->worst);
    printf("\n");
}

/* What is no file that can be read in pieces is read whole. */
static int read_text(const char *path, struct buf *text, struct lathe_quantize_options *o,
                     struct lathe_err *err)
{
    struct stat st;
    if (strcmp(path, "-") != 0) {
        TRY(input_check(path, err));
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
            o->calib_file = path;
            return 0;
        }
    }
    int rc = input_read(path, text, err);
    o->calib_text = text->p ? text->p : "";
    o->n_calib_text = text->n;
    return rc;
}

int cmd_quantize(struct cli *c, struct lathe_err *err)
{
    struct account a = {.scaled = c->o.quantize_method == LATHE_QUANTIZE_AWQ};
    struct lathe_quantize_report r;
    struct lathe_quantize_options o = {.type = c->o.quantize_type,
                                       .target_bpw = (double)c->o.target_bpw,
                                       .target_bytes = c->o.target_bytes,
                                       .target_kl = (double)c->o.target_kl,
                                       .types = c->o.types,
                                       .layout = c->o.layout,
                                       .group = c->o.group,
                                       .symmetric = c->o.symmetric,
                                       .pure = c->o.pure,
                                       .method = (enum lathe_quantize_method)c->o.quantize_method,
                                       .calib_name = c->o.calib,
                                       .calib_ctx = c->o.calib_ctx,
                                       .calib_tokens = c->o.calib_tokens,
                                       .act_order = c->o.act_order,
                                       .damping = c->o.damping,
                                       .measure_output = c->o.measure_output,
                                       .imatrix = c->o.imatrix,
                                       .save_imatrix = c->o.save_imatrix,
                                       .n_thread = c->o.n_thread,
                                       .tensor = add_tensor,
                                       .progress = show_progress,
                                       .left_out = say_left_out,
                                       .note = show_note,
                                       .user = &a};
    a.target = o.target_bpw > 0 || o.target_bytes > 0 || o.target_kl > 0;
    if (c->operands.n != 2 || (!o.type && !a.target))
        return err_set(err, LATHE_E_USAGE,
                       "quantize needs a model, a file to write and a type or a target: lathe quantize IN "
                       "OUT.gguf --type q4_k_m");
    const char *own[OPT_LIST_MAX + 1] = {0};
    memcpy(own, c->o.tensor_type.v, (size_t)c->o.tensor_type.n * sizeof *own);
    o.tensor_types = own;
    mem_few_arenas(); /* what is freed goes back: a bound of memory is kept */
    struct buf text;
    buf_init(&text, INPUT_LIMIT);
    int rc = c->o.calib ? read_text(c->o.calib, &text, &o, err) : 0;
    if (!rc)
        rc = lathe_quantize(c->operands.v[0], c->operands.v[1], &o, &r, err);
    buf_free(&text);
    progress_end(&a.bar);
    if (rc)
        return rc;
    if (c->o.json)
        return print_json(&a, &r);
    print_text(&a, &r);
    return 0;
}
