#include "store/push_subscription.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include "base/base64url.h"
#include "base/json.h"
#include "base/random.h"

#define HTTPS_PORT 443
#define UNCOMPRESSED 4 /* the first byte of such a point */
#define KEY_TEXT_MAX 128 /* characters of a key in base64url, with room for padding */

/* --- endpoints ------------------------------------------------------------------------------- */

static bool parse_port(const char *text, size_t len, int *port)
{
	long value = 0;

	if (len == 0 || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (text[i] - '0');
	}
	*port = (int)value;
	return value >= 1 && value <= 65535;
}

static bool is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
}

/* Copies a host in lower case; false when it is too long or has other characters. */
static bool copy_host(const char *text, size_t len, char host[PUSH_HOST_MAX + 1])
{
	if (len == 0 || len > PUSH_HOST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		host[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
		if (!is_host_char(host[i]))
			return false;
	}
	host[len] = '\0';
	return true;
}

/* Splits "host:port" or "[IPv6]:port" of `len` bytes; `port` stays where none is given. */
static bool parse_authority(const char *text, size_t len, char host[PUSH_HOST_MAX + 1], int *port)
{
	bool bracketed = len > 0 && *text == '[';
	const char *end = memchr(text, bracketed ? ']' : ':', len);
	const char *rest = bracketed && end != NULL ? end + 1 : end;

	text += bracketed;
	len -= bracketed;
	if (bracketed && end == NULL)
		return false;
	if (!copy_host(text, end != NULL ? (size_t)(end - text) : len, host))
		return false;
	if (rest == NULL || rest == text + len)
		return true;
	return *rest == ':' && parse_port(rest + 1, (size_t)(text + len - rest - 1), port);
}

const char *push_endpoint_parse(const char *url, struct push_endpoint *endpoint)
{
	static const char scheme[] = "https://";
	const char *authority = url + sizeof scheme - 1;
	size_t len = strlen(url);

	if (len > PUSH_ENDPOINT_MAX)
		return "the endpoint is longer than 2048 bytes";
	for (const char *c = url; *c != '\0'; c++) {
		if (*c <= ' ' || *c > '~' || strchr("\"<>\\^`{|}", *c) != NULL)
			return "the endpoint is not a URL";
	}
	if (strncasecmp(url, scheme, sizeof scheme - 1) != 0)
		return "the endpoint's scheme is not https";
	len = strcspn(authority, "/?#");
	if (strchr(authority, '#') != NULL || memchr(authority, '@', len) != NULL)
		return "the endpoint has a user name or a fragment";
	endpoint->port = HTTPS_PORT;
	if (!parse_authority(authority, len, endpoint->host, &endpoint->port))
		return "the endpoint's host or port is malformed";
	snprintf(endpoint->origin, sizeof endpoint->origin,
		 strchr(endpoint->host, ':') != NULL ? "https://[%s]" : "https://%s",
		 endpoint->host);
	if (endpoint->port != HTTPS_PORT)
		snprintf(endpoint->origin + strlen(endpoint->origin),
			 sizeof endpoint->origin - strlen(endpoint->origin), ":%d", endpoint->port);
	return NULL;
}

/* One entry of `allow`: a host, whether hosts below it are meant, and a port. */
struct allowed {
	char host[PUSH_HOST_MAX + 1];
	int port;
	bool below;
};

/* Reads the next entry; *allow moves behind it. False at the end. */
static bool next_allowed(const char **allow, struct allowed *entry)
{
	while (**allow != '\0') {
		const char *text = *allow + strspn(*allow, " ,\t");
		size_t len = strcspn(text, " ,\t");

		*allow = text + len;
		entry->below = len > 2 && strncmp(text, "*.", 2) == 0;
		entry->port = HTTPS_PORT;
		if (entry->below) {
			text += 2;
			len -= 2;
		}
		if (len > 0 && parse_authority(text, len, entry->host, &entry->port))
			return true;
	}
	return false;
}

static const char *allow_or_default(const char *allow)
{
	return *allow != '\0' ? allow : PUSH_ALLOW_DEFAULT;
}

bool push_endpoint_allowed(const char *allow, const struct push_endpoint *endpoint)
{
	struct allowed entry;
	size_t len = strlen(endpoint->host);

	allow = allow_or_default(allow);
	while (next_allowed(&allow, &entry)) {
		size_t entry_len = strlen(entry.host);
		const char *tail = endpoint->host + (len > entry_len ? len - entry_len : 0);

		if (entry.port != endpoint->port || strcmp(tail, entry.host) != 0)
			continue;
		if (entry.below ? len > entry_len && tail[-1] == '.' : len == entry_len)
			return true;
	}
	return false;
}

bool push_address_allowed(const char *allow, const char *address)
{
	struct allowed entry;

	allow = allow_or_default(allow);
	while (next_allowed(&allow, &entry)) {
		if (!entry.below && strcmp(entry.host, address) == 0)
			return true;
	}
	return false;
}

void push_subscription_id(const char *endpoint, char id[PUSH_SUBSCRIPTION_ID_LEN + 1])
{
	id[0] = 's'; /* so that it reads as a word, never as a number */
	hash_name("push\n", endpoint, strlen(endpoint), id + 1);
}

/* Reads a key of exactly `size` bytes; some clients pad base64url. */
static bool read_key(const char *text, unsigned char *key, size_t size)
{
	unsigned char bytes[BASE64URL_DECODED(KEY_TEXT_MAX)];
	size_t len = strcspn(text, "="), found;

	if (len > KEY_TEXT_MAX || strspn(text + len, "=") != strlen(text + len) ||
	    strlen(text + len) > 2 || !base64url_decode(text, len, bytes, &found) || found != size)
		return false;
	memcpy(key, bytes, size);
	return true;
}

/* Whether these bytes are a point on P-256: with another one nothing can be encrypted. */
static bool is_point(const unsigned char *bytes, size_t size)
{
	EC_GROUP *curve = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	EC_POINT *point = curve != NULL ? EC_POINT_new(curve) : NULL;
	bool ok = point != NULL && bytes[0] == UNCOMPRESSED &&
		  EC_POINT_oct2point(curve, point, bytes, size, NULL) == 1;

	EC_POINT_free(point);
	EC_GROUP_free(curve);
	return ok;
}

/* --- what a browser sends -------------------------------------------------------------------- */

static const char *parse_keys(struct json_object *body, struct push_keys *keys, const char **field)
{
	struct json_object *object = json_member(body, "keys");
	const char *p256dh, *auth;

	*field = "keys";
	if (!json_object_is_type(object, json_type_object))
		return "\"keys\" must be an object with \"p256dh\" and \"auth\".";
	*field = "keys.p256dh";
	if (!json_is_text(json_member(object, "p256dh"), KEY_TEXT_MAX, &p256dh) ||
	    !read_key(p256dh, keys->p256dh, sizeof keys->p256dh) ||
	    !is_point(keys->p256dh, sizeof keys->p256dh))
		return "\"keys.p256dh\" must be an uncompressed P-256 point of 65 bytes in "
		       "base64url.";
	*field = "keys.auth";
	if (!json_is_text(json_member(object, "auth"), KEY_TEXT_MAX, &auth) ||
	    !read_key(auth, keys->auth, sizeof keys->auth))
		return "\"keys.auth\" must be 16 bytes in base64url.";
	return NULL;
}

/* `expirationTime` is null or milliseconds since 1970 (DOMHighResTimeStamp: maybe a fraction). */
static bool parse_expiry(struct json_object *value, int64_t *expires)
{
	double ms;

	*expires = 0;
	if (value == NULL)
		return true;
	if (!json_object_is_type(value, json_type_int) &&
	    !json_object_is_type(value, json_type_double))
		return false;
	ms = json_object_get_double(value);
	if (!(ms >= 0 && ms < 1e15))
		return false;
	*expires = (int64_t)(ms / 1000);
	return true;
}

static bool parse_device(struct json_object *value, char device[PUSH_DEVICE_MAX + 1])
{
	const char *text = "";

	if (value != NULL && !json_is_text(value, PUSH_DEVICE_MAX, &text))
		return false;
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
	}
	strcpy(device, text);
	return true;
}

