/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_pack.c: any bytes as messages of packed partials (libFuzzer).
 *
 * The input is one byte that chooses the program, and the kind and contents of a message: a header
 * with right length and checksum is put before them.  What unpacks is merged twice, packed, and must unpack and
 * merge to as many groups.  The input as it is, without a header, must be refused or be just such a message.
 */
#include "../../src/engine/bytes.h"
#include "../../src/engine/packmessage.h"
#include "../unit/pack_fixture.h"

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                                         \
	do                                                                                             \
	{                                                                                              \
		if (!(condition))                                                                          \
			abort();                                                                               \
	} while (0)

#define ARENA_BYTES ((size_t) 64 << 20)

typedef struct Subject
{
	BsProgram program;
	BsUnpacker *unpacker;
	BsPacker *packer;
	BsWriter *writer;
	BsArena *arena;
} Subject;

static bool
any_state(void *context, uint32_t foreign, BsBytes state)
{
	(void) context;
	(void) foreign;
	return state.len > 0;
}

static Subject *
subject(uint32_t number)
{
	static Subject subjects[PACK_NSHAPES];
	Subject *it = &subjects[number];

	if (it->arena != NULL)
		return it;
	REQUIRE(pack_make_program(&it->program, &pack_shapes[number]) == NULL);
	it->unpacker = bs_unpacker_create(&it->program, PACK_FINGERPRINT, any_state, NULL);
	it->packer = bs_packer_create(&it->program, PACK_FINGERPRINT);
	it->writer = bs_writer_create(&it->program);
	it->arena = bs_arena_create(ARENA_BYTES);
	return it;
}

/* Pack a table and merge it into a new one; 0: memory was out. */
static uint64_t
copy_table(Subject *it, uint64_t from)
{
	uint64_t copy = bs_table_create(it->arena, &it->program, 0);
	BsPackPlace place = {0};
	BsUnpacked unpacked;
	BsBytes message;

	for (;;)
	{
		REQUIRE(bs_pack_rows(it->packer, it->arena, bs_arena_at(it->arena, from), 0, &place,
							 &message) == BS_PACK_OK);
		if (message.len == 0)
			return copy;
		REQUIRE(bs_unpack(it->unpacker, message.data, message.len, &unpacked) == BS_PACK_OK);
		bs_unpacked_merge(it->unpacker, it->arena, bs_arena_at(it->arena, copy), it->writer,
						  UINT64_MAX);
	}
}

static void
check_rows(Subject *it)
{
	uint64_t table = bs_table_create(it->arena, &it->program, 0);
	BsTable *at = bs_arena_at(it->arena, table);
	uint64_t copy;

	for (int i = 0; i < 2; i++)
		bs_unpacked_merge(it->unpacker, it->arena, at, it->writer, UINT64_MAX);
	copy = copy_table(it, table);
	REQUIRE(((BsTable *) bs_arena_at(it->arena, copy))->nrows == at->nrows);
	bs_table_free(it->arena, &it->program.layout, table);
	bs_table_free(it->arena, &it->program.layout, copy);
	REQUIRE(bs_arena_stats(it->arena).used_bytes == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	BsUnpacked unpacked;
	Subject *it;
	uint8_t *message;
	size_t len;

	if (size < 2)
		return 0;
	it = subject(data[0] % PACK_NSHAPES);
	bs_unpack(it->unpacker, data + 1, size - 1, &unpacked);
	len = BS_PACK_HEADER_BYTES + size - 2;
	message = malloc(len);
	bs_bytes_put_word(message, BS_PACK_MAGIC, 4);
	bs_bytes_put_word(message + 4, BS_PACK_VERSION, 2);
	bs_bytes_put_word(message + 6, data[1], 2);
	bs_bytes_put_word(message + 8, PACK_FINGERPRINT, 8);
	bs_bytes_put_word(message + 16, len, 4);
	memcpy(message + BS_PACK_HEADER_BYTES, data + 2, size - 2);
	bs_bytes_put_word(message + 20, bs_pack_checksum(message, len), 4);
	REQUIRE(bs_pack_message_bytes(message, &len) == BS_PACK_OK);
	if (bs_unpack(it->unpacker, message, len, &unpacked) == BS_PACK_OK &&
		unpacked.kind == BS_PACK_ROWS)
		check_rows(it);
	free(message);
	return 0;
}
