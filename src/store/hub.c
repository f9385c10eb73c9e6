/* A hub of models: its list of files, and which of them a model is. */
#include "store/hub.h"
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "base/read_file.h"
#include "store/store.h"

enum { MAX_LIST = 32 << 20, MAX_PAGES = 100, MAX_FILES = 100000 };

/* ---- the endpoint and its token ---- */

static int take_token(struct hub *h, const char *text, size_t n, const char *from, struct lathe_err *err)
{
    while (n && strchr(" \t\r\n", text[n - 1]))
        n--;
    bool plain = n < sizeof h->token;
    for (size_t i = 0; plain && i < n; i++)
        plain = text[i] > 0x20 && text[i] < 0x7f;
    if (!plain)
        return err_set(err, LATHE_E_USAGE,
                       "the token of %.200s is none: it has a character or a length that no token has", from);
    snprintf(h->token, sizeof h->token, "%.*s", (int)n, text);
    return 0;
}

static int read_token(struct hub *h, struct lathe_err *err)
{
    static const char *const names[] = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"};
    const char *home = getenv("HOME"), *hf = getenv("HF_HOME"), *file = getenv("HF_TOKEN_PATH");
    char path[4200];
    struct buf text;
    for (int i = 0; i < 2; i++) {
        const char *v = getenv(names[i]);
        if (v && *v)
            return take_token(h, v, strlen(v), names[i], err);
    }
    if (file)
        snprintf(path, sizeof path, "%s", file);
    else if (hf)
        snprintf(path, sizeof path, "%s/token", hf);
    else
        snprintf(path, sizeof path, "%s/.cache/huggingface/token", home ? home : "");
    buf_init(&text, 4096);
    int rc = read_file(path, &text, file ? err : NULL);
    if (!rc && text.n)
        rc = take_token(h, text.p, text.n, path, err);
    else if (!file)
        rc = 0;
    buf_free(&text);
    return rc;
}

int hub_open(struct hub *h, struct lathe_err *err)
{
    const char *endpoint = getenv("HF_ENDPOINT");
    *h = (struct hub){0};
    if (!endpoint || !*endpoint)
        endpoint = "https://huggingface.co";
    const char *host = strstr(endpoint, "://");
    if ((strncmp(endpoint, "http://", 7) != 0 && strncmp(endpoint, "https://", 8) != 0) ||
        strpbrk(endpoint, " \"\r\n?#") || strlen(endpoint) >= sizeof h->endpoint)
        return err_set(err, LATHE_E_USAGE, "HF_ENDPOINT is '%.200s', which is no URL of a hub", endpoint);
    snprintf(h->endpoint, sizeof h->endpoint, "%s", endpoint);
    for (size_t n = strlen(h->endpoint); n && h->endpoint[n - 1] == '/'; n--)
        h->endpoint[n - 1] = 0;
    snprintf(h->origin, sizeof h->origin, "%.*s",
             (int)(host + 3 - endpoint + (ptrdiff_t)strcspn(host + 3, "/")), h->endpoint);
    return read_token(h, err);
}

void hub_url(const struct hub *h, const struct spec *s, const char *path, char *out, size_t n)
{
    int at = snprintf(out, n, "%s/%s/%s/resolve/%s/", h->endpoint, s->org, s->repo, s->revision);
    for (const unsigned char *p = (const unsigned char *)path; *p && at + 4 < (int)n; p++)
        at += strchr("/._-~", *p) || (*p < 0x80 && (unsigned)((*p | 32) - 'a') < 26) ||
                      (unsigned)(*p - '0') < 10
                  ? snprintf(out + at, n - (size_t)at, "%c", *p)
                  : snprintf(out + at, n - (size_t)at, "%%%02X", *p);
}

/* ---- the list ---- */

struct list {
    struct hub_file *v;
    int n;
};

void hub_files_free(struct hub_file *file, int n)
{
    for (int i = 0; i < n; i++)
        free(file[i].path);
    free(file);
}

