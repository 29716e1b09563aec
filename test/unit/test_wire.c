/* SPDX-License-Identifier: PostgreSQL */
/* test_wire.c: the cursor over packet bytes stays within them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../receiver/wire.h"

static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

static void
reads_big_endian(void **state)
{
	BsWire wire = bs_wire(bytes, sizeof(bytes));
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	(void) state;
	assert_true(bs_wire_u8(&wire, &u8));
	assert_int_equal(u8, 1);
	assert_true(bs_wire_u16(&wire, &u16));
	assert_int_equal(u16, 0x0203);
	assert_true(bs_wire_u32(&wire, &u32));
	assert_int_equal(u32, 0x04050607);
	assert_int_equal(wire.left, 2);
	wire = bs_wire(bytes + 1, 8);
	assert_true(bs_wire_u64(&wire, &u64));
	assert_true(u64 == UINT64_C(0x0203040506070809));
	assert_int_equal(wire.left, 0);
}

static void
refuses_what_is_not_there_and_stays(void **state)
{
	BsWire wire = bs_wire(bytes, 3);
	BsWire sub;
	uint16_t u16;
	uint32_t u32 = 77;
	uint64_t u64;

	(void) state;
	assert_false(bs_wire_u32(&wire, &u32));
	assert_int_equal(u32, 77);
	assert_false(bs_wire_u64(&wire, &u64));
	assert_false(bs_wire_skip(&wire, SIZE_MAX));
	assert_false(bs_wire_sub(&wire, 4, &sub));
	assert_int_equal(wire.left, 3);
	assert_true(bs_wire_u16(&wire, &u16));
	assert_false(bs_wire_u16(&wire, &u16));
	assert_true(bs_wire_sub(&wire, 1, &sub));
	assert_int_equal(sub.left, 1);
	assert_int_equal(sub.at[0], 3);
	assert_int_equal(wire.left, 0);
	assert_true(bs_wire_skip(&wire, 0));
}

static void
loads_integers_of_any_width(void **state)
{
	(void) state;
	assert_true(bs_load_uint(bytes, 0) == 0);
	assert_true(bs_load_uint(bytes, 1) == 1);
	assert_true(bs_load_uint(bytes, 3) == 0x010203);
	assert_true(bs_load_uint(bytes, 8) == UINT64_C(0x0102030405060708));
	assert_true(bs_load_uint(bytes, 8) == bs_load_u64(bytes));
}

static void
reads_lengths_of_variable_fields(void **state)
{
	static const uint8_t shorter[] = {254};
	static const uint8_t longer[] = {255, 1, 2};
	BsWire wire = bs_wire(shorter, 1);
	uint32_t len_bytes;

	(void) state;
	assert_true(bs_wire_variable_length(&wire, &len_bytes));
	assert_int_equal(len_bytes, 254);
	assert_false(bs_wire_variable_length(&wire, &len_bytes));
	wire = bs_wire(longer, 3);
	assert_true(bs_wire_variable_length(&wire, &len_bytes));
	assert_int_equal(len_bytes, 0x0102);
	wire = bs_wire(longer, 2);
	assert_false(bs_wire_variable_length(&wire, &len_bytes));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_big_endian),
		cmocka_unit_test(refuses_what_is_not_there_and_stays),
		cmocka_unit_test(loads_integers_of_any_width),
		cmocka_unit_test(reads_lengths_of_variable_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
