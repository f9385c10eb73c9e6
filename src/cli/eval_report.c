/* What lathe eval prints. */
#include "cli/eval_report.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "cli/eval_json.h"
#include "cli/json.h"

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
    for (int i = 0; i < eval_n_row; i++)
        if (r->reference || !eval_rows[i].needs_reference) {
            printf("%-46s", eval_rows[i].line);
            print_interval(eval_row_value(all, i), eval_rows[i].factor, eval_rows[i].unit);
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

static void print_ask_score(const struct ask_file *f, const struct eval_ask_score *s, const char *whose)
{
    for (int k = 0; eval_ask_metric(f->kind, k); k++) {
        printf("%s%s%-*s", k ? "  " : "", eval_ask_metric(f->kind, k),
               (int)(46 - (k ? 2 : 0) - strlen(eval_ask_metric(f->kind, k))), whose);
        print_interval(s->metric[k], 100, " %");
    }
    for (int k = 0; k < EVAL_ASK_UNCHECKED && s->unchecked[k].name; k++)
        printf("  %s: %d passed unchecked\n", s->unchecked[k].name, s->unchecked[k].n);
    if (s->n_cut)
        printf("  %d answers were cut at the most tokens\n", s->n_cut);
}

static void print_asks(const struct eval_asks *a)
{
    for (int i = 0; i < a->n; i++) {
        const struct eval_ask *v = &a->v[i];
        printf("\n%s: %d items, %.1f s\n", v->file.name, v->file.n_item, v->own.seconds + v->ref.seconds);
        print_ask_score(&v->file, &v->own, "");
        if (!a->has_reference)
            continue;
        print_ask_score(&v->file, &v->ref, " of the reference");
        printf("%-46s", "same verdict");
        print_interval(v->same_verdict, 100, " %");
    }
}

int eval_report(const struct eval_report *r, json_t **json)
{
    struct compare_summary all = {.n = 0}, half = {.n = 0};
    if (r->text->n_chunk) {
        int last = r->compare->n_position - 1;
        all = compare_summarize(r->compare, r->draws, 0, last);
        half = compare_summarize(r->compare, r->draws, r->text->chunk_tokens / 2, last);
    }
    *json = eval_json(r, &all, &half);
    if (r->options->json)
        return json_print(json_incref(*json));
    if (r->text->n_chunk)
        print_table(r, &all, &half);
    print_tasks(r->tasks);
    print_asks(r->asks);
    eval_pairs_print(r->pairs);
    eval_needle_print(r->needle);
    return 0;
}
