/* Fuzzes tokenizer.json: the bytes up to the last NUL are the file, what follows is text for it. What loads must encode and
 * decode without harm. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <lathe.h>
#include "text/vocab.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char some_text[] =
    "Hello, w\xc3\xb6rld! <s>a  b</s>\n\xff\xe2\x96\x81 123 \xe4\xbd\xa0\xe5\xa5\xbd e\xcc\x81\xcc\xa3 don't";

static void use(const vocab *v, const char *text, size_t n, int flags)
{
    int32_t *ids;
    size_t n_ids, n_piece;
    char *out;
    if (vocab_encode(v, text, n, flags, &ids, &n_ids, NULL))
        return;
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || ids[i] >= vocab_size(v))
            abort();
        const char *p = lathe_token_text(v, ids[i], flags & 1, &n_piece);
        char *copy = malloc(n_piece + 1);
        memcpy(copy, p, n_piece);
        free(copy);
    }
    if (lathe_detokenize(v, ids, n_ids, flags & 1, &out, &n_piece, NULL) == 0)
        free(out);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t cut = n;
    vocab *v;
    while (cut && data[cut - 1])
        cut--;
    size_t n_json = cut ? cut - 1 : n;
    if (vocab_load_json((struct str){(const char *)data, n_json}, &v, NULL))
        return 0;
    for (int flags = 0; flags < 4; flags++) {
        use(v, some_text, sizeof some_text - 1, flags);
        if (cut)
            use(v, (const char *)data + cut, n - cut, flags);
    }
    vocab_free(v);
    return 0;
}
