/* lathe chat: a conversation in the terminal. The engine's prefix cache has the KV of what was said, so that the next
 * prompt costs only what is new. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "cli/conversation.h"
#include "cli/line.h"
#include "cli/say.h"

#define LINE_LIMIT ((size_t)16 << 20)

struct chat {
    struct session s;
    struct cli_options *o;
    struct conversation talk;
    struct buf answer;
    double first_s, end_s, asked_s;
    struct lathe_timings timings;
    bool quit;
};

static void on_event(void *user, const struct lathe_event *e)
{
    struct chat *c = user;
    if (e->kind == LATHE_EVENT_TOKEN) {
        c->end_s = clock_s();
        if (!c->first_s)
            c->first_s = c->end_s;
    } else {
        c->timings = e->timings;
    }
    buf_put(&c->answer, e->text, e->n_text);
    fwrite(e->text, 1, e->n_text, stdout);
    fflush(stdout);
}

static int submit_answer(struct chat *c, struct lathe_err *err)
{
    struct lathe_request r;
    char *text = NULL;
    int32_t *ids = NULL;
    size_t n = 0;
    int rc;
    TRY_GOTO(session_request(&c->s, c->o, &r, err));
    TRY_GOTO(conversation_render(&c->talk, &c->s, &text, &n, err));
    TRY_GOTO(session_tokenize(&c->s, text, n, true, true, &ids, &r.n_ids, err));
    r.ids = ids;
    r.logits_from = (int)r.n_ids - 1;
    r.n_logprob = -1;
    c->asked_s = clock_s();
    c->first_s = 0;
    buf_clear(&c->answer);
    rc = session_answer(&c->s, &r, on_event, c, NULL, err);
done:
    free(text);
    free(ids);
    return rc;
}

/* Answers the conversation as it stands; on failure the question is taken back. */
static void answer(struct chat *c)
{
    struct lathe_err err = {0};
    int rc = submit_answer(c, &err);
    putchar('\n');
    if (rc && rc != LATHE_E_CANCELLED) {
        say_error(&err);
        if (rc == LATHE_E_CONTEXT)
            fprintf(stderr, "/clear begins anew; -c N at the start gives a longer context\n");
        conversation_drop(&c->talk);
        return;
    }
    conversation_add(&c->talk, "assistant", c->answer.p ? c->answer.p : "", c->answer.n);
}

/* ---- /commands: a row each ---- */

static void do_clear(struct chat *c, char *rest)
{
    conversation_free(&c->talk);
    conversation_init(&c->talk, c->o->system);
}

static void do_system(struct chat *c, char *rest)
{
    static char text[4096]; /* what o->system points at from here on */
    snprintf(text, sizeof text, "%s", rest);
    c->o->system = text[0] ? text : NULL;
    do_clear(c, rest);
    puts(text[0] ? "system message set, conversation cleared" : "no system message, conversation cleared");
}

static void do_set(struct chat *c, char *rest)
{
    struct lathe_err err = {0};
    char *value = rest + strcspn(rest, " =");
    if (*value)
        *value++ = 0;
    value += strspn(value, " =");
    for (int i = 0; i < cli_table.n_row; i++) {
        const struct opt_row *r = &cli_table.row[i];
        bool settable = (r->offset >= offsetof(struct cli_options, sampling) &&
                         r->offset < offsetof(struct cli_options, sampling) + sizeof c->o->sampling) ||
                        r->offset == offsetof(struct cli_options, n_predict);
        if (!settable || strcmp(r->name, rest) != 0)
            continue;
        if (opt_set(r, value, c->o, &err))
            fprintf(stderr, "lathe: /set %s: %s\n", rest, err.text);
        return;
    }
    fprintf(stderr, "lathe: /set '%s': sampling options such as temp, top-p, seed, and predict can be set\n",
            rest);
}

static void do_stats(struct chat *c, char *rest)
{
    struct lathe_engine_plan p;
    const struct lathe_timings *t = &c->timings;
    lathe_engine_get_plan(c->s.engine, &p);
    printf("memory: weights %.0f MiB, KV %.0f MiB for %d tokens, buffers %.0f MiB; %d threads\n",
           (double)p.weight_bytes / 1048576.0, (double)p.kv_bytes / 1048576.0, p.n_kv_token,
           (double)p.buffer_bytes / 1048576.0, p.n_thread);
    if (c->first_s)
        printf("last answer: prompt %d tokens of which %d from the cache, first token after %.0f ms, %d "
               "tokens at %.1f tokens/s\n",
               t->n_prompt, t->n_cached, (c->first_s - c->asked_s) * 1e3, t->n_generated,
               t->n_generated > 1 ? (t->n_generated - 1) / (c->end_s - c->first_s) : 0.0);
}

static void do_save(struct chat *c, char *rest)
{
    struct lathe_err err = {0};
    if (!*rest)
        fprintf(stderr, "lathe: /save needs a file name\n");
    else if (conversation_save(&c->talk, rest, &err))
        say_error(&err);
}

