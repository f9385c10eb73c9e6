/* Log probabilities of tokens in the shapes of the two APIs. */
#ifndef LATHE_SERVER_LOGPROBS_H
#define LATHE_SERVER_LOGPROBS_H
#include "server/ask.h"

/* An object without tokens. */
json_t *logprobs_new(enum api api);
/* Adds the token of an event. *offset: characters of the answer before it, which moves on. */
void logprobs_add(json_t *to, enum api api, const lathe_vocab *v, const struct exchange_event *e,
                  const struct lathe_logprob *top, int *offset);
#endif
