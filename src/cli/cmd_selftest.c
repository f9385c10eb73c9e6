/* lathe selftest: proves on this machine and model that a request's logits do not depend on what runs beside
 * it, how its prompt is cut, how many threads run or which instruction set. Every comparison is of hashes of
 * all logits. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/cpu.h"
#include "cli/json.h"
#include "cli/session.h"

#define PROMPT_MAX 600
#define LEVEL_PROMPT \
    "The first public demonstration of the machine took place in the spring of that year, when"
#define LEVEL_PREDICT "8"

/* Hash of the logits of every position of every request, by (request, position). */
struct trail {
    uint64_t *hash;
    int n_request, stride;
    uint64_t *id; /* engine ids of the requests in flight */
    int first;    /* index of the request with id[0] */
    int n_flight;
};

struct selftest {
    struct session s;
    const struct cli_options *o;
    json_t *results;
    int n_failed;
};

static void trail_init(struct trail *t, int n_request, int stride)
{
    *t = (struct trail){.n_request = n_request, .stride = stride};
    t->hash = mem_new(sizeof *t->hash * (size_t)n_request * (size_t)stride);
    t->id = mem_new(sizeof *t->id * (size_t)n_request);
}

static void trail_free(struct trail *t)
{
    free(t->hash);
    free(t->id);
}

static void on_logits(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    struct trail *t = user;
    for (int i = 0; i < t->n_flight; i++)
        if (t->id[i] == id && position < t->stride)
            t->hash[(size_t)(t->first + i) * (size_t)t->stride + (size_t)position] =
                XXH3_64bits(logits, (size_t)n_vocab * sizeof *logits);
}

/* Runs requests [first, first + n) at once and leaves their hashes in the trail. */
static int run_together(struct selftest *st, struct trail *t, int first, int n, const int *n_prompt,
                        const int32_t *ids, int n_predict, struct lathe_err *err)
{
    struct lathe_request r;
    struct lathe_event e;
    t->first = first;
    t->n_flight = 0;
    for (int i = 0; i < n; i++) {
        lathe_request_init(&r);
        r.ids = ids + (size_t)(first + i) * PROMPT_MAX;
        r.n_ids = (size_t)n_prompt[first + i];
        r.n_predict = n_predict;
        r.ignore_eos = true;
        r.on_logits = on_logits;
        r.logits_from = 0;
        r.user = t;
        TRY(lathe_engine_submit(st->s.engine, &r, &t->id[i], err));
        t->n_flight++;
    }
    for (int n_done = 0; n_done < n;) {
        int left = lathe_engine_step(st->s.engine, err);
        if (left < 0)
            return left;
        while (lathe_engine_poll(st->s.engine, &e)) {
            if (e.kind != LATHE_EVENT_DONE)
                continue;
            n_done++;
            if (e.finish == LATHE_FINISH_ERROR) {
                *err = e.err;
                return e.err.code;
            }
        }
        if (left == 0 && n_done < n)
            return err_set(err, LATHE_E_FAILED, "the engine stopped with %d of %d requests unfinished",
                           n - n_done, n);
    }
    return 0;
}

static void result(struct selftest *st, const char *name, long n_compared, long n_differ, const char *note)
{
    bool ok = n_differ == 0 && (n_compared > 0 || note[0]);
    st->n_failed += !ok;
    json_array_append_new(st->results,
                          json_pack("{ss sI sI sb ss}", "test", name, "compared", (json_int_t)n_compared,
                                    "different", (json_int_t)n_differ, "passed", ok, "note", note));
    if (!st->o->json) {
        printf("%-6s %-44s %ld positions compared, %ld differ%s%s\n", ok ? "ok" : "FAILED", name, n_compared,
               n_differ, note[0] ? "; " : "", note);
        fflush(stdout);
    }
}

static void compare(struct selftest *st, const char *name, const struct trail *a, const struct trail *b)
{
    long n = 0, differ = 0;
    for (size_t i = 0; i < (size_t)a->n_request * (size_t)a->stride; i++)
        if (a->hash[i] || b->hash[i]) {
            n++;
            differ += a->hash[i] != b->hash[i];
        }
    result(st, name, n, differ, "");
}

static int clip(int n, int limit)
{
    return n < limit ? n : limit;
}