static int add_entry(struct list *l, const json_t *e, struct lathe_err *err)
{
    const char *type = json_string_value(json_object_get(e, "type")),
               *path = json_string_value(json_object_get(e, "path"));
    const json_t *lfs = json_object_get(e, "lfs");
    const char *oid = json_string_value(json_object_get(lfs ? lfs : e, "oid"));
    json_int_t size = json_integer_value(json_object_get(lfs ? lfs : e, "size"));
    char digest[100];
    struct hub_file f = {0};
    if (!type || strcmp(type, "file") != 0)
        return 0;
    snprintf(digest, sizeof digest, "%s%.80s", lfs ? "sha256:" : "git:", oid ? oid : "");
    if (!path || !spec_is_safe_path(path) || size < 0 || !digest_read(digest, f.digest))
        return err_set(err, LATHE_E_FAILED,
                       "the hub lists a file '%.100s' of %lld bytes with the digest '%.80s', which cannot be",
                       path ? path : "", (long long)size, oid ? oid : "");
    if (l->n == MAX_FILES)
        return err_set(err, LATHE_E_FAILED, "the hub lists more than %d files", MAX_FILES);
    l->v = mem_grow(l->v, (size_t)(l->n + 1) * sizeof *l->v);
    f.path = mem_dup(path, strlen(path));
    f.size = (uint64_t)size;
    l->v[l->n++] = f;
    return 0;
}

static int add_page(struct list *l, const struct buf *text, const char *url, struct lathe_err *err)
{
    json_error_t why;
    json_t *page = json_loadb(text->p ? text->p : "", text->n, 0, &why);
    int rc = 0;
    if (!json_is_array(page))
        rc = err_set(err, LATHE_E_FAILED, "%.200s: the answer is no list of files: %s", url,
                     page ? "another value" : why.text);
    for (size_t i = 0; !rc && i < json_array_size(page); i++)
        rc = add_entry(l, json_array_get(page, i), err);
    json_decref(page);
    return rc;
}

static int read_list(const struct hub *h, const struct fetch *f, const struct spec *s, struct list *l,
                     struct lathe_err *err)
{
    char url[2048], next[2048];
    snprintf(url, sizeof url, "%s/api/models/%s/%s/tree/%s?recursive=true", h->endpoint, s->org, s->repo,
             s->revision);
    for (int page = 0; page < MAX_PAGES; page++) {
        struct buf text;
        buf_init(&text, MAX_LIST);
        int rc = fetch_text(f, url, &text, next, err);
        if (!rc)
            rc = add_page(l, &text, url, err);
        buf_free(&text);
        if (rc || !next[0])
            return rc;
        if (strncmp(next, h->origin, strlen(h->origin)) != 0)
            return err_set(err, LATHE_E_FAILED, "%.200s: its next page is elsewhere: %.200s", url, next);
        snprintf(url, sizeof url, "%s", next);
    }
    return err_set(err, LATHE_E_FAILED, "%.200s: more than %d pages of files", url, MAX_PAGES);
}

/* ---- which of them ---- */

static bool ends_in(const char *path, const char *end)
{
    size_t n = strlen(path), e = strlen(end);
    return n >= e && strcasecmp(path + n - e, end) == 0;
}

/* "-00002-of-00005.gguf" at the end: which part; 0 if it is none. */
static int part_of(const char *path, int *n)
{
    int i = 0, used = 0;
    size_t len = strlen(path);
    return len > 20 && sscanf(path + len - 20, "-%5d-of-%5d.gguf%n", &i, n, &used) == 2 && used == 20 && i > 0
               ? i
               : 0;
}

static bool same_split(const char *a, const char *b)
{
    int n_a, n_b;
    return strlen(a) == strlen(b) && part_of(a, &n_a) && part_of(b, &n_b) && n_a == n_b &&
           strncmp(a, b, strlen(a) - 20) == 0;
}

