/* What a request says, as CGI variables (RFC 3875): parameters, path and query. */
#ifndef PRESENCE_BASE_CGI_H
#define PRESENCE_BASE_CGI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* The value of a variable in a NULL-terminated list of "NAME=VALUE", or NULL. Borrowed. */
const char *cgi_param(char *const *env, const char *name);

/*
 * Writes REQUEST_URI's path (RFC 3986, still percent-encoded; an absolute URI's
 * scheme and host are dropped). False when there is none, it does not start
 * with '/', or it does not fit into size bytes.
 */
bool cgi_path(char *const *env, char *path, size_t size);

#define CGI_REQUEST_ID_MAX 128

/*
 * Writes X-Request-Id, by which the web server (or a client) names the request: 1 to
 * CGI_REQUEST_ID_MAX characters of A-Z a-z 0-9 and -._~+/=:@. Where none came, or
 * another text, it is a new one: 128 random bits in hex.
 */
void cgi_request_id(char *const *env, char id[CGI_REQUEST_ID_MAX + 1]);

enum cgi_query { CGI_QUERY_ABSENT, CGI_QUERY_FOUND, CGI_QUERY_BAD };

/*
 * Finds the first parameter `name` in the request's query (REQUEST_URI's, else
 * QUERY_STRING) and writes its value, percent- and plus-decoded. BAD: a broken
 * escape, a NUL, or longer than size - 1 bytes. `value` is "" unless FOUND.
 */
enum cgi_query cgi_query_get(char *const *env, const char *name, char *value, size_t size);

/* A parameter that is true or false; *flag stays as it is without it. False: it is something else. */
bool cgi_query_flag(char *const *env, const char *name, bool *flag);

/*
 * Cuts a whole CGI answer off after its header fields, as one to HEAD must be (RFC
 * 3875 section 4.3.3), errors included: a body would be taken for the next answer.
 */
void cgi_drop_body(struct printbuf *answer);

/* Percent-decodes in place; false on a broken escape or an encoded NUL. */
bool cgi_decode(char *text);

/* Appends the header line by which an answer names its request. */
void cgi_put_request_id(struct printbuf *fields, const char *id);

#endif
