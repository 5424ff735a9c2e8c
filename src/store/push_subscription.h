/*
 * A browser's push subscription: what PushSubscription.toJSON() of the Push API
 * says, checked, and the form in which Redis keeps it. Pure functions.
 */
#ifndef PRESENCE_STORE_PUSH_SUBSCRIPTION_H
#define PRESENCE_STORE_PUSH_SUBSCRIPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "base/buf.h"

#define PUSH_ENDPOINT_MAX 2048 /* bytes of a URL */
#define PUSH_ORIGIN_MAX 280 /* "https://host:port" */
#define PUSH_HOST_MAX 253 /* characters, RFC 1035 */
#define PUSH_DEVICE_MAX 64 /* bytes of the name its owner gives the device */
#define PUSH_P256DH_LEN 65 /* an uncompressed point on P-256 */
#define PUSH_AUTH_LEN 16
#define PUSH_SUBSCRIPTION_ID_LEN 33 /* "s" and 128 bits of the endpoint's hash in hex */
#define PUSH_SUBSCRIPTIONS_MAX 10 /* of one user */
#define PUSH_TOK_MAX 128

/* The push services of Chrome, Firefox, Safari and Edge. */
#define PUSH_ALLOW_DEFAULT \
	"fcm.googleapis.com, *.push.services.mozilla.com, *.push.apple.com, *.notify.windows.com"

/* The keys a message is encrypted with, RFC 8291. */
struct push_keys {
	unsigned char p256dh[PUSH_P256DH_LEN];
	unsigned char auth[PUSH_AUTH_LEN];
};

struct push_subscription {
	char id[PUSH_SUBSCRIPTION_ID_LEN + 1]; /* follows from the endpoint */
	char endpoint[PUSH_ENDPOINT_MAX + 1];
	struct push_keys keys;
	int64_t expires; /* seconds since 1970; 0 = never */
	int64_t created; /* seconds; of the last time the browser sent it */
	char device[PUSH_DEVICE_MAX + 1]; /* "" = not given */
	char tok[PUSH_TOK_MAX + 1]; /* the name of the token it was made with */
};

/* An endpoint taken apart. */
struct push_endpoint {
	char host[PUSH_HOST_MAX + 1]; /* lower case; an IPv6 address without its brackets */
	int port;
	char origin[PUSH_ORIGIN_MAX + 1]; /* RFC 6454 section 6.2: the `aud` of RFC 8292 */
};

/*
 * Reads an endpoint: https, a host, no user name, printable ASCII, at most
 * PUSH_ENDPOINT_MAX bytes. NULL, or a static sentence saying what is wrong.
 */
const char *push_endpoint_parse(const char *url, struct push_endpoint *endpoint);

/*
 * Whether `allow` ([push] allow, "" for PUSH_ALLOW_DEFAULT) names the host:
 * "host", "*.host" for what is below it, either with ":port" ("443" without).
 */
bool push_endpoint_allowed(const char *allow, const struct push_endpoint *endpoint);

/* The same for an address that a host has, as text: whether `allow` names it (any port). */
bool push_address_allowed(const char *allow, const char *address);

/*
 * Reads a PushSubscription's JSON and `device`. NULL, or a sentence whose
 * `*field` is what is wrong (both static). created and tok stay empty.
 */
const char *push_subscription_parse(struct json_object *body, const char *allow,
				    struct push_subscription *subscription, const char **field);

/* The form in Redis, and back; false when it is none of ours. `id` is the Hash's field. */
void push_subscription_put(struct printbuf *out, const struct push_subscription *subscription);
bool push_subscription_read(const char *id, const char *text, size_t len,
			    struct push_subscription *subscription);

/* The id of an endpoint. */
void push_subscription_id(const char *endpoint, char id[PUSH_SUBSCRIPTION_ID_LEN + 1]);

#endif