static const char *const folder_files[] = {"config.json",
                                           "generation_config.json",
                                           "tokenizer.json",
                                           "tokenizer_config.json",
                                           "special_tokens_map.json",
                                           "chat_template.jinja",
                                           "modules.json",
                                           "1_Pooling/config.json",
                                           "model.safetensors",
                                           "model.safetensors.index.json"};

static bool is_folder_file(const char *path)
{
    for (size_t i = 0; i < sizeof folder_files / sizeof *folder_files; i++)
        if (strcmp(path, folder_files[i]) == 0)
            return true;
    return strncmp(path, "model-", 6) == 0 && ends_in(path, ".safetensors") && !strchr(path, '/');
}

static bool has_file(const struct list *l, const char *path)
{
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->v[i].path, path) == 0)
            return true;
    return false;
}

/* The one GGUF file that is meant; the first part of a split one stands for all. */
static int choose_gguf(const struct list *l, const struct spec *s, int *which, struct lathe_err *err)
{
    char all[300] = "";
    int n_found = 0, n_part;
    *which = -1;
    for (int i = 0; i < l->n; i++) {
        const char *path = l->v[i].path;
        if (s->file[0] && strcmp(path, s->file) == 0) {
            *which = i;
            return 0;
        }
        if (!ends_in(path, ".gguf") || part_of(path, &n_part) > 1 ||
            (s->file[0] && !strcasestr(path, s->file)))
            continue;
        *which = i;
        n_found++;
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "", path);
    }
    if (n_found == 1)
        return 0;
    return err_set(err, LATHE_E_USAGE,
                   n_found ? "hf:%.80s/%.80s has several files%s: name one behind a colon: %s"
                           : "hf:%.80s/%.80s has no GGUF file%s, and no config.json with model.safetensors%s",
                   s->org, s->repo,
                   s->file[0] && n_found ? " with that in their names"
                   : s->file[0]          ? " of that name"
                                         : "",
                   all);
}

static void keep(struct list *l, const bool *wanted)
{
    int n = 0;
    for (int i = 0; i < l->n; i++)
        if (wanted[i])
            l->v[n++] = l->v[i];
        else
            free(l->v[i].path);
    l->n = n;
}

static int choose(struct list *l, const struct spec *s, bool *folder, const char **file,
                  struct lathe_err *err)
{
    int which = -1;
    bool *wanted = mem_new((size_t)l->n + 1);
    *folder = !s->file[0] && has_file(l, "config.json") &&
              (has_file(l, "model.safetensors") || has_file(l, "model.safetensors.index.json"));
    int rc = *folder ? 0 : choose_gguf(l, s, &which, err);
    for (int i = 0; !rc && i < l->n; i++)
        wanted[i] =
            *folder ? is_folder_file(l->v[i].path) : i == which || same_split(l->v[i].path, l->v[which].path);
    if (!rc) {
        *file = *folder ? "" : l->v[which].path;
        keep(l, wanted);
    }
    free(wanted);
    return rc;
}

int hub_files(const struct hub *h, const struct fetch *f, const struct spec *s, struct hub_file **out, int *n,
              char **name, bool *folder, struct lathe_err *err)
{
    char text[1024];
    struct list l = {0};
    const char *file = "";
    int rc = read_list(h, f, s, &l, err);
    if (!rc)
        rc = choose(&l, s, folder, &file, err);
    if (!rc && l.n > STORE_MAX_FILES)
        rc = err_set(err, LATHE_E_FAILED, "the model has %d files; %d are allowed", l.n, STORE_MAX_FILES);
    if (rc) {
        hub_files_free(l.v, l.n);
        return rc;
    }
    bool is_main = strcmp(s->revision, "main") == 0;
    snprintf(text, sizeof text, "hf:%s/%s%s%s%s%s", s->org, s->repo, is_main ? "" : "@",
             is_main ? "" : s->revision, *file ? ":" : "", file);
    *name = mem_dup(text, strlen(text));
    *out = l.v;
    *n = l.n;
    return 0;
}
