/* User -> partition -> tag, against vectors that were computed elsewhere. */
#include "unit.h"

#include <stdio.h>

#include "store/layout.h"

static unsigned slot_of(const char *text)
{
	return layout_crc16(text, strlen(text)) % LAYOUT_SLOTS;
}

START_TEST(the_checksum_and_slots_are_those_of_the_cluster_specification)
{
	ck_assert_uint_eq(layout_crc16("123456789", 9), 0x31c3);
	ck_assert_uint_eq(layout_crc16("", 0), 0);
	ck_assert_uint_eq(slot_of("foo"), 12182);
	ck_assert_uint_eq(slot_of("user1000"), 3443);
}
END_TEST

static const struct {
	const char *id;
	unsigned of_8, of_1024;
} users[] = {
	{"1", 2, 626},	 {"2", 1, 529},		 {"9007199254740991", 6, 662},
	{"bob", 3, 763}, {"auth0|5f7c", 2, 786}, {"anna@example.com", 4, 92},
};

START_TEST(a_user_is_in_the_partition_of_its_checksum)
{
	ck_assert_uint_eq(layout_partition(1, users[_i].id), 0);
	ck_assert_uint_eq(layout_partition(8, users[_i].id), users[_i].of_8);
	ck_assert_uint_eq(layout_partition(1024, users[_i].id), users[_i].of_1024);
}
END_TEST

START_TEST(tags_are_the_smallest_numbers)
{
	static const unsigned of_8[] = {3, 43, 2, 42, 1, 41, 0, 40};
	static const unsigned of_16[] = {10, 3, 61, 43, 11, 2, 60, 42,
					 12, 1, 63, 41, 13, 0, 62, 40};
	unsigned tags[LAYOUT_PARTITIONS_MAX];

	layout_find_tags(8, tags);
	ck_assert_mem_eq(tags, of_8, sizeof of_8);
	layout_find_tags(16, tags);
	ck_assert_mem_eq(tags, of_16, sizeof of_16);
	layout_find_tags(1024, tags);
	ck_assert_uint_eq(tags[0], 460);
	ck_assert_uint_eq(tags[1], 491);
	ck_assert_uint_eq(tags[1023], 430);
}
END_TEST

/* So that a cluster's nodes, each of which has a range of slots, have as many partitions each. */
START_TEST(each_partition_has_a_slot_in_its_part_of_the_cluster)
{
	unsigned tags[LAYOUT_PARTITIONS_MAX];

	for (unsigned count = 1; count <= LAYOUT_PARTITIONS_MAX; count *= 2) {
		layout_find_tags(count, tags);
		for (unsigned partition = 0; partition < count; partition++) {
			char digits[16];

			snprintf(digits, sizeof digits, "%u", tags[partition]);
			ck_assert_uint_eq(slot_of(digits) * count / LAYOUT_SLOTS, partition);
			if (partition % 97 == 0)
				ck_assert_uint_eq(layout_tag(count, partition), tags[partition]);
		}
	}
}
END_TEST

START_TEST(a_single_partition_has_no_tag)
{
	char *prefix = layout_prefix(1, 7, "shop:");

	ck_assert_str_eq(prefix, "shop:");
	ck_assert_str_eq(layout_name(1, "shop:", "shop:user:status:5"), "user:status:5");
	ck_assert_ptr_null(layout_name(1, "shop:", "user:status:5"));
	ck_assert_str_eq(layout_name(1, "", "user:status:5"), "user:status:5");
	free(prefix);
}
END_TEST

START_TEST(a_tag_stands_before_the_prefix_and_is_taken_off_again)
{
	char *prefix = layout_prefix(8, 43, "shop:");

	ck_assert_str_eq(prefix, "{43}shop:");
	ck_assert_str_eq(layout_name(8, "shop:", "{43}shop:user:status:5"), "user:status:5");
	ck_assert_ptr_null(layout_name(8, "shop:", "shop:user:status:5"));
	ck_assert_ptr_null(layout_name(8, "shop:", "{43}user:status:5"));
	ck_assert_ptr_null(layout_name(8, "shop:", "{43"));
	free(prefix);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("layout");
	TCase *tcase = tcase_create("layout");

	tcase_add_test(tcase, the_checksum_and_slots_are_those_of_the_cluster_specification);
	tcase_add_loop_test(tcase, a_user_is_in_the_partition_of_its_checksum, 0,
			    UNIT_COUNT(users));
	tcase_add_test(tcase, tags_are_the_smallest_numbers);
	tcase_add_test(tcase, each_partition_has_a_slot_in_its_part_of_the_cluster);
	tcase_add_test(tcase, a_single_partition_has_no_tag);
	tcase_add_test(tcase, a_tag_stands_before_the_prefix_and_is_taken_off_again);
	suite_add_tcase(suite, tcase);
	return unit_run(suite);
}
