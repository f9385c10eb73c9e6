/* What lathe eval prints.
 *
 * A statistic is {"value", "low", "high"}: the ends of its 95 % interval, null where there is none. A group of positions is an object with "from",
 * "to", "n" and the statistics of the rows below; "all", "half" and each of "by_position" are such groups. */
#include "cli/eval_report.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "cli/json.h"

/* A statistic: its key, its line in the table, and with what factor and unit it is shown there. */
static const struct {
    const char *key, *line;
    size_t offset;
    bool needs_reference;
    double factor;
    const char *unit;
} rows[] = {
#define ROW(field, line, needs_reference, factor, unit)                                      \
    {                                                                                        \
#field, line, offsetof(struct compare_summary, field), needs_reference, factor, unit \
    }
    ROW(ppl, "perplexity", false, 1, ""),
    ROW(ref_ppl, "  of the reference", true, 1, ""),
    ROW(ppl_ratio, "  ratio", true, 1, ""),
    ROW(kl_mean, "KL divergence, mean", true, 1, ""),
    ROW(kl_50, "  median", true, 1, ""),
    ROW(kl_99, "  99 % below", true, 1, ""),
    ROW(kl_999, "  99.9 % below", true, 1, ""),
    ROW(same_top, "same likeliest token", true, 100, " %"),
    ROW(dp_mean, "probability of the text's token, mean change", true, 100, " %"),
    ROW(dp_rms, "  root mean square", true, 100, " %"),
#undef ROW
};
#define N_ROW ((int)(sizeof rows / sizeof rows[0]))

static struct interval interval_at(const struct compare_summary *s, int row)
{
    struct interval v;
    memcpy(&v, (const char *)s + rows[row].offset, sizeof v);
    return v;
}

static json_t *json_number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *json_interval(struct interval v)
{
    return json_pack("{so so so}", "value", json_number(v.value), "low", json_number(v.low), "high",
                     json_number(v.high));
}

static json_t *json_group(const struct eval_report *r, const struct compare_summary *s)
{
    json_t *j = json_pack("{si si sI}", "from", s->from, "to", s->to, "n", (json_int_t)s->n);
    for (int i = 0; i < N_ROW; i++) {
        struct interval v = interval_at(s, i);
        if (r->reference || !rows[i].needs_reference)
            json_object_set_new(j, rows[i].key, json_interval(v));
    }
    if (r->reference)
        json_object_set_new(j, "kl_max",
                            json_pack("{so si si}", "value", json_number(s->kl_max), "chunk", s->kl_max_chunk,
                                      "position", s->kl_max_position));
    return j;
}

static json_t *json_model(const struct lathe_model_info *m, const char *path)
{
    struct stat st;
    json_t *j = json_pack("{so so so so sI sI}", "file", json_text(path, strlen(path)), "name",
                          json_text(m->name, strlen(m->name)), "architecture",
                          json_text(m->architecture, strlen(m->architecture)), "file_type",
                          json_text(m->file_type, strlen(m->file_type)), "n_param", (json_int_t)m->n_param,
                          "resident_bytes", (json_int_t)m->resident_bytes);
    if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
        json_object_set_new(j, "file_bytes", json_integer(st.st_size));
    return j;
}

static json_t *json_reference(const struct eval_report *r)
{
    json_t *j = json_model(r->reference, r->options->ref);
    bool is_exact = r->kept ? r->kept->is_exact : r->options->ref_exact;
    json_object_set_new(j, "exact", json_boolean(is_exact));
    json_object_set_new(j, "kept", json_boolean(r->kept != NULL));
    return j;
}

static json_t *json_score(const struct task_file *f, const struct eval_score *s)
{
    json_t *j = json_pack("{so}", "acc", json_interval(s->acc));
    if (f->is_last_word)
        json_object_set_new(j, "ppl", json_interval(s->ppl));
    else
        json_object_set_new(j, "acc_norm", json_interval(s->acc_norm));
    json_object_set_new(j, "n_token", json_integer(s->n_token));
    json_object_set_new(j, "seconds", json_real(s->seconds));
    json_object_set_new(j, "tok_s", json_real((double)s->n_token / s->seconds));
    return j;
}

