/* Tests of files that shrink under their mapping: zeros and a flag instead of a crash; foreign faults go
 * where they went before. */
#include "unit.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "format/map_guard.h"
#include "format/model_file.h"
#include "gguf_write.h"
#include "quant/format.h"
#include "tmp_dir.h"

/* A file of 64 KiB of ones in a tensor. */
static struct model_file *open_big(const char *path)
{
    enum { N = 16384 };
    static float ones[N];
    struct gw *g = gw_new();
    struct model_file *f;
    for (int i = 0; i < N; i++)
        ones[i] = 1;
    gw_str(g, "general.name", "a name");
    gw_strs(g, "names", (const char *[]){"a", "b", "c"}, 3);
    gw_tensor(g, "t", FORMAT_F32, 1, (uint64_t[]){N}, ones, sizeof ones);
    gw_save(g, path);
    gw_free(g);
    assert_int_equal(model_file_open(path, &f, NULL), 0);
    return f;
}

static float element(const struct model_file *f, size_t i)
{
    float x;
    memcpy(&x, model_file_tensor_find(f, "t")->data + 4 * i, 4);
    return x;
}

static void a_cut_file_reads_as_zeros_and_is_damaged(void **state)
{
    struct model_file *f = open_big(tmp_path("cut.gguf")), *other = open_big(tmp_path("other.gguf"));
    assert_true(element(f, 16000) == 1);
    assert_int_equal(truncate(tmp_path("cut.gguf"), 20000), 0);
    assert_true(element(f, 100) == 1);
    assert_false(model_file_damaged(f));
    assert_true(element(f, 16000) == 0 && element(f, 12000) == 0);
    assert_true(element(f, 100) == 1);
    assert_true(model_file_damaged(f) && !model_file_damaged(other));
    assert_true(element(other, 16000) == 1);
    model_file_populate(f);
    model_file_free(f);
    model_file_free(other);
}

static void metadata_of_an_emptied_file_is_harmless(void **state)
{
    struct model_file *f = open_big(tmp_path("empty.gguf"));
    struct str s, *ss;
    uint64_t n;
    assert_int_equal(truncate(tmp_path("empty.gguf"), 0), 0);
    assert_int_equal(mf_str(f, "general.name", &s, NULL, NULL), 0);
    assert_int_equal(s.n, 0);
    assert_int_equal(mf_strs(f, "names", &ss, &n, NULL), 0);
    assert_true(n == 3 && ss[0].n == 0 && ss[2].n == 0);
    free(ss);
    assert_true(model_file_damaged(f));
    model_file_free(f);
}

/* Strings stay inside their value when somebody writes other lengths into the file after it was checked. */
static void a_rewritten_file_stays_in_its_bounds(void **state)
{
    struct model_file *f = open_big(tmp_path("new.gguf"));
    const struct mf_meta *m = model_file_find(f, "names");
    struct str *ss;
    uint64_t n, huge = UINT64_MAX;
    size_t at =
        24 + 8 + 12 + 4 + 8 + 6 + 8 + 5 + 4 + 12; /* header, general.name, the key and head of names */
    FILE *out = fopen(tmp_path("new.gguf"), "r+b");
    fseek(out, (long)at, SEEK_SET);
    fwrite(&huge, sizeof huge, 1, out);
    fclose(out);
    assert_memory_equal(m->data, &huge, 8);
    assert_int_equal(mf_strs(f, "names", &ss, &n, NULL), 0);
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++)
        assert_true((const uint8_t *)ss[i].p + ss[i].n <= (const uint8_t *)m->data + m->n_bytes);
    free(ss);
    model_file_free(f);
}

static void *read_all(void *arg)
{
    double sum = 0;
    for (size_t i = 0; i < 16384; i++)
        sum += (double)element(arg, 16383 - i);
    return sum < 16384 ? arg : NULL;
}

static void threads_may_fault_together(void **state)
{
    for (int round = 0; round < 20; round++) {
        struct model_file *f = open_big(tmp_path("many.gguf"));
        pthread_t thread[8];
        assert_int_equal(truncate(tmp_path("many.gguf"), 8192), 0);
        for (int i = 0; i < 8; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, read_all, f), 0);
        for (int i = 0; i < 8; i++) {
            void *result;
            pthread_join(thread[i], &result);
            assert_ptr_equal(result, f);
        }
        assert_true(model_file_damaged(f));
        model_file_free(f);
    }
}

static void slots_are_used_again(void **state)
{
    for (int i = 0; i < 10000; i++) {
        static char bytes[16];
        int slot = -1;
        assert_int_equal(map_guard_add(bytes, sizeof bytes, &slot, NULL), 0);
        assert_false(map_guard_damaged(slot));
        map_guard_remove(slot);
    }
    static char bytes[16];
    static int many[5000];
    int n = 0;
    struct lathe_err err;
    while (n < 5000 && !map_guard_add(bytes, sizeof bytes, &many[n], &err))
        n++;
    assert_int_equal(n, 4096);
    assert_int_equal(err.code, LATHE_E_LIMIT);
    while (n > 0)
        map_guard_remove(many[--n]);
    map_guard_remove(-1);
    assert_false(map_guard_damaged(-1));
}

/* ---- faults of others, each in a child of its own ---- */

static void fault_elsewhere(void)
{
    const char *path = tmp_path("elsewhere");
    FILE *out = fopen(path, "w+b");
    for (int i = 0; i < 8192; i++)
        fputc(1, out);
    fflush(out);
    volatile char *p = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE, fileno(out), 0);
    if (truncate(path, 0))
        _exit(9);
    (void)p[5000];
    _exit(8);
}

static void on_bus(int sig)
{
    _exit(42);
}

/* A handler that was set after ours and passes on to it. */
static struct sigaction below;
static int n_passed;

static void on_bus_pass(int sig, siginfo_t *info, void *context)
{
    if (++n_passed > 3)
        _exit(43);
    below.sa_sigaction(sig, info, context);
}

static int run_child(const char *kind)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        /* this process has its handlers already: the child becomes a fresh program */
        execl("/proc/self/exe", "test_map_guard", kind, (char *)NULL);
        _exit(7);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void other_faults_kill_as_before(void **state)
{
    if (getenv("LATHE_EMULATED"))
        skip(); /* qemu-user ends its own process otherwise */
    int status = run_child("default");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = run_child("former");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = run_child("later");
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    status = run_child("sent");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    status = run_child("circle");
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(int argc, char **argv)
{
    if (argc == 2) { /* run_child */
        static char guarded[16];
        int slot;
        if (!strcmp(argv[1], "former"))
            signal(SIGBUS, on_bus);
        else /* the sanitizers have a handler too */
            signal(SIGBUS, SIG_DFL);
        map_guard_add(guarded, sizeof guarded, &slot, NULL);
        if (!strcmp(argv[1], "later"))
            signal(SIGBUS, on_bus);
        struct sigaction circle = {.sa_sigaction = on_bus_pass, .sa_flags = SA_SIGINFO};
        if (!strcmp(argv[1], "circle"))
            sigaction(SIGBUS, &circle, &below);
        map_guard_add(guarded, sizeof guarded, &slot, NULL);
        if (!strcmp(argv[1], "sent"))
            raise(SIGBUS);
        fault_elsewhere();
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_file_reads_as_zeros_and_is_damaged),
        cmocka_unit_test(metadata_of_an_emptied_file_is_harmless),
        cmocka_unit_test(a_rewritten_file_stays_in_its_bounds),
        cmocka_unit_test(threads_may_fault_together),
        cmocka_unit_test(slots_are_used_again),
        cmocka_unit_test(other_faults_kill_as_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
