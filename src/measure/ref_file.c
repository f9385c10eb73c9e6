/* A reference that is kept. */
#include "measure/ref_file.h"
#include <errno.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

static const char magic[8] = "LTHREF\0\1";

#define VOCAB_MOST (1 << 24)

struct row_head {
    double cross;
    float nll;
    int32_t top;
    uint32_t n_byte, check;
};
_Static_assert(sizeof(struct row_head) == 24, "as in the file");
_Static_assert(sizeof(struct ref_head) == 16 + 24 + 192, "as in the file");

/* Of the row's head, its check apart, and code. */
static uint32_t check_of(const struct row_head *h, const uint8_t *code)
{
    struct row_head bare = *h;
    bare.check = 0;
    return (uint32_t)XXH3_64bits_withSeed(code, h->n_byte, XXH3_64bits(&bare, sizeof bare));
}

bool ref_is_kept(const char *path)
{
    char found[sizeof magic];
    FILE *f = fopen(path, "rb");
    if (!f)
        return false;
    bool is = fread(found, sizeof found, 1, f) == 1 && memcmp(found, magic, 6) == 0;
    fclose(f);
    return is;
}

int ref_create(struct ref_writer *w, const char *path, const struct ref_head *head, struct lathe_err *err)
{
    TRY(new_file_open(&w->file, path, 0, err));
    int rc = new_file_write(&w->file, magic, sizeof magic, err);
    if (!rc)
        rc = new_file_write(&w->file, head, sizeof *head, err);
    return rc ? ref_close(w, rc, err) : 0;
}

int ref_write_chunk(struct ref_writer *w, uint64_t ids_hash, struct lathe_err *err)
{
    return new_file_write(&w->file, &ids_hash, sizeof ids_hash, err);
}

int ref_write_row(struct ref_writer *w, const struct ref_row *r, struct lathe_err *err)
{
    struct row_head h = {.cross = r->cross, .nll = r->nll, .top = r->top, .n_byte = (uint32_t)r->n_byte};
    h.check = check_of(&h, r->code);
    TRY(new_file_write(&w->file, &h, sizeof h, err));
    return new_file_write(&w->file, r->code, r->n_byte, err);
}

int ref_close(struct ref_writer *w, int rc, struct lathe_err *err)
{
    return new_file_close(&w->file, rc, err);
}

static bool has_end(const char *text, size_t n)
{
    return memchr(text, 0, n) != NULL;
}

int ref_open(struct ref_reader *r, const char *path, struct lathe_err *err)
{
    char found[sizeof magic];
    struct ref_head *h = &r->head;
    r->path = path;
    r->file = fopen(path, "rb");
    if (!r->file)
        return err_set(err, LATHE_E_FILE, "%s: %s", path, strerror(errno));
    if (fread(found, sizeof found, 1, r->file) != 1 || memcmp(found, magic, sizeof magic) != 0 ||
        fread(h, sizeof *h, 1, r->file) != 1 || h->n_vocab < 1 || h->n_vocab > VOCAB_MOST || h->n_chunk < 1 ||
        h->chunk_tokens < 2 || !has_end(h->name, sizeof h->name) ||
        !has_end(h->architecture, sizeof h->architecture) || !has_end(h->file_type, sizeof h->file_type))
        return err_set(err, LATHE_E_FILE, "%s: is no reference that --save-ref of this version wrote", path);
    return 0;
}

void ref_reader_close(struct ref_reader *r)
{
    if (r->file)
        fclose(r->file);
    r->file = NULL;
}

static int damaged(const struct ref_reader *r, struct lathe_err *err)
{
    return err_set(err, LATHE_E_FILE, "%s: %s: write it again with --save-ref", r->path,
                   feof(r->file)     ? "ends early"
                   : ferror(r->file) ? "cannot be read"
                                     : "is damaged");
}

int ref_read_chunk(struct ref_reader *r, uint64_t *ids_hash, struct lathe_err *err)
{
    return fread(ids_hash, sizeof *ids_hash, 1, r->file) == 1 ? 0 : damaged(r, err);
}

int ref_read_row(struct ref_reader *r, struct ref_row *out, struct lathe_err *err)
{
    struct row_head h;
    if (fread(&h, sizeof h, 1, r->file) != 1 || h.n_byte > 12u * (unsigned)r->head.n_vocab + 1 || h.top < 0 ||
        h.top >= r->head.n_vocab || !isfinite(h.cross) || !isfinite(h.nll))
        return damaged(r, err);
    ref_row_reserve(out, h.n_byte);
    if (fread(out->code, 1, h.n_byte, r->file) != h.n_byte || check_of(&h, out->code) != h.check)
        return damaged(r, err);
    memset(out->code + h.n_byte, 0, 8);
    out->cross = h.cross;
    out->nll = h.nll;
    out->top = h.top;
    out->n_byte = h.n_byte;
    return 0;
}
