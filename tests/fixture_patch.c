/* Switches off features of fixtures: see tests/fixtures/README.md. */
#include "fixture_patch.h"
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

uint8_t *fixture_read(const char *path, size_t *n)
{
    FILE *in = fopen(path, "rb");
    if (!in)
        fail_msg("%s cannot be opened; tests run in the top folder of the source", path);
    uint8_t *p = malloc(1 << 22);
    *n = fread(p, 1, 1 << 22, in);
    fclose(in);
    return p;
}

/* Bytes of the name at p that match the pattern (`*`: one or more digits), 0 if it does not. */
static size_t match(const char *pattern, const uint8_t *p, size_t n)
{
    size_t at = 0;
    for (; *pattern; pattern++) {
        if (at >= n)
            return 0;
        if (*pattern != '*') {
            if (p[at++] != (uint8_t)*pattern)
                return 0;
            continue;
        }
        if (!isdigit(p[at]))
            return 0;
        while (at < n && isdigit(p[at]))
            at++;
    }
    return at;
}

/* A name in a GGUF file has its length, a u64, in front. */
static int apply(uint8_t *file, size_t n, const char *op, const char *name, const char *value)
{
    int n_changed = 0;
    for (size_t i = 8; i < n; i++) {
        size_t len = match(name, file + i, n - i);
        uint64_t said;
        memcpy(&said, file + i - 8, sizeof said);
        if (!len || said != len)
            continue;
        n_changed++;
        if (!strcmp(op, "hide")) {
            file[i] = '~';
            continue;
        }
        uint32_t kind, bits = (uint32_t)strtoul(value, NULL, 10);
        float f = strtof(value, NULL);
        if (n - i - len < 8)
            return -1;
        memcpy(&kind, file + i + len, sizeof kind);
        bool is_bool = !strcmp(op, "bool"), is_f32 = !strcmp(op, "f32");
        if (is_f32)
            memcpy(&bits, &f, sizeof bits);
        else if (!is_bool && strcmp(op, "u32"))
            return -1;
        if (kind != (is_bool ? 7u : is_f32 ? 6u : 4u))
            return -1;
        memcpy(file + i + len + 4, &bits, is_bool ? 1 : sizeof bits);
    }
    return n_changed ? n_changed : -1;
}

int fixture_patch(uint8_t *file, size_t n, const char *switches)
{
    int n_changed = 0;
    while (*switches) {
        char op[8], name[100], value[40] = "";
        if (sscanf(switches, " %7s %99[^ ;] %39[^ ;]", op, name, value) < 2)
            return -1;
        int n_here = apply(file, n, op, name, value);
        if (n_here < 0)
            return -1;
        n_changed += n_here;
        const char *next = strchr(switches, ';');
        if (!next)
            break;
        switches = next + 1;
    }
    return n_changed;
}
