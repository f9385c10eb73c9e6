/* A configuration file in YAML: option rows as its keys.
 *
 *     port: 8443
 *     keys: /etc/lathe/keys
 *     allowed-host: [models.example.org, models]
 *
 * One mapping of an option's name to its value, or to a list of values where the option takes several. */
#ifndef LATHE_BASE_OPT_FILE_H
#define LATHE_BASE_OPT_FILE_H
#include "base/opt.h"

/* A file is no larger. */
enum { OPT_FILE_MAX = 1 << 20 };

/* Reads n bytes of YAML against the rows of the command's groups. USAGE with every mistake in one line: an unknown key with the
 * nearest name, a key given twice, a value out of range, each behind `path` and its line. UNSUPPORTED in a build without
 * libyaml. */
int opt_file_parse(const struct opt_table *t, const struct opt_command *command, const char *path,
                   const char *text, size_t n, struct opt_settings *out, struct lathe_err *err);
/* The same of a file; FILE if it cannot be read. */
int opt_file_read(const struct opt_table *t, const struct opt_command *command, const char *path,
                  struct opt_settings *out, struct lathe_err *err);
void opt_settings_free(struct opt_settings *s); /* leaves it zeroed */
#endif
