/* TLS without a socket, against OpenSSL's own server. */
#include "unit.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/buf.h"
#include "base/tls.h"

#define HOST "redis.example"
#define LONG 200000 /* bytes: many records */

/* Both ends, and what is on its way between them. */
struct ends {
	struct tls *client;
	SSL *server;
	BIO *to_server, *from_server;
	struct printbuf *out; /* of the client */
	char *ca;
};

static void add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	ck_assert_int_eq(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

/* One that signs for itself, valid from `from` seconds from now for a day. */
static X509 *make_certificate(EVP_PKEY *key, long from)
{
	X509 *certificate = X509_new();

	X509_set_version(certificate, 2);
	X509_gmtime_adj(X509_getm_notBefore(certificate), from);
	X509_gmtime_adj(X509_getm_notAfter(certificate), from + 86400);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
				   (const unsigned char *)"one", -1, -1, 0);
	X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
	X509_set_pubkey(certificate, key);
	add_extension(certificate, NID_subject_alt_name, "DNS:" HOST ",IP:10.0.0.1,IP:fd00::1");
	ck_assert_int_ne(X509_sign(certificate, key, EVP_sha256()), 0);
	return certificate;
}

static char *write_certificate(X509 *certificate)
{
	BIO *text = BIO_new(BIO_s_mem());
	char *bytes, *path;

	ck_assert_int_eq(PEM_write_bio_X509(text, certificate), 1);
	path = unit_write("ca.pem", bytes, (size_t)BIO_get_mem_data(text, &bytes));
	BIO_free(text);
	return path;
}

static void open_ends(struct ends *ends, const char *host, long from)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = make_certificate(key, from);
	SSL_CTX *context = SSL_CTX_new(TLS_server_method());
	struct tls_files files = {"", "", ""};
	char why[256];

	ends->ca = write_certificate(certificate);
	files.ca = ends->ca;
	SSL_CTX_use_certificate(context, certificate);
	SSL_CTX_use_PrivateKey(context, key);
	ends->server = SSL_new(context);
	ends->to_server = BIO_new(BIO_s_mem());
	ends->from_server = BIO_new(BIO_s_mem());
	BIO_set_mem_eof_return(ends->to_server, -1);
	SSL_set_bio(ends->server, ends->to_server, ends->from_server);
	SSL_set_accept_state(ends->server);
	ends->client = tls_new(&files, host, why, sizeof why);
	ck_assert_msg(ends->client != NULL, "%s", why);
	ends->out = buf_new();
	X509_free(certificate);
	EVP_PKEY_free(key);
	SSL_CTX_free(context);
}

static void close_ends(struct ends *ends)
{
	tls_free(ends->client);
	SSL_free(ends->server);
	printbuf_free(ends->out);
	free(ends->ca);
}

static void client_to_server(struct ends *ends)
{
	BIO_write(ends->to_server, ends->out->buf, (int)buf_len(ends->out));
	buf_reset(ends->out);
}

/* One round of the handshake; the server's bytes reach the client `step` at a time. */
static enum tls_progress round_trip(struct ends *ends, int step)
{
	enum tls_progress progress = tls_handshake(ends->client, ends->out);
	char piece[64];
	int got;

	client_to_server(ends);
	SSL_do_handshake(ends->server);
	while (progress == TLS_MORE && (got = BIO_read(ends->from_server, piece, step)) > 0) {
		tls_feed(ends->client, piece, (size_t)got);
		progress = tls_handshake(ends->client, ends->out);
		client_to_server(ends);
	}
	SSL_do_handshake(ends->server);
	return progress;
}

static enum tls_progress shake_hands(struct ends *ends, int step)
{
	enum tls_progress progress = TLS_MORE;

	for (int i = 0; i < 4 && progress == TLS_MORE; i++)
		progress = round_trip(ends, step);
	return progress;
}

/* All that the server has sent reaches the client; what that reads is compared. */
static void expect_read(struct ends *ends, const char *expected, size_t len, int step)
{
	struct printbuf *read = buf_new();
	char piece[64], text[1000];
	ssize_t got;

	for (int n; (n = BIO_read(ends->from_server, piece, step)) > 0;) {
		tls_feed(ends->client, piece, (size_t)n);
		while ((got = tls_read(ends->client, text, sizeof text, ends->out)) > 0)
			buf_put(read, text, (size_t)got);
		ck_assert_msg(got == 0, "%s", tls_error(ends->client));
	}
	ck_assert_uint_eq(buf_len(read), len);
	ck_assert_mem_eq(read->buf, expected, len);
	printbuf_free(read);
}

START_TEST(it_does_not_matter_how_the_bytes_are_cut)
{
	static const int steps[] = {1, 2, 5, 64};
	struct ends ends;

	for (size_t i = 0; i < UNIT_COUNT(steps); i++) {
		open_ends(&ends, HOST, 0);
		ck_assert_int_eq(shake_hands(&ends, steps[i]), TLS_DONE);
		ck_assert_int_eq(SSL_write(ends.server, "+PONG\r\n", 7), 7);
		expect_read(&ends, "+PONG\r\n", 7, steps[i]);
		close_ends(&ends);
	}
}
END_TEST

START_TEST(long_texts_pass_both_ways)
{
	static char sent[LONG], seen[LONG];
	struct ends ends;
	size_t len = 0;
	int got;

	for (size_t i = 0; i < LONG; i++)
		sent[i] = (char)(i * 7);
	open_ends(&ends, HOST, 0);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_DONE);
	ck_assert(tls_write(ends.client, sent, LONG, ends.out));
	client_to_server(&ends);
	while ((got = SSL_read(ends.server, seen + len, (int)(LONG - len))) > 0)
		len += (size_t)got;
	ck_assert_uint_eq(len, LONG);
	ck_assert_mem_eq(seen, sent, LONG);
	ck_assert_int_eq(SSL_write(ends.server, sent, LONG), LONG);
	expect_read(&ends, sent, LONG, 64);
	close_ends(&ends);
}
END_TEST

