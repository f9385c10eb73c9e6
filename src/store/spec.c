/* What models are called. */
#include "store/spec.h"
#include <stdio.h>
#include <string.h>

#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
static const char hub_page[] = "https://huggingface.co/";

bool spec_looks_like(const char *text)
{
    return strncmp(text, "hf:", 3) == 0 || strncmp(text, "http://", 7) == 0 ||
           strncmp(text, "https://", 8) == 0;
}

bool spec_is_safe_path(const char *path)
{
    if (!*path || *path == '/' || strlen(path) > 500)
        return false;
    for (const char *p = path; *p;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || n > 200 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f || p[i] == '\\')
                return false;
        p += n;
        if (*p == '/' && !*++p)
            return false;
    }
    return true;
}

/* A name of the hub: letters, digits and "._-", not a dot in front. */
static bool take_name(const char **p, char *out, size_t n)
{
    size_t len = strspn(*p, NAME_LETTERS);
    if (len == 0 || len >= n || **p == '.')
        return false;
    snprintf(out, n, "%.*s", (int)len, *p);
    *p += len;
    return true;
}

static int read_hub(const char *text, struct spec *s, struct lathe_err *err)
{
    const char *p = text + 3;
    s->hub = true;
    snprintf(s->revision, sizeof s->revision, "main");
    bool ok = take_name(&p, s->org, sizeof s->org) && *p++ == '/' && take_name(&p, s->repo, sizeof s->repo);
    if (ok && *p == '@') {
        p++;
        ok = take_name(&p, s->revision, sizeof s->revision);
    }
    if (ok && *p == ':') {
        ok = spec_is_safe_path(p + 1);
        snprintf(s->file, sizeof s->file, "%s", p + 1);
        p = "";
    }
    if (!ok || *p)
        return err_set(
            err, LATHE_E_USAGE,
            "'%.200s' is no model of a hub: hf:ORG/REPO, hf:ORG/REPO:FILE or hf:ORG/REPO@REVISION:FILE",
            text);
    return 0;
}

/* .../ORG/REPO/resolve/REVISION/FILE, or blob. */
static bool read_page(const char *text, struct spec *s)
{
    char how[16];
    const char *p = text + sizeof hub_page - 1;
    struct spec page = {.hub = true};
    if (strncmp(text, hub_page, sizeof hub_page - 1) != 0 || !take_name(&p, page.org, sizeof page.org) ||
        *p++ != '/' || !take_name(&p, page.repo, sizeof page.repo) || *p++ != '/' ||
        !take_name(&p, how, sizeof how) || *p++ != '/' ||
        !take_name(&p, page.revision, sizeof page.revision) || *p++ != '/')
        return false;
    snprintf(page.file, sizeof page.file, "%.*s", (int)strcspn(p, "?#"), p);
    if ((strcmp(how, "resolve") != 0 && strcmp(how, "blob") != 0) || !spec_is_safe_path(page.file))
        return false;
    *s = page;
    return true;
}

bool spec_url_file(const char *url, char *out, size_t n)
{
    const char *host = strstr(url, "://"), *end = url + strcspn(url, "?#"), *slash = end;
    if (!host)
        return false;
    while (slash > host + 3 && slash[-1] != '/')
        slash--;
    snprintf(out, n, "%.*s", (int)(end - slash), slash);
    return slash > host + 3 && (size_t)(end - slash) < n && out[0] != '.' && spec_is_safe_path(out);
}

int spec_read(const char *text, struct spec *out, struct lathe_err *err)
{
    char file[256];
    *out = (struct spec){0};
    if (strncmp(text, "hf:", 3) == 0)
        return read_hub(text, out, err);
    if (!spec_looks_like(text))
        return err_set(err, LATHE_E_USAGE,
                       "'%.200s' is nothing that can be got: hf:ORG/REPO, hf:ORG/REPO:FILE or a URL", text);
    if (read_page(text, out))
        return 0;
    if (strlen(text) >= sizeof out->url || !spec_url_file(text, file, sizeof file))
        return err_set(err, LATHE_E_USAGE, "'%.200s' does not end in the name of a file", text);
    const char *host = strstr(text, "://") + 3;
    if (memchr(host, '@', strcspn(host, "/")))
        return err_set(err, LATHE_E_USAGE,
                       "the URL has a password in it, which other programs can see: leave it away");
    snprintf(out->url, sizeof out->url, "%s", text);
    return 0;
}
