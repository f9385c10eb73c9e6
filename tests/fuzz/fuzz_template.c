/* Fuzzes chat templates: the template, then after a NUL byte the variables (JSON), or a fixed set of them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "text/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char fixed[] =
    "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},{\"role\":\"user\",\"content\":\"\\u00e9 "
    "x\"},{\"role\":\"assistant\","
    "\"content\":null,\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{"
    "\"a\":[1,2.5,true]}}}]}],"
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"add_generation_prompt\":true,\"bos_"
    "token\":\"<s>\",\"x\":5,"
    "\"s\":\"Hello World\",\"l\":[3,1,2],\"d\":{\"b\":1,\"a\":{\"c\":null}},\"n\":null,\"f\":2.5}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *nul = n ? memchr(data, 0, n) : NULL;
    struct str source = {(const char *)data, nul ? (size_t)(nul - data) : n}, vars = STR(fixed);
    struct lathe_err err = {0};
    struct buf out;
    if (nul)
        vars = (struct str){(const char *)nul + 1, n - source.n - 1};
    buf_init(&out, 1 << 20);
    clock_t from = clock();
    int rc = template_render(source, vars, "2025-07-10", &out, &err);
    if (rc && (rc != err.code || !err.text[0] || out.n))
        abort();
    if (clock() - from > 10 * CLOCKS_PER_SEC) /* sanitizers slow it down some ten times */
        abort();
    buf_free(&out);
    return 0;
}
