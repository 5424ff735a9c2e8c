#include "base/tls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/alloc.h"
#include "base/secret.h"

struct tls {
	SSL *ssl;
	BIO *in, *out; /* owned by ssl */
	bool lacks_certificate;
	char error[256];
};

/* --- the files ------------------------------------------------------------------------------- */

/* OpenSSL's own words for what went wrong first. */
static const char *reason(void)
{
	unsigned long code = ERR_get_error();
	const char *text = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
						  : ERR_reason_error_string(code);

	return text != NULL ? text : "OpenSSL does not say why";
}

static bool wrong(const char *file, char *why, size_t size)
{
	snprintf(why, size, "TLS: %s: %s", file, reason());
	return false;
}

static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static bool use_key(SSL_CTX *context, const char *path, char *why, size_t size)
{
	struct secret_file file;
	EVP_PKEY *key;
	BIO *text;
	bool ok;

	if (!secret_file_read(&file, path, why, size))
		return false;
	if (!secret_file_is_private(&file, path, why, size)) {
		secret_file_clear(&file);
		return false;
	}
	text = BIO_new_mem_buf(file.data, (int)file.len);
	key = text != NULL ? PEM_read_bio_PrivateKey(text, NULL, no_passphrase, NULL) : NULL;
	ok = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1 &&
	     SSL_CTX_check_private_key(context) == 1;
	if (!ok)
		wrong(path, why, size);
	EVP_PKEY_free(key);
	BIO_free(text);
	secret_file_clear(&file);
	return ok;
}

static bool use_files(SSL_CTX *context, const struct tls_files *files, char *why, size_t size)
{
	if (files->ca[0] != '\0' ? SSL_CTX_load_verify_file(context, files->ca) != 1
				 : SSL_CTX_set_default_verify_paths(context) != 1)
		return wrong(files->ca[0] != '\0' ? files->ca : "the system's authorities", why,
			     size);
	if (files->cert[0] == '\0')
		return true;
	if (SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
		return wrong(files->cert, why, size);
	return use_key(context, files->key, why, size);
}

/* Called when the peer asks for a certificate and none was read. */
static int on_asked(SSL *ssl, X509 **certificate, EVP_PKEY **key)
{
	struct tls *tls = SSL_get_app_data(ssl);

	(void)certificate;
	(void)key;
	tls->lacks_certificate = true;
	return 0;
}

static SSL_CTX *context_new(const struct tls_files *files, char *why, size_t size)
{
	SSL_CTX *context;

	ERR_clear_error();
	context = SSL_CTX_new(TLS_client_method());
	if (context == NULL || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1)
		wrong("a new connection", why, size);
	else if (use_files(context, files, why, size)) {
		SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
		SSL_CTX_set_client_cert_cb(context, on_asked);
		SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
		return context;
	}
	SSL_CTX_free(context);
	return NULL;
}

bool tls_check(const struct tls_files *files, char *why, size_t size)
{
	SSL_CTX *context = context_new(files, why, size);

	SSL_CTX_free(context);
	return context != NULL;
}

/* --- one connection -------------------------------------------------------------------------- */

/* Whom the certificate must be for; a name is told to the peer, too (RFC 6066 section 3). */
static bool set_host(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

struct tls *tls_new(const struct tls_files *files, const char *host, char *why, size_t size)
{
	SSL_CTX *context = context_new(files, why, size);
	struct tls *tls;

	if (context == NULL)
		return NULL;
	tls = xcalloc(1, sizeof *tls);
	tls->ssl = SSL_new(context);
	tls->in = BIO_new(BIO_s_mem());
	tls->out = BIO_new(BIO_s_mem());
	SSL_CTX_free(context); /* tls->ssl holds it */
	if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL || !set_host(tls->ssl, host)) {
		wrong(host, why, size);
		BIO_free(tls->in);
		BIO_free(tls->out);
		SSL_free(tls->ssl);
		free(tls);
		return NULL;
	}
	BIO_set_mem_eof_return(tls->in, -1); /* nothing there yet is not the end */
	SSL_set_bio(tls->ssl, tls->in, tls->out);
	SSL_set_connect_state(tls->ssl);
	SSL_set_app_data(tls->ssl, tls);
	return tls;
}

void tls_free(struct tls *tls)
{
	if (tls == NULL)
		return;
	SSL_free(tls->ssl);
	free(tls);
}

const char *tls_error(const struct tls *tls)
{
	return tls->error;
}

bool tls_lacks_certificate(const struct tls *tls)
{
	return tls->lacks_certificate;
}

static void set_error(struct tls *tls, int error)
{
	long verified = SSL_get_verify_result(tls->ssl);

	if (verified != X509_V_OK)
		snprintf(tls->error, sizeof tls->error, "TLS: the server's certificate: %s",
			 X509_verify_cert_error_string(verified));
	else if (error == SSL_ERROR_ZERO_RETURN)
		snprintf(tls->error, sizeof tls->error, "Server closed the connection");
	else
		snprintf(tls->error, sizeof tls->error, "TLS: %s", reason());
}

/* Moves what OpenSSL wants to be sent; whether the call with this result goes on. */
static enum tls_progress settle(struct tls *tls, int result, struct printbuf *out)
{
	int error = SSL_get_error(tls->ssl, result);
	size_t len = BIO_ctrl_pending(tls->out);

	if (len > 0)
		BIO_read(tls->out, buf_extend(out, len), (int)len);
	if (error == SSL_ERROR_NONE)
		return TLS_DONE;
	if (error == SSL_ERROR_WANT_READ)
		return TLS_MORE;
	set_error(tls, error);
	return TLS_FAILED;
}

void tls_feed(struct tls *tls, const void *data, size_t len)
{
	/* It takes all, or there is no memory: then what follows does not fit and fails. */
	BIO_write(tls->in, data, (int)len);
}

enum tls_progress tls_handshake(struct tls *tls, struct printbuf *out)
{
	ERR_clear_error();
	return settle(tls, SSL_do_handshake(tls->ssl), out);
}

bool tls_write(struct tls *tls, const void *data, size_t len, struct printbuf *out)
{
	size_t done;

	if (len == 0)
		return true;
	ERR_clear_error();
	return settle(tls, SSL_write_ex(tls->ssl, data, len, &done), out) == TLS_DONE;
}

ssize_t tls_read(struct tls *tls, void *data, size_t size, struct printbuf *out)
{
	size_t got = 0;

	ERR_clear_error();
	switch (settle(tls, SSL_read_ex(tls->ssl, data, size, &got), out)) {
	case TLS_DONE:
		return (ssize_t)got;
	case TLS_MORE:
		return 0;
	default:
		return -1;
	}
}

void tls_close(struct tls *tls, struct printbuf *out)
{
	ERR_clear_error();
	settle(tls, SSL_shutdown(tls->ssl), out);
}
