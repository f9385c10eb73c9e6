/* lathe perplexity: quality on a text, and the distance to a kept reference.
 *
 * The text's tokens are cut into chunks of 512; of each, positions 256 to 510 predict the token after them,
 * as llama.cpp's perplexity does, and a model that asks for a beginning-of-sequence token finds it in place
 * of each chunk's first. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include "base/clock.h"
#include "cli/input.h"
#include "cli/json.h"
#include "cli/text_chunks.h"
#include "measure/base_file.h"
#include "measure/stat.h"

#define CHUNK 512

struct score {
    struct session s;
    struct text_chunks text;
    int first, n_chunk, n_vocab;
    const int32_t *chunk; /* tokens of the chunk being scored */
    FILE *save, *base;
    float *logp, *base_logp;
    double sum, sum_square; /* of negative log probabilities */
    long n, n_same;
    double *kl; /* of each row */
    int rc;     /* first failure inside the callback */
    struct lathe_err err;
};

static void compare_row(struct score *t, int32_t top)
{
    int32_t base_top;
    t->rc = base_read_row(t->base, t->base_logp, t->n_vocab, &base_top, &t->err);
    if (t->rc)
        return;
    t->kl[t->n] = base_divergence(t->base_logp, t->logp, t->n_vocab);
    t->n_same += base_top == top;
}

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct score *t = user;
    if (t->rc || position < t->first || position >= t->text.chunk_tokens - 1)
        return;
    int32_t top = base_log_softmax(logits, n_vocab, t->logp);
    double nll = -(double)t->logp[t->chunk[position + 1]];
    if (!isfinite(nll)) {
        t->rc =
            err_set(&t->err, LATHE_E_NUMERIC, "position %d of a chunk has no finite probability", position);
        return;
    }
    if (t->base)
        compare_row(t, top);
    if (!t->rc && t->save)
        t->rc = base_write_row(t->save, t->logp, n_vocab, &t->err);
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

static int open_references(struct score *t, const struct cli_options *o, struct lathe_err *err)
{
    const struct text_chunks *x = &t->text;
    size_t n_ids = (size_t)t->n_chunk * (size_t)x->chunk_tokens;
    struct base_head mine = {t->n_vocab, t->n_chunk, x->chunk_tokens, t->first,
                             XXH3_64bits(x->ids, sizeof *x->ids * n_ids)},
                     head;
    if (o->kl_base) {
        TRY(base_open(o->kl_base, &head, &t->base, err));
        if (head.n_vocab != mine.n_vocab || head.chunk_tokens != mine.chunk_tokens ||
            head.n_chunk != mine.n_chunk || head.text_hash != mine.text_hash)
            return err_set(err, LATHE_E_FILE,
                           "%s: is of another text, vocabulary or number of chunks (%d chunks and %d tokens "
                           "of vocabulary there, %d and %d here)",
                           o->kl_base, head.n_chunk, head.n_vocab, mine.n_chunk, mine.n_vocab);
    }
    if (o->save_base)
        TRY(base_create(o->save_base, &mine, &t->save, err));
    return 0;
}

static int report(struct score *t, const struct cli_options *o, double seconds)
{
    double mean = t->sum / (double)t->n, ppl = exp(mean);
    double variance = t->sum_square / (double)t->n - mean * mean;
    double error = t->n > 1 && variance > 0 ? ppl * sqrt(variance / (double)(t->n - 1)) : 0;
    json_t *j = json_pack("{sf sf sI si sf}", "ppl", ppl, "ppl_stderr", error, "n_token", (json_int_t)t->n,
                          "chunks", t->n_chunk, "seconds", seconds);
    double kl_mean = 0, kl_99 = 0, same = 0;
    if (t->base) {
        for (long i = 0; i < t->n; i++)
            kl_mean += t->kl[i] / (double)t->n;
        kl_99 = stat_quantile(t->kl, (int)t->n, 0.99);
        same = (double)t->n_same / (double)t->n;
        json_object_update_new(j,
                               json_pack("{sf sf sf}", "kl_mean", kl_mean, "kl_99", kl_99, "same_top", same));
    }
    if (o->json)
        return json_print(j);
    json_decref(j);
    printf("perplexity %.4f +- %.4f over %ld tokens of %d chunks, %.1f s\n", ppl, error, t->n, t->n_chunk,
           seconds);
    if (t->base)
        printf("to the reference: mean divergence %.6f, 99 %% of positions below %.6f, same likeliest token "
               "%.2f %%\n",
               kl_mean, kl_99, 100 * same);
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
    t.n_vocab = t.s.info.n_vocab;
    TRY_GOTO(open_references(&t, &c->o, err));
    TRY_GOTO(session_engine(&t.s, &c->o, 1, t.text.chunk_tokens, SESSION_FRESH, err));
    t.logp = mem_new(sizeof *t.logp * (size_t)t.n_vocab);
    t.base_logp = mem_new(sizeof *t.base_logp * (size_t)t.n_vocab);
    t.kl = mem_new(sizeof *t.kl * (size_t)t.n_chunk * CHUNK);
    double start = clock_s();
    for (int i = 0; i < t.n_chunk; i++) {
        TRY_GOTO(score_chunk(&t, i, err));
        progress_show(&t.s.bar, "scoring", (double)(i + 1) / t.n_chunk);
    }
    progress_end(&t.s.bar);
    rc = report(&t, &c->o, clock_s() - start);
done:
    progress_end(&t.s.bar);
    if (t.save && fclose(t.save) && !rc)
        rc = err_set(err, LATHE_E_IO, "%s: could not be written: is the disk full?", c->o.save_base);
    if (t.base)
        fclose(t.base);
    text_chunks_free(&t.text);
    free(t.logp);
    free(t.base_logp);
    free(t.kl);
    session_close(&t.s);
    return rc;
}
