/* SPDX-License-Identifier: PostgreSQL */
/*
 * tailfeed.c: records to the statements that read streams.  See tails.h.
 *
 * A process keeps a list of the tails that it writes to, with the segment mapped and the conditions
 * compiled.  A record on which a condition fails goes through: the statement evaluates all of them
 * again, and raises the error there.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "computed.h"
#include "guard.h"
#include "native.h"
#include "options.h"
#include "registry.h"
#include "tails.h"

/* A tail that this process writes to. */
typedef struct Attached
{
	int slot;
	uint64 number;
	Oid stream;
	dsm_segment *mapping;
	BsTailSegment *segment;
	BsRecordColumns columns;
	BsExpr *where; /* malloc'ed; NULL: all */
	BsRecordRing *pending; /* palloc'ed: a transaction's records before its commit; NULL: none */
	bool found;            /* still in the table at the last look */
	struct Attached *next;
} Attached;

static Attached *attached;
static uint64 seen_generation;
static bool incomplete;

/* Scratch for conditions, by row. */
static uint16 all_rows[BS_BATCH_ROWS];
static uint16 kept_rows[BS_BATCH_ROWS];
static uint8 errors[BS_BATCH_ROWS];

/* ---- conditions -------------------------------------------------------------------------------- */

/* Raises whatever looking up functions and types raises. */
static BsExpr *
plan_native(Relation stream, Expr *condition, MemoryContext context)
{
	BsViewOptions options;
	BsComputed *computed;
	BsNative native = {.varno = 1, .owner = GetUserId(), .context = context};
	BsExpr *plan;

	bs_view_options_parse(NIL, &options);
	computed = bs_computed_create(RelationGetDescr(stream), GetUserId(), &options, context);
	native.computed = computed;
	plan = bs_native_plan(&native, condition);
	/* What PostgreSQL would have to compute, or needs a prefix map, is left to the statement. */
	if (bs_computed_count(computed) > 0 || native.prefix_uses != NIL)
		plan = NULL;
	bs_computed_free(computed);
	return plan;
}

static Node *
to_first_relation(Node *node, Index *varno)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && (Index) ((Var *) node)->varno == *varno)
	{
		Var *var = copyObject((Var *) node);

		var->varno = 1;
		return (Node *) var;
	}
	return expression_tree_mutator(node, to_first_relation, varno);
}

/* Values of this run (subqueries, outer relations) and whole rows are nothing for others. */
static bool
depends_on_run(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) || IsA(node, SubPlan) || (IsA(node, Var) && ((Var *) node)->varattno <= 0))
		return true;
	return expression_tree_walker(node, depends_on_run, context);
}

List *
bs_tail_pushable(Oid stream, List *conditions, Index varno)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext context =
		AllocSetContextCreate(outer, "backstream conditions", ALLOCSET_SMALL_SIZES);
	Relation relation = relation_open(stream, AccessShareLock);
	List *pushable = NIL;
	ListCell *cell;

	foreach (cell, conditions)
	{
		Expr *condition =
			bs_native_simplify((Expr *) to_first_relation(lfirst(cell), &varno));
		bool native;

		if (depends_on_run((Node *) condition, NULL) ||
			contain_mutable_functions((Node *) condition))
			continue;
		MemoryContextSwitchTo(context);
		native = plan_native(relation, condition, context) != NULL;
		MemoryContextSwitchTo(outer);
		if (native)
			pushable = lappend(pushable, condition);
	}
	relation_close(relation, AccessShareLock);
	MemoryContextDelete(context);
	return pushable;
}

/* The conditions as the engine's, for good; NULL when there are none or memory is out. */
static BsExpr *
compile(Relation stream, const char *text)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "backstream conditions", ALLOCSET_SMALL_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	List *conditions = stringToNode(text);
	BsExpr *where = NULL;
	BsExpr *plan = NULL;

	if (conditions != NIL)
		plan = plan_native(stream, make_ands_explicit(conditions), context);
	if (plan != NULL)
		where = bs_expr_copy(plan);
	if (where != NULL && bs_expr_prepare(where, BS_BATCH_ROWS) != NULL)
	{
		bs_expr_free(where);
		where = NULL;
	}
	MemoryContextSwitchTo(outer);
	MemoryContextDelete(context);
	return where;
}

/* ---- the list ---------------------------------------------------------------------------------- */

