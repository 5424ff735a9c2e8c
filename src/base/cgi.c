#include "base/cgi.h"

#include <string.h>

#include "base/random.h"

const char *cgi_param(char *const *env, const char *name)
{
	size_t len = strlen(name);

	for (; *env != NULL; env++) {
		if (**env == *name && strncmp(*env, name, len) == 0 && (*env)[len] == '=')
			return *env + len + 1;
	}
	return NULL;
}

void cgi_request_id(char *const *env, char id[CGI_REQUEST_ID_MAX + 1])
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789-._~+/=:@";
	const char *came = cgi_param(env, "HTTP_X_REQUEST_ID");
	size_t len = came != NULL ? strspn(came, allowed) : 0;

	if (len > 0 && len <= CGI_REQUEST_ID_MAX && came[len] == '\0')
		memcpy(id, came, len + 1);
	else
		random_hex(id);
}

void cgi_put_request_id(struct printbuf *fields, const char *id)
{
	buf_puts(fields, "X-Request-Id: ");
	buf_puts(fields, id);
	buf_puts(fields, "\r\n");
}

bool cgi_path(char *const *env, char *path, size_t size)
{
	const char *uri = cgi_param(env, "REQUEST_URI");
	const char *authority;
	size_t len;

	if (uri == NULL)
		return false;
	authority = strstr(uri, "://");
	if (*uri != '/' && authority != NULL) {
		uri = authority + 3;
		uri += strcspn(uri, "/?#");
		if (*uri != '/')
			uri = "/";
	}
	len = strcspn(uri, "?#");
	if (*uri != '/' || len >= size)
		return false;
	memcpy(path, uri, len);
	path[len] = '\0';
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes len bytes into size bytes; false on a broken escape, a NUL or too little room. */
static bool decode(const char *text, size_t len, bool plus, char *out, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < len; i++) {
		int c = (unsigned char)text[i];

		if (c == '%') {
			int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
			int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

			if (low < 0)
				return false;
			c = high * 16 + low;
			i += 2;
		} else if (c == '+' && plus) {
			c = ' ';
		}
		if (c == 0 || used + 1 >= size)
			return false;
		out[used++] = (char)c;
	}
	out[used] = '\0';
	return true;
}

bool cgi_decode(char *text)
{
	size_t len = strlen(text);

	return decode(text, len, false, text, len + 1);
}

void cgi_drop_body(struct printbuf *answer)
{
	const char *end = strstr(answer->buf, "\r\n\r\n");

	if (end == NULL)
		return;
	answer->bpos = (int)(end + 4 - answer->buf);
	answer->buf[answer->bpos] = '\0';
}

enum cgi_query cgi_query_get(char *const *env, const char *name, char *value, size_t size)
{
	const char *uri = cgi_param(env, "REQUEST_URI");
	const char *query = uri != NULL ? strchr(uri, '?') : NULL;
	size_t name_len = strlen(name);

	query = query != NULL ? query + 1 : cgi_param(env, "QUERY_STRING");
	value[0] = '\0';
	while (query != NULL && *query != '\0') {
		size_t len = strcspn(query, "&#");

		if (len > name_len && query[name_len] == '=' &&
		    strncmp(query, name, name_len) == 0) {
			if (decode(query + name_len + 1, len - name_len - 1, true, value, size))
				return CGI_QUERY_FOUND;
			value[0] = '\0'; /* not what was decoded before the fault */
			return CGI_QUERY_BAD;
		}
		query = query[len] == '&' ? query + len + 1 : NULL;
	}
	return CGI_QUERY_ABSENT;
}

bool cgi_query_flag(char *const *env, const char *name, bool *flag)
{
	char value[sizeof "false"];
	enum cgi_query found = cgi_query_get(env, name, value, sizeof value);

	if (found == CGI_QUERY_ABSENT)
		return true;
	*flag = strcmp(value, "true") == 0;
	return *flag || strcmp(value, "false") == 0;
}
