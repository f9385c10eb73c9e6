/* The file of keys as text, and fresh keys. */
#include "server/key_line.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "base/read_file.h"
#include "server/gnutls_lib.h"

#define HASH_PREFIX "sha256:"
#define BLANKS " \t\r"
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static const struct {
    const char *text;
    unsigned bit;
} roles[] = {
#define R(name, text) {text, ROLE_##name},
    KEY_ROLES(R)
#undef R
};
enum { N_ROLE = sizeof roles / sizeof *roles };

int key_hash(const char *secret, size_t n, unsigned char *out, struct lathe_err *err)
{
    if (!gnutls.hash_fast)
        TRY(gnutls_lib_load(err));
    int rc = gnutls.hash_fast(GNUTLS_DIG_SHA256, secret, n, out);
    return rc ? err_set(err, LATHE_E_FAILED, "SHA-256 cannot be computed: %s", gnutls.strerror(rc)) : 0;
}

int key_file_read(const char *path, struct buf *out, struct lathe_err *err)
{
    buf_init(out, KEY_FILE_MAX);
    int rc = path ? read_file(path, out, err) : 0;
    if (!rc && out->n && strlen(out->p) != out->n)
        rc = err_set(err, LATHE_E_USAGE, "%.200s has a NUL byte: it is no file of keys", path);
    if (!rc && key_file_lines(out) > KEY_COUNT_MAX)
        rc = err_set(err, LATHE_E_USAGE, "%.200s has more than %d lines", path, KEY_COUNT_MAX);
    if (rc)
        buf_free(out);
    return rc;
}

int key_file_lines(const struct buf *text)
{
    int n = text->n > 0;
    for (size_t i = 0; i < text->n; i++)
        n += text->p[i] == '\n';
    return n;
}

/* ---- words ---- */

static int read_name(const char *word, char *out, struct lathe_err *err)
{
    size_t n = strlen(word);
    if (n == 0 || n > KEY_NAME_MAX || strspn(word, NAME_LETTERS) != n)
        return err_set(err, LATHE_E_USAGE, "'%.80s' is no name: 1 to %d letters, digits, '.', '_' and '-'",
                       word, KEY_NAME_MAX);
    memcpy(out, word, n + 1);
    return 0;
}

