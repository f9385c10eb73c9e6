/* A kept reference of distributions. */
#include "measure/base_file.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static const char magic[8] = "LTHKL\0\0\1";
#define CODES 65535

struct row_head {
    float max, range;
    int32_t top;
};

int base_create(const char *path, const struct base_head *head, FILE **out, struct lathe_err *err)
{
    *out = fopen(path, "wb");
    if (!*out)
        return err_set(err, LATHE_E_IO, "%s: %s", path, strerror(errno));
    if (fwrite(magic, sizeof magic, 1, *out) != 1 || fwrite(head, sizeof *head, 1, *out) != 1)
        return err_set(err, LATHE_E_IO, "%s: could not be written: is the disk full?", path);
    return 0;
}

int base_open(const char *path, struct base_head *head, FILE **out, struct lathe_err *err)
{
    char found[sizeof magic];
    *out = fopen(path, "rb");
    if (!*out)
        return err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno));
    if (fread(found, sizeof found, 1, *out) != 1 || memcmp(found, magic, sizeof magic) != 0 ||
        fread(head, sizeof *head, 1, *out) != 1 || head->n_vocab < 1 || head->n_chunk < 1 ||
        head->chunk_tokens < 2 || head->first < 0)
        return err_set(err, LATHE_E_FILE, "%s: is no reference that --save-base of this version wrote", path);
    return 0;
}

int base_write_row(FILE *f, const float *logp, int n_vocab, struct lathe_err *err)
{
    struct row_head h = {.max = logp[0]};
    float low = logp[0];
    for (int i = 1; i < n_vocab; i++) {
        if (logp[i] > h.max) {
            h.max = logp[i];
            h.top = i;
        }
        low = logp[i] < low ? logp[i] : low;
    }
    h.range = h.max - low;
    uint16_t *code = mem_new(sizeof *code * (size_t)n_vocab);
    for (int i = 0; i < n_vocab && h.range > 0; i++)
        code[i] = (uint16_t)lrintf(sqrtf((h.max - logp[i]) / h.range) * CODES);
    bool ok =
        fwrite(&h, sizeof h, 1, f) == 1 && fwrite(code, sizeof *code, (size_t)n_vocab, f) == (size_t)n_vocab;
    free(code);
    return ok ? 0 : err_set(err, LATHE_E_IO, "the reference could not be written: is the disk full?");
}

int base_read_row(FILE *f, float *logp, int n_vocab, int32_t *top, struct lathe_err *err)
{
    struct row_head h;
    uint16_t *code = mem_new(sizeof *code * (size_t)n_vocab);
    bool ok =
        fread(&h, sizeof h, 1, f) == 1 && fread(code, sizeof *code, (size_t)n_vocab, f) == (size_t)n_vocab;
    ok = ok && isfinite(h.max) && isfinite(h.range) && h.top >= 0 && h.top < n_vocab;
    for (int i = 0; ok && i < n_vocab; i++) {
        float x = (float)code[i] / CODES;
        logp[i] = h.max - x * x * h.range;
    }
    *top = h.top;
    free(code);
    return ok ? 0
              : err_set(err, LATHE_E_FILE,
                        "the reference ends early or is damaged: write it again with --save-base");
}

int32_t base_log_softmax(const float *logits, int n_vocab, float *logp)
{
    int32_t top = 0;
    for (int i = 1; i < n_vocab; i++)
        if (logits[i] > logits[top])
            top = i;
    double sum = 0;
    for (int i = 0; i < n_vocab; i++)
        sum += (double)expf(logits[i] - logits[top]);
    double log_sum = log(sum) + (double)logits[top];
    for (int i = 0; i < n_vocab; i++)
        logp[i] = (float)((double)logits[i] - log_sum);
    return top;
}

double base_divergence(const float *logp, const float *logq, int n_vocab)
{
    double sum = 0, weighted = 0;
    for (int i = 0; i < n_vocab; i++) {
        double p = (double)expf(logp[i]);
        sum += p;
        weighted += p * ((double)logp[i] - (double)logq[i]);
    }
    return weighted / sum - log(sum);
}
