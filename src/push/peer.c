#include "push/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "store/push_subscription.h"

/* The first `bits` of an address of 4 or 16 bytes. */
struct block {
	unsigned char head[16];
	unsigned bits;
};

static const struct block closed_v4[] = {
	{{0}, 8}, /* this network */
	{{10}, 8}, /* private */
	{{100, 64}, 10}, /* shared */
	{{127}, 8}, /* loopback */
	{{169, 254}, 16}, /* link-local */
	{{172, 16}, 12}, /* private */
	{{192, 0, 0}, 24}, /* protocol assignments */
	{{192, 0, 2}, 24}, /* documentation */
	{{192, 88, 99}, 24}, /* 6to4 relays */
	{{192, 168}, 16}, /* private */
	{{198, 18}, 15}, /* benchmarks */
	{{198, 51, 100}, 24}, /* documentation */
	{{203, 0, 113}, 24}, /* documentation */
	{{224}, 3}, /* multicast and reserved */
};

/* Of 2000::/3, outside of which nothing is public. */
static const struct block closed_v6[] = {
	{{0x20, 0x01, 0x00}, 23}, /* protocol assignments, Teredo among them */
	{{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
	{{0x20, 0x02}, 16}, /* 6to4 */
	{{0x3f, 0xff}, 20}, /* documentation */
};
static const struct block open_v6 = {{0x20}, 3};
static const struct block mapped_v4 = {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 96};
static const struct block nat64 = {{0x00, 0x64, 0xff, 0x9b}, 96};

static bool is_in(const unsigned char *address, const struct block *block)
{
	unsigned bytes = block->bits / 8, rest = block->bits % 8;

	return memcmp(address, block->head, bytes) == 0 &&
	       (rest == 0 || (address[bytes] ^ block->head[bytes]) >> (8 - rest) == 0);
}

static bool is_in_any(const unsigned char *address, const struct block *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (is_in(address, &blocks[i]))
			return true;
	}
	return false;
}

static bool is_public_v4(const unsigned char *address)
{
	return !is_in_any(address, closed_v4, sizeof closed_v4 / sizeof closed_v4[0]);
}

static bool is_public_v6(const unsigned char *address)
{
	if (is_in(address, &mapped_v4) || is_in(address, &nat64))
		return is_public_v4(address + 12);
	return is_in(address, &open_v6) &&
	       !is_in_any(address, closed_v6, sizeof closed_v6 / sizeof closed_v6[0]);
}

bool peer_is_public(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET)
		return is_public_v4(
			(const unsigned char *)&((const struct sockaddr_in *)address)->sin_addr);
	if (address->sa_family == AF_INET6)
		return is_public_v6(
			(const unsigned char *)&((const struct sockaddr_in6 *)address)->sin6_addr);
	return false;
}

bool peer_is_allowed(const char *allow, const struct sockaddr *address)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (peer_is_public(address))
		return true;
	if (address->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text,
			  sizeof text);
	else if (address->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text,
			  sizeof text);
	return *text != '\0' && push_address_allowed(allow, text);
}
