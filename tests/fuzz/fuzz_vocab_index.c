/* Fuzzes the bytes of a kept vocabulary index: the first byte picks the vocabulary, the next two a place, the
 * rest overwrites what is there. Whatever is taken must encode and decode without harm. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <lathe.h>
#include "text/vocab.h"
#include "tiny_vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { N_VOCAB = 5 };
static struct {
    struct model_file *file;
    void *index;
    size_t n;
} kept[N_VOCAB];

static void add(int i, struct gw *g)
{
    char path[] = "/tmp/fuzz_vocab_index_XXXXXX";
    int fd = mkstemp(path);
    vocab *v;
    if (fd < 0)
        abort();
    close(fd);
    gw_save(g, path);
    gw_free(g);
    if (model_file_open(path, &kept[i].file, NULL) || vocab_load(kept[i].file, &v, NULL) ||
        vocab_index_save(v, &kept[i].index, &kept[i].n, NULL))
        abort();
    vocab_free(v);
    unlink(path);
}

/* A pipeline with a trie, and one with scores too. */
static struct gw *json(int unigram)
{
    struct gw *g = gw_new();
    gw_str(g, "tokenizer.huggingface.json",
           unigram ? "{\"added_tokens\":[{\"id\":0,\"content\":\"</"
                     "s>\",\"special\":true}],\"model\":{\"type\":\"Unigram\","
                     "\"unk_id\":1,\"vocab\":[[\"</s>\",0],[\"<unk>\",0],[\"a\",-2],[\"ab\",-3],[\" "
                     "hello\",-4],[\"c\",-3]]},"
                     "\"decoder\":{\"type\":\"Metaspace\"}}"
                   : "{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"WordPiece\","
                     "\"vocab\":{\"[UNK]\":0,"
                     "\"a\":1,\"##b\":2,\"##bc\":3,\"hello\":4,\"##hello\":5}},\"decoder\":{\"type\":"
                     "\"WordPiece\"}}");
    return g;
}

static void use(const vocab *v)
{
    static const char text[] = "abc hello aaaaa<|im_end|> \n<u>><|begin|>x 123 \xc3\xa9\xff</s> \xe2\x96\x81"
                               "ab aba hellohellohellohellohellohello";
    for (int flags = 0; flags < 4; flags++) {
        int32_t *ids;
        size_t n, n_piece;
        if (vocab_encode(v, text, sizeof text - 1, flags, &ids, &n, NULL))
            continue; /* damaged tables may have no unknown token for it */
        for (size_t i = 0; i < n; i++)
            if (ids[i] < 0 || ids[i] >= vocab_size(v))
                abort();
        free(ids);
        for (int32_t id = -1; id <= vocab_size(v); id++) {
            const char *p = lathe_token_text(v, id, flags & 1, &n_piece);
            char *copy = malloc(n_piece + 1);
            memcpy(copy, p, n_piece);
            free(copy);
            vocab_is_eog(v, id);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!kept[0].index) {
        add(0, tv_bpe("gpt-2"));
        add(1, tv_bpe("llama-bpe"));
        add(2, tv_spm());
        add(3, json(0));
        add(4, json(1));
    }
    if (n < 3)
        return 0;
    int which = data[0] % N_VOCAB;
    size_t n_index = kept[which].n, at = (data[1] | (size_t)data[2] << 8) % n_index;
    size_t n_put = n - 3 < n_index - at ? n - 3 : n_index - at;
    uint8_t *index = malloc(n_index);
    vocab *v;
    memcpy(index, kept[which].index, n_index);
    memcpy(index + at, data + 3, n_put);
    if (vocab_load_index(kept[which].file, index, n_index, &v, NULL) == 0)
        use(v);
    vocab_free(v);
    free(index);
    return 0;
}
