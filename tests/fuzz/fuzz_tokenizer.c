/* Fuzzes the tokenizer's input: the first byte picks the vocabulary, the second the flags, the rest is text.
 * What comes out must spell what went in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lathe.h>
#include "text/pretok.h"
#include "tiny_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX_VOCAB = 128 };
static lathe_vocab *vocabs[MAX_VOCAB]; /* the last one is of the SentencePiece kind */
static int n_vocab;

static void add(struct gw *g)
{
    char path[] = "/tmp/fuzz_tokenizer_XXXXXX";
    struct lathe_err err;
    int fd = mkstemp(path);
    if (fd < 0)
        abort();
    close(fd);
    gw_save(g, path);
    gw_free(g);
    if (n_vocab == MAX_VOCAB || lathe_vocab_open(path, &vocabs[n_vocab++], &err))
        abort();
    unlink(path);
}

static void load(void)
{
    const char *name;
    for (int i = 0; (name = pretok_name(i)); i++)
        add(tv_bpe(name));
    add(tv_spm());
}

/* The text as SentencePiece sees it: a space in front, U+2581 as space. Malloc-ed. */
static char *spm_text(const char *text, size_t n, size_t *n_out)
{
    char *p = malloc(n + 1);
    size_t k = 0;
    if (n)
        p[k++] = ' ';
    for (size_t i = 0; i < n;) {
        bool space = n - i >= 3 && memcmp(text + i, "\xe2\x96\x81", 3) == 0;
        p[k++] = space ? ' ' : text[i];
        i += space ? 3 : 1;
    }
    *n_out = k;
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!n_vocab)
        load();
    if (n < 2)
        return 0;
    int which = data[0] % n_vocab;
    bool spm = which == n_vocab - 1;
    int flags = spm ? 0 : data[1] & LATHE_TOK_SPECIAL; /* a special token in the middle would add spaces */
    char *text = (char *)malloc(n - 2 + 1), *want = text;
    size_t n_text = n - 2, n_ids, at = 0, n_piece;
    int32_t *ids;
    memcpy(text, data + 2, n_text);
    if (lathe_tokenize(vocabs[which], text, n_text, flags, &ids, &n_ids, NULL))
        abort();
    if (spm)
        want = spm_text(text, n_text, &n_text);
    for (size_t i = 0; i < n_ids; i++, at += n_piece) {
        const char *piece = lathe_token_text(vocabs[which], ids[i], true, &n_piece);
        if (at + n_piece > n_text || memcmp(want + at, piece, n_piece))
            abort();
    }
    if (at != n_text)
        abort();
    if (spm)
        free(want);
    free(text);
    free(ids);
    return 0;
}
