/* SPDX-License-Identifier: PostgreSQL */
/* prefixshared.c: prefix maps in shared memory, and who is looking into them.  See prefix.h. */
#include "backstream.h"

#include <signal.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/backendid.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/acl.h"
#include "utils/memutils.h"

#include "prefix.h"

typedef struct BsSharedPrefixes
{
	LWLock lock; /* protects what prefix.h says of each slot */
	int tranche_id;
	pg_atomic_uint64 epoch;
	pg_atomic_uint64 definitions; /* the last number given */
	pg_atomic_uint64 requests;
	pg_atomic_uint64 looked_at;
	Size
		inside; /* offset of pg_atomic_uint64[MaxBackends]: epoch at which one entered; 0: not inside */
	BsSharedPrefixMap slots[FLEXIBLE_ARRAY_MEMBER];
} BsSharedPrefixes;

static BsSharedPrefixes *shared;
static shmem_request_hook_type next_request_hook;
static shmem_startup_hook_type next_startup_hook;

static pg_atomic_uint64 *my_inside; /* this process's word, once it has entered */
static int depth;

/* ---- layout ---------------------------------------------------------------------------------- */

static Size
slots_bytes(void)
{
	return MAXALIGN(offsetof(BsSharedPrefixes, slots) +
					mul_size(bs_setting_max_prefix_maps, sizeof(BsSharedPrefixMap)));
}

static Size
all_bytes(void)
{
	return add_size(slots_bytes(), mul_size(MaxBackends, sizeof(pg_atomic_uint64)));
}

static void
request_shmem(void)
{
	if (next_request_hook)
		next_request_hook();
	RequestAddinShmemSpace(all_bytes());
}

static pg_atomic_uint64 *
inside(int i)
{
	return (pg_atomic_uint64 *) ((char *) shared + shared->inside) + i;
}

static void
init_shared(void)
{
	memset(shared, 0, all_bytes());
	shared->tranche_id = LWLockNewTrancheId();
	LWLockInitialize(&shared->lock, shared->tranche_id);
	pg_atomic_init_u64(&shared->epoch, 1);
	pg_atomic_init_u64(&shared->definitions, 0);
	pg_atomic_init_u64(&shared->requests, 0);
	pg_atomic_init_u64(&shared->looked_at, 0);
	shared->inside = slots_bytes();
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u64(inside(i), 0);
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
	{
		pg_atomic_init_u64(&shared->slots[i].definition, 0);
		pg_atomic_init_u64(&shared->slots[i].root, 0);
		pg_atomic_init_u64(&shared->slots[i].served, 0);
	}
}

static void
start_shmem(void)
{
	bool found;

	if (next_startup_hook)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("backstream prefix maps", all_bytes(), &found);
	if (!found)
		init_shared();
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared->tranche_id, "backstream_prefix_maps");
}

/* ---- inside ---------------------------------------------------------------------------------- */

void
bs_prefix_leave_all(void)
{
	depth = 0;
	if (my_inside != NULL)
		pg_atomic_write_u64(my_inside, 0);
}

static void
at_exit(int code, Datum argument)
{
	bs_prefix_leave_all();
}

static void
at_transaction_end(XactEvent event, void *argument)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT)
		bs_prefix_leave_all();
}

void
bs_prefix_init(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
	RegisterXactCallback(at_transaction_end, NULL);
}

static bool
know_my_word(void)
{
	if (my_inside != NULL)
		return true;
	if (shared == NULL || MyBackendId == InvalidBackendId)
		return false;
	my_inside = inside(MyBackendId - 1);
	on_shmem_exit(at_exit, (Datum) 0);
	return true;
}

void
bs_prefix_enter(List *uses)
{
	ListCell *lc;

	if (!know_my_word())
		return;
	if (depth++ == 0)
	{
		pg_atomic_write_u64(my_inside, pg_atomic_read_u64(&shared->epoch));
		/* The keeper exchanges first and looks then; we say first and read then. */
		pg_memory_barrier();
	}
	foreach (lc, uses)
	{
		BsPrefixUse *use = lfirst(lc);

		use->handle.map = bs_prefix_map(use->slot, use->definition);
	}
}

void
bs_prefix_leave(void)
{
	if (depth > 0 && --depth == 0)
	{
		pg_memory_barrier();
		pg_atomic_write_u64(my_inside, 0);
	}
}

const BsPrefixMap *
bs_prefix_map(int number, uint64 definition)
{
	BsSharedPrefixMap *slot;
	uint64 root;

	if (depth == 0 || definition == 0)
		return NULL;
	slot = bs_prefix_slot(number);
	if (pg_atomic_read_u64(&slot->definition) != definition)
		return NULL;
	pg_read_barrier();
	root = pg_atomic_read_u64(&slot->root);
	pg_read_barrier();
	if (root == 0 || pg_atomic_read_u64(&slot->definition) != definition)
		return NULL;
	return bs_arena_at(bs_shared_arena(), root);
}

