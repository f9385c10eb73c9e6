/* The switches of tests/fixtures/index*.txt: changes to a model's bytes that take one feature away. */
#ifndef LATHE_TESTS_FIXTURE_PATCH_H
#define LATHE_TESTS_FIXTURE_PATCH_H
#include <stddef.h>
#include <stdint.h>

/* A file of the fixtures, malloc-ed; the test fails if it cannot be read. */
uint8_t *fixture_read(const char *path, size_t *n);
/* Applies "hide NAME; u32 KEY VALUE; f32 KEY VALUE; bool KEY VALUE; ..." to the file in file[n], in place. Returns how many
 * places were changed, or -1 when a command is malformed or names something that the file does not have. */
int fixture_patch(uint8_t *file, size_t n, const char *switches);
/* Copies a folder of the fixtures with "json PATH/TO/KEY VALUE; zero TENSORS; ..." applied. Returns the same. */
int fixture_patch_folder(const char *from, const char *to, const char *switches);
#endif
