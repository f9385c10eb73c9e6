/* A conversation as a list of messages, rendered by the model's chat template. */
#include "cli/conversation.h"
#include <stdlib.h>
#include <string.h>
#include "cli/input.h"
#include "cli/json.h"

#define MESSAGES_MAX 100000

void conversation_init(struct conversation *c, const char *system)
{
    c->messages = json_array();
    if (system)
        conversation_add(c, "system", system, strlen(system));
}

void conversation_free(struct conversation *c)
{
    json_decref(c->messages);
    c->messages = NULL;
}

void conversation_add(struct conversation *c, const char *role, const char *text, size_t n)
{
    json_array_append_new(c->messages, json_pack("{ss so}", "role", role, "content", json_text(text, n)));
}

bool conversation_drop(struct conversation *c)
{
    size_t n = json_array_size(c->messages);
    return n > 0 && json_array_remove(c->messages, n - 1) == 0;
}

const char *conversation_last_role(const struct conversation *c)
{
    size_t n = json_array_size(c->messages);
    const char *role =
        n ? json_string_value(json_object_get(json_array_get(c->messages, n - 1), "role")) : NULL;
    return role ? role : "";
}

int conversation_render(const struct conversation *c, const struct session *s, char **out, size_t *n,
                        struct lathe_err *err)
{
    json_t *vars = json_pack("{sO sb}", "messages", c->messages, "add_generation_prompt", 1);
    char *text = json_dumps(vars, JSON_PRESERVE_ORDER);
    json_decref(vars);
    int rc = lathe_chat_render(s->model, text, strlen(text), NULL, out, n, err);
    free(text);
    return rc;
}

int conversation_save(const struct conversation *c, const char *path, struct lathe_err *err)
{
    if (json_dump_file(c->messages, path, JSON_INDENT(2) | JSON_PRESERVE_ORDER))
        return err_set(err, LATHE_E_IO, "%s: could not be written", path);
    return 0;
}

int conversation_load(struct conversation *c, const char *path, struct lathe_err *err)
{
    struct buf text;
    json_error_t why;
    buf_init(&text, 64u << 20);
    int rc = input_read(path, &text, err);
    json_t *loaded = rc ? NULL : json_loadb(text.p ? text.p : "", text.n, 0, &why);
    buf_free(&text);
    if (rc)
        return rc;
    bool ok = json_is_array(loaded) && json_array_size(loaded) <= MESSAGES_MAX;
    size_t i;
    json_t *m;
    if (ok)
        json_array_foreach(loaded, i, m) ok =
            ok && json_is_string(json_object_get(m, "role")) && json_is_string(json_object_get(m, "content"));
    if (!ok) {
        json_decref(loaded);
        return err_set(err, LATHE_E_FILE,
                       "%s: is no saved conversation: a JSON array of objects with role and content", path);
    }
    json_decref(c->messages);
    c->messages = loaded;
    return 0;
}
