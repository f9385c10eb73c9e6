/* A hub of models (huggingface.co, or what HF_ENDPOINT names): its files, their digests, and the token for it. */
#ifndef LATHE_STORE_HUB_H
#define LATHE_STORE_HUB_H
#include "store/digest.h"
#include "store/fetch.h"
#include "store/spec.h"

struct hub {
    char endpoint[512]; /* without '/' at its end */
    char origin[512];   /* scheme and host of it */
    char token[1024];   /* "" without */
};

struct hub_file {
    char *path;
    uint64_t size;
    char digest[DIGEST_CHARS];
};

/* From HF_ENDPOINT, HF_TOKEN, or the file of it that the hub's own tools keep. USAGE if one is malformed. */
int hub_open(struct hub *h, struct lathe_err *err);
/* The files of a repository that make up the model of the spec: one GGUF file (or all parts of it), or all that a folder of
 * safetensors needs. *name, for the store, and *out are the caller's; *folder: the model is the repository's folder. */
int hub_files(const struct hub *h, const struct fetch *f, const struct spec *s, struct hub_file **out, int *n,
              char **name, bool *folder, struct lathe_err *err);
void hub_files_free(struct hub_file *file, int n);
/* The URL of a file, escaped. */
void hub_url(const struct hub *h, const struct spec *s, const char *path, char *out, size_t n);
#endif
