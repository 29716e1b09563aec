/* SPDX-License-Identifier: PostgreSQL */
/* tails.c: the table of live tails, and listening.  See tails.h. */
#include "backstream.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "lanes.h"
#include "registry.h"
#include "statrow.h"
#include "tails.h"

typedef struct SharedTails
{
	LWLock lock;
	int tranche_id;
	pg_atomic_uint64 generation;
	uint64 last_number;
	BsSharedTail slots[FLEXIBLE_ARRAY_MEMBER]; /* [backstream.max_tails] */
} SharedTails;

static SharedTails *shared;
static shmem_request_hook_type next_request_hook;
static shmem_startup_hook_type next_startup_hook;

BS_SQL_FUNCTION(bs_tails);

/* ---- the table --------------------------------------------------------------------------------- */

static Size
shared_bytes(void)
{
	return offsetof(SharedTails, slots) + mul_size(bs_setting_max_tails, sizeof(BsSharedTail));
}

static void
request_shmem(void)
{
	if (next_request_hook)
		next_request_hook();
	RequestAddinShmemSpace(shared_bytes());
}

static void
start_shmem(void)
{
	bool found;

	if (next_startup_hook)
		next_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("backstream tails", shared_bytes(), &found);
	if (!found)
	{
		memset(shared, 0, shared_bytes());
		shared->tranche_id = LWLockNewTrancheId();
		LWLockInitialize(&shared->lock, shared->tranche_id);
		pg_atomic_init_u64(&shared->generation, 0);
		for (int i = 0; i < bs_setting_max_tails; i++)
		{
			LWLockInitialize(&shared->slots[i].insert_lock, shared->tranche_id);
			pg_atomic_init_u64(&shared->slots[i].records, 0);
			pg_atomic_init_u64(&shared->slots[i].dropped, 0);
		}
	}
	LWLockRelease(AddinShmemInitLock);
	LWLockRegisterTranche(shared->tranche_id, "backstream tails");
}

void
bs_tails_init(void)
{
	next_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	next_startup_hook = shmem_startup_hook;
	shmem_startup_hook = start_shmem;
}

uint64
bs_tails_generation(void)
{
	return shared != NULL ? pg_atomic_read_u64(&shared->generation) : 0;
}

int
bs_tails_max(void)
{
	return shared != NULL ? bs_setting_max_tails : 0;
}

BsSharedTail *
bs_tails_slot(int i)
{
	return &shared->slots[i];
}

void
bs_tails_lock(LWLockMode mode)
{
	LWLockAcquire(&shared->lock, mode);
}

void
bs_tails_unlock(void)
{
	LWLockRelease(&shared->lock);
}

static void
tell_writers(void)
{
	pg_atomic_fetch_add_u64(&shared->generation, 1);
	bs_receivers_wake();
}

/* ---- listening --------------------------------------------------------------------------------- */

uint32
bs_tail_nrings(void)
{
	return (uint32) bs_backend_writer() + 1;
}

/* A segment that is laid out and empty. */
static void
make_segment(BsTail *tail, Relation stream, const Bitmapset *wanted, List *conditions)
{
	TupleDesc desc = RelationGetDescr(stream);
	uint32 ncolumns = (uint32) bms_num_members(wanted);
	char *text = nodeToString(conditions);
	BsTailSegment layout = {.nrings = bs_tail_nrings(),
							.stream = RelationGetRelid(stream),
							.ncolumns = ncolumns};
	uint64 ring_data = (uint64) bs_setting_tail_buffer_kb * 1024;
	BsTailSegment *segment;
	uint32 *columns;
	BsType *types;
	int attno = 0;

	layout.columns = MAXALIGN(sizeof(BsTailSegment));
	layout.types = layout.columns + MAXALIGN(ncolumns * sizeof(uint32));
	layout.conditions = layout.types + MAXALIGN(ncolumns * sizeof(BsType));
	layout.rings = CACHELINEALIGN(layout.conditions + strlen(text) + 1);
	layout.ring_bytes = CACHELINEALIGN(bs_record_ring_size(ring_data));
	tail->mapping = dsm_create(layout.rings + layout.nrings * layout.ring_bytes, 0);
	segment = dsm_segment_address(tail->mapping);
	*segment = layout;
	columns = (uint32 *) ((char *) segment + layout.columns);
	types = (BsType *) ((char *) segment + layout.types);
	while ((attno = bms_next_member(wanted, attno)) > 0)
	{
		*columns++ = (uint32) attno - 1;
		*types++ = bs_type_of(TupleDescAttr(desc, attno - 1)->atttypid);
	}
	memcpy((char *) segment + layout.conditions, text, strlen(text) + 1);
	for (uint32 i = 0; i < layout.nrings; i++)
		bs_record_ring_init(bs_tail_ring(segment, i), ring_data);
	tail->segment = segment;
	tail->columns = (BsRecordColumns){.ncolumns = ncolumns,
									  .columns = (uint32 *) ((char *) segment + layout.columns),
									  .types = (BsType *) ((char *) segment + layout.types)};
}