static json_t *json_tasks(const struct eval_tasks *t)
{
    json_t *list = json_array();
    for (int i = 0; i < t->n; i++) {
        const struct task_file *f = &t->v[i].file;
        json_t *j = json_pack("{so so si so}", "task", json_text(f->name, strlen(f->name)), "file",
                              json_text(f->path, strlen(f->path)), "n_item", f->n_item, "model",
                              json_score(f, &t->v[i].own));
        if (t->has_reference) {
            json_object_set_new(j, "reference", json_score(f, &t->v[i].ref));
            json_object_set_new(j, "same_choice", json_interval(t->v[i].same_choice));
        }
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *json_octaves(const struct eval_report *r)
{
    json_t *list = json_array();
    int from, to;
    for (int i = 0; compare_octave(i, r->compare->n_position, &from, &to); i++) {
        struct compare_summary s = compare_summarize(r->compare, r->draws, from, to);
        json_array_append_new(list, json_group(r, &s));
    }
    return list;
}

static void add_text(json_t *j, const struct eval_report *r, const struct compare_summary *all,
                     const struct compare_summary *half)
{
    const struct text_chunks *t = r->text;
    const struct cli_options *o = r->options;
    json_object_set_new(j, "text",
                        json_pack("{so si si sI sI sb}", "file",
                                  json_text(o->text_file, strlen(o->text_file)), "ctx", t->chunk_tokens,
                                  "chunks", t->n_chunk, "n_token", (json_int_t)all->n, "n_token_asked",
                                  (json_int_t)o->n_eval_token, "bos", t->bos >= 0));
    json_object_set_new(j, "all", json_group(r, all));
    json_object_set_new(j, "half", json_group(r, half));
    json_object_set_new(j, "by_position", json_octaves(r));
    if (r->keep_bytes)
        json_object_set_new(j, "save_ref",
                            json_pack("{so sI sf}", "file", json_text(o->save_ref, strlen(o->save_ref)),
                                      "bytes", (json_int_t)r->keep_bytes, "bytes_per_token",
                                      (double)r->keep_bytes / (double)all->n));
    json_object_set_new(j, "seconds", json_real(r->seconds));
    json_object_set_new(j, "tok_s", json_real((double)all->n / r->seconds));
}

static void print_interval(struct interval v, double factor, const char *unit)
{
    printf("  %12.6g%s", factor * v.value, unit);
    if (isfinite(v.low))
        printf("  [%.6g, %.6g]", factor * v.low, factor * v.high);
    putchar('\n');
}

static void print_octaves(const struct eval_report *r)
{
    int from, to;
    printf("\n%-15s  %-26s  %s\n", "position", r->reference ? "KL divergence, mean" : "perplexity",
           "95 % interval");
    for (int i = 0; compare_octave(i, r->compare->n_position, &from, &to); i++) {
        struct compare_summary s = compare_summarize(r->compare, r->draws, from, to);
        printf("%6d - %-6d", from, to);
        print_interval(r->reference ? s.kl_mean : s.ppl, 1, "");
    }
}

static void print_table(const struct eval_report *r, const struct compare_summary *all,
                        const struct compare_summary *half)
{
    printf("%s%s%s: %ld tokens in %d chunks of %d, %.1f s\n\n", r->model->name,
           r->reference ? " against " : "", r->reference ? r->reference->name : "", all->n, r->text->n_chunk,
           r->text->chunk_tokens, r->seconds);
    for (int i = 0; i < N_ROW; i++)
        if (r->reference || !rows[i].needs_reference) {
            printf("%-46s", rows[i].line);
            print_interval(interval_at(all, i), rows[i].factor, rows[i].unit);
        }
    if (r->reference)
        printf("%-46s  %12.6g  at position %d of chunk %d\n", "  largest KL divergence", all->kl_max,
               all->kl_max_position, all->kl_max_chunk);
    printf("%-46s", "perplexity of second halves (llama.cpp's)");
    print_interval(half->ppl, 1, "");
    print_octaves(r);
    if (r->keep_bytes)
        printf("\n%s: %.1f MB, %.0f bytes a token\n", r->options->save_ref, (double)r->keep_bytes / 1e6,
               (double)r->keep_bytes / (double)all->n);
    if (r->text->n_chunk < INTERVAL_FEW)
        printf("\n%d chunks: intervals need some %d, and are too narrow here\n", r->text->n_chunk,
               INTERVAL_FEW);
}

static void print_tasks(const struct eval_tasks *t)
{
    for (int i = 0; i < t->n; i++) {
        const struct eval_task *v = &t->v[i];
        const struct eval_score *scores[] = {&v->own, &v->ref};
        printf("\n%s: %d items, %.1f s\n", v->file.name, v->file.n_item, v->own.seconds + v->ref.seconds);
        for (int k = 0; k < (t->has_reference ? 2 : 1); k++) {
            printf("%-46s", k ? "acc of the reference" : "acc");
            print_interval(scores[k]->acc, 100, " %");
            printf("%-46s", v->file.is_last_word ? "  perplexity of the last word" : "  acc_norm");
            print_interval(v->file.is_last_word ? scores[k]->ppl : scores[k]->acc_norm,
                           v->file.is_last_word ? 1 : 100, v->file.is_last_word ? "" : " %");
        }
        if (t->has_reference) {
            printf("%-46s", "same choice");
            print_interval(v->same_choice, 100, " %");
        }
    }
}

static int print_json(const struct eval_report *r, const struct compare_summary *all,
                      const struct compare_summary *half)
{
    json_t *j = json_object();
    json_object_set_new(j, "model", json_model(r->model, r->options->model));
    if (r->reference)
        json_object_set_new(j, "reference", json_reference(r));
    if (r->text->n_chunk)
        add_text(j, r, all, half);
    if (r->tasks->n)
        json_object_set_new(j, "tasks", json_tasks(r->tasks));
    return json_print(j);
}

int eval_report(const struct eval_report *r)
{
    struct compare_summary all = {.n = 0}, half = {.n = 0};
    if (r->text->n_chunk) {
        int last = r->compare->n_position - 1;
        all = compare_summarize(r->compare, r->draws, 0, last);
        half = compare_summarize(r->compare, r->draws, r->text->chunk_tokens / 2, last);
    }
    if (r->options->json)
        return print_json(r, &all, &half);
    if (r->text->n_chunk)
        print_table(r, &all, &half);
    print_tasks(r->tasks);
    return 0;
}