int key_roles_read(const char *words, unsigned *out, struct lathe_err *err)
{
    *out = 0;
    for (const char *p = words;; p++) {
        size_t n = strcspn(p, ",");
        int i = 0;
        while (i < N_ROLE && (strlen(roles[i].text) != n || memcmp(roles[i].text, p, n) != 0))
            i++;
        if (i == N_ROLE)
            return err_set(err, LATHE_E_USAGE,
                           "'%.*s' is no role: infer, metrics or admin, with commas between",
                           (int)(n < 40 ? n : 40), p);
        *out |= roles[i].bit;
        p += n;
        if (!*p)
            return 0;
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int read_hash(const char *word, unsigned char *out, struct lathe_err *err)
{
    const char *p = word + strlen(HASH_PREFIX);
    bool ok = strncmp(word, HASH_PREFIX, strlen(HASH_PREFIX)) == 0 && strlen(p) == 2 * KEY_HASH_BYTES;
    for (int i = 0; ok && i < KEY_HASH_BYTES; i++) {
        int high = hex_digit(p[2 * i]), low = hex_digit(p[2 * i + 1]);
        ok = high >= 0 && low >= 0;
        out[i] = (unsigned char)(high << 4 | (low & 15));
    }
    /* what stands there may be a secret by mistake, and is not repeated */
    return ok ? 0
              : err_set(err, LATHE_E_USAGE,
                        "the third word is no hash: %s and %d hexadecimal digits, as `lathe key new` prints",
                        HASH_PREFIX, 2 * KEY_HASH_BYTES);
}

static int read_limit(const char *word, struct key_limits *l, struct lathe_err *err)
{
    const struct {
        const char *name;
        int *to;
    } rows[] = {{"requests=", &l->requests}, {"tokens=", &l->tokens}, {"concurrency=", &l->concurrency}};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(rows[i].name);
        char *end;
        if (strncmp(word, rows[i].name, n) != 0)
            continue;
        errno = 0;
        long x = strtol(word + n, &end, 10);
        if (errno || *end || word[n] < '0' || word[n] > '9' || x < 1 || x > 1000000000)
            return err_set(err, LATHE_E_USAGE, "'%.60s' is no limit: a number from 1 to 1000000000", word);
        *rows[i].to = (int)x;
        return 0;
    }
    return err_set(err, LATHE_E_USAGE, "'%.60s' is no limit: requests=N, tokens=N or concurrency=N", word);
}

static int read_word(int i, const char *word, struct key_line *out, struct lathe_err *err)
{
    switch (i) {
    case 0:
        return read_name(word, out->name, err);
    case 1:
        return key_roles_read(word, &out->roles, err);
    case 2:
        return read_hash(word, out->hash, err);
    default:
        return read_limit(word, &out->limits, err);
    }
}

int key_line_read(const char **at, const char *path, int number, struct key_line *out, bool *is_key,
                  struct lathe_err *err)
{
    char text[512];
    struct lathe_err why;
    size_t n = strcspn(*at, "\n");
    const char *line = *at;
    int rc = 0, n_word = 0;
    *at += n + ((*at)[n] == '\n');
    *out = (struct key_line){.name = ""};
    *is_key = false;
    if (n >= sizeof text)
        return err_set(err, LATHE_E_USAGE, "%.200s:%d: the line is longer than %zu bytes", path, number,
                       sizeof text - 1);
    memcpy(text, line, n);
    text[n] = 0;
    text[strcspn(text, "#")] = 0;
    char *rest, *word = strtok_r(text, BLANKS, &rest);
    for (; word && !rc; word = strtok_r(NULL, BLANKS, &rest))
        rc = read_word(n_word++, word, out, &why);
    if (!rc && n_word > 0 && n_word < 3)
        rc = err_set(&why, LATHE_E_USAGE, "a line is NAME ROLES %sHEX, as `lathe key new` prints",
                     HASH_PREFIX);
    *is_key = n_word > 0;
    return rc ? err_set(err, LATHE_E_USAGE, "%.200s:%d: %s", path, number, why.text) : 0;
}

/* ---- fresh keys ---- */

/* 32 random bytes as 43 letters, digits, '-' and '_'. */
static int put_random(struct buf *out, struct lathe_err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[33] = {0};
    if (getrandom(random, 32, 0) != 32)
        return err_set(err, LATHE_E_IO, "the system gives no random bytes: %s", strerror(errno));
    for (int bit = 0; bit < 256; bit += 6)
        buf_putc(out, letters[(random[bit / 8] << 8 | random[bit / 8 + 1]) >> (10 - bit % 8) & 63]);
    return 0;
}

int key_make(const char *name, const char *role_words, const struct key_limits *limits, struct buf *secret,
             struct buf *line, struct lathe_err *err)
{
    struct key_line made;
    TRY(read_name(name, made.name, err));
    TRY(key_roles_read(role_words, &made.roles, err));
    buf_puts(secret, "lathe-");
    TRY(put_random(secret, err));
    TRY(key_hash(secret->p, secret->n, made.hash, err));
    buf_printf(line, "%s %s " HASH_PREFIX, name, role_words);
    for (int i = 0; i < KEY_HASH_BYTES; i++)
        buf_printf(line, "%02x", made.hash[i]);
    if (limits->requests)
        buf_printf(line, " requests=%d", limits->requests);
    if (limits->tokens)
        buf_printf(line, " tokens=%d", limits->tokens);
    if (limits->concurrency)
        buf_printf(line, " concurrency=%d", limits->concurrency);
    return 0;
}
