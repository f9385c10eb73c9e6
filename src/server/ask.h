/* Request bodies: JSON in, an exchange ready for dispatch out. */
#ifndef LATHE_SERVER_ASK_H
#define LATHE_SERVER_ASK_H
#include "server/http.h"

enum api { API_CHAT, API_TEXT };

/* What a body asks for. */
struct asked {
    bool stream, ignore_eos, include_usage;
    bool logprobs;            /* chat */
    int n_logprob;            /* alternatives; -1: not asked for */
    int max_tokens, n, top_k; /* max_tokens 0: as much as fits */
    double temperature, top_p, min_p, frequency_penalty, presence_penalty, repetition_penalty;
    uint64_t seed;
    char own;           /* of fields that have a reader of their own */
    struct buf ignored; /* names of unknown fields, with commas */
    struct exchange *x;
};

/* Why a body is refused. */
struct refusal {
    unsigned status;
    char param[64]; /* "" if it is no single field */
    const char *code;
    char text[560];
};

/* Reads the body of `c`. False with the refusal filled in. Free with ask_free in any case; the caller takes a reference of
 * a->x to keep it. */
bool ask_read(struct call *c, enum api api, struct asked *a, struct refusal *no);
void ask_free(struct asked *a);
#endif