static void
detach(Attached *tail)
{
	if (tail->where != NULL)
		bs_expr_free(tail->where);
	if (tail->mapping != NULL)
		dsm_detach(tail->mapping);
	if (tail->pending != NULL)
		pfree(tail->pending);
	pfree(tail);
}

static void
forget_ended(void)
{
	Attached **link = &attached;

	while (*link != NULL)
	{
		Attached *tail = *link;

		if (tail->found)
		{
			link = &tail->next;
			continue;
		}
		*link = tail->next;
		detach(tail);
	}
}

static Attached *
find_attached(uint64 number)
{
	Attached *tail;

	for (tail = attached; tail != NULL && tail->number != number; tail = tail->next)
		;
	return tail;
}

typedef struct Compiling
{
	Attached *tail;
	Relation stream;
} Compiling;

static void
compile_conditions(void *argument)
{
	Compiling *compiling = argument;
	BsTailSegment *segment = compiling->tail->segment;

	compiling->tail->where =
		compile(compiling->stream, (const char *) segment + segment->conditions);
}

/* Map the segment of a slot that is new; false: not now. */
static bool
attach(int i, const BsSharedTail *slot, bool nowait)
{
	Relation stream;
	Attached *tail;
	dsm_segment *mapping;

	if (!nowait)
		LockRelationOid(slot->stream, AccessShareLock);
	else if (!ConditionalLockRelationOid(slot->stream, AccessShareLock))
		return false;
	stream = try_relation_open(slot->stream, NoLock);
	mapping = stream != NULL ? dsm_attach(slot->segment) : NULL;
	if (mapping != NULL)
	{
		dsm_pin_mapping(mapping);
		tail = MemoryContextAllocZero(TopMemoryContext, sizeof(Attached));
		tail->slot = i;
		tail->number = slot->number;
		tail->stream = slot->stream;
		tail->mapping = mapping;
		tail->segment = dsm_segment_address(mapping);
		tail->columns =
			(BsRecordColumns){.ncolumns = tail->segment->ncolumns,
							  .columns = (uint32 *) ((char *) tail->segment + tail->segment->columns),
							  .types = (BsType *) ((char *) tail->segment + tail->segment->types)};
		tail->found = true;
		/* Should it fail, the tail gets too much, not too little. */
		(void) bs_guarded(compile_conditions, &(Compiling){tail, stream});
		tail->next = attached;
		attached = tail;
	}
	if (stream != NULL)
		relation_close(stream, NoLock);
	if (nowait)
		UnlockRelationOid(slot->stream, AccessShareLock);
	return true;
}

bool
bs_tails_stale(void)
{
	return incomplete || seen_generation != bs_tails_generation();
}

void
bs_tails_refresh(bool nowait)
{
	uint64 generation = bs_tails_generation();

	if (!bs_tails_stale())
		return;
	incomplete = false;
	for (Attached *tail = attached; tail != NULL; tail = tail->next)
		tail->found = false;
	for (int i = 0; i < bs_tails_max(); i++)
	{
		BsSharedTail copy;
		Attached *known;

		bs_tails_lock(LW_SHARED);
		copy = *bs_tails_slot(i);
		bs_tails_unlock();
		if (copy.number == 0)
			continue;
		known = find_attached(copy.number);
		if (known != NULL)
			known->found = true;
		else if (!attach(i, &copy, nowait))
			incomplete = true;
	}
	forget_ended();
	seen_generation = generation;
}

bool
bs_tails_wanted(Oid stream, bool *wanted)
{
	bool any = false;

	for (Attached *tail = attached; tail != NULL; tail = tail->next)
	{
		if (tail->stream != stream)
			continue;
		any = true;
		for (uint32 i = 0; i < tail->columns.ncolumns; i++)
			wanted[tail->columns.columns[i]] = true;
	}
	return any;
}

/* ---- records ----------------------------------------------------------------------------------- */

