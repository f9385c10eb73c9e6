/* What models are called: hf:ORG/REPO[@REVISION][:FILE], or a URL. */
#ifndef LATHE_STORE_SPEC_H
#define LATHE_STORE_SPEC_H
#include <stdbool.h>
#include "base/err.h"

struct spec {
    bool hub;
    char org[100], repo[100], revision[100], file[512]; /* of a hub; file "" without */
    char url[2048];                                     /* else */
};

/* Whether the text is meant as one. */
bool spec_looks_like(const char *text);
/* USAGE says what is wrong with it. A page of a file on huggingface.co becomes the hub's name of it. */
int spec_read(const char *text, struct spec *out, struct lathe_err *err);
/* Whether a path that a server gave is one below a folder: no "..", no root, nothing that is not plain text. */
bool spec_is_safe_path(const char *path);
/* The name of the file at the end of a URL; false if it has none that is safe. */
bool spec_url_file(const char *url, char *out, size_t n);
#endif
