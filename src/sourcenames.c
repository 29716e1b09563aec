/* SPDX-License-Identifier: PostgreSQL */
/* sourcenames.c: the addresses of inserted sources, in shared memory.  See sourcenames.h. */
#include "sourcenames.h"

#include "registry.h"

#define PROBES 16 /* so many places are looked at */

static BsSourceName *
name_at(uint64 source, uint32 probe)
{
	return &bs_shared_source_names()->names[(source + probe) % BS_MAX_SOURCE_NAMES];
}

/* Its place, or a free one; NULL: there is neither nearby. */
static BsSourceName *
name_place(uint64 source)
{
	for (uint32 probe = 0; probe < PROBES; probe++)
	{
		BsSourceName *name = name_at(source, probe);
		uint64 there = pg_atomic_read_u64(&name->source);

		if (there == 0 || there == source)
			return name;
	}
	return NULL;
}

void
bs_source_names_init(BsSharedSourceNames *shared)
{
	SpinLockInit(&shared->mutex);
	for (uint32 i = 0; i < BS_MAX_SOURCE_NAMES; i++)
		pg_atomic_init_u64(&shared->names[i].source, 0);
}

void
bs_source_names_note(uint64 source, const BsInet *address)
{
	static uint64 last;
	BsSharedSourceNames *shared = bs_shared_source_names();
	BsSourceName *name;

	if (source == last || source == 0)
		return;
	last = source;
	name = name_place(source);
	if (name == NULL || pg_atomic_read_u64(&name->source) == source)
		return;
	SpinLockAcquire(&shared->mutex);
	name = name_place(source);
	if (name != NULL && pg_atomic_read_u64(&name->source) == 0)
	{
		name->address = *address;
		pg_write_barrier();
		pg_atomic_write_u64(&name->source, source);
	}
	SpinLockRelease(&shared->mutex);
}

bool
bs_source_names_next(uint32 *place, uint64 *source, BsInet *address)
{
	BsSharedSourceNames *shared = bs_shared_source_names();

	for (; *place < BS_MAX_SOURCE_NAMES; ++*place)
	{
		BsSourceName *name = &shared->names[*place];

		*source = pg_atomic_read_u64(&name->source);
		if (*source == 0)
			continue;
		pg_read_barrier();
		*address = name->address;
		++*place;
		return true;
	}
	return false;
}