/* Many sequences together and each alone. */
static int test_together(struct selftest *st, struct lathe_err *err)
{
    int n = st->o->n_sequence, n_predict = st->o->selftest_predict,
        limit = st->s.info.n_ctx_train - n_predict - 1;
    int *n_prompt = mem_new(sizeof *n_prompt * (size_t)n);
    int32_t *ids = mem_new(sizeof *ids * (size_t)n * PROMPT_MAX);
    int longest = clip(64, limit);
    struct trail together, alone;
    int rc;
    char name[64];
    trail_init(&together, n, longest + n_predict + 1);
    trail_init(&alone, n, longest + n_predict + 1);
    for (int i = 0; i < n; i++) {
        n_prompt[i] = 1 + i * 37 % longest;
        session_random_ids(&st->s, ids + (size_t)i * PROMPT_MAX, n_prompt[i], i);
    }
    TRY_GOTO(session_engine(&st->s, st->o, n, longest + n_predict + 1, SESSION_FRESH, err));
    TRY_GOTO(run_together(st, &together, 0, n, n_prompt, ids, n_predict, err));
    TRY_GOTO(session_engine(&st->s, st->o, 1, longest + n_predict + 1, SESSION_FRESH, err));
    for (int i = 0; i < n; i++) {
        progress_show(&st->s.bar, "each alone", (double)i / n);
        TRY_GOTO(run_together(st, &alone, i, 1, n_prompt, ids, n_predict, err));
    }
    progress_end(&st->s.bar);
    snprintf(name, sizeof name, "%d sequences together = each alone", n);
    compare(st, name, &together, &alone);
done:
    progress_end(&st->s.bar);
    trail_free(&together);
    trail_free(&alone);
    free(n_prompt);
    free(ids);
    return rc;
}

/* One long prompt in chunks of several sizes and with one and two threads; the first row is what the others
 * are compared with. */
static int test_shapes(struct selftest *st, struct lathe_err *err)
{
    static const struct {
        const char *name;
        int n_chunk, n_thread;
    } rows[] = {{"", 512, 0},
                {"chunks of 1 = chunks of 512", 1, 0},
                {"chunks of 7 = chunks of 512", 7, 0},
                {"chunks of 64 = chunks of 512", 64, 0},
                {"1 thread = all threads", 512, 1},
                {"2 threads = all threads", 512, 2}};
    int n_predict = st->o->selftest_predict, n = clip(PROMPT_MAX, st->s.info.n_ctx_train - n_predict - 1);
    int32_t *ids = mem_new(sizeof *ids * PROMPT_MAX);
    struct trail base, other;
    struct cli_options o = *st->o;
    const struct cli_options *before = st->o;
    int rc = 0;
    trail_init(&base, 1, n + n_predict + 1);
    trail_init(&other, 1, n + n_predict + 1);
    session_random_ids(&st->s, ids, n, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        progress_show(&st->s.bar, rows[i].name, 0);
        o.n_chunk = rows[i].n_chunk;
        o.n_thread = rows[i].n_thread ? rows[i].n_thread : before->n_thread;
        struct trail *t = i ? &other : &base;
        memset(t->hash, 0, sizeof *t->hash * (size_t)t->stride);
        TRY_GOTO(session_engine(&st->s, &o, 1, n + n_predict + 1, SESSION_FRESH, err));
        TRY_GOTO(run_together(st, t, 0, 1, &n, ids, n_predict, err));
        progress_end(&st->s.bar);
        if (i)
            compare(st, rows[i].name, &base, &other);
    }
done:
    trail_free(&base);
    trail_free(&other);
    free(ids);
    return rc;
}

