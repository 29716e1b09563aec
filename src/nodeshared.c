/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeshared.c: when this server last heard of its nodes, whichever session it was.  See nodeconn.h.
 *
 * A fixed table in shared memory, found by the OID of the server; of further nodes nothing is remembered.  Entries are
 * never freed: OIDs of dropped servers do not come again soon.
 */
#include "backstream.h"

#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "nodeconn.h"

#define MAX_KNOWN_NODES 1024

typedef struct KnownNode
{
	pg_atomic_uint32 server; /* OID; 0: free */
	pg_atomic_uint64 heard;  /* TimestampTz of the last answer */
} KnownNode;

static KnownNode *known;
static shmem_request_hook_type next_request_hook;
static shmem_startup_hook_type next_startup_hook;

static void
request_shmem(void)
{
	if (next_request_hook)
		next_request_hook();
	RequestAddinShmemSpace(sizeof(KnownNode) * MAX_KNOWN_NODES);
}

static void
start_shmem(void)
{
	bool found;

	if (next_startup_hook)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	known = ShmemInitStruct("backstream nodes", sizeof(KnownNode) * MAX_KNOWN_NODES, &found);
	for (int i = 0; !found && i < MAX_KNOWN_NODES; i++)
	{
		pg_atomic_init_u32(&known[i].server, 0);
		pg_atomic_init_u64(&known[i].heard, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
bs_nodeshared_init(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
}

/* Open addressing; an entry that is taken stays whose it is, so that no lock is needed. */
static KnownNode *
entry_of(Oid server, bool make)
{
	for (uint32 i = 0; i < MAX_KNOWN_NODES; i++)
	{
		KnownNode *entry = &known[(server + i) % MAX_KNOWN_NODES];
		uint32 owner = pg_atomic_read_u32(&entry->server);

		if (owner == 0 && !make)
			return NULL;
		if (owner == 0 && pg_atomic_compare_exchange_u32(&entry->server, &owner, server))
			return entry;
		/* Somebody else took it just now. */
		if (owner == server)
			return entry;
	}
	return NULL;
}

void
bs_node_heard(Oid server)
{
	KnownNode *entry = entry_of(server, true);

	if (entry != NULL)
		pg_atomic_write_u64(&entry->heard, (uint64) GetCurrentTimestamp());
}

TimestampTz
bs_node_last_heard(Oid server)
{
	KnownNode *entry = entry_of(server, false);

	return entry != NULL ? (TimestampTz) pg_atomic_read_u64(&entry->heard) : 0;
}
