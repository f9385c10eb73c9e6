/* A folder of the test program's own, removed with all that is in it when the program ends. */
#ifndef LATHE_TESTS_TMP_DIR_H
#define LATHE_TESTS_TMP_DIR_H

/* The path of `name` in the folder; valid until the next eighth call. */
const char *tmp_path(const char *name);
#endif
