/* batch: answers many prompts at once, each line of stdin one: batch MODEL.gguf [tokens] < prompts.txt
 *
 * All sequences share every pass over the weights, and each gets the same tokens as alone. */
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROMPT 64

struct answer {
    uint64_t id;
    char prompt[1024], text[8192];
    size_t n_text;
};

static int submit(lathe_engine *engine, const lathe_vocab *vocab, struct answer *a, int n_predict,
                  struct lathe_err *err)
{
    struct lathe_request request;
    int32_t *ids;
    lathe_request_init(&request);
    request.n_predict = n_predict;
    int rc = lathe_tokenize(vocab, a->prompt, strlen(a->prompt), LATHE_TOK_BOS, &ids, &request.n_ids, err);
    if (rc)
        return rc;
    request.ids = ids;
    rc = lathe_engine_submit(engine, &request, &a->id, err); /* copies the ids */
    free(ids);
    return rc;
}

static void take(struct answer *answers, int n, const struct lathe_event *event)
{
    for (int i = 0; i < n; i++)
        if (answers[i].id == event->id && answers[i].n_text + event->n_text < sizeof answers[i].text) {
            memcpy(answers[i].text + answers[i].n_text, event->text, event->n_text);
            answers[i].n_text += event->n_text;
        }
}

static int run_all(lathe_engine *engine, const lathe_vocab *vocab, struct answer *answers, int n,
                   int n_predict, struct lathe_err *err)
{
    struct lathe_event event;
    int n_running;
    for (int i = 0; i < n; i++)
        if (submit(engine, vocab, &answers[i], n_predict, err))
            return err->code;
    do {
        n_running = lathe_engine_step(engine, err);
        while (lathe_engine_poll(engine, &event))
            take(answers, n, &event);
    } while (n_running > 0);
    return n_running;
}

int main(int argc, char **argv)
{
    static struct answer answers[MAX_PROMPT];
    lathe_model *model = NULL;
    lathe_engine *engine = NULL;
    struct lathe_err err = {0};
    struct lathe_engine_options options;
    int n = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: batch MODEL [TOKENS] < PROMPTS\n");
        return 2;
    }
    while (n < MAX_PROMPT && fgets(answers[n].prompt, sizeof answers[n].prompt, stdin)) {
        answers[n].prompt[strcspn(answers[n].prompt, "\n")] = 0;
        n += answers[n].prompt[0] != 0;
    }
    lathe_engine_options_init(&options);
    options.n_seq = n ? n : 1;
    options.n_ctx = 256;
    int rc = lathe_model_open(argv[1], NULL, &model, &err);
    if (!rc)
        rc = lathe_engine_new(model, &options, &engine, &err);
    if (!rc)
        rc = run_all(engine, lathe_model_vocab(model), answers, n, argc > 2 ? atoi(argv[2]) : 32, &err);
    if (rc)
        fprintf(stderr, "batch: %s\n", err.text);
    for (int i = 0; i < n && !rc; i++)
        printf("%s|%.*s\n", answers[i].prompt, (int)answers[i].n_text, answers[i].text);
    lathe_engine_free(engine);
    lathe_model_free(model);
    return lathe_code_exit(rc);
}
