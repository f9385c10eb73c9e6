/* Fuzzes request bodies: the first byte chooses the API (a: chat, then in the order of enum api), the rest is the body. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "gguf_write.h"
#include "server/ask.h"

enum { N_CTX = 64 };

static struct server_config config = {.model_name = "m", .host = "127.0.0.1"};

static void open_model(void)
{
    char path[] = "/tmp/fuzz_ask_XXXXXX";
    struct lathe_model_options o;
    struct lathe_err err;
    int fd = mkstemp(path);
    if (fd < 0)
        abort();
    close(fd);
    gw_random_llama(path, gw_small(), 8, 1);
    lathe_model_options_init(&o);
    o.no_cache = true;
    o.n_thread = 1;
    if (lathe_model_open(path, &o, &config.model, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    unlink(path);
}

/* What is accepted can be given to the engine as it is. */
static void check_asked(enum api api, const struct asked *a)
{
    bool runs = api == API_CHAT || api == API_TEXT || api == API_EMBED;
    const struct lathe_request *r = &a->x->request;
    int n_vocab = lathe_vocab_size(lathe_model_vocab(config.model));
    if (api == API_TEMPLATE ? !a->text : exchange_n_choice(a->x) < 1)
        abort();
    if (r->n_predict < -1 || r->priority < -100 || r->priority > 100 || r->n_stop > EXCHANGE_MAX_STOP ||
        r->n_logprob < -1 || r->n_logprob > 20)
        abort();
    for (int i = 0; i < a->x->n_prompt; i++) {
        const struct exchange_prompt *p = &a->x->prompts[i];
        if (runs && (p->n_ids < 1 || p->n_ids > N_CTX ||
                     (int)p->n_ids + (r->n_predict < 0 ? 1 : r->n_predict) > N_CTX))
            abort();
        if (a->echo && !p->text)
            abort();
        for (size_t k = 0; k < p->n_ids; k++)
            if (p->ids[k] < 0 || p->ids[k] >= n_vocab)
                abort();
    }
    for (size_t i = 0; i < r->sampling.n_bias; i++)
        if (r->sampling.bias[i].token < 0 || r->sampling.bias[i].token >= n_vocab)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!config.model)
        open_model();
    if (n == 0)
        return 0;
    struct server server = {.config = &config, .plan = {.n_ctx = N_CTX}};
    struct call c = {.server = &server};
    struct asked a;
    struct refusal no = {0};
    buf_init(&c.body, 1 << 20);
    buf_put(&c.body, data + 1, n - 1);
    enum api api = API_CHAT + (data[0] + 5u) % 6u; /* 'a' is 97: 102 % 6 == 0 */
    if (ask_read(&c, api, &a, &no))
        check_asked(api, &a);
    else if (no.status < 400 || no.status > 599 || !no.text[0])
        abort();
    ask_free(&a);
    buf_free(&c.body);
    return 0;
}
