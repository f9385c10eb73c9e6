/* The endpoints around the text: tokens of a text or a conversation, text of tokens, the conversation as the model reads it. */
#include <stdlib.h>
#include <string.h>
#include "base/json_text.h"
#include "server/ask.h"

static const lathe_vocab *vocab_of(const struct call *c)
{
    return lathe_model_vocab(c->server->config->model);
}

static json_t *piece_of(const struct call *c, int32_t id)
{
    size_t n;
    const char *text = lathe_token_text(vocab_of(c), id, true, &n);
    return json_text(text, n);
}

static json_t *tokenized(const struct call *c, const struct asked *a)
{
    const struct exchange_prompt *p = &a->x->prompts[0];
    json_t *tokens = json_array();
    for (size_t i = 0; i < p->n_ids; i++)
        json_array_append_new(
            tokens, a->pieces ? json_pack("{si so}", "id", p->ids[i], "piece", piece_of(c, p->ids[i]))
                              : json_integer(p->ids[i]));
    return json_pack("{sI si so}", "count", (json_int_t)p->n_ids, "max_model_len", c->server->plan.n_ctx,
                     "tokens", tokens);
}

static json_t *detokenized(const struct call *c, const struct asked *a)
{
    const struct exchange_prompt *p = &a->x->prompts[0];
    char *text = NULL;
    size_t n = 0;
    int rc = lathe_detokenize(vocab_of(c), p->ids, p->n_ids, true, &text, &n, NULL);
    json_t *s = rc ? json_null() : json_text(text, n);
    free(text);
    return json_pack("{so}", "prompt", s);
}

static json_t *rendered(const struct call *c, const struct asked *a)
{
    return json_pack("{so}", "prompt", json_text(a->text, a->n_text));
}

static enum MHD_Result answer_of(struct call *c, json_t *(*shape)(const struct call *, const struct asked *))
{
    struct asked asked;
    struct refusal no = {0};
    enum MHD_Result done = ask_read(c, c->endpoint->body, &asked, &no)
                               ? http_reply(c, 200, shape(c, &asked), asked.ignored.p)
                               : ask_refused(c, &no);
    ask_free(&asked);
    return done;
}

enum MHD_Result endpoint_tokenize(struct call *c)
{
    return answer_of(c, tokenized);
}

enum MHD_Result endpoint_detokenize(struct call *c)
{
    return answer_of(c, detokenized);
}

enum MHD_Result endpoint_apply_template(struct call *c)
{
    return answer_of(c, rendered);
}

enum MHD_Result endpoint_tokenizer_info(struct call *c)
{
    struct lathe_model_info info;
    const lathe_vocab *v = vocab_of(c);
    int bos = lathe_vocab_bos(v), eos = lathe_vocab_eos(v);
    lathe_model_get_info(c->server->config->model, &info);
    return http_reply(
        c, 200,
        json_pack("{so so so? si si}", "bos_token", bos < 0 ? json_null() : piece_of(c, bos), "eos_token",
                  eos < 0 ? json_null() : piece_of(c, eos), "chat_template",
                  info.chat_template ? json_text(info.chat_template, strlen(info.chat_template)) : NULL,
                  "vocab_size", lathe_vocab_size(v), "max_model_len", c->server->plan.n_ctx),
        NULL);
}