/* ---- the keeper's ---------------------------------------------------------------------------- */

static void
retire(BsSharedPrefixMap *slot, uint64 map)
{
	BsRetiredMap *retired = &slot->retired[slot->retired[0].map != 0];

	if (map == 0)
		return;
	/* Never: a map is built only when the one before the last has been freed. */
	Assert(retired->map == 0);
	retired->epoch = pg_atomic_fetch_add_u64(&shared->epoch, 1) + 1;
	retired->map = map;
}

void
bs_prefix_publish(BsSharedPrefixMap *slot, uint64 map)
{
	/* A full barrier: who enters from now on finds the new one. */
	retire(slot, pg_atomic_exchange_u64(&slot->root, map));
}

static uint64
oldest_inside(void)
{
	uint64 oldest = PG_UINT64_MAX;

	pg_memory_barrier();
	for (int i = 0; i < MaxBackends; i++)
	{
		uint64 entered = pg_atomic_read_u64(inside(i));

		if (entered != 0 && entered < oldest)
			oldest = entered;
	}
	return oldest;
}

void
bs_prefix_free_retired(BsSharedPrefixMap *slot)
{
	uint64 oldest;

	if (slot->retired[0].map == 0 && slot->retired[1].map == 0)
		return;
	oldest = oldest_inside();
	for (int i = 0; i < 2; i++)
	{
		BsRetiredMap *retired = &slot->retired[i];
		uint64 map = retired->map;

		if (map == 0 || oldest < retired->epoch)
			continue;
		retired->map = 0;
		bs_prefixmap_release(bs_shared_arena(), map);
	}
}

/* ---- access ---------------------------------------------------------------------------------- */

BsSharedPrefixMap *
bs_prefix_slot(int i)
{
	return &shared->slots[i];
}

void
bs_prefix_lock(LWLockMode mode)
{
	LWLockAcquire(&shared->lock, mode);
}

void
bs_prefix_unlock(void)
{
	LWLockRelease(&shared->lock);
}

int
bs_prefix_find(const char *name, Oid *owner, bool *is_public, uint64 *definition)
{
	int found = -1;

	if (shared == NULL)
		return -1;
	bs_prefix_lock(LW_SHARED);
	for (int i = 0; i < bs_setting_max_prefix_maps && found < 0; i++)
	{
		const BsSharedPrefixMap *slot = &shared->slots[i];

		if (slot->def.name[0] == '\0' || strcmp(slot->def.name, name) != 0)
			continue;
		found = i;
		*owner = slot->def.owner;
		*is_public = slot->def.is_public;
		*definition = pg_atomic_read_u64(&shared->slots[i].definition);
	}
	bs_prefix_unlock();
	return found;
}

uint64
bs_prefix_next_definition(void)
{
	return pg_atomic_fetch_add_u64(&shared->definitions, 1) + 1;
}

uint64
bs_prefix_request(void)
{
	uint64 request = pg_atomic_fetch_add_u64(&shared->requests, 1) + 1;
	pid_t keeper = (pid_t) pg_atomic_read_u32(&bs_shared_keeper()->pid);

	if (keeper != 0)
		kill(keeper, SIGUSR1);
	return request;
}

uint64
bs_prefix_requests(void)
{
	return pg_atomic_read_u64(&shared->requests);
}

uint64
bs_prefix_looked_at(void)
{
	return pg_atomic_read_u64(&shared->looked_at);
}

void
bs_prefix_set_looked_at(uint64 request)
{
	pg_atomic_write_u64(&shared->looked_at, request);
}

/* ---- uses ------------------------------------------------------------------------------------ */

BsPrefixUse *
bs_prefix_use(List **uses, const char *map, const char *label, Oid role, MemoryContext context)
{
	MemoryContext old;
	BsPrefixUse *use;
	ListCell *lc;

	foreach (lc, *uses)
	{
		use = lfirst(lc);
		if (strcmp(use->map, map) == 0 && strcmp(use->handle.label, label) == 0)
			return use;
	}
	old = MemoryContextSwitchTo(context);
	use = palloc0(sizeof(BsPrefixUse));
	strlcpy(use->map, map, sizeof(use->map));
	strlcpy(use->handle.label, label, sizeof(use->handle.label));
	use->role = role;
	use->handle.arena = shared != NULL ? bs_shared_arena() : NULL;
	*uses = lappend(*uses, use);
	MemoryContextSwitchTo(old);
	return use;
}

void
bs_prefix_resolve(List *uses)
{
	ListCell *lc;

	foreach (lc, uses)
	{
		BsPrefixUse *use = lfirst(lc);
		Oid owner;
		bool is_public;

		use->slot = bs_prefix_find(use->map, &owner, &is_public, &use->definition);
		if (use->slot < 0 || (!is_public && !has_privs_of_role(use->role, owner)))
			use->definition = 0;
	}
}
