/* A text as chunks of tokens to score, as the field measures perplexity: cut without overlap, what is left at the end unused, and
 * for a model that asks for a beginning-of-sequence token that one in place of each chunk's first. */
#ifndef LATHE_CLI_TEXT_CHUNKS_H
#define LATHE_CLI_TEXT_CHUNKS_H
#include "cli/session.h"

struct text_chunks {
    int32_t *ids; /* [n_chunk][chunk_tokens], and what is left */
    size_t n_ids;
    int n_chunk, chunk_tokens;
    int32_t bos; /* to take the place of each chunk's first token; -1: none does */
};

/* Reads and tokenizes the file ("-": stdin). FILE if it has not one chunk. */
int text_chunks_read(struct text_chunks *t, const struct session *s, const char *path, int chunk_tokens,
                     struct lathe_err *err);
void text_chunks_free(struct text_chunks *t);
#endif
