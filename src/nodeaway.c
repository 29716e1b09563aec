/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeaway.c: nodes that do not answer the fetcher, and who waits while it waits for them.  See nodelevels.h.
 *
 * What is remembered of a node is this process's own; one entry per node and user that has ever failed.
 */
#include "backstream.h"

#include "storage/lmgr.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "nodelevels.h"

#define LEAST_AWAY_USEC USECS_PER_SEC
#define AWAY_FACTOR     3 /* so that a quarter of the time at most is spent waiting for who is away */

typedef struct AwayKey
{
	Oid server;
	Oid user;
} AwayKey;

typedef struct Away
{
	AwayKey key;
	int64 until; /* bs_steady_now(): not to be asked before; 0: it has answered */
	char trouble[BS_ERROR_TEXT];
} Away;

static HTAB *aways;

static Away *
away_of(const BsNode *node, bool make)
{
	AwayKey key = {.server = node->server, .user = node->user};
	bool found;
	Away *away;

	if (aways == NULL)
	{
		HASHCTL control = {
			.keysize = sizeof(AwayKey), .entrysize = sizeof(Away), .hcxt = TopMemoryContext};

		aways = hash_create("backstream nodes that are away", 16, &control,
							HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	away = hash_search(aways, &key, make ? HASH_ENTER : HASH_FIND, &found);
	if (make && !found)
	{
		away->until = 0;
		away->trouble[0] = '\0';
	}
	return away;
}

void
bs_nodes_leave_out_away(BsNodeReading *reading)
{
	int64 now = bs_steady_now();

	for (int i = 0; i < reading->nparts; i++)
	{
		BsNodePart *part = &reading->parts[i];
		const Away *away = part->left_out ? NULL : away_of(part->node, false);

		if (away != NULL && away->until > now)
			bs_node_reading_leave_out(reading, part, away->trouble);
	}
}

static void
note_trouble(const BsNodePart *part)
{
	Away *away = away_of(part->node, true);

	if (away->until == 0)
		ereport(LOG,
				(errmsg("%s", part->trouble),
				 errdetail("Views over views that it keeps, and outputs of these, wait for it, and then go on without.")));
	away->until = bs_steady_now() + Max(part->usec * AWAY_FACTOR, LEAST_AWAY_USEC);
	strlcpy(away->trouble, part->trouble, sizeof(away->trouble));
}

void
bs_nodes_note_away(const BsNodeReading *reading)
{
	for (int i = 0; i < reading->nparts; i++)
	{
		const BsNodePart *part = &reading->parts[i];
		Away *away;

		/* What it refuses to this view it may answer to another. */
		if (part->left_out)
		{
			if (part->silent)
				note_trouble(part);
			continue;
		}
		away = away_of(part->node, false);
		if (away != NULL && away->until != 0)
		{
			ereport(LOG, (errmsg("node \"%s\" answers again", part->node->name)));
			away->until = 0;
		}
	}
}

/* ---------- giving way ---------- */

/* Is anybody queued behind a lock in this partition of PostgreSQL's table that this process holds? */
static bool
partition_has_waiters(int number)
{
	LWLock *lock = LockHashPartitionLockByIndex(number);
	SHM_QUEUE *queue = &MyProc->myProcLocks[number];
	const PROCLOCK *held;
	bool any = false;

	LWLockAcquire(lock, LW_SHARED);
	held = (const PROCLOCK *) SHMQueueNext(queue, queue, offsetof(PROCLOCK, procLink));
	while (held != NULL && !any)
	{
		any = held->holdMask != 0 && held->tag.myLock->nRequested > held->tag.myLock->nGranted;
		held =
			(const PROCLOCK *) SHMQueueNext(queue, &held->procLink, offsetof(PROCLOCK, procLink));
	}
	LWLockRelease(lock);
	return any;
}

void
bs_nodes_give_way(void)
{
	for (int i = 0; i < NUM_LOCK_PARTITIONS; i++)
		if (partition_has_waiters(i))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("a statement waits for a view that is being fetched from nodes")));
}
