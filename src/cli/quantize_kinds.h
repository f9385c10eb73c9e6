/* What types the tensors of each kind got: "ffn_down" of all layers together. */
#ifndef LATHE_CLI_QUANTIZE_KINDS_H
#define LATHE_CLI_QUANTIZE_KINDS_H
#include <jansson.h>

struct quantize_kinds {
    struct quantize_kind {
        char name[64], type[16];
        int n;
    } v[256]; /* in the order of the file; kinds past them are left out */
    int n;
};

void quantize_kinds_add(struct quantize_kinds *k, const char *tensor, const char *type);
/* A line for each kind of matrix: "ffn_down 20 Q4_K, 10 Q6_K". */
void quantize_kinds_print(const struct quantize_kinds *k);
/* {"ffn_down": {"Q4_K": 20, "Q6_K": 10}}, the caller's. */
json_t *quantize_kinds_json(const struct quantize_kinds *k);
#endif
