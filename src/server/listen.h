/* Addresses that the server listens on: one for requests, and for operations the same or one of its own. */
#ifndef LATHE_SERVER_LISTEN_H
#define LATHE_SERVER_LISTEN_H
#include "server/http.h"

/* Whether the addresses of the configuration can be meant: USAGE for one that is none, or that lets others in without keys. */
int listen_check(const struct server_config *c, bool has_keys, struct lathe_err *err);
/* Opens the addresses of the configuration, which are checked, into s->main and s->admin. IO for one that cannot be had. */
int listen_open(struct server *s, struct lathe_err *err);
/* Closes both; legal after a failure. */
void listen_close(struct server *s);
/* "http://127.0.0.1:8080", "unix:PATH"; false if it is not open. */
bool listen_url(const struct listener *l, char *out, size_t n);
#endif
