#include "wire.h"

#include <string.h>

#include <fastcgi.h>

void wire_record(struct printbuf *out, unsigned type, unsigned id, const void *content, size_t len)
{
	unsigned char header[8] = {FCGI_VERSION_1,
				   (unsigned char)type,
				   (unsigned char)(id >> 8),
				   (unsigned char)id,
				   (unsigned char)(len >> 8),
				   (unsigned char)len,
				   0,
				   0};

	buf_put(out, header, sizeof header);
	if (len > 0)
		buf_put(out, content, len);
}

void wire_begin(struct printbuf *out, unsigned id, unsigned role, unsigned flags)
{
	unsigned char body[8] = {(unsigned char)(role >> 8), (unsigned char)role,
				 (unsigned char)flags};

	wire_record(out, FCGI_BEGIN_REQUEST, id, body, sizeof body);
}

static void put_length(struct printbuf *out, size_t len)
{
	unsigned char bytes[4] = {(unsigned char)(len >> 24 | 0x80), (unsigned char)(len >> 16),
				  (unsigned char)(len >> 8), (unsigned char)len};

	if (len < 128)
		buf_put(out, bytes + 3, 1);
	else
		buf_put(out, bytes, 4);
}

void wire_pair(struct printbuf *out, const char *name, const char *value)
{
	put_length(out, strlen(name));
	put_length(out, strlen(value));
	buf_puts(out, name);
	buf_puts(out, value);
}

void wire_stream_request(struct printbuf *out, const char *uri, const char *token)
{
	wire_request(out, "GET", uri, token);
}

void wire_request(struct printbuf *out, const char *method, const char *uri, const char *token)
{
	struct printbuf *params = buf_new(), *bearer = buf_new();

	buf_putf(bearer, "Bearer %s", token != NULL ? token : "");
	wire_pair(params, "REQUEST_METHOD", method);
	wire_pair(params, "REQUEST_URI", uri);
	wire_pair(params, "SCRIPT_NAME", uri);
	wire_pair(params, "QUERY_STRING", "");
	wire_pair(params, "SERVER_PROTOCOL", "HTTP/1.1");
	wire_pair(params, "GATEWAY_INTERFACE", "CGI/1.1");
	wire_pair(params, "REMOTE_ADDR", "127.0.0.1");
	if (token != NULL)
		wire_pair(params, "HTTP_AUTHORIZATION", bearer->buf);
	wire_begin(out, 1, FCGI_RESPONDER, 0);
	wire_record(out, FCGI_PARAMS, 1, params->buf, buf_len(params));
	wire_record(out, FCGI_PARAMS, 1, NULL, 0);
	wire_record(out, FCGI_STDIN, 1, NULL, 0);
	printbuf_free(params);
	printbuf_free(bearer);
}
