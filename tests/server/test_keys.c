/* Keys: lines, roles, limits, rotation, reload, ten thousand of them. */
#include "unit.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "server/keys.h"

static char path[] = "/tmp/test_keys_XXXXXX";
static struct lathe_err err;

static int setup(void **state)
{
    int fd = mkstemp(path);
    return fd < 0 || close(fd);
}

static int cleanup(void **state)
{
    return unlink(path);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

struct made {
    char secret[64], line[256];
};

static struct made make(const char *name, const char *roles, struct key_limits limits)
{
    struct made m;
    struct buf secret, line;
    buf_init(&secret, sizeof m.secret - 1);
    buf_init(&line, sizeof m.line - 2);
    assert_int_equal(key_make(name, roles, &limits, &secret, &line, &err), 0);
    snprintf(m.secret, sizeof m.secret, "%s", secret.p);
    snprintf(m.line, sizeof m.line, "%s\n", line.p);
    buf_free(&secret);
    buf_free(&line);
    return m;
}

static const struct key *find(struct keys *k, const char *secret)
{
    return keys_find(k, secret, strlen(secret));
}

static void a_key_is_found_by_its_secret_alone(void **state)
{
    struct made a = make("alice", "infer,admin", (struct key_limits){5, 6, 7}),
                b = make("bob", "metrics", (struct key_limits){0});
    char text[600];
    struct keys *k;
    snprintf(text, sizeof text, "# keys\n\n%s  \t\r\n%s# end", a.line, b.line);
    write_file(text);
    assert_int_equal(keys_new(path, NULL, &k, &err), 0);
    assert_true(keys_wanted(k) && keys_count(k) == 2);
    const struct key *key = find(k, a.secret);
    assert_string_equal(key->name, "alice");
    assert_int_equal(key->roles, ROLE_INFER | ROLE_ADMIN);
    assert_true(key->limits.requests == 5 && key->limits.tokens == 6 && key->limits.concurrency == 7);
    uint64_t tenant = key->tenant;
    key_release(key);
    key = find(k, b.secret);
    assert_true(key->roles == ROLE_METRICS && key->tenant != tenant);
    key_release(key);
    a.secret[10] ^= 1;
    assert_null(find(k, a.secret));
    assert_null(find(k, ""));
    assert_null(find(k, strstr(a.line, "sha256:")));
    keys_free(k);
}

static void one_secret_of_the_environment(void **state)
{
    struct keys *k;
    assert_int_equal(keys_new(NULL, "a secret of the environment", &k, &err), 0);
    const struct key *key = find(k, "a secret of the environment");
    assert_int_equal(key->roles, ROLE_INFER | ROLE_METRICS | ROLE_ADMIN);
    key_release(key);
    keys_free(k);
    assert_int_equal(keys_new(NULL, NULL, &k, &err), 0);
    assert_false(keys_wanted(k));
    keys_free(k);
}

static void two_keys_of_a_name_rotate(void **state)
{
    struct made old = make("alice", "infer", (struct key_limits){.requests = 2}),
                new = make("alice", "infer", (struct key_limits){.requests = 2});
    char text[600];
    struct keys *k;
    double retry;
    write_file(old.line);
    assert_int_equal(keys_new(path, NULL, &k, &err), 0);
    const struct key *held = find(k, old.secret);
    assert_int_equal(key_begin(held, &retry), KEY_GO);
    snprintf(text, sizeof text, "%s%s", old.line, new.line);
    write_file(text);
    assert_int_equal(keys_reload(k, path, NULL, &err), 0);
    const struct key *a = find(k, old.secret), *b = find(k, new.secret);
    assert_ptr_equal(a, b);
    assert_int_equal(key_begin(b, &retry), KEY_GO);
    assert_int_equal(key_begin(a, &retry), KEY_OVER_REQUESTS); /* one account, over the reload, too */
    assert_true(retry > 25 && retry <= 30);
    key_end(b);
    key_release(a);
    key_release(b);
    write_file(new.line);
    assert_int_equal(keys_reload(k, path, NULL, &err), 0);
    assert_null(find(k, old.secret));
    write_file("alice infer nonsense\n");
    assert_int_equal(keys_reload(k, path, NULL, &err), LATHE_E_USAGE);
    b = find(k, new.secret);
    assert_non_null(b);
    key_release(b);
    keys_free(k);
    assert_string_equal(held->name, "alice"); /* what is held outlives all */
    key_end(held);
    key_release(held);
}

static void limits_hold(void **state)
{
    struct made m = make("a", "infer", (struct key_limits){.tokens = 100, .concurrency = 2});
    struct keys *k;
    double retry;
    write_file(m.line);
    assert_int_equal(keys_new(path, NULL, &k, &err), 0);
    const struct key *a = find(k, m.secret);
    assert_int_equal(key_begin(a, &retry), KEY_GO);
    assert_int_equal(key_begin(a, &retry), KEY_GO);
    assert_int_equal(key_begin(a, &retry), KEY_OVER_CONCURRENCY);
    assert_true(retry == 1);
    key_end(a);
    key_count_tokens(a, 150);
    assert_int_equal(key_begin(a, &retry), KEY_OVER_TOKENS);
    assert_true(retry > 29 && retry <= 31); /* 51 tokens at 100 a minute */
    key_end(a);
    key_release(a);
    keys_free(k);
}

static void mistakes_name_line_and_value(void **state)
{
    static const char hash[] = "sha256:af571aba613595f2a53d3a19b2b8a01091466b44fae3a34baf55992ba9a29def";
    static const struct {
        const char *format, *words;
    } wrong[] = {
        {"\na@b infer %s\n", ":2: 'a@b' is no name"},
        {"a boss %s\n", ":1: 'boss' is no role: infer, metrics or admin"},
        {"a infer,, %s\n", ":1: '' is no role"},
        {"a infer\n#%s", ":1: a line is NAME ROLES sha256:HEX"},
        {"a infer secret-%s\n", ":1: the third word is no hash"},
        {"a infer %s0\n", ":1: the third word is no hash"},
        {"a infer %s requests=0\n", ":1: 'requests=0' is no limit: a number from 1"},
        {"a infer %s tokens=1e9\n", ":1: 'tokens=1e9' is no limit"},
        {"a infer %s speed=3\n", ":1: 'speed=3' is no limit: requests=N, tokens=N or concurrency=N"},
        {"a infer %1$s\nb infer %1$s\n", ":2: this hash was already given to a"},
        {"a infer %1$s\na admin sha256:0f571aba613595f2a53d3a19b2b8a01091466b44fae3a34baf55992ba9a29def\n",
         ":2: a has other roles or limits here than in line 1"},
    };
    char text[2000];
    struct keys *k;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof text, wrong[i].format, hash);
        write_file(text);
        assert_int_equal(keys_new(path, NULL, &k, &err), LATHE_E_USAGE);
        assert_non_null(strstr(err.text, wrong[i].words));
        assert_null(strstr(err.text, "af571"));
    }
    memset(text, 'a', sizeof text - 1);
    write_file(text);
    assert_int_equal(keys_new(path, NULL, &k, &err), LATHE_E_USAGE);
    assert_non_null(strstr(err.text, ":1: the line is longer than 511 bytes"));
    assert_int_equal(keys_new("/nowhere/keys", NULL, &k, &err), LATHE_E_FILE);
}

