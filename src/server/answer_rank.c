/* The answer of /v1/rerank: documents, the best first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "server/answer.h"

struct ranked {
    int index;
    double score;
};

/* Equal scores stay in the order of the request. */
static int better(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return x->score != y->score ? (x->score < y->score) - (x->score > y->score) : x->index - y->index;
}

static double score_of(const struct answer *a, const struct choice *c)
{
    float logit = 0;
    if (c->text.n >= sizeof logit)
        memcpy(&logit, c->text.p, sizeof logit);
    return a->raw_scores ? (double)logit : 1 / (1 + exp(-(double)logit));
}

json_t *answer_reranked(const struct answer *a)
{
    json_t *results = json_array();
    struct ranked *all = mem_new((size_t)a->n_choice * sizeof *all);
    int n = a->top_n && a->top_n < a->n_choice ? a->top_n : a->n_choice;
    for (int i = 0; i < a->n_choice; i++)
        all[i] = (struct ranked){i, score_of(a, &a->choices[i])};
    qsort(all, (size_t)a->n_choice, sizeof *all, better);
    for (int i = 0; i < n; i++) {
        const struct exchange_prompt *p = &a->x->prompts[all[i].index];
        json_t *one = json_pack("{si sf}", "index", all[i].index, "relevance_score", all[i].score);
        if (p->text)
            json_object_set_new(one, "document",
                                json_pack("{so}", "text", json_stringn_nocheck(p->text, p->n_text)));
        json_array_append_new(results, one);
    }
    free(all);
    return json_pack("{ss so ss s{si si} so}", "object", "list", "results", results, "model",
                     a->server->config->model_name, "usage", "prompt_tokens", a->n_prompt_token,
                     "total_tokens", a->n_prompt_token, "timings", answer_timings(a));
}
