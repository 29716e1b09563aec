/* SPDX-License-Identifier: PostgreSQL */
/* exportermemo.c: memos of exporters in shared memory.  See exportermemo.h. */
#include "backstream.h"

#include "exportermemo.h"

#define BLOCK_BYTES (64u * 1024)
#define SHARE_USEC  USECS_PER_SEC

/* Blocks lie in the arena, linked. */
typedef struct MemoBlock
{
	uint64 next; /* offset; 0: the last */
	uint32 len;
	uint32 bytes; /* of the block */
	uint8 data[FLEXIBLE_ARRAY_MEMBER];
} MemoBlock;

static void
free_blocks(uint64 offset)
{
	BsArena *arena = bs_shared_arena();

	while (offset != 0)
	{
		MemoBlock block = *(MemoBlock *) bs_arena_at(arena, offset);

		bs_arena_release(arena, offset, block.bytes);
		offset = block.next;
	}
}

/* The blocks of some bytes, which are not none; 0: there is no room. */
static uint64
make_blocks(const uint8_t *data, size_t len)
{
	BsArena *arena = bs_shared_arena();
	uint64 first = 0;
	uint64 *link = &first;

	while (len > 0)
	{
		size_t n = Min(len, BLOCK_BYTES - offsetof(MemoBlock, data));
		uint32 bytes = (uint32) (offsetof(MemoBlock, data) + n);
		uint64 offset = bs_arena_alloc(arena, bytes);
		MemoBlock *block;

		if (offset == 0)
		{
			free_blocks(first);
			return 0;
		}
		block = bs_arena_at(arena, offset);
		block->next = 0;
		block->len = (uint32) n;
		block->bytes = bytes;
		memcpy(block->data, data, n);
		*link = offset;
		link = &block->next;
		data += n;
		len -= n;
	}
	return first;
}

bool
bs_exporter_memo_put(BsSharedMemo *shared, const uint8_t *data, size_t len, bool wait)
{
	uint64 first = make_blocks(data, len);
	uint64 old;

	if (first == 0)
		return false;
	if (wait)
		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	else if (!LWLockConditionalAcquire(&shared->lock, LW_EXCLUSIVE))
	{
		free_blocks(first);
		return false;
	}
	old = shared->first;
	shared->first = first;
	shared->bytes = len;
	shared->generation++;
	LWLockRelease(&shared->lock);
	free_blocks(old);
	return true;
}

static void
add_to(BsMemo *memo, BsSharedMemo *shared, int64 heard_after)
{
	uint8_t *data = NULL;
	size_t len = 0;

	LWLockAcquire(&shared->lock, LW_SHARED);
	if (shared->first != 0)
		data = malloc(shared->bytes);
	for (uint64 offset = data != NULL ? shared->first : 0; offset != 0;)
	{
		const MemoBlock *block = bs_arena_at(bs_shared_arena(), offset);

		memcpy(data + len, block->data, block->len);
		len += block->len;
		offset = block->next;
	}
	LWLockRelease(&shared->lock);
	if (data != NULL)
		(void) bs_memo_add(memo, data, len, heard_after);
	free(data);
}

BsMemo *
bs_exporter_memo_collect(void)
{
	BsMemo *memo = bs_memo_create();
	int64 heard_after = GetCurrentTimestamp() - BS_MEMO_KEEP_USEC;

	/* The keeper's is what was read at start: what receivers know goes before it. */
	for (int w = 0; memo != NULL && w <= bs_setting_workers; w++)
		add_to(memo, &bs_shared_worker(w)->memo, heard_after);
	return memo;
}

uint64
bs_exporter_memo_bytes(void)
{
	uint64 bytes = 0;

	for (int w = 0; w <= bs_setting_workers; w++)
	{
		BsSharedMemo *shared = &bs_shared_worker(w)->memo;

		LWLockAcquire(&shared->lock, LW_SHARED);
		for (uint64 offset = shared->first; offset != 0;)
		{
			const MemoBlock *block = bs_arena_at(bs_shared_arena(), offset);

			bytes += bs_arena_block_bytes(block->bytes);
			offset = block->next;
		}
		LWLockRelease(&shared->lock);
	}
	return bytes;
}

uint64
bs_exporter_memo_number(void)
{
	uint64 number = 0;

	for (int w = 0; w <= bs_setting_workers; w++)
		number += bs_shared_worker(w)->memo.generation;
	return number;
}

void
bs_exporter_memo_share(BsSharedMemo *shared, const BsDecoder *decoder, bool now)
{
	static uint64 shared_changes;
	static TimestampTz shared_at;
	TimestampTz time = GetCurrentTimestamp();
	uint64 changes;
	uint8_t *data;
	size_t len;

	if (!now && time >= shared_at && time - shared_at < SHARE_USEC)
		return;
	shared_at = time;
	changes = bs_decoder_changes(decoder);
	/* At the end also for how far sequences have come. */
	if (changes == (now ? 0 : shared_changes) || !bs_decoder_pack(decoder, &data, &len))
		return;
	if (bs_exporter_memo_put(shared, data, len, now))
		shared_changes = changes;
	free(data);
}
