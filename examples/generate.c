/* generate: continues one prompt, streaming: generate MODEL.gguf "Once upon a time" [tokens]
 *
 * cc generate.c $(pkg-config --cflags --libs lathe) -o generate */
#include <lathe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct lathe_err *err)
{
    fprintf(stderr, "generate: %s\n", err->text);
    return lathe_code_exit(err->code);
}

static int generate(lathe_engine *engine, const struct lathe_request *request, struct lathe_err *err)
{
    struct lathe_event event;
    int n_running;
    if (lathe_engine_submit(engine, request, NULL, err))
        return fail(err);
    do {
        n_running = lathe_engine_step(engine, err); /* one pass over the weights */
        while (lathe_engine_poll(engine, &event)) {
            fwrite(event.text, 1, event.n_text, stdout);
            fflush(stdout);
            if (event.kind == LATHE_EVENT_DONE && event.finish == LATHE_FINISH_ERROR)
                return fail(&event.err);
        }
    } while (n_running > 0);
    putchar('\n');
    return n_running < 0 ? fail(err) : 0;
}

int main(int argc, char **argv)
{
    lathe_model *model = NULL;
    lathe_engine *engine = NULL;
    struct lathe_err err = {0};
    struct lathe_request request;
    int32_t *ids = NULL;
    int status;
    if (argc < 3) {
        fprintf(stderr, "usage: generate MODEL PROMPT [TOKENS]\n");
        return 2;
    }
    lathe_request_init(&request); /* greedy */
    request.n_predict = argc > 3 ? atoi(argv[3]) : 64;
    struct lathe_engine_options options;
    lathe_engine_options_init(&options);
    if (lathe_model_open(argv[1], NULL, &model, &err) ||
        lathe_tokenize(lathe_model_vocab(model), argv[2], strlen(argv[2]), LATHE_TOK_BOS, &ids,
                       &request.n_ids, &err)) {
        status = fail(&err);
        goto done;
    }
    request.ids = ids;
    options.n_seq = 1;
    status = lathe_engine_new(model, &options, &engine, &err) ? fail(&err) : generate(engine, &request, &err);
done:
    lathe_engine_free(engine);
    free(ids);
    lathe_model_free(model);
    return status;
}
