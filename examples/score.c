/* score: how likely a text is: score MODEL.gguf < text
 *
 * Prints each token with its log probability given those before it, then the perplexity. Nothing is
 * generated. */
#include <lathe.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct score {
    const lathe_vocab *vocab;
    const int32_t *ids;
    size_t n_ids;
    double sum;
};

/* Called for every position of the prompt, in order. */
static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct score *s = user;
    (void)id;
    if ((size_t)position + 1 >= s->n_ids)
        return;
    int32_t next = s->ids[position + 1];
    float max = logits[0];
    double sum = 0;
    for (int i = 1; i < n_vocab; i++)
        max = logits[i] > max ? logits[i] : max;
    for (int i = 0; i < n_vocab; i++)
        sum += exp((double)logits[i] - (double)max);
    double logprob = (double)logits[next] - (double)max - log(sum);
    size_t n;
    const char *text = lathe_token_text(s->vocab, next, true, &n);
    printf("%10.4f  %.*s\n", logprob, (int)n, text);
    s->sum += logprob;
}

static int score(lathe_engine *engine, struct score *s, struct lathe_err *err)
{
    struct lathe_request request;
    struct lathe_event event;
    int n_running;
    lathe_request_init(&request);
    request.ids = s->ids;
    request.n_ids = s->n_ids;
    request.n_predict = 0;
    request.on_logits = on_logits;
    request.user = s;
    request.logits_from = 0;
    int rc = lathe_engine_submit(engine, &request, NULL, err);
    if (rc)
        return rc;
    do {
        n_running = lathe_engine_step(engine, err);
        while (lathe_engine_poll(engine, &event))
            if (event.kind == LATHE_EVENT_DONE && event.finish == LATHE_FINISH_ERROR) {
                *err = event.err;
                return event.err.code;
            }
    } while (n_running > 0);
    return n_running;
}

int main(int argc, char **argv)
{
    static char text[1 << 20];
    lathe_model *model = NULL;
    lathe_engine *engine = NULL;
    struct lathe_err err = {0};
    struct score s = {0};
    int32_t *ids = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: score MODEL < TEXT\n");
        return 2;
    }
    size_t n = fread(text, 1, sizeof text, stdin);
    int rc = lathe_model_open(argv[1], NULL, &model, &err);
    if (!rc) {
        s.vocab = lathe_model_vocab(model);
        rc = lathe_tokenize(s.vocab, text, n, LATHE_TOK_BOS, &ids, &s.n_ids, &err);
        s.ids = ids;
    }
    if (!rc)
        rc = lathe_engine_new(model, NULL, &engine, &err);
    if (!rc)
        rc = score(engine, &s, &err);
    if (rc)
        fprintf(stderr, "score: %s\n", err.text);
    else if (s.n_ids > 1)
        printf("perplexity %.4f over %zu tokens\n", exp(-s.sum / (double)(s.n_ids - 1)), s.n_ids - 1);
    lathe_engine_free(engine);
    free(ids);
    lathe_model_free(model);
    return lathe_code_exit(rc);
}
