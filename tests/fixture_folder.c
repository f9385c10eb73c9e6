/* Switches off features of fixtures that are folders: see tests/fixtures/README.md. */
#include <fnmatch.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "fixture_patch.h"
#include "unit.h"

static void save(const char *folder, const char *name, const void *p, size_t n)
{
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

/* path: keys of objects in objects, '/' between them. */
static int set_json(json_t *object, char *path, const char *value)
{
    for (char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        *slash = 0;
        object = json_object_get(object, path);
    }
    if (!json_object_get(object, path))
        return -1;
    json_t *v = json_loads(value, JSON_DECODE_ANY, NULL);
    return v && json_object_set_new(object, path, v) == 0 ? 1 : -1;
}

/* A safetensors file is the length of its head, a u64; the head; what its data_offsets count in. */
static int zero_tensors(uint8_t *file, size_t n, const char *pattern)
{
    uint64_t n_head;
    const char *name;
    json_t *tensor;
    int n_changed = 0;
    memcpy(&n_head, file, sizeof n_head);
    json_t *head = json_loadb((char *)file + 8, n_head, 0, NULL);
    json_object_foreach(head, name, tensor)
    {
        json_t *at = json_object_get(tensor, "data_offsets");
        size_t from = (size_t)json_integer_value(json_array_get(at, 0)),
               to = (size_t)json_integer_value(json_array_get(at, 1));
        if (!at || fnmatch(pattern, name, 0) != 0)
            continue;
        assert_true(from <= to && 8 + n_head + to <= n);
        memset(file + 8 + n_head + from, 0, to - from);
        n_changed++;
    }
    json_decref(head);
    return n_changed ? n_changed : -1;
}

static int apply(json_t *config, uint8_t *tensors, size_t n, const char *switches)
{
    int n_changed = 0;
    for (const char *p = switches; p; p = strstr(p, "; "), p = p ? p + 2 : NULL) {
        char op[8], name[100], value[100] = "";
        int n_here = -1;
        if (sscanf(p, "%7s %99[^ ;] %99[^ ;]", op, name, value) < 2)
            return -1;
        if (strcmp(op, "json") == 0)
            n_here = set_json(config, name, value);
        else if (strcmp(op, "zero") == 0)
            n_here = zero_tensors(tensors, n, name);
        if (n_here < 0)
            return -1;
        n_changed += n_here;
    }
    return n_changed;
}

int fixture_patch_folder(const char *from, const char *to, const char *switches)
{
    static const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json"};
    uint8_t *file[3];
    size_t n[3];
    char path[400];
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", from, names[i]);
        file[i] = fixture_read(path, &n[i]);
    }
    json_t *config = json_loadb((char *)file[0], n[0], 0, NULL);
    int n_changed = apply(config, file[1], n[1], switches);
    char *text = json_dumps(config, 0);
    mkdir(to, 0755); /* may be there from the switch before */
    save(to, names[0], text, strlen(text));
    save(to, names[1], file[1], n[1]);
    save(to, names[2], file[2], n[2]);
    for (int i = 0; i < 3; i++)
        free(file[i]);
    free(text);
    json_decref(config);
    return n_changed;
}
