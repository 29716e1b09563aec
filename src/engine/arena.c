/* SPDX-License-Identifier: PostgreSQL */
/* arena.c: a buddy allocator over one block of memory.  See arena.h. */
#include "arena.h"

#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#define UNIT_SHIFT 6 /* BS_ARENA_MIN_BLOCK */
#define MAX_ORDER 14 /* BS_ARENA_MAX_BLOCK */
#define NORDERS (MAX_ORDER + 1)
#define ARENA_MAGIC 0x42534152u /* BSAR */

/* The map has, at the first unit of every block, its order and one of these; elsewhere 0. */
#define MAP_FREE 0x80u
#define MAP_USED 0x40u
#define MAP_ORDER 0x1fu

struct BsArena
{
	uint32_t magic;
	uint32_t lock;      /* spin lock; protects all that follows, the map and the free lists */
	uint64_t map;       /* offset of the map */
	uint64_t units;     /* offset of unit 0, a multiple of 64 */
	uint64_t nunits;
	uint64_t fresh;     /* units from here on were never handed out; a multiple of the largest block */
	uint64_t free_lists[NORDERS]; /* unit + 1 of the first free block of each order; 0: none */
	uint64_t used_bytes;
	uint64_t kept_bytes;   /* see bs_arena_keep() */
	uint64_t peak_bytes;
	uint64_t failures;
	uint64_t releases;     /* see bs_arena_releases() */
	uint32_t serial;       /* see bs_arena_serial() */
	uint32_t unused;
	uint64_t mapped_bytes; /* bs_arena_create: to be unmapped; 0: somebody else's memory */
};

/* At the start of every free block. */
typedef struct FreeLinks
{
	uint64_t next; /* unit + 1, 0: none */
	uint64_t prev;
} FreeLinks;

static void
arena_lock(BsArena *arena)
{
	unsigned spins = 0;

	while (__atomic_exchange_n(&arena->lock, 1, __ATOMIC_ACQUIRE) != 0)
		if (++spins % 64 == 0)
			sched_yield();
}

static void
arena_unlock(BsArena *arena)
{
	__atomic_store_n(&arena->lock, 0, __ATOMIC_RELEASE);
}

static uint8_t *
arena_map(BsArena *arena)
{
	return bs_arena_at(arena, arena->map);
}

static FreeLinks *
arena_links(BsArena *arena, uint64_t unit)
{
	return bs_arena_at(arena, arena->units + (unit << UNIT_SHIFT));
}

static unsigned
order_of(size_t size)
{
	unsigned order = 0;

	while (((size_t) BS_ARENA_MIN_BLOCK << order) < size)
		order++;
	return order;
}

size_t
bs_arena_block_bytes(size_t size)
{
	return (size_t) BS_ARENA_MIN_BLOCK << order_of(size);
}

size_t
bs_arena_size_for(size_t usable_bytes)
{
	size_t blocks = (usable_bytes + BS_ARENA_MAX_BLOCK - 1) / BS_ARENA_MAX_BLOCK + 1;

	return sizeof(BsArena) + blocks * (BS_ARENA_MAX_BLOCK + (BS_ARENA_MAX_BLOCK >> UNIT_SHIFT)) +
		   BS_ARENA_MAX_BLOCK;
}

BsArena *
bs_arena_init(void *base, size_t size)
{
	BsArena *arena = base;
	uint64_t map = (sizeof(BsArena) + 63) & ~UINT64_C(63);
	uint64_t nblocks = size > map ? (size - map) / (BS_ARENA_MAX_BLOCK + (BS_ARENA_MAX_BLOCK >> UNIT_SHIFT)) : 0;
	uint64_t units;

	for (; nblocks > 0; nblocks--)
	{
		units = map + nblocks * (BS_ARENA_MAX_BLOCK >> UNIT_SHIFT);
		units = (units + 63) & ~UINT64_C(63);
		if (units + nblocks * BS_ARENA_MAX_BLOCK <= size)
			break;
	}
	if (nblocks == 0)
		return NULL;
	memset(arena, 0, sizeof(BsArena));
	arena->map = map;
	arena->units = units;
	arena->nunits = nblocks << MAX_ORDER;
	arena->magic = ARENA_MAGIC;
	return arena;
}

BsArena *
bs_arena_create(size_t size)
{
	/* Zero pages that cost nothing until they are touched; calloc may clear recycled memory instead. */
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
					  -1, 0);
	BsArena *arena;

	if (base == MAP_FAILED)
		return NULL;
	arena = bs_arena_init(base, size);
	if (arena == NULL)
		munmap(base, size);
	else
		arena->mapped_bytes = size;
	return arena;
}

void
bs_arena_free_private(BsArena *arena)
{
	if (arena != NULL)
		munmap(arena, arena->mapped_bytes);
}

bool
bs_arena_renew(BsArena *arena, uint64_t touched_bytes)
{
	BsArena fresh = {.magic = ARENA_MAGIC,
					 .map = arena->map,
					 .units = arena->units,
					 .nunits = arena->nunits,
					 .mapped_bytes = arena->mapped_bytes};

	if (arena->fresh << UNIT_SHIFT > touched_bytes)
		return false;
	memset(arena_map(arena), 0, arena->fresh);
	*arena = fresh;
	return true;
}