const char *push_subscription_parse(struct json_object *body, const char *allow,
				    struct push_subscription *subscription, const char **field)
{
	struct push_endpoint endpoint;
	const char *url, *why;

	memset(subscription, 0, sizeof *subscription);
	*field = "endpoint";
	if (!json_is_text(json_member(body, "endpoint"), PUSH_ENDPOINT_MAX, &url))
		return "\"endpoint\" must be a URL of at most 2048 bytes.";
	why = push_endpoint_parse(url, &endpoint);
	if (why != NULL)
		return "\"endpoint\" must be an https URL without user name and fragment.";
	if (!push_endpoint_allowed(allow, &endpoint))
		return "\"endpoint\" is not of a push service that is allowed here.";
	strcpy(subscription->endpoint, url);
	push_subscription_id(url, subscription->id);
	why = parse_keys(body, &subscription->keys, field);
	if (why != NULL)
		return why;
	*field = "expirationTime";
	if (!parse_expiry(json_member(body, "expirationTime"), &subscription->expires))
		return "\"expirationTime\" must be null or milliseconds since 1970.";
	*field = "device";
	if (!parse_device(json_member(body, "device"), subscription->device))
		return "\"device\" must be a name of at most 64 bytes without control characters.";
	return NULL;
}

/* --- in Redis -------------------------------------------------------------------------------- */

