/* Passwords: new hashes, old ones, refused ones, and that unknown accounts cost time too. */
#include "unit.h"

#include <time.h>

#include <crypt.h>

#include "auth/password.h"

START_TEST(test_hash)
{
	char *hash = password_hash("password"), *other = password_hash("password");

	ck_assert_ptr_nonnull(hash);
	ck_assert_ptr_nonnull(other);
	ck_assert_msg(strncmp(hash, "$y$j9T$", 7) == 0,
		      "yescrypt at the cost of password.c's first dummy expected, seen %s: make a "
		      "new one",
		      hash);
	ck_assert_msg(strcmp(hash, other) != 0, "two hashes have one salt: %s", hash);
	ck_assert(password_verify("password", hash));
	ck_assert(password_verify("password", other));
	ck_assert(!password_verify("Password", hash));
	ck_assert(!password_verify("", hash));
	ck_assert(!password_verify("password ", hash));
	free(hash);
	free(other);
}
END_TEST

START_TEST(test_empty_and_odd_passwords)
{
	static const char *const rows[] = {"", " ", "\xc3\xa9\xe2\x82\xac", "a\nb", "\xff\x80"};

	for (size_t i = 0; i < UNIT_COUNT(rows); i++) {
		char *hash = password_hash(rows[i]);

		ck_assert_msg(hash != NULL && password_verify(rows[i], hash),
			      "row %zu is not verified", i);
		ck_assert_msg(!password_verify("x", hash), "row %zu takes x", i);
		free(hash);
	}
}
END_TEST

START_TEST(test_longest)
{
	char password[CRYPT_MAX_PASSPHRASE_SIZE + 2], *hash;

	memset(password, 'p', sizeof password);
	password[CRYPT_MAX_PASSPHRASE_SIZE - 1] = '\0';
	hash = password_hash(password);
	ck_assert_ptr_nonnull(hash);
	ck_assert(password_verify(password, hash));
	password[CRYPT_MAX_PASSPHRASE_SIZE - 2] = '\0';
	ck_assert_msg(!password_verify(password, hash), "the last byte does not count");
	memset(password, 'p', sizeof password);
	password[CRYPT_MAX_PASSPHRASE_SIZE] = '\0';
	ck_assert_ptr_null(password_hash(password));
	ck_assert(!password_verify(password, hash));
	ck_assert(!password_verify(password, NULL));
	free(hash);
}
END_TEST

static const struct row {
	const char *prefix; /* of crypt_gensalt(3) */
	unsigned long count; /* the least work the method takes */
	bool good;
} rows[] = {
	{"$y$", 1, true},  {"$gy$", 1, true},  {"$7$", 6, true},     {"$2b$", 4, true},
	{"$2a$", 4, true}, {"$2y$", 4, true},  {"$6$", 1000, true},  {"$5$", 1000, true},
	{"$1$", 0, false}, {"$md5", 0, false}, {"$sha1$", 4, false}, {"$3$", 0, false},
	{"_", 5, false},   {"", 0, false},
};

/* What crypt(3) itself makes: accepted, or refused although the password is right. */
START_TEST(test_methods)
{
	const struct row *row = &rows[_i];
	char *salt = crypt_gensalt_ra(row->prefix, row->count, NULL, 0), *hash;
	void *data = NULL;
	int size = 0;

	ck_assert_msg(salt != NULL, "no salt for '%s'", row->prefix);
	hash = crypt_ra("secret", salt, &data, &size);
	ck_assert_msg(hash != NULL, "crypt knows no '%s'", row->prefix);
	ck_assert_msg(password_verify("secret", hash) == row->good, "%s: expected %s", hash,
		      row->good ? "accepted" : "refused");
	ck_assert_msg(!password_verify("Secret", hash), "%s takes another password", hash);
	free(salt);
	free(data);
}
END_TEST

static const char *const bad_hashes[] = {
	"",
	"*",
	"*0",
	"*1",
	"!",
	"x",
	"secret",
	"$",
	"$y$",
	"$y$j9T",
	"$y$j9T$",
	"$y$j9T$abc",
	"$6$",
	"$6$salt$",
	"$2b$04$short",
	"$2b$99$abcdefghijklmnopqrstuu",
	"$9$abc$def",
	"$y$j9T$abc$tooshort",
	"plaintext$",
};

START_TEST(test_bad_hashes)
{
	const char *hash = bad_hashes[_i];

	ck_assert_msg(!password_verify("secret", hash), "'%s' takes a password", hash);
	ck_assert_msg(!password_verify(hash, hash), "'%s' takes itself as a password", hash);
	ck_assert_msg(!password_verify("", hash), "'%s' takes the empty password", hash);
}
END_TEST

