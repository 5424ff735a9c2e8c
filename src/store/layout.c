#include "store/layout.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"

#define TAG_DIGITS 12

/* The polynomial is 0x1021; four bits at a time. */
uint16_t layout_crc16(const char *text, size_t len)
{
	static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5,
					   0x60c6, 0x70e7, 0x8108, 0x9129, 0xa14a, 0xb16b,
					   0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};
	unsigned crc = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned byte = (unsigned char)text[i];

		crc = (crc << 4 & 0xffff) ^ table[crc >> 12 ^ byte >> 4];
		crc = (crc << 4 & 0xffff) ^ table[crc >> 12 ^ (byte & 15)];
	}
	return (uint16_t)crc;
}

unsigned layout_partition(unsigned count, const char *id)
{
	return count == 1 ? 0 : layout_crc16(id, strlen(id)) % count;
}

/* In whose part the slot of a tag lies. */
static unsigned partition_of_text(unsigned count, const char *tag, size_t len)
{
	return layout_crc16(tag, len) % LAYOUT_SLOTS * count / LAYOUT_SLOTS;
}

static unsigned partition_of_tag(unsigned count, unsigned tag)
{
	char digits[TAG_DIGITS];

	return partition_of_text(count, digits, (size_t)snprintf(digits, sizeof digits, "%u", tag));
}

unsigned layout_tag(unsigned count, unsigned partition)
{
	unsigned tag = 0;

	while (partition_of_tag(count, tag) != partition)
		tag++;
	return tag;
}

void layout_find_tags(unsigned count, unsigned tags[])
{
	bool found[LAYOUT_PARTITIONS_MAX] = {false};
	unsigned left = count;

	for (unsigned tag = 0; left > 0; tag++) {
		unsigned partition = partition_of_tag(count, tag);

		if (found[partition])
			continue;
		found[partition] = true;
		tags[partition] = tag;
		left--;
	}
}

char *layout_prefix(unsigned count, unsigned tag, const char *prefix)
{
	struct printbuf *out = buf_new();

	if (count > 1)
		buf_putf(out, "{%u}", tag);
	buf_puts(out, prefix);
	return buf_take(out, NULL);
}

char *layout_pattern(unsigned count, const char *prefix)
{
	struct printbuf *out = buf_new();

	/* A prefix has no characters that mean something in a pattern: config_options.c. */
	buf_puts(out, count > 1 ? "{*}" : "");
	buf_puts(out, prefix);
	return buf_take(out, NULL);
}

unsigned layout_partition_of_name(unsigned count, const char *name)
{
	return partition_of_text(count, name + 1, strcspn(name + 1, "}"));
}

const char *layout_name(unsigned count, const char *prefix, const char *name)
{
	size_t len = strlen(prefix);

	if (count > 1) {
		const char *end = name[0] == '{' ? strchr(name, '}') : NULL;

		if (end == NULL)
			return NULL;
		name = end + 1;
	}
	return strncmp(name, prefix, len) == 0 ? name + len : NULL;
}
