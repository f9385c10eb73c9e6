/* A stream that has nothing to tell says so: comments while it waits, none once its words come, and the headers with the first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "gguf_write.h"
#include "server/server.h"

enum { PING_MS = 60, N_CTX = 1 << 15 };

static char model_path[] = "/tmp/test_ping_XXXXXX";

static void tell_port(void *user, const char *url, const char *admin_url)
{
    int port = atoi(strrchr(url, ':') + 1);
    if (write(*(int *)user, &port, sizeof port) != sizeof port)
        _exit(3);
}

/* One place for sequences, so that a second request waits. */
static void serve(int to)
{
    struct lathe_model_options mo;
    struct lathe_engine_options eo;
    struct server_config config = {.model_name = "m",
                                   .host = "127.0.0.1",
                                   .ping_ms = PING_MS,
                                   .max_body_mib = 1,
                                   .max_header_kib = 16,
                                   .max_connection = 64,
                                   .max_per_address = 64,
                                   .idle_s = 60,
                                   .live = {.stall_s = 60, .body_s = 60, .log_level = LOG_ERROR},
                                   .user = &to,
                                   .ready = tell_port};
    struct lathe_err err;
    lathe_model_options_init(&mo);
    lathe_engine_options_init(&eo);
    mo.no_cache = true;
    mo.n_thread = eo.n_thread = eo.n_seq = 1;
    eo.n_ctx = eo.n_kv_token = N_CTX;
    if (lathe_model_open(model_path, &mo, &config.model, &err) ||
        lathe_engine_new(config.model, &eo, &config.engine, &err) || server_run(&config, &err)) {
        fprintf(stderr, "%s\n", err.text);
        _exit(2);
    }
    lathe_engine_free(config.engine);
    lathe_model_free(config.model);
    _exit(0);
}

static pid_t start(int *port)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        serve(ends[1]);
    assert_int_equal(read(ends[0], port, sizeof *port), sizeof *port);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static int ask(int port, const char *body)
{
    char text[1024];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    int n = snprintf(text, sizeof text,
                     "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                     "Content-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    assert_int_equal(write(fd, text, (size_t)n), n);
    return fd;
}

/* Reads until `word` is there, or the end. */
static void read_until(int fd, char *text, size_t size, const char *word)
{
    size_t n = strlen(text);
    ssize_t k;
    while (!(word && strstr(text, word)) && (k = read(fd, text + n, size - n - 1)) > 0) {
        n += (size_t)k;
        text[n] = 0;
    }
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)) != NULL; p += strlen(word))
        n++;
    return n;
}

static void a_stream_that_waits_pings(void **state)
{
    static char running[1 << 20], waiting[1 << 20], whole[1 << 16];
    int port, status;
    pid_t server = start(&port);
    int first = ask(port, "{\"prompt\":[1],\"max_tokens\":30000,\"ignore_eos\":true,\"stream\":true}");
    read_until(first, running, sizeof running, "data: ");
    assert_null(strstr(running, ": ping"));
    int second = ask(port, "{\"prompt\":[1],\"max_tokens\":8,\"ignore_eos\":true,\"stream\":true}");
    int third = ask(port, "{\"prompt\":[1],\"max_tokens\":8,\"ignore_eos\":true}");
    struct timespec begin, now;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    while (count(waiting, ": ping\n\n") < 3) {
        ssize_t k = read(second, waiting + strlen(waiting), 64);
        assert_true(k > 0);
    }
    clock_gettime(CLOCK_MONOTONIC, &now);
    double ms = (double)(now.tv_sec - begin.tv_sec) * 1e3 + (double)(now.tv_nsec - begin.tv_nsec) / 1e6;
    assert_true(ms > 2.5 * PING_MS); /* not all at once */
    assert_non_null(strstr(waiting, "text/event-stream"));
    assert_null(strstr(waiting, "data: "));
    close(first); /* its client leaves: the others are answered */
    read_until(second, waiting, sizeof waiting, NULL);
    read_until(third, whole, sizeof whole, NULL);
    const char *words = strstr(waiting, "data: ");
    assert_non_null(words);
    assert_int_equal(count(words, "\"finish_reason\":\"length\""), 1);
    assert_int_equal(count(words, "[DONE]"), 1);
    assert_non_null(strstr(whole, "\"finish_reason\":\"length\""));
    assert_null(strstr(whole, ": ping")); /* what is no stream has none */
    close(second);
    close(third);
    kill(server, SIGTERM);
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_stream_that_waits_pings)};
    struct gw_shape shape = gw_small();
    int fd = mkstemp(model_path);
    close(fd);
    signal(SIGPIPE, SIG_IGN);
    shape.n_ctx = N_CTX;
    gw_random_llama(model_path, shape, 8, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(model_path);
    return failed;
}
