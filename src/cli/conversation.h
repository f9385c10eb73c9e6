/* A conversation as a list of messages, rendered by the model's chat template. */
#ifndef LATHE_CLI_CONVERSATION_H
#define LATHE_CLI_CONVERSATION_H
#include <jansson.h>
#include "cli/session.h"

struct conversation {
    json_t *messages; /* array of {role, content} */
};

void conversation_init(struct conversation *c, const char *system); /* system may be NULL */
void conversation_free(struct conversation *c);
void conversation_add(struct conversation *c, const char *role, const char *text, size_t n);
/* Removes the newest message; false when there is none. */
bool conversation_drop(struct conversation *c);
/* Role of the newest message, "" when there is none. */
const char *conversation_last_role(const struct conversation *c);
/* The prompt for the next answer; *out is malloc-ed. TEMPLATE when the model has no template or it fails. */
int conversation_render(const struct conversation *c, const struct session *s, char **out, size_t *n,
                        struct lathe_err *err);
int conversation_save(const struct conversation *c, const char *path, struct lathe_err *err);
int conversation_load(struct conversation *c, const char *path, struct lathe_err *err);
#endif
