/* Byte-level BPE of a tokenizer.json as ggml's "gpt2". What cuts words has a name there (ggml_pre.inc), which is found by the expressions;
 * those are compared in a normal form, since the same one is spelled in several ways. */
#include "format/ggml_vocab.h"

enum { MAX_EXPR = 6, IGNORE_MERGES = 1, DIGITS = 2 };

static const struct pre_row {
    const char *name;
    int flags;
    const char *expr[MAX_EXPR];
} rows[] = {
#define PRE(name, flags, ...) {name, flags, {__VA_ARGS__}},
#include "format/ggml_pre.inc"
#undef PRE
};
enum { N_ROW = sizeof rows / sizeof *rows };

/* Other spellings of a part, and that of the rows */
static const struct {
    const char *from, *to;
} same[] = {
    {"\n", "\\n"},
    {"\r", "\\r"},
    {"\t", "\\t"},
    {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"'(?i:[sdmt]|ll|ve|re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"\\p{N}{1}", "\\p{N}"},
    {"[\\p{N}]", "\\p{N}"},
};

static void normal_form(const char *p, struct buf *out)
{
    buf_clear(out);
    while (*p) {
        size_t i = 0, n = 0;
        for (; i < sizeof same / sizeof *same; i++) {
            n = strlen(same[i].from);
            if (strncmp(p, same[i].from, n) == 0)
                break;
        }
        if (i < sizeof same / sizeof *same) {
            buf_puts(out, same[i].to);
            p += n;
        } else {
            buf_putc(out, *p++);
        }
    }
}

static bool same_words(const struct pre_row *row, const char *const *expr, int n)
{
    struct buf a, b;
    bool is_same = (n == MAX_EXPR || !row->expr[n]);
    buf_init(&a, 1 << 16);
    buf_init(&b, 1 << 16);
    for (int i = 0; i < n && is_same; i++) {
        is_same = row->expr[i] != NULL;
        if (!is_same)
            break;
        normal_form(row->expr[i], &a);
        normal_form(expr[i], &b);
        is_same = !b.full && a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
    }
    buf_free(&a);
    buf_free(&b);
    return is_same;
}

/* The expressions that a list of steps stands for; false if they are something else. */
static bool expressions(struct gv *g, const char **expr, int *n)
{
    *n = 0;
    for (int i = 0; i < g->pre.n; i++) {
        const json_t *j = g->pre.v[i];
        const char *type = gv_step_type(j), *regex = gv_pattern(j, "Regex"),
                   *behavior = gv_text(j, "behavior");
        bool invert = json_is_true(json_object_get(j, "invert")), last = i + 1 == g->pre.n;
        bool whole = strcmp(behavior, "Isolated") == 0 && !invert;
        whole |= strcmp(behavior, "Removed") == 0 && invert; /* every row's expressions leave nothing over */
        const char *words = strcmp(type, "Split") == 0 && whole && regex[0] ? regex : NULL;
        if (strcmp(type, "Digits") == 0 && json_is_true(json_object_get(j, "individual_digits")))
            words = "\\p{N}";
        if (strcmp(type, "ByteLevel") == 0) {
            if (!json_is_false(json_object_get(j, "add_prefix_space")))
                return gv_cannot(g, "its ByteLevel puts a space in front of a text");
            if (!last)
                return gv_cannot(g, "it cuts words after ByteLevel");
            if (json_is_false(json_object_get(j, "use_regex")))
                return *n > 0 || gv_cannot(g, "nothing cuts its texts into words");
            words = GPT2;
        }
        if (!words || *n == MAX_EXPR)
            return gv_cannot(g, "GGUF has no name for its pre-tokenizer %.40s", type);
        expr[(*n)++] = words;
    }
    return true;
}

static bool has_number(const struct gv *g)
{
    for (size_t i = 0; i < g->n; i++) {
        struct str s = g->token[i].text;
        for (size_t k = 1; g->token[i].type == GV_NORMAL && k < s.n; k++)
            if (s.p[k] >= '0' && s.p[k] <= '9' && s.p[k - 1] >= '0' && s.p[k - 1] <= '9')
                return true;
    }
    return false;
}

static bool find_name(struct gv *g)
{
    const char *expr[MAX_EXPR];
    int n;
    bool ignore = json_is_true(json_object_get(g->model, "ignore_merges"));
    const char *other = NULL;
    if (!expressions(g, expr, &n))
        return false;
    for (int i = 0; i < N_ROW; i++)
        if (same_words(&rows[i], expr, n)) {
            g->pre_name = rows[i].name;
            if (rows[i].flags & DIGITS && has_number(g))
                return gv_cannot(g, "its words are those of '%s', but it has tokens of more than one digit",
                                 g->pre_name);
            if (!!(rows[i].flags & IGNORE_MERGES) == ignore)
                return true;
            other = rows[i].name;
        }
    if (other)
        return gv_cannot(g, "its words are those of '%s', but ignore_merges is %s", other,
                         ignore ? "true" : "false");
    return gv_cannot(g, "GGUF has no name for the words that it cuts by '%.60s'", expr[n - 1]);
}

static bool has_bytes(const struct gv *g)
{
    int next = 0x100;
    for (int b = 0; b < 256; b++) {
        bool prints = (b > 32 && b < 127) || (b > 160 && b != 173);
        int c = prints ? b : next++;
        char s[2] = {(char)(c < 0x80 ? c : 0xc0 | c >> 6), (char)(0x80 | (c & 63))};
        if (gv_id(g, s, c < 0x80 ? 1 : 2) < 0)
            return false;
    }
    return true;
}

bool gv_bytes(struct gv *g)
{
    static const char *const keys[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    g->name = STR("gpt2");
    g->merges = true;
    for (int i = 0; i < g->norm.n; i++) {
        const char *type = gv_step_type(g->norm.v[i]);
        if (strcmp(type, "NFC") != 0)
            return gv_cannot(g, "GGUF has no normalizer %.40s for BPE", type);
        gv_differs(g, "it normalizes to NFC");
    }
    for (int i = 0; i < 2; i++)
        if (gv_text(g->model, keys[i])[0])
            return gv_cannot(g, "its BPE has %s", keys[i]);
    if (g->dec.n != 1 || strcmp(gv_step_type(g->dec.v[0]), "ByteLevel") != 0)
        return gv_cannot(g, "GGUF has no decoder %.40s for BPE of bytes",
                         g->dec.n ? gv_step_type(g->dec.v[g->dec.n - 1]) : "that is none");
    if (gv_text(g->model, "unk_token")[0] && !has_bytes(g))
        return gv_cannot(g, "its BPE has an unk_token, and no token for some bytes");
    return find_name(g);
}
