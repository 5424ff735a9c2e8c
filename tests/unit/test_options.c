/* docs/configuration.md and conf/presence.conf name every option, with its default. */
#include "unit.h"

#include <stdio.h>

#include "base/config.h"

static char *read_file(const char *name)
{
	const char *dir = getenv("ABS_SRCDIR");
	char *path, *text = NULL;
	size_t len = 0;
	FILE *file;

	ck_assert(asprintf(&path, "%s/%s", dir != NULL ? dir : ".", name) > 0);
	file = fopen(path, "r");
	ck_assert_msg(file != NULL, "cannot read %s", path);
	ck_assert(getdelim(&text, &len, '\0', file) > 0);
	fclose(file);
	free(path);
	return text;
}

START_TEST(the_reference_names_every_option_with_its_default)
{
	size_t count;
	const struct config_option *options = config_options(&count);
	char *text = read_file("docs/configuration.md"), *row;

	for (size_t i = 0; i < count; i++) {
		bool empty = options[i].fallback[0] == '\0';

		ck_assert(asprintf(&row, "| `%s.%s` | %s%s%s |", options[i].section, options[i].key,
				   empty ? "(empty)" : "`", options[i].fallback,
				   empty ? "" : "`") > 0);
		ck_assert_msg(strstr(text, row) != NULL, "docs/configuration.md has no row '%s'",
			      row);
		free(row);
	}
	free(text);
}
END_TEST

START_TEST(the_reference_names_no_other_option)
{
	size_t count, rows = 0;
	char *text = read_file("docs/configuration.md");

	config_options(&count);
	for (const char *at = text; (at = strstr(at, "\n| `")) != NULL; at++)
		rows++;
	ck_assert_uint_eq(rows, count);
	free(text);
}
END_TEST

START_TEST(the_example_file_mentions_every_option)
{
	size_t count;
	const struct config_option *options = config_options(&count);
	char *text = read_file("conf/presence.conf"), *key;

	for (size_t i = 0; i < count; i++) {
		ck_assert(asprintf(&key, "%s =", options[i].key) > 0);
		ck_assert_msg(strstr(text, key) != NULL, "conf/presence.conf lacks %s.%s",
			      options[i].section, options[i].key);
		free(key);
	}
	free(text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");

	tcase_add_test(tcase, the_reference_names_every_option_with_its_default);
	tcase_add_test(tcase, the_reference_names_no_other_option);
	tcase_add_test(tcase, the_example_file_mentions_every_option);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