/* A slot for the tail; false when all are taken. */
static bool
take_slot(BsTail *tail)
{
	bool taken = false;

	bs_tails_lock(LW_EXCLUSIVE);
	for (int i = 0; i < bs_setting_max_tails && !taken; i++)
	{
		BsSharedTail *slot = &shared->slots[i];

		if (slot->number != 0)
			continue;
		slot->number = ++shared->last_number;
		slot->stream = tail->segment->stream;
		slot->role = GetUserId();
		slot->pid = MyProcPid;
		slot->process = MyProc->pgprocno;
		slot->segment = dsm_segment_handle(tail->mapping);
		slot->since = GetCurrentTimestamp();
		pg_atomic_write_u64(&slot->records, 0);
		pg_atomic_write_u64(&slot->dropped, 0);
		tail->slot = i;
		tail->number = slot->number;
		taken = true;
	}
	bs_tails_unlock();
	return taken;
}

/* The segment goes with the last process that has it mapped. */
static void
give_back(void *arg)
{
	BsTail *tail = arg;

	if (tail->number == 0)
		return;
	bs_tails_lock(LW_EXCLUSIVE);
	shared->slots[tail->slot].number = 0;
	bs_tails_unlock();
	tail->number = 0;
	tell_writers();
}

BsTail *
bs_tail_open(Relation stream, const Bitmapset *wanted, List *conditions, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	BsTail *tail = palloc0(sizeof(BsTail));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));

	make_segment(tail, stream, wanted, conditions);
	callback->func = give_back;
	callback->arg = tail;
	MemoryContextRegisterResetCallback(context, callback);
	if (!take_slot(tail))
		ereport(ERROR, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						errmsg("too many statements are reading streams"),
						errhint("Raise backstream.max_tails and restart the server.")));
	tell_writers();
	MemoryContextSwitchTo(outer);
	return tail;
}

void
bs_tail_close(BsTail *tail)
{
	give_back(tail);
	if (tail->mapping != NULL)
		dsm_detach(tail->mapping);
	tail->mapping = NULL;
}

/* A record of each ring in turn: a busy writer does not keep the others waiting. */
bool
bs_tail_next(BsTail *tail, const uint64 *ends, BsValue *values, bool *nulls)
{
	uint32 nrings = tail->segment->nrings;

	for (uint32 i = 0; i < nrings; i++)
	{
		uint32 ring = tail->next_ring;

		tail->next_ring = ring + 1 < nrings ? ring + 1 : 0;
		if (bs_record_ring_next(bs_tail_ring(tail->segment, ring), &tail->columns,
								ends != NULL ? ends[ring] : PG_UINT64_MAX, values, nulls))
			return true;
	}
	return false;
}

void
bs_tail_positions(const BsTail *tail, uint64 *ends)
{
	for (uint32 i = 0; i < tail->segment->nrings; i++)
		ends[i] = bs_record_ring_position(bs_tail_ring(tail->segment, i));
}

void
bs_tail_skip(BsTail *tail)
{
	for (uint32 i = 0; i < tail->segment->nrings; i++)
		bs_record_ring_skip(bs_tail_ring(tail->segment, i));
}

/* The writers' own counts, which are there before the slot's. */
uint64
bs_tail_dropped(const BsTail *tail)
{
	uint64 dropped = 0;

	for (uint32 i = 0; i < tail->segment->nrings; i++)
		dropped += bs_record_ring_dropped(bs_tail_ring(tail->segment, i));
	return dropped;
}

/* ---------- looking --------------------------------------------------------------------------- */

/* The rows of backstream.tails. */
Datum
bs_tails(PG_FUNCTION_ARGS)
{
	BsRow row = bs_row_begin(fcinfo);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < bs_tails_max(); i++)
	{
		BsSharedTail slot;

		bs_tails_lock(LW_SHARED);
		slot = shared->slots[i];
		bs_tails_unlock();
		if (slot.number == 0)
			continue;
		bs_row_put(&row, Int32GetDatum(slot.pid));
		bs_row_put(&row, ObjectIdGetDatum(slot.role));
		bs_row_put(&row, ObjectIdGetDatum(slot.stream));
		bs_row_put_time(&row, slot.since);
		bs_row_put_count(&row, pg_atomic_read_u64(&slot.records));
		bs_row_put_count(&row, pg_atomic_read_u64(&slot.dropped));
		bs_row_end(&row);
	}
	return (Datum) 0;
}
