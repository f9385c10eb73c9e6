/* Request bodies: JSON in, an exchange ready for dispatch, or plain values, out.
 *
 * The bodies of all endpoints are read by the rows of fields.inc: kind, range, whom a field belongs to. What a row cannot
 * say has a reader of its own (ask_own.h). */
#ifndef LATHE_SERVER_ASK_H
#define LATHE_SERVER_ASK_H
#include "server/http.h"
#include "server/refusal.h"

/* What a body asks for. */
struct asked {
    bool stream, ignore_eos, include_usage;
    bool logprobs;                     /* chat */
    bool echo;                         /* the answer begins with the prompt */
    bool base64;                       /* embeddings are told so */
    bool truncate;                     /* texts that are too long */
    bool return_documents, raw_scores; /* of a ranking */
    bool add_special, pieces;          /* of tokenizing */
    bool generation_prompt;            /* a template ends where the answer begins */
    int n_logprob;                     /* alternatives; -1: not asked for */
    int max_tokens, n, top_k;          /* max_tokens -1: as much as fits */
    int max_completion_tokens, best_of, dimensions, priority, top_n; /* 0: not given */
    double temperature, top_p, min_p, frequency_penalty, presence_penalty, repetition_penalty;
    double timeout_ms, ttft_deadline_ms;
    uint64_t seed;
    const json_t *template_vars; /* the body's; NULL: none */
    const char *effort;          /* likewise */
    char own;                    /* of fields that have a reader of their own, or no meaning here */
    char *text;                  /* a rendered conversation */
    size_t n_text;
    struct buf ignored; /* names of unknown fields, with commas */
    struct exchange *x;
};

enum field_kind {
    KIND_BOOL,
    KIND_INT,
    KIND_TOKENS, /* INT; with the prompt at most a context, which is checked when the prompt is known */
    KIND_REAL,
    KIND_SEED,
    KIND_STRING,  /* no meaning for the answer, but it has a type */
    KIND_STRINGS, /* an object of strings, likewise */
    KIND_OWN,
    KIND_REFUSED
};

struct field {
    unsigned apis; /* bits 1 << enum api */
    const char *name;
    enum field_kind kind;
    size_t offset;
    double min, max;
    const char *schema; /* of KIND_OWN: name in schemas.inc */
    const char *help;
};

extern const struct field ask_fields[];
extern const int ask_n_field;

/* Reads the body of `c`. False with the refusal filled in. Free with ask_free in any case; the caller takes a reference of
 * a->x to keep it. Of the APIs that do not run the model, only fields and prompts are filled in. */
bool ask_read(struct call *c, enum api api, struct asked *a, struct refusal *no);
void ask_free(struct asked *a);
/* Whether v is a whole number of min..max, written as 3 or as 3.0. */
bool ask_whole(const json_t *v, int64_t min, int64_t max, int64_t *out);
/* Answers with the refusal. */
enum MHD_Result ask_refused(struct call *c, const struct refusal *no);
#endif
