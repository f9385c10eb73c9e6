/* Addresses that the server listens on: one for requests, and for operations the same or one of its own. */
#ifndef LATHE_SERVER_LISTEN_H
#define LATHE_SERVER_LISTEN_H
#include "server/http.h"

/* Opens the addresses of the configuration into s->main and s->admin. USAGE for one that may not be served, IO for one that cannot
 * be had. */
int listen_open(struct server *s, struct lathe_err *err);
/* Closes both; legal after a failure. */
void listen_close(struct server *s);
/* "http://127.0.0.1:8080", "unix:PATH"; false if it is not open. */
bool listen_url(const struct listener *l, char *out, size_t n);
#endif