/* Rows that the conditions let through, those in error among them. */
static BsRows
choose(Attached *tail, const BsBatch *batch)
{
	BsEval eval = {.batch = batch, .errors = errors};
	BsRows rows = {.nrows = batch->nrows, .rows = all_rows};
	uint32 nkept;
	uint32 n = 0;
	uint32 next = 0;

	for (uint32 i = 0; i < batch->nrows; i++)
		all_rows[i] = (uint16) i;
	if (tail->where == NULL)
		return rows;
	memset(errors, 0, batch->nrows);
	nkept = bs_expr_where(tail->where, &eval, rows, kept_rows);
	if (!tail->where->can_fail)
		return (BsRows){.nrows = nkept, .rows = kept_rows};
	/* Both lists ascend: all_rows becomes what is in one of them. */
	for (uint32 row = 0; row < batch->nrows; row++)
	{
		bool kept = next < nkept && kept_rows[next] == row;

		next += kept;
		if (kept || errors[row] != BS_ERROR_NONE)
			all_rows[n++] = (uint16) row;
	}
	return (BsRows){.nrows = n, .rows = all_rows};
}

/*
 * Has every lane that the tail wants memory?  A batch made before the tail came has not.  (What its
 * conditions read it wants as well: the statement evaluates them again.)
 */
static bool
has_columns(const Attached *tail, const BsBatch *batch)
{
	for (uint32 i = 0; i < tail->columns.ncolumns; i++)
	{
		uint32 column = tail->columns.columns[i];

		if (column >= batch->ncolumns || !bs_lane_wanted(&batch->columns[column]) ||
			batch->columns[column].type != tail->columns.types[i])
			return false;
	}
	return true;
}

static void
count_and_wake(const Attached *tail, uint64 records, uint64 dropped)
{
	BsSharedTail *slot = bs_tails_slot(tail->slot);

	/* A slot that somebody else has meanwhile is counted wrongly by one batch, and woken for nothing. */
	if (slot->number != tail->number)
		return;
	pg_atomic_fetch_add_u64(&slot->records, records);
	pg_atomic_fetch_add_u64(&slot->dropped, dropped);
	SetLatch(&ProcGlobal->allProcs[slot->process].procLatch);
}

void
bs_tails_feed(Oid stream, const BsBatch *batch, int writer)
{
	for (Attached *tail = attached; tail != NULL; tail = tail->next)
	{
		BsRows rows;
		uint32 kept;

		if (tail->stream != stream || !has_columns(tail, batch))
			continue;
		rows = choose(tail, batch);
		if (rows.nrows == 0)
			continue;
		kept = bs_record_ring_put(bs_tail_ring(tail->segment, (uint32) writer), batch,
								  &tail->columns, rows);
		count_and_wake(tail, kept, rows.nrows - kept);
	}
}

/* ---- a transaction's records ------------------------------------------------------------------- */

static BsRecordRing *
pending_of(Attached *tail)
{
	uint64 data_bytes = bs_tail_ring(tail->segment, (uint32) bs_backend_writer())->capacity;

	if (tail->pending == NULL)
		tail->pending = bs_record_ring_init(
			MemoryContextAllocHuge(TopMemoryContext, bs_record_ring_size(data_bytes)), data_bytes);
	return tail->pending;
}

void
bs_tails_keep(Oid stream, const BsBatch *batch)
{
	for (Attached *tail = attached; tail != NULL; tail = tail->next)
	{
		BsRows rows;

		if (tail->stream != stream || !has_columns(tail, batch))
			continue;
		rows = choose(tail, batch);
		if (rows.nrows > 0)
			(void) bs_record_ring_put(pending_of(tail), batch, &tail->columns, rows);
	}
}

static void
publish(Attached *tail)
{
	BsSharedTail *slot = bs_tails_slot(tail->slot);
	BsRecordRing *ring = bs_tail_ring(tail->segment, (uint32) bs_backend_writer());
	uint64 offered = bs_record_ring_records(tail->pending) + bs_record_ring_dropped(tail->pending);
	uint32 kept;

	LWLockAcquire(&slot->insert_lock, LW_EXCLUSIVE);
	kept = bs_record_ring_move(ring, tail->pending);
	LWLockRelease(&slot->insert_lock);
	count_and_wake(tail, kept, offered - kept);
}

/* A session that has inserted keeps no tail's memory: it may not insert again for long. */
void
bs_tails_discard(void)
{
	if (attached != NULL)
		incomplete = true;
	while (attached != NULL)
	{
		Attached *tail = attached;

		attached = tail->next;
		detach(tail);
	}
}

void
bs_tails_publish(void)
{
	for (Attached *tail = attached; tail != NULL; tail = tail->next)
		if (tail->pending != NULL)
			publish(tail);
	bs_tails_discard();
}
