/* lathe embed: a vector for each line, in the order of the lines.
 *
 * A thread reads and tokenizes ahead; the engine has up to N_FLIGHT lines, of which a pass takes as many as have room in it: rows lie
 * one after another without padding, so that lines need not be sorted by length. Vectors wait in a ring until those before them are
 * printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/float_text.h"
#include "cli/input.h"
#include "cli/line_ids.h"
#include "cli/session.h"

/* Lines in the engine, and of them at once where the model generates. */
enum { N_FLIGHT = 512, N_SEQ = 16 };

struct slot {
    bool done;
    int n; /* floats */
    float *vector;
};

struct embed {
    struct session s;
    const struct cli_options *o;
    struct line_ids *lines;
    struct slot slot[N_FLIGHT]; /* line i in slot i % N_FLIGHT */
    uint64_t n_sent, n_printed, first_id;
    struct buf out;
};

static int open_engine(struct embed *m, struct lathe_err *err)
{
    const struct lathe_model_info *info = &m->s.info;
    struct lathe_engine_options eo = session_engine_options(&m->s, m->o, N_SEQ, 0);
    if (!eo.n_ctx)
        eo.n_ctx = info->n_ctx_text < SESSION_CONTEXT ? info->n_ctx_text : SESSION_CONTEXT;
    if (!eo.n_kv_token)
        eo.n_kv_token = 2 * eo.n_ctx;
    eo.no_prefix_cache = true;
    eo.firm &= ~(unsigned)(LATHE_FIRM_SEQ | LATHE_FIRM_KV);
    return lathe_engine_new(m->s.model, &eo, &m->s.engine, err);
}

/* Before the first line is waited for. */
static int check_dimensions(const struct embed *m, struct lathe_err *err)
{
    if (m->o->n_dimension <= m->s.info.n_embd)
        return 0;
    return err_set(err, LATHE_E_USAGE, "--dimensions %d: a vector of %s has %d", m->o->n_dimension,
                   m->s.info.name, m->s.info.n_embd);
}

static int open_lines(struct embed *m, struct lathe_err *err)
{
    struct lathe_engine_plan plan;
    lathe_engine_get_plan(m->s.engine, &plan);
    int pooling = m->o->pooling;
    struct line_options lo = {.vocab = lathe_model_vocab(m->s.model),
                              .n_most = plan.n_ctx,
                              .truncate = m->o->truncate,
                              .pairs = m->s.info.n_class > 0 &&
                                       (pooling == LATHE_POOL_MODEL || pooling == LATHE_POOL_CLASSES)};
    return line_ids_open(m->o->text_file, &lo, &m->lines, err);
}

static int send(struct embed *m, struct line_taken *t, struct lathe_err *err)
{
    struct lathe_request r;
    uint64_t id;
    lathe_request_init(&r);
    r.ids = t->ids;
    r.n_ids = t->n_ids;
    r.second_at = t->second_at;
    r.n_predict = 0;
    r.embed = true;
    r.pooling = (enum lathe_pooling)m->o->pooling;
    r.not_normalized = m->o->normalize == 0;
    r.n_dimension = m->o->n_dimension;
    int rc = lathe_engine_submit(m->s.engine, &r, &id, err);
    free(t->ids);
    if (rc)
        return rc;
    if (m->n_sent == 0)
        m->first_id = id; /* ids are given one after another */
    m->slot[m->n_sent++ % N_FLIGHT].done = false;
    return 0;
}

/* Gives the engine what is there, and waits for a line only where it has nothing to do. What ends the input is kept in *end. */
static int fill(struct embed *m, int *end, struct lathe_err *why)
{
    struct line_taken t;
    struct lathe_err err;
    while (!*end && m->n_sent - m->n_printed < N_FLIGHT) {
        bool waits = m->n_sent == m->n_printed;
        int rc = line_ids_take(m->lines, waits, &t, why);
        if (rc == 0 && waits)
            *end = 1;
        if (rc < 0)
            *end = rc;
        if (rc <= 0)
            break;
        if ((rc = send(m, &t, &err))) {
            *why = err;
            *end = rc;
        }
    }
    return m->n_sent > m->n_printed;
}

static int take_event(struct embed *m, const struct lathe_event *e, struct lathe_err *err)
{
    if (e->kind != LATHE_EVENT_DONE)
        return 0;
    uint64_t line = e->id - m->first_id;
    struct slot *s = &m->slot[line % N_FLIGHT];
    if (!e->embedding)
        return err_set(err, e->err.code ? e->err.code : LATHE_E_FAILED, "line %llu: %s",
                       (unsigned long long)line + 1, e->err.text);
    if (!s->vector)
        s->vector = mem_new((size_t)e->n_embedding * sizeof *s->vector);
    memcpy(s->vector, e->embedding, (size_t)e->n_embedding * sizeof *s->vector);
    s->n = e->n_embedding;
    s->done = true;
    return 0;
}

static void print_vector(struct embed *m, const struct slot *s)
{
    char text[FLOAT_TEXT];
    buf_clear(&m->out);
    if (m->o->json)
        buf_putc(&m->out, '[');
    for (int i = 0; i < s->n; i++) {
        if (i)
            buf_putc(&m->out, m->o->json ? ',' : ' ');
        buf_put(&m->out, text, float_text(s->vector[i], text));
    }
    buf_puts(&m->out, m->o->json ? "]\n" : "\n");
    fwrite(m->out.p, 1, m->out.n, stdout);
}

static int step(struct embed *m, struct lathe_err *err)
{
    struct lathe_event e;
    int rc = lathe_engine_step(m->s.engine, err);
    if (rc < 0)
        return rc;
    while (lathe_engine_poll(m->s.engine, &e))
        TRY(take_event(m, &e, err));
    while (m->n_printed < m->n_sent && m->slot[m->n_printed % N_FLIGHT].done)
        print_vector(m, &m->slot[m->n_printed++ % N_FLIGHT]);
    return fflush(stdout) ? err_set(err, LATHE_E_IO, "stdout: the vectors could not be written") : 0;
}

int cmd_embed(struct cli *c, struct lathe_err *err)
{
    struct embed *m = mem_new(sizeof *m);
    struct lathe_err why;
    int rc, end = 0;
    m->o = &c->o;
    buf_init(&m->out, 1u << 30);
    if (c->o.text_file)
        TRY_GOTO(input_check(c->o.text_file, err));
    TRY_GOTO(session_open(&m->s, &c->o, err));
    TRY_GOTO(check_dimensions(m, err));
    TRY_GOTO(open_engine(m, err));
    TRY_GOTO(open_lines(m, err));
    while (fill(m, &end, &why))
        TRY_GOTO(step(m, err));
    if (end < 0) {
        *err = why;
        rc = end;
    }
done:
    line_ids_close(m->lines);
    session_close(&m->s);
    for (int i = 0; i < N_FLIGHT; i++)
        free(m->slot[i].vector);
    buf_free(&m->out);
    free(m);
    return rc;
}
