/* Random ids, random numbers and hashes for names. */
#include "unit.h"

#include "base/random.h"

START_TEST(test_words)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static char words[2000][RANDOM_ID_LEN + 1];
	bool seen[128] = {false};

	for (size_t i = 0; i < UNIT_COUNT(words); i++) {
		random_id(words[i]);
		ck_assert_msg(strspn(words[i], alphabet) == RANDOM_ID_LEN &&
				      words[i][RANDOM_ID_LEN] == '\0',
			      "22 characters of base64url expected, seen %s", words[i]);
		for (const char *c = words[i]; *c != '\0'; c++)
			seen[(unsigned char)*c] = true;
		for (size_t j = 0; j < i; j++) {
			if (strcmp(words[i], words[j]) == 0)
				ck_abort_msg("%s came twice", words[i]);
		}
	}
	/* 44,000 characters: that one of 64 never comes has a chance of 1e-299. */
	for (const char *c = alphabet; *c != '\0'; c++)
		ck_assert_msg(seen[(unsigned char)*c], "'%c' never comes", *c);
}
END_TEST

/* More than are fetched at a time. */
START_TEST(test_hex)
{
	static char words[100][RANDOM_HEX_LEN + 1];

	for (size_t i = 0; i < UNIT_COUNT(words); i++) {
		random_hex(words[i]);
		ck_assert_msg(strspn(words[i], "0123456789abcdef") == RANDOM_HEX_LEN &&
				      words[i][RANDOM_HEX_LEN] == '\0',
			      "32 digits expected, seen %s", words[i]);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(words[i], words[j]) == 0)
				ck_abort_msg("%s came twice", words[i]);
		}
	}
}
END_TEST

START_TEST(test_below)
{
	static const unsigned limits[] = {1, 2, 3, 10, 256, 1000000, 4294967295U};
	bool seen[10] = {false};

	for (size_t i = 0; i < UNIT_COUNT(limits); i++) {
		for (int n = 0; n < 1000; n++) {
			unsigned number = random_below(limits[i]);

			ck_assert_msg(number < limits[i], "%u is not below %u", number, limits[i]);
			if (limits[i] == 10)
				seen[number] = true;
		}
	}
	for (size_t i = 0; i < UNIT_COUNT(seen); i++)
		ck_assert_msg(seen[i], "%zu never comes", i);
}
END_TEST

START_TEST(test_hash)
{
	static const struct {
		const char *label, *data;
		const char *name;
	} rows[] = {
		/* FIPS 180-4's examples, cut to 128 bits */
		{"", "", "e3b0c44298fc1c149afbf4c8996fb924"},
		{"", "abc", "ba7816bf8f01cfea414140de5dae2223"},
		{"a", "bc", "ba7816bf8f01cfea414140de5dae2223"},
		{"", "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039"},
	};
	char name[HASH_NAME_LEN + 1];

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		hash_name(rows[i].label, rows[i].data, strlen(rows[i].data), name);
		ck_assert_str_eq(name, rows[i].name);
	}
}
END_TEST

static Suite *random_suite(void)
{
	Suite *suite = suite_create("random");
	TCase *tcase = tcase_create("random");

	tcase_add_test(tcase, test_words);
	tcase_add_test(tcase, test_hex);
	tcase_add_test(tcase, test_below);
	tcase_add_test(tcase, test_hash);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(random_suite());
}
