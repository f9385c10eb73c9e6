/* The ids of a conversation that grew, was cut or was changed anywhere are those of the text alone, whatever is remembered. */
#include <lathe.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tiny_vocab.h"
#include "tmp_dir.h"
#include "unit.h"

static lathe_vocab *open_vocab(struct gw *g)
{
    struct lathe_err err;
    lathe_vocab *v;
    gw_save(g, tmp_path("vocab.gguf"));
    gw_free(g);
    if (lathe_vocab_open(tmp_path("vocab.gguf"), &v, &err))
        fail_msg("%s", err.text);
    return v;
}

/* Spellings of the special tokens that the vocabulary has, pieces of them, and plain text. */
static const char *const words[] = {"<s>",    "</s>", "<|im_end|>", "<u>",  "<u>>",   "<|begin|>", "<|im",
                                    "_end|>", "<",    "u>",         "|>",   "hello ", "the",       " abc",
                                    "\n",     "  ",   "é",          "\xff", "x"};
enum { N_WORD = sizeof words / sizeof *words, MAX_TEXT = 4000 };

static size_t put_words(char *text, size_t n, int count, uint64_t *random)
{
    for (int i = 0; i < count; i++) {
        const char *w = words[gw_next(random) % N_WORD];
        if (n + strlen(w) < MAX_TEXT)
            n += (size_t)sprintf(text + n, "%s", w);
    }
    return n;
}

static size_t check(lathe_chat_cache *c, const lathe_vocab *v, uint64_t salt, const char *text, size_t n)
{
    struct lathe_err err;
    int32_t *want, *got;
    size_t n_want, n_got, n_reused;
    assert_int_equal(lathe_chat_tokenize(v, text, n, &want, &n_want, &err), 0);
    assert_int_equal(lathe_chat_cache_tokenize(c, salt, text, n, &got, &n_got, &n_reused, &err), 0);
    assert_int_equal(n_got, n_want);
    assert_memory_equal(got, want, n_want * sizeof *want);
    assert_true(n_reused <= n_got);
    free(want);
    free(got);
    return n_reused;
}

static void changes_anywhere(lathe_vocab *v, size_t limit)
{
    lathe_chat_cache *c = lathe_chat_cache_new(v, limit);
    static char text[MAX_TEXT + 1];
    uint64_t random = 11;
    size_t n = 0, n_reused = 0;
    for (int i = 0; i < 20000; i++) {
        switch (gw_next(&random) % 4) {
        case 0: /* cut anywhere */
            n = n ? gw_next(&random) % n : 0;
            break;
        case 1: /* a byte changes */
            if (n)
                text[gw_next(&random) % n] = "<|eu>s_"[gw_next(&random) % 7];
            break;
        default: /* it grows */
            n = put_words(text, n, 1 + (int)(gw_next(&random) % 10), &random);
        }
        if (n > 3000)
            n = 0;
        n_reused += check(c, v, gw_next(&random) % 3, text, n);
    }
    assert_true(n_reused > 1000 || limit == 0);
    lathe_chat_cache_free(c);
    lathe_vocab_free(v);
}

static void the_ids_are_those_of_the_text_alone(void **state)
{
    changes_anywhere(open_vocab(tv_bpe("gpt-2")), 1 << 20);
    changes_anywhere(open_vocab(tv_bpe("gpt-2")), 20000);
    changes_anywhere(open_vocab(tv_bpe("gpt-2")), 0);
    changes_anywhere(open_vocab(tv_spm()), 1 << 20);
}

static void what_was_said_is_not_tokenized_again(void **state)
{
    lathe_vocab *v = open_vocab(tv_bpe("gpt-2"));
    lathe_chat_cache *c = lathe_chat_cache_new(v, 1 << 20);
    char text[MAX_TEXT] = "";
    size_t before = 0;
    for (int i = 0; i < 20; i++) {
        strcat(text, i % 2 ? "<|im_end|>and that is what it is" : "<|im_end|>is it so, then?");
        size_t n_reused = check(c, v, 0, text, strlen(text));
        assert_true(i < 2 || n_reused > before);
        before = n_reused;
    }
    assert_int_equal(check(c, v, 1, text, strlen(text)), 0); /* another salt */
    size_t whole = check(c, v, 0, text, strlen(text));
    assert_true(whole > before);
    lathe_chat_cache_free(c);
    lathe_vocab_free(v);
}

struct reader {
    lathe_chat_cache *c;
    const lathe_vocab *v;
    int n;
};

static void *read_much(void *arg)
{
    struct reader *r = arg;
    char text[MAX_TEXT];
    uint64_t random = (uint64_t)r->n;
    for (int i = 0; i < 300; i++)
        check(r->c, r->v, 0, text, put_words(text, 0, 1 + i % 100, &random));
    return NULL;
}

static void threads_share_it(void **state)
{
    lathe_vocab *v = open_vocab(tv_bpe("gpt-2"));
    lathe_chat_cache *c = lathe_chat_cache_new(v, 50000);
    struct reader readers[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        readers[i] = (struct reader){c, v, i / 2}; /* two and two say the same */
        assert_int_equal(pthread_create(&threads[i], NULL, read_much, &readers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    lathe_chat_cache_free(c);
    lathe_vocab_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ids_are_those_of_the_text_alone),
        cmocka_unit_test(what_was_said_is_not_tokenized_again),
        cmocka_unit_test(threads_share_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