/* Milliseconds of this process' CPU for three checks. */
static double cost(const char *password, const char *hash)
{
	struct timespec start, end;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (int i = 0; i < 3; i++)
		password_verify(password, hash);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	return (double)(end.tv_sec - start.tv_sec) * 1e3 +
	       (double)(end.tv_nsec - start.tv_nsec) / 1e6;
}

START_TEST(test_unknown_accounts_cost_time)
{
	static const char *const unknown[] = {NULL,
					      "",
					      "!",
					      "$1$salt$hash",
					      "abJnggxhB/yWI",
					      "$y$j9T",
					      "$2b$99$abcdefghijklmnopqrstuu"};
	char *hash = password_hash("password");
	double known = cost("wrong", hash);

	for (size_t i = 0; i < UNIT_COUNT(unknown); i++) {
		double ms = cost("wrong", unknown[i]);

		ck_assert_msg(ms > known / 3, "'%s': expected about %.1f ms, seen %.1f",
			      unknown[i] != NULL ? unknown[i] : "no account", known, ms);
	}
	free(hash);
}
END_TEST

/* A hash of the method at this cost. */
static char *hash_at(const char *prefix, unsigned long count)
{
	char *salt = crypt_gensalt_ra(prefix, count, NULL, 0), *hash;
	void *data = NULL;
	int size = 0;

	ck_assert_ptr_nonnull(salt);
	hash = strdup(crypt_ra("password", salt, &data, &size));
	free(salt);
	free(data);
	return hash;
}

/* Of a site whose hashes are cheaper, or dearer, than ours. */
static const struct cost_row {
	const char *prefix;
	unsigned long cheap, dear;
} cost_rows[] = {{"$2y$", 4, 9}, {"$6$", 1000, 60000}, {"$5$", 1000, 60000}, {"$y$", 1, 5}};

START_TEST(test_unknown_accounts_cost_what_the_accounts_do)
{
	const struct cost_row *row = &cost_rows[_i];
	char *cheap = hash_at(row->prefix, row->cheap), *dear = hash_at(row->prefix, row->dear);
	double cheap_ms = cost("wrong", cheap), dear_ms = cost("wrong", dear), unknown;

	ck_assert_msg(dear_ms > 4 * cheap_ms, "%s: both cost the same", row->prefix);
	/* The last account's: a wrong password is enough. */
	unknown = cost("wrong", NULL);
	ck_assert_msg(unknown > dear_ms / 2 && unknown < dear_ms * 2,
		      "%s: expected about %.1f ms, seen %.1f", dear, dear_ms, unknown);
	password_verify("wrong", cheap);
	unknown = cost("wrong", NULL);
	ck_assert_msg(unknown > cheap_ms / 2 && unknown < dear_ms / 2,
		      "%s: expected about %.1f ms, seen %.1f", cheap, cheap_ms, unknown);
	/* The configured one stays. */
	ck_assert(password_set_dummy(dear));
	password_verify("wrong", cheap);
	unknown = cost("wrong", NULL);
	ck_assert_msg(unknown > dear_ms / 2, "%s: expected about %.1f ms, seen %.1f", dear, dear_ms,
		      unknown);
	free(cheap);
	free(dear);
}
END_TEST

START_TEST(test_dummies)
{
	static const char *const bad[] = {"x",	     "$",	    "$1$salt$hash", "abJnggxhB/yWI",
					  "$2y$10$", "$2y$10$short"};

	for (size_t i = 0; i < UNIT_COUNT(bad); i++)
		ck_assert_msg(!password_set_dummy(bad[i]), "'%s' is taken", bad[i]);
	ck_assert(password_set_dummy(""));
	ck_assert(password_set_dummy("$2y$10$abcdefghijklmnopqrstuu"));
	ck_assert(password_set_dummy("$y$j9T$eEM3U4huHBvTCcZI.RoKL0$"));
}
END_TEST

static Suite *password_suite(void)
{
	Suite *suite = suite_create("password");
	TCase *tcase = tcase_create("password");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_hash);
	tcase_add_test(tcase, test_empty_and_odd_passwords);
	tcase_add_test(tcase, test_longest);
	tcase_add_loop_test(tcase, test_methods, 0, UNIT_COUNT(rows));
	tcase_add_loop_test(tcase, test_bad_hashes, 0, UNIT_COUNT(bad_hashes));
	tcase_add_test(tcase, test_unknown_accounts_cost_time);
	tcase_add_loop_test(tcase, test_unknown_accounts_cost_what_the_accounts_do, 0,
			    UNIT_COUNT(cost_rows));
	tcase_add_test(tcase, test_dummies);
	suite_add_tcase(suite, tcase);
	return suite;
}

int main(void)
{
	return unit_run(password_suite());
}
