/* Fields with a reader of their own: model, stop, logit_bias, stream_options. */
#include "server/ask_own.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

bool own_model(const struct call *c, const json_t *v, struct refusal *no)
{
    const char *name = json_string_value(v), *ours = c->server->config->model_name;
    if (!v || json_is_null(v) || (name && (strcmp(name, ours) == 0 || strcmp(name, "default") == 0)))
        return true;
    if (!name)
        return refuse(no, 400, "model", NULL, "model must be a string");
    return refuse(no, 404, "model", "model_not_found", "there is no model %.100s here; %.200s is served",
                  name, ours);
}

static bool add_stop(struct asked *a, int *n, const json_t *v, struct refusal *no)
{
    const char *text = json_string_value(v);
    if (!text || !*text || strlen(text) != json_string_length(v))
        return refuse(no, 400, "stop", NULL,
                      "stop must be a string or a list of strings, none of them empty or with a NUL");
    if (*n == EXCHANGE_MAX_STOP)
        return refuse(no, 400, "stop", NULL, "stop has more than %d strings", EXCHANGE_MAX_STOP);
    a->x->stop[(*n)++] = mem_dup(text, strlen(text));
    return true;
}

bool own_stop(struct asked *a, const json_t *v, struct refusal *no)
{
    int n = 0;
    size_t i;
    json_t *one;
    if (json_is_array(v)) {
        json_array_foreach((json_t *)v, i, one) if (!add_stop(a, &n, one, no)) return false;
    } else if (v && !json_is_null(v) && !add_stop(a, &n, v, no)) {
        return false;
    }
    a->x->request.stop = (const char *const *)a->x->stop;
    a->x->request.n_stop = (size_t)n;
    return true;
}

bool own_bias(const struct call *c, struct asked *a, const json_t *v, struct refusal *no)
{
    const char *key;
    json_t *bias;
    size_t n = 0;
    int n_vocab = lathe_vocab_size(lathe_model_vocab(c->server->config->model));
    if (!v || json_is_null(v))
        return true;
    if (!json_is_object(v))
        return refuse(no, 400, "logit_bias", NULL, "logit_bias must be an object of token ids and numbers");
    a->x->bias = mem_new((json_object_size(v) + 1) * sizeof *a->x->bias);
    json_object_foreach((json_t *)v, key, bias)
    {
        char *end;
        long id = isdigit((unsigned char)*key) && (*key != '0' || !key[1]) ? strtol(key, &end, 10) : -1;
        double b = json_is_number(bias) ? json_number_value(bias) : NAN;
        if (id < 0 || id >= n_vocab || *end || !(b >= -100 && b <= 100))
            return refuse(no, 400, "logit_bias", NULL,
                          "logit_bias must map ids from 0 to %d to numbers from -100 to 100", n_vocab - 1);
        a->x->bias[n++] = (struct lathe_logit_bias){(int32_t)id, b <= -100 ? -INFINITY : (float)b};
    }
    a->x->request.sampling.bias = a->x->bias;
    a->x->request.sampling.n_bias = n;
    return true;
}

bool own_stream_options(struct asked *a, const json_t *v, struct refusal *no)
{
    const json_t *usage = json_object_get(v, "include_usage");
    if (!v || json_is_null(v))
        return true;
    if (!json_is_object(v) || (usage && !json_is_boolean(usage)))
        return refuse(no, 400, "stream_options", NULL,
                      "stream_options must be an object with include_usage: true or false");
    if (!a->stream)
        return refuse(no, 400, "stream_options", NULL, "stream_options goes with stream: true");
    a->include_usage = json_is_true(usage);
    return true;
}

bool own_encoding_format(struct asked *a, const json_t *v, struct refusal *no)
{
    const char *name = json_string_value(v);
    a->base64 = name && strcmp(name, "base64") == 0;
    return !v || json_is_null(v) || a->base64 || (name && strcmp(name, "float") == 0) ||
           refuse(no, 400, "encoding_format", NULL, "encoding_format must be \"float\" or \"base64\"");
}

bool own_template_vars(struct asked *a, const json_t *vars, const json_t *effort, struct refusal *no)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
    bool known = !effort || json_is_null(effort);
    if (vars && !json_is_null(vars) && (!json_is_object(vars) || json_object_get(vars, "messages")))
        return refuse(no, 400, "chat_template_kwargs", NULL,
                      "chat_template_kwargs must be an object of variables, without messages");
    a->template_vars = json_is_object(vars) ? vars : NULL;
    a->effort = json_string_value(effort);
    for (size_t i = 0; a->effort && i < sizeof efforts / sizeof *efforts; i++)
        known |= strcmp(efforts[i], a->effort) == 0;
    return known || refuse(no, 400, "reasoning_effort", NULL,
                           "reasoning_effort must be none, minimal, low, medium, high or xhigh");
}