START_TEST(addresses_and_names_are_compared)
{
	static const struct {
		const char *host, *why; /* NULL: it is the one */
	} rows[] = {
		{HOST, NULL},
		{"REDIS.example", NULL},
		{"10.0.0.1", NULL},
		{"fd00::1", NULL},
		{"fd00:0:0::1", NULL},
		{"other.example", "hostname mismatch"},
		{"redis.example.org", "hostname mismatch"},
		{"10.0.0.2", "IP address mismatch"},
		{"fd00::2", "IP address mismatch"},
		{"one", "hostname mismatch"}, /* the common name is no name of it (RFC 6125) */
	};
	struct ends ends;

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		open_ends(&ends, rows[i].host, 0);
		if (rows[i].why == NULL) {
			ck_assert_msg(shake_hands(&ends, 64) == TLS_DONE, "%s: %s", rows[i].host,
				      tls_error(ends.client));
		} else {
			ck_assert_msg(shake_hands(&ends, 64) == TLS_FAILED, "%s is taken",
				      rows[i].host);
			ck_assert_msg(strstr(tls_error(ends.client), rows[i].why) != NULL, "%s: %s",
				      rows[i].host, tls_error(ends.client));
		}
		close_ends(&ends);
	}
}
END_TEST

START_TEST(dates_count)
{
	struct ends ends;

	open_ends(&ends, HOST, -172800);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_FAILED);
	ck_assert_ptr_nonnull(strstr(tls_error(ends.client), "certificate has expired"));
	close_ends(&ends);
	open_ends(&ends, HOST, 3600);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_FAILED);
	ck_assert_ptr_nonnull(strstr(tls_error(ends.client), "certificate is not yet valid"));
	close_ends(&ends);
}
END_TEST

/* RFC 8446 section 4.6.3: the peer may want new keys at any time, and an answer. */
START_TEST(new_keys_are_answered_while_reading)
{
	struct ends ends;
	char seen[16];

	open_ends(&ends, HOST, 0);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_DONE);
	expect_read(&ends, "", 0, 64);
	buf_reset(ends.out);
	ck_assert_int_eq(SSL_key_update(ends.server, SSL_KEY_UPDATE_REQUESTED), 1);
	ck_assert_int_eq(SSL_write(ends.server, "a", 1), 1);
	expect_read(&ends, "a", 1, 1);
	ck_assert(tls_write(ends.client, "b", 1, ends.out));
	client_to_server(&ends);
	ck_assert_int_eq(SSL_read(ends.server, seen, sizeof seen), 1);
	ck_assert_int_eq(seen[0], 'b');
	close_ends(&ends);
}
END_TEST

START_TEST(the_end_is_told)
{
	struct ends ends;
	char text[16];
	int got;

	open_ends(&ends, HOST, 0);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_DONE);
	SSL_shutdown(ends.server);
	while ((got = BIO_read(ends.from_server, text, sizeof text)) > 0)
		tls_feed(ends.client, text, (size_t)got);
	ck_assert_int_eq(tls_read(ends.client, text, sizeof text, ends.out), -1);
	ck_assert_str_eq(tls_error(ends.client), "Server closed the connection");
	close_ends(&ends);

	open_ends(&ends, HOST, 0);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_DONE);
	tls_close(ends.client, ends.out);
	client_to_server(&ends);
	got = SSL_read(ends.server, text, sizeof text);
	ck_assert_int_eq(SSL_get_error(ends.server, got), SSL_ERROR_ZERO_RETURN);
	close_ends(&ends);
}
END_TEST

/* What is no TLS, or was changed on its way. */
START_TEST(other_bytes_are_refused)
{
	static const char answer[] = "-ERR unknown command\r\n";
	struct ends ends;
	char text[16];

	open_ends(&ends, HOST, 0);
	ck_assert_int_eq(tls_handshake(ends.client, ends.out), TLS_MORE);
	tls_feed(ends.client, answer, sizeof answer - 1);
	ck_assert_int_eq(tls_handshake(ends.client, ends.out), TLS_FAILED);
	ck_assert_msg(strncmp(tls_error(ends.client), "TLS: ", 5) == 0, "%s",
		      tls_error(ends.client));
	close_ends(&ends);

	open_ends(&ends, HOST, 0);
	ck_assert_int_eq(shake_hands(&ends, 64), TLS_DONE);
	expect_read(&ends, "", 0, 64);
	tls_feed(ends.client, "\x17\x03\x03\x00\x13 0123456789abcdef01", 24);
	ck_assert_int_eq(tls_read(ends.client, text, sizeof text, ends.out), -1);
	ck_assert_msg(strncmp(tls_error(ends.client), "TLS: ", 5) == 0, "%s",
		      tls_error(ends.client));
	close_ends(&ends);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tls");
	TCase *tcase = tcase_create("tls");

	tcase_add_checked_fixture(tcase, unit_dir_setup, unit_dir_teardown);
	tcase_add_test(tcase, it_does_not_matter_how_the_bytes_are_cut);
	tcase_add_test(tcase, long_texts_pass_both_ways);
	tcase_add_test(tcase, addresses_and_names_are_compared);
	tcase_add_test(tcase, dates_count);
	tcase_add_test(tcase, new_keys_are_answered_while_reading);
	tcase_add_test(tcase, the_end_is_told);
	tcase_add_test(tcase, other_bytes_are_refused);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
