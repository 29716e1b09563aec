/* SPDX-License-Identifier: PostgreSQL */
/* test_pack_faults.c: what is no packed partial, or one of something else, is not taken for one. */
#include "pack_tables.h"

/* A packed table of each shape, and an unpacker for it. */
typedef struct Packed
{
	BsArena *arena;
	BsProgram program;
	Messages messages;
	BsUnpacker *unpacker;
} Packed;

static void
make_packed(Packed *packed, const PackShape *shape)
{
	BsPartial partial;

	packed->arena = bs_arena_create(ARENA_BYTES);
	assert_null(pack_make_program(&packed->program, shape));
	bs_partial_init(&partial, &packed->program, NO_LIMIT);
	add_random(&partial, packed->arena, &packed->program, 60, 20, false);
	packed->messages =
		pack_table(&packed->program, packed->arena, only_table(&partial, packed->arena));
	packed->unpacker = bs_unpacker_create(&packed->program, PACK_FINGERPRINT, any_state, NULL);
}

static void
free_packed(Packed *packed)
{
	free_messages(&packed->messages);
	bs_unpacker_free(packed->unpacker);
	bs_program_free(&packed->program);
	bs_arena_free_private(packed->arena);
}

static void
test_faults(void **state)
{
	Packed packed;
	BsUnpacked unpacked;
	BsUnpacker *other;
	Text *message;
	uint8_t *copy;
	size_t len;

	(void) state;
	make_packed(&packed, &pack_shapes[0]);
	message = &packed.messages.texts[0];
	/* A heap block of just the size, so that the sanitizer sees every byte read too far. */
	for (size_t cut = 0; cut < message->len; cut++)
	{
		copy = malloc(cut + 1);
		memcpy(copy, message->data, cut);
		assert_int_equal(bs_unpack(packed.unpacker, copy, cut, &unpacked), BS_PACK_TRUNCATED);
		free(copy);
	}
	for (size_t at = 0; at < message->len; at++)
	{
		BsPackStatus status;

		message->data[at] ^= 0x10;
		status = bs_unpack(packed.unpacker, message->data, message->len, &unpacked);
		assert_int_not_equal(status, BS_PACK_OK);
		if (at < 4)
			assert_int_equal(status, BS_PACK_NOT_PACKED);
		else if (at < 6)
			assert_int_equal(status, BS_PACK_VERSION_UNKNOWN);
		else if (at < 16 || at >= 20)
			assert_int_equal(status, BS_PACK_DAMAGED);
		message->data[at] ^= 0x10;
	}
	assert_int_equal(bs_pack_message_bytes(message->data, &len), BS_PACK_OK);
	assert_int_equal(len, message->len);
	other = bs_unpacker_create(&packed.program, PACK_FINGERPRINT + 1, any_state, NULL);
	assert_int_equal(bs_unpack(other, message->data, message->len, &unpacked), BS_PACK_FINGERPRINT);
	bs_unpacker_free(other);
	/* The end without what came before it. */
	message = &packed.messages.texts[packed.messages.n - 1];
	assert_int_equal(bs_unpack(packed.unpacker, message->data, message->len, &unpacked),
					 BS_PACK_TRUNCATED);
	for (int status = BS_PACK_OK; status <= BS_PACK_CORRUPT; status++)
		assert_non_null(bs_pack_status_text((BsPackStatus) status));
	free_packed(&packed);
}

/* Contents changed at random under a right checksum: what is taken can be merged and packed. */
static void
test_hostile(void **state)
{
	(void) state;
	for (size_t s = 0; s < PACK_NSHAPES; s++)
	{
		Packed packed;
		BsWriter *writer;
		uint32_t ntaken = 0;

		make_packed(&packed, &pack_shapes[s]);
		writer = bs_writer_create(&packed.program);
		for (int i = 0; i < 3000; i++)
		{
			const Text *message = &packed.messages.texts[next_random() % packed.messages.n];
			size_t len = next_random() % 4 == 0 ? message->len - next_random() % 9 : message->len;
			uint8_t *copy;
			BsUnpacked unpacked;

			if (len < BS_PACK_HEADER_BYTES)
				continue;
			copy = malloc(len);
			memcpy(copy, message->data, len);
			for (uint64_t n = next_random() % 4; n > 0 && len > BS_PACK_HEADER_BYTES; n--)
				copy[BS_PACK_HEADER_BYTES + next_random() % (len - BS_PACK_HEADER_BYTES)] =
					(uint8_t) next_random();
			bs_bytes_put_word(copy + 16, len, 4);
			bs_bytes_put_word(copy + 20, bs_pack_checksum(copy, len), 4);
			if (bs_unpack(packed.unpacker, copy, len, &unpacked) == BS_PACK_OK &&
				unpacked.kind == BS_PACK_ROWS)
			{
				uint64_t into = bs_table_create(packed.arena, &packed.program, 0);
				Messages again;

				bs_unpacked_merge(packed.unpacker, packed.arena, bs_arena_at(packed.arena, into),
								  writer, NO_LIMIT);
				again = pack_table(&packed.program, packed.arena, bs_arena_at(packed.arena, into));
				free_messages(&again);
				bs_table_free(packed.arena, &packed.program.layout, into);
				ntaken++;
			}
			free(copy);
		}
		assert_true(ntaken > 0);
		bs_writer_free(writer);
		free_packed(&packed);
	}
}

static bool
no_state(void *context, uint32_t foreign, BsBytes state)
{
	(void) foreign;
	(void) state;
	++*(int *) context;
	return false;
}

static void
test_refused_states(void **state)
{
	Packed packed;
	BsUnpacker *strict;
	BsUnpacked unpacked;
	int nasked = 0;

	(void) state;
	make_packed(&packed, &pack_shapes[3]);
	strict = bs_unpacker_create(&packed.program, PACK_FINGERPRINT, no_state, &nasked);
	assert_int_equal(
		bs_unpack(strict, packed.messages.texts[0].data, packed.messages.texts[0].len, &unpacked),
		BS_PACK_CORRUPT);
	assert_int_equal(nasked, 1);
	bs_unpacker_free(strict);
	free_packed(&packed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_refused_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
