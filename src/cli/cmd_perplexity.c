/* lathe perplexity: quality on a text.
 *
 * The text's tokens are cut into chunks of 512; of each, positions 256 to 510 predict the token after them,
 * as llama.cpp's perplexity does, and a model that asks for a beginning-of-sequence token finds it in place
 * of each chunk's first. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/logits.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/text_chunks.h"

#define CHUNK 512

struct score {
    struct session s;
    struct text_chunks text;
    int first, n_chunk;
    const int32_t *chunk;   /* tokens of the chunk being scored */
    double sum, sum_square; /* of negative log probabilities */
    long n;
    int rc; /* first failure inside the callback */
    struct lathe_err err;
};

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct score *t = user;
    if (t->rc || position < t->first || position >= t->text.chunk_tokens - 1)
        return;
    struct logits_norm norm;
    if (!logits_normalize(logits, n_vocab, &norm)) {
        t->rc =
            err_set(&t->err, LATHE_E_NUMERIC, "position %d of a chunk has no finite probability", position);
        return;
    }
    double nll = -logits_logp(logits, &norm, t->chunk[position + 1]);
    t->sum += nll;
    t->sum_square += nll * nll;
    t->n++;
}

static void ignore_event(void *user, const struct lathe_event *e)
{
}

static int score_chunk(struct score *t, int chunk, struct lathe_err *err)
{
    int32_t ids[CHUNK];
    struct lathe_request r;
    size_t n = (size_t)t->text.chunk_tokens;
    memcpy(ids, t->text.ids + (size_t)chunk * n, sizeof *ids * n);
    if (t->text.bos >= 0)
        ids[0] = t->text.bos;
    t->chunk = ids;
    lathe_request_init(&r);
    r.ids = ids;
    r.n_ids = n;
    r.n_predict = 0;
    r.on_logits = on_logits;
    r.user = t;
    r.logits_from = t->first;
    TRY(session_answer(&t->s, &r, ignore_event, NULL, NULL, err));
    if (t->rc)
        *err = t->err;
    return t->rc;
}

static int read_text(struct score *t, const struct cli_options *o, struct lathe_err *err)
{
    int chunk_tokens = t->s.info.n_ctx_train < CHUNK ? t->s.info.n_ctx_train : CHUNK;
    TRY(text_chunks_read(&t->text, &t->s, o->text_file, chunk_tokens, err));
    t->first = chunk_tokens / 2;
    t->n_chunk = t->text.n_chunk;
    if (o->n_chunks > t->n_chunk)
        return err_set(err, LATHE_E_USAGE, "--chunks %d: the text has %d chunks of %d tokens", o->n_chunks,
                       t->n_chunk, chunk_tokens);
    if (o->n_chunks)
        t->n_chunk = o->n_chunks;
    return 0;
}

static int report(struct score *t, const struct cli_options *o, double seconds)
{
    double mean = t->sum / (double)t->n, ppl = exp(mean);
    double variance = t->sum_square / (double)t->n - mean * mean;
    double error = t->n > 1 && variance > 0 ? ppl * sqrt(variance / (double)(t->n - 1)) : 0;
    json_t *j = json_pack("{sf sf sI si sf}", "ppl", ppl, "ppl_stderr", error, "n_token", (json_int_t)t->n,
                          "chunks", t->n_chunk, "seconds", seconds);
    if (o->json)
        return json_print(j);
    json_decref(j);
    printf("perplexity %.4f +- %.4f over %ld tokens of %d chunks, %.1f s\n", ppl, error, t->n, t->n_chunk,
           seconds);
    return 0;
}

int cmd_perplexity(struct cli *c, struct lathe_err *err)
{
    struct score t = {.n = 0};
    int rc;
    if (!c->o.text_file)
        return err_set(err, LATHE_E_USAGE, "no text: give the file to score with -f FILE");
    TRY_GOTO(input_check(c->o.text_file, err));
    TRY_GOTO(session_open(&t.s, &c->o, err));
    TRY_GOTO(read_text(&t, &c->o, err));
    TRY_GOTO(session_engine(&t.s, &c->o, 1, t.text.chunk_tokens, SESSION_FRESH, err));
    double start = clock_s();
    for (int i = 0; i < t.n_chunk; i++) {
        TRY_GOTO(score_chunk(&t, i, err));
        progress_show(&t.s.bar, "scoring", (double)(i + 1) / t.n_chunk);
    }
    progress_end(&t.s.bar);
    rc = report(&t, &c->o, clock_s() - start);
done:
    progress_end(&t.s.bar);
    text_chunks_free(&t.text);
    session_close(&t.s);
    return rc;
}
