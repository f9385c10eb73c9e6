/* A text as chunks of tokens to score. */
#include "cli/text_chunks.h"
#include <stdlib.h>
#include "cli/input.h"

int text_chunks_read(struct text_chunks *t, const struct session *s, const char *path, int chunk_tokens,
                     struct lathe_err *err)
{
    struct buf text;
    buf_init(&text, INPUT_LIMIT);
    *t = (struct text_chunks){.chunk_tokens = chunk_tokens, .bos = -1};
    int rc = input_read(path, &text, err);
    if (!rc)
        rc = session_tokenize(s, text.p ? text.p : "", text.n, false, false, &t->ids, &t->n_ids, err);
    buf_free(&text);
    if (rc)
        return rc;
    int bos = lathe_vocab_bos(lathe_model_vocab(s->model));
    if (bos >= 0 && t->n_ids > 0 && t->ids[0] == bos)
        t->bos = bos;
    t->n_chunk = (int)(t->n_ids / (size_t)chunk_tokens);
    if (t->n_chunk < 1)
        return err_set(err, LATHE_E_FILE, "%s: has %zu tokens, one chunk needs %d", path, t->n_ids,
                       chunk_tokens);
    return 0;
}

void text_chunks_free(struct text_chunks *t)
{
    free(t->ids);
    t->ids = NULL;
}
