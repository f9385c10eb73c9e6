/* The token loop allocates nothing and takes no lock: both are counted, in all threads, over steps of
 * decoding with everything on. */
#include "engine/tiny.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#ifdef LATHE_CHECK_BUILD

/* The sanitizers have an allocator and locks of their own. */
static void decoding_allocates_nothing_and_takes_no_lock(void **state)
{
    skip();
}

#else

/* Seen by the C library too: its qsort allocates. */
#pragma GCC visibility push(default)

static _Atomic bool counting;
static _Atomic int n_alloc, n_lock;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static void count(_Atomic int *counter)
{
    if (atomic_load_explicit(&counting, memory_order_relaxed))
        atomic_fetch_add(counter, 1);
}

void *malloc(size_t n)
{
    count(&n_alloc);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    count(&n_alloc);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    count(&n_alloc);
    return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    count(&n_alloc);
    return __libc_memalign(align, n);
}

int posix_memalign(void **out, size_t align, size_t n)
{
    count(&n_alloc);
    *out = __libc_memalign(align, n);
    return *out ? 0 : 12;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
    static void *(*real)(void *, size_t, int, int, int, off_t);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "mmap");
    count(&n_alloc);
    return real(at, n, prot, flags, fd, offset);
}

int pthread_mutex_lock(pthread_mutex_t *m)
{
    static int (*real)(pthread_mutex_t *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
    count(&n_lock);
    return real(m);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    static int (*real)(pthread_rwlock_t *);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "pthread_rwlock_rdlock");
    count(&n_lock);
    return real(l);
}

#pragma GCC visibility pop

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void look(void *user, uint64_t id, int position, const float *logits, int n_vocab)
{
    *(int *)user += position;
}

/* Every kind of sampling at once, over several pages; counted from the second step on, when the prompts are
 * in. */
static void count_decode(const lathe_model *m, bool hot)
{
    enum { N_SEQ = 3, N_CTX = 260 };
    lathe_engine *e = tiny_engine(m, N_SEQ, N_CTX, 2, 64);
    struct lathe_logit_bias bias = {3, 0.5f};
    const char *stop[] = {"\x01never\x02", "\x02 nor this"};
    int32_t ids[] = {1, 2, 3, 4, 5};
    int seen = 0, n_event = 0;
    struct lathe_event ev;
    for (int i = 0; i < N_SEQ; i++) {
        struct lathe_request r;
        lathe_request_init(&r);
        r.ids = ids;
        r.n_ids = 5;
        r.n_predict = 250;
        r.ignore_eos = true;
        r.n_logprob = 5;
        r.stop = stop;
        r.n_stop = 2;
        r.logits_from = 0;
        r.on_logits = look;
        r.user = &seen;
        r.sampling = (struct lathe_sampling){.temperature = hot ? 1.0f : 0.0f,
                                             .top_k = i == 1 ? 200 : 0,
                                             .top_p = i == 0 ? 0.95f : 1,
                                             .min_p = i == 0 ? 0.01f : 0,
                                             .typical_p = i == 2 ? 0.97f : 1,
                                             .repeat_penalty = 1.1f,
                                             .frequency_penalty = 0.01f,
                                             .penalty_last_n = -1,
                                             .dry_multiplier = 0.5f,
                                             .dry_base = 1.75f,
                                             .dry_allowed_length = 2,
                                             .dry_penalty_last_n = -1,
                                             .bias = &bias,
                                             .n_bias = 1};
        tiny_submit(e, &r);
    }
    tiny_step(e);
    while (lathe_engine_poll(e, &ev))
        n_event++;
    n_alloc = n_lock = 0;
    counting = true;
    for (int i = 0; i < 240; i++) {
        tiny_step(e);
        while (lathe_engine_poll(e, &ev))
            n_event++;
    }
    counting = false;
    assert_int_equal(n_event, 241 * N_SEQ);
    assert_true(seen > 0);
    assert_int_equal(n_alloc, 0);
    assert_int_equal(n_lock, 0);
    lathe_engine_free(e);
}

static void decoding_allocates_nothing_and_takes_no_lock(void **state)
{
    /* the counters count */
    pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
    n_alloc = n_lock = 0;
    counting = true;
    void *volatile p = malloc(10);
    free(p);
    pthread_mutex_lock(&m);
    pthread_mutex_unlock(&m);
    counting = false;
    assert_true(n_alloc == 1 && n_lock == 1);
    static int numbers[1000] = {3, 1, 2};
    counting = true;
    qsort(numbers, 1000, sizeof *numbers, by_value);
    counting = false;
    if (n_alloc == 1)
        print_message("this C library sorts without allocating: that a library allocates is not seen here\n");
    struct gw_shape shape = gw_small();
    shape.n_vocab = 3000;
    lathe_model *model = tiny_model(shape, 3, 5);
    count_decode(model, false);
    count_decode(model, true);
    lathe_model_free(model);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(decoding_allocates_nothing_and_takes_no_lock)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
