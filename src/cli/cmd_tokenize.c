/* lathe tokenize: text to token ids and back. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/cli.h"
#include "cli/input.h"
#include "cli/json.h"

static void print_ids(const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("%s%d", i ? " " : "", ids[i]);
    putchar('\n');
}

static void print_table(const lathe_vocab *v, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t n_text;
        const char *text = lathe_token_text(v, ids[i], true, &n_text);
        printf("%8d  '", ids[i]);
        for (size_t k = 0; k < n_text; k++) {
            unsigned char b = (unsigned char)text[k];
            if (b == '\n')
                fputs("\\n", stdout);
            else if (b < 0x20 || b == 0x7f)
                printf("\\x%02x", b);
            else
                putchar(b);
        }
        puts("'");
    }
}

static int encode(struct cli *c, const lathe_vocab *v, const struct buf *text, struct lathe_err *err)
{
    int32_t *ids = NULL;
    size_t n = 0;
    int flags = (c->o.parse_special ? LATHE_TOK_SPECIAL : 0) | (c->o.add_bos ? LATHE_TOK_BOS : 0);
    TRY(lathe_tokenize(v, text->p ? text->p : "", text->n, flags, &ids, &n, err));
    if (c->o.json) {
        json_t *list = json_array();
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, json_integer(ids[i]));
        json_print(json_pack("{sI so}", "n", (json_int_t)n, "ids", list));
    } else if (c->o.ids) {
        print_ids(ids, n);
    } else {
        print_table(v, ids, n);
    }
    free(ids);
    return 0;
}

static int decode(const lathe_vocab *v, const struct buf *text, struct lathe_err *err)
{
    int32_t *ids = NULL;
    size_t n = 0, cap = 0, n_text;
    char *out = NULL;
    int rc = 0;
    for (const char *p = text->p ? text->p : ""; *(p += strspn(p, " \t\r\n,"));) {
        char *end;
        errno = 0;
        long id = strtol(p, &end, 10);
        if (end == p || errno || id < 0 || id >= lathe_vocab_size(v) || !strchr(" \t\r\n,", *end)) {
            rc = err_set(err, LATHE_E_USAGE, "'%.*s' is no token id: whole numbers from 0 to %d are",
                         (int)strcspn(p, " \t\r\n,") % 60, p, lathe_vocab_size(v) - 1);
            goto done;
        }
        if (n == cap) {
            cap = 2 * cap + 64;
            ids = mem_grow(ids, cap * sizeof *ids);
        }
        ids[n++] = (int32_t)id;
        p = end;
    }
    TRY_GOTO(lathe_detokenize(v, ids, n, true, &out, &n_text, err));
    fwrite(out, 1, n_text, stdout);
done:
    free(ids);
    free(out);
    return rc;
}

int cmd_tokenize(struct cli *c, struct lathe_err *err)
{
    struct buf text;
    lathe_vocab *v = NULL;
    int rc;
    buf_init(&text, INPUT_LIMIT);
    TRY_GOTO(input_need_model(c->o.model, err));
    TRY_GOTO(lathe_vocab_open(c->o.model, &v, err));
    if (c->o.prompt)
        rc = buf_puts(&text, c->o.prompt);
    else
        TRY_GOTO(input_read("-", &text, err));
    rc = c->o.decode ? decode(v, &text, err) : encode(c, v, &text, err);
done:
    lathe_vocab_free(v);
    buf_free(&text);
    return rc;
}
