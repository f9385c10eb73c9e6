/* The certificate of HTTPS. */
#include "server/tls.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/read_file.h"

enum {
    CHAIN_MAX = 16,
    PEM_MAX = 1 << 20,
    KEEP_S = 3600, /* a replaced chain, for handshakes that have begun with it */
};

struct chain {
    struct chain *older;
    double replaced_s;
    gnutls_pcert_st certs[CHAIN_MAX];
    unsigned n_cert;
    gnutls_privkey_t key;
};

struct tls {
    pthread_mutex_t lock;
    struct chain *now; /* the newest first */
};

static struct tls *active;

static void chain_free(struct chain *c)
{
    for (unsigned i = 0; i < c->n_cert; i++)
        gnutls.pcert_deinit(&c->certs[i]);
    if (c->key)
        gnutls.privkey_deinit(c->key);
    free(c);
}

static int read_certs(const char *path, struct chain *c, struct lathe_err *err)
{
    struct buf text;
    unsigned n = CHAIN_MAX;
    buf_init(&text, PEM_MAX);
    int rc = read_file(path, &text, err);
    if (!rc) {
        const gnutls_datum_t pem = {(unsigned char *)text.p, (unsigned)text.n};
        int why = gnutls.pcert_list_import_x509_raw(c->certs, &n, &pem, GNUTLS_X509_FMT_PEM, 0);
        if (why < 0)
            rc = err_set(err, LATHE_E_USAGE, "tls-cert %.200s is no certificate chain in PEM: %s", path,
                         gnutls.strerror(why));
        else
            c->n_cert = n;
    }
    buf_free(&text);
    return rc;
}

static int read_key(const char *path, struct chain *c, struct lathe_err *err)
{
    struct buf text;
    buf_init(&text, PEM_MAX);
    int rc = read_file(path, &text, err);
    if (!rc) {
        const gnutls_datum_t pem = {(unsigned char *)text.p, (unsigned)text.n};
        int why = gnutls.privkey_init(&c->key);
        if (why >= 0)
            why = gnutls.privkey_import_x509_raw(c->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
        if (why < 0)
            rc = err_set(err, LATHE_E_USAGE, "tls-key %.200s is no private key in PEM without password: %s",
                         path, gnutls.strerror(why));
        if (text.n)
            explicit_bzero(text.p, text.n);
    }
    buf_free(&text);
    return rc;
}

/* Whether the key is the one of the first certificate. */
static bool belongs(const struct chain *c)
{
    unsigned char of_cert[64], of_key[64];
    size_t n_cert = sizeof of_cert, n_key = sizeof of_key;
    gnutls_pubkey_t public;
    if (gnutls.pubkey_init(&public))
        return false;
    bool ok = gnutls.pubkey_import_privkey(public, c->key, 0, 0) >= 0 &&
              gnutls.pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, of_key, &n_key) >= 0 &&
              gnutls.pubkey_get_key_id(c->certs[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_cert, &n_cert) >= 0 &&
              n_cert == n_key && memcmp(of_cert, of_key, n_key) == 0;
    gnutls.pubkey_deinit(public);
    return ok;
}

static int chain_read(const char *cert_path, const char *key_path, struct chain **out, struct lathe_err *err)
{
    struct chain *c = mem_new(sizeof *c);
    int rc = read_certs(cert_path, c, err);
    if (!rc)
        rc = read_key(key_path, c, err);
    if (!rc && (c->n_cert == 0 || !belongs(c)))
        rc = err_set(err, LATHE_E_USAGE, "tls-key %.150s is not the key of the first certificate in %.150s",
                     key_path, cert_path);
    if (rc)
        chain_free(c);
    else
        *out = c;
    return rc;
}

int tls_new(const char *cert_path, const char *key_path, struct tls **out, struct lathe_err *err)
{
    struct chain *c;
    TRY(gnutls_lib_load(err));
    TRY(chain_read(cert_path, key_path, &c, err));
    struct tls *t = *out = active = mem_new(sizeof *t);
    pthread_mutex_init(&t->lock, NULL);
    t->now = c;
    return 0;
}

int tls_reload(struct tls *t, const char *cert_path, const char *key_path, struct lathe_err *err)
{
    struct chain *c;
    double now = clock_s();
    TRY(chain_read(cert_path, key_path, &c, err));
    pthread_mutex_lock(&t->lock);
    t->now->replaced_s = now;
    c->older = t->now;
    t->now = c;
    for (struct chain **at = &c->older; *at;) {
        struct chain *old = *at;
        if (now - old->replaced_s < KEEP_S) {
            at = &old->older;
            continue;
        }
        *at = old->older;
        chain_free(old);
    }
    pthread_mutex_unlock(&t->lock);
    return 0;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    for (struct chain *c = t->now, *older; c; c = older) {
        older = c->older;
        chain_free(c);
    }
    pthread_mutex_destroy(&t->lock);
    active = NULL;
    free(t);
}

static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authority,
                    const gnutls_pk_algorithm_t *algorithms, int n_algorithm, gnutls_pcert_st **certs,
                    unsigned *n_cert, gnutls_privkey_t *key)
{
    pthread_mutex_lock(&active->lock);
    *certs = active->now->certs;
    *n_cert = active->now->n_cert;
    *key = active->now->key;
    pthread_mutex_unlock(&active->lock);
    return 0;
}

gnutls_certificate_retrieve_function2 *tls_callback(void)
{
    return retrieve;
}
