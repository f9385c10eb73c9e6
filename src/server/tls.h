/* The certificate of HTTPS. It can be read again while connections are open: new ones get the new one. */
#ifndef LATHE_SERVER_TLS_H
#define LATHE_SERVER_TLS_H
#include "server/gnutls_lib.h"

struct tls;

/* Reads certificate chain and private key (PEM files). FILE or USAGE with the file at fault; also if one does not belong to the
 * other. There is one at a time in a process, since the library's callback knows no other. */
int tls_new(const char *cert_path, const char *key_path, struct tls **out, struct lathe_err *err);
int tls_reload(struct tls *t, const char *cert_path, const char *key_path, struct lathe_err *err);
void tls_free(struct tls *t); /* NULL is legal; no connection is left */
/* What the HTTP library is given. */
gnutls_certificate_retrieve_function2 *tls_callback(void);
#endif