static void
list_push(BsArena *arena, uint64_t unit, unsigned order)
{
	FreeLinks *links = arena_links(arena, unit);
	uint64_t head = arena->free_lists[order];

	links->prev = 0;
	links->next = head;
	if (head != 0)
		arena_links(arena, head - 1)->prev = unit + 1;
	arena->free_lists[order] = unit + 1;
	arena_map(arena)[unit] = (uint8_t) (MAP_FREE | order);
}

static void
list_remove(BsArena *arena, uint64_t unit, unsigned order)
{
	FreeLinks *links = arena_links(arena, unit);

	if (links->prev != 0)
		arena_links(arena, links->prev - 1)->next = links->next;
	else
		arena->free_lists[order] = links->next;
	if (links->next != 0)
		arena_links(arena, links->next - 1)->prev = links->prev;
	arena_map(arena)[unit] = 0;
}

/* Take a block of at least this order out of the free lists or the fresh part; false: none. */
static bool
take_block(BsArena *arena, unsigned order, uint64_t *unit, unsigned *found)
{
	for (*found = order; *found < NORDERS; (*found)++)
	{
		if (arena->free_lists[*found] != 0)
		{
			*unit = arena->free_lists[*found] - 1;
			list_remove(arena, *unit, *found);
			return true;
		}
	}
	if (arena->fresh >= arena->nunits)
		return false;
	*unit = arena->fresh;
	*found = MAX_ORDER;
	arena->fresh += UINT64_C(1) << MAX_ORDER;
	return true;
}

/* Would a block of this order leave fewer bytes than are to be kept? */
static bool
reaches_kept(const BsArena *arena, unsigned order)
{
	uint64_t free_bytes = (arena->nunits << UNIT_SHIFT) - arena->used_bytes;

	return free_bytes < arena->kept_bytes + ((uint64_t) BS_ARENA_MIN_BLOCK << order);
}

static uint64_t
allocate(BsArena *arena, size_t size, bool kept)
{
	unsigned order = size <= BS_ARENA_MAX_BLOCK ? order_of(size) : NORDERS;
	unsigned found;
	uint64_t unit = 0;
	bool ok;

	arena_lock(arena);
	ok = order < NORDERS && (kept || !reaches_kept(arena, order)) &&
		 take_block(arena, order, &unit, &found);
	if (ok)
	{
		while (found > order)
		{
			found--;
			list_push(arena, unit + (UINT64_C(1) << found), found);
		}
		arena_map(arena)[unit] = (uint8_t) (MAP_USED | order);
		arena->used_bytes += (uint64_t) BS_ARENA_MIN_BLOCK << order;
		if (arena->used_bytes > arena->peak_bytes)
			arena->peak_bytes = arena->used_bytes;
	}
	else
		arena->failures++;
	arena_unlock(arena);
	return ok ? arena->units + (unit << UNIT_SHIFT) : 0;
}

uint64_t
bs_arena_alloc(BsArena *arena, size_t size)
{
	return allocate(arena, size, false);
}

uint64_t
bs_arena_alloc_kept(BsArena *arena, size_t size)
{
	return allocate(arena, size, true);
}

void
bs_arena_keep(BsArena *arena, uint64_t bytes)
{
	arena->kept_bytes = bytes;
}

void
bs_arena_release(BsArena *arena, uint64_t offset, size_t size)
{
	unsigned order = order_of(size);
	uint64_t unit = (offset - arena->units) >> UNIT_SHIFT;
	uint8_t *map = arena_map(arena);

	if (offset == 0)
		return;
	arena_lock(arena);
	if (map[unit] != (MAP_USED | order))
	{
		/* Not a block, or of another size: keep it rather than hand out the same memory twice. */
		arena->failures++;
		arena_unlock(arena);
		return;
	}
	arena->used_bytes -= (uint64_t) BS_ARENA_MIN_BLOCK << order;
	__atomic_store_n(&arena->releases, arena->releases + 1, __ATOMIC_RELAXED);
	map[unit] = 0;
	for (; order < MAX_ORDER; order++)
	{
		uint64_t buddy = unit ^ (UINT64_C(1) << order);

		if (map[buddy] != (MAP_FREE | order))
			break;
		list_remove(arena, buddy, order);
		unit &= ~(UINT64_C(1) << order);
	}
	list_push(arena, unit, order);
	arena_unlock(arena);
}

uint64_t
bs_arena_releases(const BsArena *arena)
{
	return __atomic_load_n(&arena->releases, __ATOMIC_RELAXED) + 1;
}

uint32_t
bs_arena_serial(BsArena *arena)
{
	return __atomic_add_fetch(&arena->serial, 1, __ATOMIC_RELAXED);
}

BsArenaStats
bs_arena_stats(const BsArena *arena)
{
	return (BsArenaStats){.total_bytes = arena->nunits << UNIT_SHIFT,
						  .used_bytes = arena->used_bytes,
						  .peak_bytes = arena->peak_bytes,
						  .failures = arena->failures};
}