/* Runs `lathe run` under LATHE_CPU=level with its logits' hashes in `file`; returns its exit status. */
static int run_level(const struct cli_options *o, const char *level, const char *file)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        setenv("LATHE_CPU", level, 1);
        const char *args[20] = {"lathe",
                                "run",
                                "--raw",
                                "--temp",
                                "0",
                                "--ignore-eos",
                                "-m",
                                o->model,
                                "-n",
                                LEVEL_PREDICT,
                                "-p",
                                LEVEL_PROMPT,
                                "--dump-logits",
                                file,
                                o->no_cache ? "--no-cache" : "--stats=off",
                                o->cache_dir ? "--cache-dir" : NULL,
                                o->cache_dir,
                                NULL};
        if (!freopen("/dev/null", "w", stdout))
            _exit(1);
        execv("/proc/self/exe", (char *const *)args);
        _exit(1);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void compare_files(struct selftest *st, const char *name, const char *a, const char *b)
{
    FILE *f = fopen(a, "r"), *g = fopen(b, "r");
    char x[64], y[64];
    long n = 0, differ = 0;
    while (f && g) {
        bool more_x = fgets(x, sizeof x, f), more_y = fgets(y, sizeof y, g);
        if (!more_x && !more_y)
            break;
        n++;
        differ += !more_x || !more_y || strcmp(x, y) != 0;
        if (!more_x || !more_y)
            break;
    }
    if (f)
        fclose(f);
    if (g)
        fclose(g);
    result(st, name, n, differ, "");
}

/* Whether matrices are of a type whose sums may differ between instruction sets (the native numeric class).
 */
static bool has_native_weights(const char *path)
{
    lathe_file *f = NULL;
    struct lathe_file_tensor t;
    bool native = false;
    if (lathe_file_open(path, &f, NULL))
        return false;
    for (uint64_t i = 0; i < lathe_file_n_tensor(f); i++)
        if (!lathe_file_tensor_at(f, i, &t) && t.n_dim >= 2 &&
            (strcmp(t.type, "F16") == 0 || strcmp(t.type, "BF16") == 0))
            native = true;
    lathe_file_free(f);
    return native;
}

static void test_levels(struct selftest *st, const char *dir)
{
    char best_file[300], file[300], name[64];
    int best = CPU_N_ISA - 1;
    while (best > 0 && !cpu_supports(best))
        best--;
    snprintf(best_file, sizeof best_file, "%s/%s", dir, cpu_isa_name(best));
    bool native = has_native_weights(st->o->model),
         ran = run_level(st->o, cpu_isa_name(best), best_file) == 0;
    if (!ran)
        result(st, "run with the widest instruction set", 0, 1, "it failed");
    for (int isa = 0; isa < best && ran; isa++) {
        snprintf(name, sizeof name, "LATHE_CPU=%s = %s", cpu_isa_name(isa), cpu_isa_name(best));
        if (native || !cpu_supports(isa)) {
            result(st, name, 0, 0,
                   native
                       ? "not compared: F16 and BF16 weights have the same bits on one instruction set only"
                       : "not on this CPU");
            continue;
        }
        snprintf(file, sizeof file, "%s/%s", dir, cpu_isa_name(isa));
        progress_show(&st->s.bar, name, 0);
        int status = run_level(st->o, cpu_isa_name(isa), file);
        progress_end(&st->s.bar);
        if (status)
            result(st, name, 0, 1, "it failed");
        else
            compare_files(st, name, best_file, file);
        unlink(file);
    }
    unlink(best_file);
}

int cmd_selftest(struct cli *c, struct lathe_err *err)
{
    struct selftest st = {.o = &c->o, .results = json_array()};
    char dir[256];
    const char *tmp = getenv("TMPDIR");
    int rc;
    TRY_GOTO(session_open(&st.s, &c->o, err));
    TRY_GOTO(session_need_generator(&st.s, err));
    if (st.s.info.n_ctx_train < c->o.selftest_predict + 3) {
        rc = err_set(err, LATHE_E_USAGE, "-n %d: the model's context is %d tokens", c->o.selftest_predict,
                     st.s.info.n_ctx_train);
        goto done;
    }
    TRY_GOTO(test_together(&st, err));
    TRY_GOTO(test_shapes(&st, err));
    session_close(&st.s);
    snprintf(dir, sizeof dir, "%.200s/lathe-selftest-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) {
        rc = err_set(err, LATHE_E_IO, "%s: %s", dir, strerror(errno));
        goto done;
    }
    test_levels(&st, dir);
    rmdir(dir);
    if (c->o.json)
        json_print(
            json_pack("{sb si sO}", "passed", st.n_failed == 0, "failed", st.n_failed, "tests", st.results));
    else
        printf("%s: %d of %zu tests failed\n", st.n_failed ? "NOT exact" : "exact to the bit", st.n_failed,
               json_array_size(st.results));
    rc = st.n_failed ? 1 : 0;
done:
    json_decref(st.results);
    session_close(&st.s);
    return rc;
}
