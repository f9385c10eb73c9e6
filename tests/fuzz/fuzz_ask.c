/* Fuzzes request bodies: the first byte chooses the API (a: chat, then in the order of enum api; capitals ask a cross-encoder), the rest
 * is the body. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "gguf_write.h"
#include "server/ask.h"
#include "tiny_folders.h"

enum { N_CTX = 64, N_API = API_TEMPLATE };

static struct asked_of {
    struct server_config config;
    lathe_chat_cache *chats;
} llama = {.config = {.model_name = "m", .host = "127.0.0.1"}},
  cross = {.config = {.model_name = "m", .host = "127.0.0.1"}};

static void open_model(struct asked_of *to, const char *path)
{
    struct lathe_model_options o;
    struct lathe_err err;
    lathe_model_options_init(&o);
    o.no_cache = true;
    o.n_thread = 1;
    if (lathe_model_open(path, &o, &to->config.model, &err)) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    to->chats = lathe_chat_cache_new(lathe_model_vocab(to->config.model), 1 << 16);
}

static void open_models(void)
{
    char folder[64], path[80];
    snprintf(folder, sizeof folder, "/tmp/fuzz_ask_%d", (int)getpid());
    tiny_cross_encoder(folder);
    open_model(&cross, folder);
    snprintf(path, sizeof path, "%s/m.gguf", folder);
    gw_random_llama(path, gw_small(), 8, 1);
    open_model(&llama, path);
}

/* What is accepted can be given to the engine as it is. */
static void check_asked(enum api api, const struct asked_of *of, const struct asked *a)
{
    bool runs = api == API_CHAT || api == API_TEXT || api == API_EMBED || api == API_RERANK;
    const struct lathe_request *r = &a->x->request;
    struct lathe_model_info info;
    lathe_model_get_info(of->config.model, &info);
    int n_vocab = lathe_vocab_size(lathe_model_vocab(of->config.model));
    if (api == API_TEMPLATE ? !a->text : exchange_n_choice(a->x) < 1)
        abort();
    if (r->n_predict < -1 || r->priority < -100 || r->priority > 100 || r->n_stop > EXCHANGE_MAX_STOP ||
        r->n_logprob < -1 || r->n_logprob > 20 || r->n_dimension < 0 || r->n_dimension > info.n_embd ||
        r->embed != (api == API_EMBED || api == API_RERANK))
        abort();
    for (int i = 0; i < a->x->n_prompt; i++) {
        const struct exchange_prompt *p = &a->x->prompts[i];
        if (runs && (p->n_ids < 1 || p->n_ids > N_CTX ||
                     (int)p->n_ids + (r->n_predict < 0 ? 1 : r->n_predict) > N_CTX))
            abort();
        if (p->second_at < 0 || (size_t)p->second_at > p->n_ids)
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
    if (!llama.config.model)
        open_models();
    if (n == 0)
        return 0;
    const struct asked_of *of = data[0] & 32 ? &llama : &cross;
    struct server server = {
        .config = &of->config, .plan = {.n_ctx = of == &llama ? N_CTX : 14}, .chats = of->chats};
    struct call c = {.server = &server};
    struct asked a;
    struct refusal no = {0};
    buf_init(&c.body, 1 << 20);
    buf_put(&c.body, data + 1, n - 1);
    enum api api = API_CHAT + ((data[0] & 31) + N_API - 1u) % N_API; /* 'a' & 31 == 1 */
    if (ask_read(&c, api, &a, &no))
        check_asked(api, of, &a);
    else if (no.status < 400 || no.status > 599 || !no.text[0])
        abort();
    ask_free(&a);
    buf_free(&c.body);
    return 0;
}
