/* Readers of fields that a row cannot describe. Each takes the field's value, NULL if it is absent, and returns false with the refusal
 * filled in. */
#ifndef LATHE_SERVER_ASK_OWN_H
#define LATHE_SERVER_ASK_OWN_H
#include "server/ask.h"

bool own_model(const struct call *c, const json_t *v, struct refusal *no);
bool own_stop(struct asked *a, const json_t *v, struct refusal *no);
bool own_bias(const struct call *c, struct asked *a, const json_t *v, struct refusal *no);
bool own_stream_options(struct asked *a, const json_t *v, struct refusal *no);
bool own_encoding_format(struct asked *a, const json_t *v, struct refusal *no);

/* What the conversation's template gets beside it; both may be NULL. */
bool own_template_vars(struct asked *a, const json_t *vars, const json_t *effort, struct refusal *no);

/* Prompts go into a->x->prompts, which have room for one per element of a list. `param` is the field's name. */
bool own_prompt(const struct call *c, struct asked *a, const char *param, const json_t *v,
                struct refusal *no);
/* One text; with `special` the spellings of special tokens in it become them. */
bool own_text(const struct call *c, struct asked *a, const char *param, const json_t *v, bool special,
              struct refusal *no);
/* A query with each of a list of documents, one prompt each. */
bool own_documents(const struct call *c, struct asked *a, const json_t *query, const json_t *v,
                   struct refusal *no);
/* One list of ids. */
bool own_ids(const struct call *c, struct asked *a, const char *param, const json_t *v, struct refusal *no);
/* Renders a conversation; *text is malloc-ed. */
bool own_render(const struct call *c, const struct asked *a, const json_t *messages, char **text, size_t *n,
                struct refusal *no);
/* The same to ids. */
bool own_messages(const struct call *c, struct asked *a, const json_t *messages, struct refusal *no);
/* Whether prompts and answers fit into a context. */
bool own_fits(const struct call *c, const struct asked *a, const char *param, struct refusal *no);
#endif
