/* A result of lathe eval as JSON.
 *
 * A statistic is {"value", "low", "high"}: the ends of its 95 % interval, null where there is none. A group of positions is an object with "from",
 * "to", "n" and the statistics of eval_rows; "all", "half" and each of "by_position" are such groups. */
#include "cli/eval_json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include "cli/json.h"

#define FIELD(name) #name, offsetof(struct compare_summary, name)
const struct eval_row eval_rows[] = {
    {FIELD(ppl), "perplexity", false, 1, ""},
    {FIELD(ref_ppl), "  of the reference", true, 1, ""},
    {FIELD(ppl_ratio), "  ratio", true, 1, ""},
    {FIELD(kl_mean), "KL divergence, mean", true, 1, ""},
    {FIELD(kl_50), "  median", true, 1, ""},
    {FIELD(kl_99), "  99 % below", true, 1, ""},
    {FIELD(kl_999), "  99.9 % below", true, 1, ""},
    {FIELD(same_top), "same likeliest token", true, 100, " %"},
    {FIELD(dp_mean), "probability of the text's token, mean change", true, 100, " %"},
    {FIELD(dp_rms), "  root mean square", true, 100, " %"},
};
const int eval_n_row = (int)(sizeof eval_rows / sizeof eval_rows[0]);

struct interval eval_row_value(const struct compare_summary *s, int row)
{
    struct interval v;
    memcpy(&v, (const char *)s + eval_rows[row].offset, sizeof v);
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
    for (int i = 0; i < eval_n_row; i++) {
        struct interval v = eval_row_value(s, i);
        if (r->reference || !eval_rows[i].needs_reference)
            json_object_set_new(j, eval_rows[i].key, json_interval(v));
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

static json_t *json_candidate(const struct lathe_model_info *m, const char *path)
{
    json_t *j = json_model(m, path);
    double bytes = json_number_value(json_object_get(j, "file_bytes"));
    if (bytes > 0 && m->n_param)
        json_object_set_new(j, "bits_per_weight", json_real(8 * bytes / (double)m->n_param));
    return j;
}

/* Options that change what a model computes: they are part of what a candidate is called. */
static const char *const changing[] = {"load-as", "precision", "exact", "kv-type"};

static bool is_changing(const char *name)
{
    for (size_t i = 0; i < sizeof changing / sizeof changing[0]; i++)
        if (strcmp(name, changing[i]) == 0)
            return true;
    return false;
}

/* What was given, by the user or a profile; in *changes those that change what is computed, as they are written. */
static json_t *json_options(const struct cli *c, struct buf *changes)
{
    json_t *j = json_object();
    struct buf value;
    buf_init(&value, 1 << 20);
    for (int i = 0; i < cli_table.n_row; i++) {
        const struct opt_row *row = &cli_table.row[i];
        if (!(row->group & c->command->groups) || c->origin[i].source == OPT_FROM_DEFAULT)
            continue;
        buf_clear(&value);
        opt_value_text(row, &c->o, &value);
        json_t *v = json_loadb(value.p ? value.p : "", value.n, JSON_DECODE_ANY, NULL);
        if (is_changing(row->name))
            buf_printf(changes, "%s--%s%s%s", changes->n ? " " : "", row->name,
                       row->type == OPT_FLAG ? "" : " ", json_is_string(v) ? json_string_value(v) : "");
        json_object_set_new(j, row->name, v ? v : json_text(value.p ? value.p : "", value.n));
    }
    buf_free(&value);
    return j;
}

static void add_options(json_t *j, const struct cli *c)
{
    struct buf changes;
    buf_init(&changes, 256);
    json_object_set_new(j, "options", json_options(c, &changes));
    json_object_set_new(j, "changes", json_text(changes.p ? changes.p : "", changes.n));
    buf_free(&changes);
}

/* Of the tokens, so that results of one text are known as such. */
static json_t *json_digest(const struct text_chunks *t)
{
    char hex[17];
    size_t n = (size_t)t->n_chunk * (size_t)t->chunk_tokens;
    snprintf(hex, sizeof hex, "%016" PRIx64, (uint64_t)XXH3_64bits(t->ids, n * sizeof *t->ids));
    return json_string(hex);
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
        json_t *j = json_pack("{so so si ss so}", "task", json_text(f->name, strlen(f->name)), "file",
                              json_text(f->path, strlen(f->path)), "n_item", f->n_item, "metric",
                              f->is_last_word ? "acc" : "acc_norm", "model", json_score(f, &t->v[i].own));
        if (t->has_reference) {
            json_object_set_new(j, "reference", json_score(f, &t->v[i].ref));
            json_object_set_new(j, "same_choice", json_interval(t->v[i].same_choice));
        }
        json_array_append_new(list, j);
    }
    return list;
}

static json_t *json_ask_score(const struct ask_file *f, const struct eval_ask_score *s)
{
    json_t *j = json_object(), *unchecked = json_object();
    for (int i = 0; eval_ask_metric(f->kind, i); i++)
        json_object_set_new(j, eval_ask_metric(f->kind, i), json_interval(s->metric[i]));
    for (int i = 0; i < EVAL_ASK_UNCHECKED && s->unchecked[i].name; i++)
        json_object_set_new(unchecked, s->unchecked[i].name, json_integer(s->unchecked[i].n));
    if (f->kind == ASK_INSTRUCTIONS)
        json_object_set(j, "unchecked", unchecked);
    json_decref(unchecked);
    json_object_set_new(j, "n_cut", json_integer(s->n_cut));
    json_object_set_new(j, "n_token", json_integer(s->n_token));
    json_object_set_new(j, "seconds", json_real(s->seconds));
    json_object_set_new(j, "tok_s", json_real((double)s->n_token / s->seconds));
    return j;
}

static void add_asks(json_t *list, const struct eval_asks *a)
{
    for (int i = 0; i < a->n; i++) {
        const struct ask_file *f = &a->v[i].file;
        json_t *j = json_pack("{so so si ss si sb si so}", "task", json_text(f->name, strlen(f->name)),
                              "file", json_text(f->path, strlen(f->path)), "n_item", f->n_item, "metric",
                              eval_ask_metric(f->kind, 0), "shots", f->n_shot, "chat", f->is_chat,
                              "max_tokens", a->v[i].n_predict, "model", json_ask_score(f, &a->v[i].own));
        if (a->has_reference) {
            json_object_set_new(j, "reference", json_ask_score(f, &a->v[i].ref));
            json_object_set_new(j, "same_verdict", json_interval(a->v[i].same_verdict));
        }
        json_array_append_new(list, j);
    }
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
                        json_pack("{so si si sI sI sb so}", "file",
                                  json_text(o->text_file, strlen(o->text_file)), "ctx", t->chunk_tokens,
                                  "chunks", t->n_chunk, "n_token", (json_int_t)all->n, "n_token_asked",
                                  (json_int_t)o->n_eval_token, "bos", t->bos >= 0, "digest", json_digest(t)));
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

json_t *eval_json(const struct eval_report *r, const struct compare_summary *all,
                  const struct compare_summary *half)
{
    json_t *j = json_object();
    json_object_set_new(j, "model", json_candidate(r->model, r->options->model));
    add_options(j, r->cli);
    if (r->reference)
        json_object_set_new(j, "reference", json_reference(r));
    if (r->text->n_chunk)
        add_text(j, r, all, half);
    json_t *tasks = json_tasks(r->tasks);
    add_asks(tasks, r->asks);
    if (json_array_size(tasks))
        json_object_set(j, "tasks", tasks);
    json_decref(tasks);
    if (r->pairs->file.n)
        json_object_set_new(j, "pairs", eval_pairs_json(r->pairs));
    if (r->needle->lengths.n)
        json_object_set_new(j, "needle", eval_needle_json(r->needle));
    return j;
}