static void do_load(struct chat *c, char *rest)
{
    struct lathe_err err = {0};
    if (!*rest)
        fprintf(stderr, "lathe: /load needs a file name\n");
    else if (conversation_load(&c->talk, rest, &err))
        say_error(&err);
}

static void do_retry(struct chat *c, char *rest)
{
    if (strcmp(conversation_last_role(&c->talk), "assistant") == 0)
        conversation_drop(&c->talk);
    if (strcmp(conversation_last_role(&c->talk), "user") != 0) {
        fprintf(stderr, "lathe: /retry: there is no question yet\n");
        return;
    }
    c->o->sampling.seed++; /* the same seed would give the same answer */
    answer(c);
}

static void do_undo(struct chat *c, char *rest)
{
    if (strcmp(conversation_last_role(&c->talk), "assistant") == 0)
        conversation_drop(&c->talk);
    if (strcmp(conversation_last_role(&c->talk), "user") == 0)
        conversation_drop(&c->talk);
}

static void do_quit(struct chat *c, char *rest)
{
    c->quit = true;
}

static void do_help(struct chat *c, char *rest);

static const struct chat_command {
    const char *name, *operand, *help;
    void (*run)(struct chat *c, char *rest);
} chat_commands[] = {
    {"help", "", "this list", do_help},
    {"clear", "", "begin a new conversation", do_clear},
    {"system", "TEXT", "set the system message and begin anew; no text: none", do_system},
    {"set", "OPTION VALUE", "change a sampling option: temp, top-p, seed, predict ...", do_set},
    {"retry", "", "another answer to the last question", do_retry},
    {"undo", "", "take back the last question and answer", do_undo},
    {"stats", "", "memory, and the speed of the last answer", do_stats},
    {"save", "FILE", "write the conversation as JSON", do_save},
    {"load", "FILE", "continue a saved conversation", do_load},
    {"quit", "", "end (so does Ctrl-D)", do_quit},
};
#define N_COMMAND (sizeof chat_commands / sizeof *chat_commands)

static void do_help(struct chat *c, char *rest)
{
    for (size_t i = 0; i < N_COMMAND; i++)
        printf("/%-7s %-13s %s\n", chat_commands[i].name, chat_commands[i].operand, chat_commands[i].help);
    puts("A backslash at the end of a line continues it. Ctrl-C ends an answer.");
}

static void command(struct chat *c, char *line)
{
    size_t n = strcspn(line, " ");
    char *rest = line + n + strspn(line + n, " ");
    line[n] = 0;
    for (size_t i = 0; i < N_COMMAND; i++)
        if (strcmp(chat_commands[i].name, line) == 0) {
            chat_commands[i].run(c, rest);
            return;
        }
    fprintf(stderr, "lathe: /%.40s is no command: /help lists them\n", line);
}

static void print_banner(const struct chat *c)
{
    struct lathe_engine_plan p;
    lathe_engine_get_plan(c->s.engine, &p);
    printf("%s, %d tokens of context, %.0f MiB of memory; /help lists commands, Ctrl-D ends\n",
           c->s.info.name ? c->s.info.name : c->o->model, p.n_ctx, (double)p.total_bytes / 1048576.0);
}

int cmd_chat(struct cli *cli, struct lathe_err *err)
{
    struct chat c = {.o = &cli->o};
    struct line_reader *lines = NULL;
    struct buf line;
    int rc;
    buf_init(&line, LINE_LIMIT);
    buf_init(&c.answer, LINE_LIMIT);
    TRY_GOTO(session_open(&c.s, &cli->o, err));
    TRY_GOTO(session_need_generator(&c.s, err));
    if (!c.s.info.chat_template) {
        rc = err_set(err, LATHE_E_TEMPLATE, "%s: has no chat template: lathe run --raw continues a text",
                     cli->o.model);
        goto done;
    }
    TRY_GOTO(session_engine(&c.s, &cli->o, 1, SESSION_CONTEXT,
                            SESSION_SHORTER | (cli_given(cli, "chunk") ? 0 : SESSION_SLOWER), err));
    conversation_init(&c.talk, cli->o.system);
    lines = line_open();
    if (isatty(STDIN_FILENO))
        print_banner(&c);
    while (!c.quit && line_read(lines, "> ", &line)) {
        if (line.n == 0)
            continue;
        if (line.p[0] == '/') {
            command(&c, line.p + 1);
            continue;
        }
        conversation_add(&c.talk, "user", line.p, line.n);
        answer(&c);
    }
    if (isatty(STDIN_FILENO) && !c.quit)
        putchar('\n');
done:
    if (lines)
        line_close(lines);
    conversation_free(&c.talk);
    buf_free(&c.answer);
    buf_free(&line);
    session_close(&c.s);
    return rc;
}
