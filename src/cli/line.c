/* A line of input.
 *
 * libedit is loaded with dlopen when a terminal asks for it: linked, it and its libraries would cost every
 * start of the program. */
#include "cli/line.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef LATHE_HAVE_EDIT
#include <histedit.h>
#else
typedef struct editline EditLine;
typedef struct history History;
#endif

#define HISTORY_LINES 1000

struct line_reader {
    EditLine *edit; /* NULL: plain reading */
    History *history;
    void *library;
    const char *prompt;
    char history_file[512]; /* "" : none */
#ifdef LATHE_HAVE_EDIT
    EditLine *(*init)(const char *, FILE *, FILE *, FILE *);
    void (*end)(EditLine *);
    int (*set)(EditLine *, int, ...);
    const char *(*gets)(EditLine *, int *);
    History *(*history_init)(void);
    void (*history_end)(History *);
    int (*history_call)(History *, HistEvent *, int, ...);
#endif
};

#ifdef LATHE_HAVE_EDIT
/* The prompt callback of libedit has no user pointer but its client data. */
static char *give_prompt(EditLine *e)
{
    static char text[64];
    struct line_reader *l = NULL;
    int (*get)(EditLine *, int, ...) = (int (*)(EditLine *, int, ...))dlsym(RTLD_DEFAULT, "el_get");
    if (!get || get(e, EL_CLIENTDATA, &l) || !l)
        return text;
    snprintf(text, sizeof text, "%s", l->prompt);
    return text;
}

static bool make_directories(char *path)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            int failed = mkdir(path, 0700) && errno != EEXIST;
            *p = '/';
            if (failed)
                return false;
        }
    return true;
}

static void find_history_file(struct line_reader *l)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/')
        snprintf(l->history_file, sizeof l->history_file, "%s/lathe/history", state);
    else if (home && home[0] == '/')
        snprintf(l->history_file, sizeof l->history_file, "%s/.local/state/lathe/history", home);
    if (l->history_file[0] && !make_directories(l->history_file))
        l->history_file[0] = 0;
}

static bool load_library(struct line_reader *l)
{
    static const char *const names[] = {"el_init",      "el_end",      "el_set", "el_gets",
                                        "history_init", "history_end", "history"};
    void **const slots[] = {(void **)&l->init,        (void **)&l->end,          (void **)&l->set,
                            (void **)&l->gets,        (void **)&l->history_init, (void **)&l->history_end,
                            (void **)&l->history_call};
    l->library = dlopen("libedit.so.2", RTLD_NOW | RTLD_GLOBAL);
    for (size_t i = 0; l->library && i < sizeof names / sizeof *names; i++)
        if (!(*slots[i] = dlsym(l->library, names[i])))
            return false;
    return l->library != NULL;
}

static void open_edit(struct line_reader *l)
{
    HistEvent event;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || !load_library(l))
        return;
    l->edit = l->init("lathe", stdin, stdout, stderr);
    l->history = l->edit ? l->history_init() : NULL;
    if (!l->history)
        return;
    find_history_file(l);
    l->history_call(l->history, &event, H_SETSIZE, HISTORY_LINES);
    l->history_call(l->history, &event, H_SETUNIQUE, 1);
    if (l->history_file[0])
        l->history_call(l->history, &event, H_LOAD, l->history_file);
    l->set(l->edit, EL_CLIENTDATA, l);
    l->set(l->edit, EL_PROMPT, give_prompt);
    l->set(l->edit, EL_EDITOR, "emacs");
    l->set(l->edit, EL_SIGNAL, 1);
    l->set(l->edit, EL_HIST, l->history_call, l->history);
    l->set(l->edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
    l->set(l->edit, EL_BIND, "\033[H", "ed-move-to-beg", NULL);
    l->set(l->edit, EL_BIND, "\033[F", "ed-move-to-end", NULL);
    l->set(l->edit, EL_BIND, "\033[3~", "ed-delete-next-char", NULL);
}

static bool edit_line(struct line_reader *l, struct buf *out)
{
    HistEvent event;
    int n = 0;
    const char *line = l->gets(l->edit, &n);
    if (!line || n <= 0)
        return false;
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    buf_put(out, line, (size_t)n);
    if (n > 0 && l->history) {
        l->history_call(l->history, &event, H_ENTER, out->p);
        if (l->history_file[0])
            l->history_call(l->history, &event, H_SAVE, l->history_file);
    }
    return true;
}
#endif

static bool plain_line(struct buf *out)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n = getline(&line, &cap, stdin);
    bool more = n >= 0;
    while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    if (more)
        buf_put(out, line, (size_t)n);
    free(line);
    return more;
}

struct line_reader *line_open(void)
{
    struct line_reader *l = mem_new(sizeof *l);
#ifdef LATHE_HAVE_EDIT
    open_edit(l);
#endif
    return l;
}

static bool one_line(struct line_reader *l, const char *prompt, struct buf *out)
{
    l->prompt = prompt;
#ifdef LATHE_HAVE_EDIT
    if (l->edit)
        return edit_line(l, out);
#endif
    if (isatty(STDIN_FILENO)) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    return plain_line(out);
}

bool line_read(struct line_reader *l, const char *prompt, struct buf *out)
{
    buf_clear(out);
    while (one_line(l, prompt, out)) {
        if (out->n == 0 || out->p[out->n - 1] != '\\')
            return true;
        out->p[out->n - 1] = '\n';
        prompt = "... ";
    }
    return out->n > 0;
}

void line_close(struct line_reader *l)
{
#ifdef LATHE_HAVE_EDIT
    if (l->history)
        l->history_end(l->history);
    if (l->edit)
        l->end(l->edit);
    if (l->library)
        dlclose(l->library);
#endif
    free(l);
}