static void put_text(struct printbuf *out, const char *name, const char *text)
{
	buf_putf(out, ",\"%s\":", name);
	json_put_string(out, text, strlen(text));
}

void push_subscription_put(struct printbuf *out, const struct push_subscription *subscription)
{
	buf_putf(out, "{\"created\":%" PRId64 ",\"expires\":%" PRId64, subscription->created,
		 subscription->expires);
	put_text(out, "tok", subscription->tok);
	put_text(out, "device", subscription->device);
	put_text(out, "endpoint", subscription->endpoint);
	buf_puts(out, ",\"p256dh\":\"");
	base64url_put(out, subscription->keys.p256dh, sizeof subscription->keys.p256dh);
	buf_puts(out, "\",\"auth\":\"");
	base64url_put(out, subscription->keys.auth, sizeof subscription->keys.auth);
	buf_puts(out, "\"}");
}

static bool read_text(struct json_object *object, const char *name, char *text, size_t max)
{
	const char *value;

	if (!json_is_text(json_member(object, name), max, &value))
		return false;
	strcpy(text, value);
	return true;
}

static bool read_number(struct json_object *object, const char *name, int64_t *number)
{
	struct json_object *value = json_member(object, name);

	*number = json_object_get_int64(value);
	return json_object_is_type(value, json_type_int) && *number >= 0;
}

bool push_subscription_read(const char *id, const char *text, size_t len,
			    struct push_subscription *subscription)
{
	const char *why;
	char p256dh[KEY_TEXT_MAX + 1], auth[KEY_TEXT_MAX + 1];
	struct json_object *object = json_parse_object(text, len, &why);
	bool ok = object != NULL;

	memset(subscription, 0, sizeof *subscription);
	ok = ok && read_number(object, "created", &subscription->created) &&
	     read_number(object, "expires", &subscription->expires) &&
	     read_text(object, "tok", subscription->tok, PUSH_TOK_MAX) &&
	     read_text(object, "device", subscription->device, PUSH_DEVICE_MAX) &&
	     read_text(object, "endpoint", subscription->endpoint, PUSH_ENDPOINT_MAX) &&
	     read_text(object, "p256dh", p256dh, KEY_TEXT_MAX) &&
	     read_text(object, "auth", auth, KEY_TEXT_MAX) &&
	     read_key(p256dh, subscription->keys.p256dh, PUSH_P256DH_LEN) &&
	     read_key(auth, subscription->keys.auth, PUSH_AUTH_LEN);
	json_object_put(object);
	if (!ok)
		return false;
	push_subscription_id(subscription->endpoint, subscription->id);
	return strcmp(subscription->id, id) == 0;
}