enum { N_MANY = 10000 };

static void *look_up(void *keys)
{
    char secret[32];
    for (int i = 0; i < N_MANY; i++) {
        snprintf(secret, sizeof secret, "wrong %d", i);
        if (find(keys, secret))
            return keys;
    }
    return NULL;
}

static void ten_thousand_keys(void **state)
{
    struct made *m = mem_new(N_MANY * sizeof *m);
    char name[32];
    struct keys *k;
    pthread_t threads[4];
    FILE *f = fopen(path, "w");
    for (int i = 0; i < N_MANY; i++) {
        snprintf(name, sizeof name, "client-%d", i / 2);
        m[i] = make(name, "infer", (struct key_limits){0});
        fputs(m[i].line, f);
    }
    fclose(f);
    assert_int_equal(keys_new(path, NULL, &k, &err), 0);
    assert_int_equal(keys_count(k), N_MANY);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look_up, k), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(keys_reload(k, path, NULL, &err), 0);
    for (int i = 0; i < 4; i++) {
        void *found;
        pthread_join(threads[i], &found);
        assert_null(found);
    }
    for (int i = 0; i < N_MANY; i++) {
        const struct key *key = find(k, m[i].secret);
        snprintf(name, sizeof name, "client-%d", i / 2);
        assert_string_equal(key->name, name);
        key_release(key);
    }
    keys_free(k);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_found_by_its_secret_alone), cmocka_unit_test(one_secret_of_the_environment),
        cmocka_unit_test(two_keys_of_a_name_rotate),          cmocka_unit_test(limits_hold),
        cmocka_unit_test(mistakes_name_line_and_value),       cmocka_unit_test(ten_thousand_keys),
    };
    return cmocka_run_group_tests(tests, setup, cleanup);
}
