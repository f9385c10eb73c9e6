/* Verdicts on kernel rows, read from and written to a file of the cache folder. */
#include "kern/kern_verdicts.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>
#include "base/mem.h"

#ifndef LATHE_KERN_BUILD
#error "LATHE_KERN_BUILD comes from cmake/kern_build.cmake"
#endif

enum { FILE_BYTES = 512 + KERN_N_ROW * 100 }; /* most that a file can have */

static const char *const words[] = {
    [KERN_UNTRIED] = "timed ", [KERN_PASSED] = "passed ", [KERN_FAILED] = "failed "};

void kern_verdicts_key(char *out, size_t n)
{
    char cpu[128];
    cpu_identity(cpu, sizeof cpu);
    snprintf(out, n, "lathe kernels 2\ncpu %s\nbuild %s\n", cpu, LATHE_KERN_BUILD);
}

static uint64_t digest(const char *p, size_t n)
{
    return XXH3_64bits(p, n);
}

/* " 123 4560" up to `end`. */
static bool read_costs(const char *p, const char *end, uint32_t cost_ps[KERN_N_LOAD])
{
    for (int load = 0; load < KERN_N_LOAD; load++) {
        uint64_t value = 0;
        const char *digits = p + 1;
        if (p == end || *p != ' ')
            return false;
        for (p = digits; p < end && *p >= '0' && *p <= '9' && value <= UINT32_MAX; p++)
            value = value * 10 + (uint64_t)(*p - '0');
        if (p == digits || value > UINT32_MAX)
            return false;
        cost_ps[load] = (uint32_t)value;
    }
    return p == end;
}

/* One line, without its end, into *v; false if it is none. */
static bool read_line(const char *line, size_t n, struct kern_verdicts *v)
{
    for (int w = KERN_UNTRIED; w <= KERN_FAILED; w++) {
        size_t n_word = strlen(words[w]);
        if (n <= n_word || memcmp(line, words[w], n_word) != 0)
            continue;
        const char *space = memchr(line + n_word, ' ', n - n_word);
        size_t n_name = space ? (size_t)(space - line) - n_word : 0;
        for (int i = 0; i < KERN_N_ROW && space; i++) {
            const char *name = kern_row(i)->name;
            if (strlen(name) == n_name && memcmp(name, line + n_word, n_name) == 0) {
                v->of[i] = (uint8_t)w;
                return read_costs(space, line + n, v->cost_ps[i]);
            }
        }
    }
    return false;
}

static bool parse(const char *p, size_t n, const char *key, struct kern_verdicts *v)
{
    struct kern_verdicts found = {0};
    size_t at = strlen(key);
    if (n < at || memcmp(p, key, at) != 0)
        return false;
    for (;;) {
        const char *end = memchr(p + at, '\n', n - at);
        if (!end)
            return false;
        size_t n_line = (size_t)(end - (p + at));
        if (n_line > 4 && memcmp(p + at, "end ", 4) == 0) {
            char want[32];
            int n_want = snprintf(want, sizeof want, "end %016llx\n", (unsigned long long)digest(p, at));
            if (n - at != (size_t)n_want || memcmp(p + at, want, (size_t)n_want) != 0)
                return false;
            *v = found;
            return true;
        }
        if (!read_line(p + at, n_line, &found))
            return false;
        at += n_line + 1;
    }
}

bool kern_verdicts_read(const char *path, const char *key, struct kern_verdicts *v)
{
    char text[FILE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t n = 0;
    for (ssize_t k; n < sizeof text && (k = read(fd, text + n, sizeof text - n)) > 0;)
        n += (size_t)k;
    close(fd);
    return parse(text, n, key, v);
}

static bool write_file(const char *path, const char *p, size_t n)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool done = write(fd, p, n) == (ssize_t)n;
    return close(fd) == 0 && done;
}

bool kern_verdicts_write(const char *path, const char *key, const struct kern_verdicts *v)
{
    char temp[4200];
    struct buf text;
    buf_init(&text, FILE_BYTES);
    buf_puts(&text, key);
    for (int i = 0; i < KERN_N_ROW; i++)
        if (v->of[i] != KERN_UNTRIED || v->cost_ps[i][KERN_MANY])
            buf_printf(&text, "%s%s %u %u\n", words[v->of[i]], kern_row(i)->name, v->cost_ps[i][KERN_ONE],
                       v->cost_ps[i][KERN_MANY]);
    buf_printf(&text, "end %016llx\n", (unsigned long long)digest(text.p, text.n));
    int n = snprintf(temp, sizeof temp, "%s.%ld.part", path, (long)getpid());
    bool done = !text.full && n > 0 && (size_t)n < sizeof temp && write_file(temp, text.p, text.n) &&
                rename(temp, path) == 0;
    if (!done)
        unlink(temp);
    buf_free(&text);
    return done;
}

void kern_verdicts_settle(struct kern_verdicts *v, const char *folder, const struct kern_trial *trial)
{
    char key[512], path[4160];
    *v = (struct kern_verdicts){0};
    if (!folder) {
        kern_judge(v, trial);
        return;
    }
    kern_verdicts_key(key, sizeof key);
    /* A file for each kind of CPU: a home may be shared by several. */
    const char *cpu = strstr(key, "\ncpu ") + 5;
    snprintf(path, sizeof path, "%s/%.*s.txt", folder, (int)strcspn(cpu, "\n"), cpu);
    kern_verdicts_read(path, key, v);
    if (kern_judge(v, trial))
        kern_verdicts_write(path, key, v);
}
