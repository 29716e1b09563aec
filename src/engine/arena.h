/* SPDX-License-Identifier: PostgreSQL */
/*
 * arena.h: one block of memory of fixed size in which tables live, and its allocator.
 *
 * The block may be shared memory mapped at different addresses: everything in it is referred to by
 * its offset from the start, 0 meaning none.  Blocks are powers of two from 64 bytes to 1 MB (a buddy
 * allocator: freed neighbours join again), so nothing larger than a chunk is ever asked for and
 * memory freed by one view serves any other.
 *
 *   +--------+----------------------------+------------------------------------------+
 *   | header | map: one byte per 64 bytes | units of 64 bytes                        |
 *   +--------+----------------------------+------------------------------------------+
 *
 * The allocator has a spin lock of its own in the header, held for some dozens of instructions; it is
 * the innermost lock of all.  Nothing in here can fail but by returning 0.
 */
#ifndef BS_ARENA_H
#define BS_ARENA_H

#include "types.h"

#define BS_ARENA_MIN_BLOCK 64u
#define BS_ARENA_MAX_BLOCK (1u << 20)

typedef struct BsArena BsArena;

/*
 * Make an arena in size bytes at base (a cache line's alignment serves best; all zero).  Returns NULL when size is too
 * small to hold one block of the largest size.
 */
extern BsArena *bs_arena_init(void *base, size_t size);

/* An arena in private memory, touched only as it is used.  NULL when memory is out. */
extern BsArena *bs_arena_create(size_t size);
extern void bs_arena_free_private(BsArena *arena);

/*
 * Make an arena new again, as if nothing had ever been taken from it, if no more than so many bytes have; else nothing is
 * done and it answers false.  Memory that was touched stays so: who takes it again waits for no page.
 */
extern bool bs_arena_renew(BsArena *arena, uint64_t touched_bytes);

/* Bytes of a private arena in which blocks worth usable_bytes fit. */
extern size_t bs_arena_size_for(size_t usable_bytes);

/* A block of at least size bytes (contents undefined), or 0: none left, or size > BS_ARENA_MAX_BLOCK. */
extern uint64_t bs_arena_alloc(BsArena *arena, size_t size);

/*
 * Keep this many bytes back: bs_arena_alloc() finds nothing when fewer would be left, while
 * bs_arena_alloc_kept() goes on.  For what is small and must not be missing.
 */
extern void bs_arena_keep(BsArena *arena, uint64_t bytes);
extern uint64_t bs_arena_alloc_kept(BsArena *arena, size_t size);

/* Give back a block; size as it was asked for. */
extern void bs_arena_release(BsArena *arena, uint64_t offset, size_t size);

/* What a request of size bytes takes. */
extern size_t bs_arena_block_bytes(size_t size);

/*
 * The number of blocks given back so far, and one: while it stays the same, what found no room finds
 * none.  Read without the lock.
 */
extern uint64_t bs_arena_releases(const BsArena *arena);

/* A number that was not given in this arena before (of the last four billion): tells apart what lay in one place. */
extern uint32_t bs_arena_serial(BsArena *arena);

typedef struct BsArenaStats
{
	uint64_t total_bytes; /* that blocks can be made of */
	uint64_t used_bytes;
	uint64_t peak_bytes;
	uint64_t failures;    /* requests that found nothing */
} BsArenaStats;

extern BsArenaStats bs_arena_stats(const BsArena *arena);

static inline void *
bs_arena_at(BsArena *arena, uint64_t offset)
{
	return (char *) arena + offset;
}

#endif
