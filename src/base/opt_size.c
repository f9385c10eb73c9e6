/* Options as rows: sizes of memory. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/opt.h"

bool opt_size(const char *s, uint64_t *out)
{
    static const char suffixes[] = "KMGT";
    char *end;
    if (s[0] < '0' || s[0] > '9')
        return false;
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    const char *suffix = *end ? strchr(suffixes, *end & ~32) : NULL; /* small letters too */
    int shift = suffix ? 10 * (int)(suffix - suffixes + 1) : 0;
    if (errno || (*end && (!suffix || end[1])) || n > UINT64_MAX >> shift)
        return false;
    *out = (uint64_t)n << shift;
    return true;
}
