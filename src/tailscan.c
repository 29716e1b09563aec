/* SPDX-License-Identifier: PostgreSQL */
/* tailscan.c: running SELECT ... FROM a stream.  See tailscan.h. */
#include "backstream.h"

/* The headers of the protocol want those of GSSAPI, of which nothing is used here. */
#undef ENABLE_GSS

#include "access/sysattr.h"
#include "access/table.h"
#include "executor/executor.h"
#include "libpq/libpq-be.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "pgstat.h"
#include "rewrite/rewriteManip.h"
#include "storage/latch.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "lanes.h"
#include "listening.h"
#include "node.h"
#include "nodeship.h"
#include "nodetail.h"
#include "registry.h"
#include "tails.h"
#include "tailscan.h"

/* The clock is looked at once per this many records. */
#define CLOCK_EVERY 64

/* Waiting is looked at anew at least this often. */
#define WAIT_MSEC 1000L

/* ForeignScanState.fdw_state */
typedef struct TailScan
{
	MemoryContext context;
	Bitmapset *wanted;
	Relation stream;    /* of this server; NULL: nodes alone have it */
	List *conditions;   /* for the writers, Vars of varno 1 */
	BsTail *tail;       /* NULL: it has not begun, or nothing is listened to here */
	AttrNumber *attnos; /* of the rows, for each column that is wanted of the stream */
	BsNodeTail *nodes;  /* NULL: no other server has it */
	bool nodes_going;
	bool nodes_next;    /* it is their turn */
	bool started;
	bool ended;       /* listen_for is over: what is left is before ends */
	uint64 *ends;
	TimestampTz deadline; /* 0: none */
	bool reads_no_table;
	uint32 since_clock; /* records */
	uint64 records;
	TimestampTz report_at; /* the next */
	uint64 reported;
	BsValue *values;
	bool *nulls;
} TailScan;

/* ---------- begin and end ---------- */

/* A parameter of the statement is a constant while it runs. */
static Node *
params_to_consts(Node *node, ParamListInfo params)
{
	Param *param = (Param *) node;
	ParamExternData workspace;
	ParamExternData *value;
	int16 typlen;
	bool typbyval;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Param) || param->paramkind != PARAM_EXTERN || params == NULL ||
		param->paramid <= 0 || param->paramid > params->numParams)
		return expression_tree_mutator(node, params_to_consts, params);
	value = params->paramFetch != NULL ? params->paramFetch(params, param->paramid, false, &workspace)
									   : &params->params[param->paramid - 1];
	if (value->ptype != param->paramtype)
		return copyObject(node);
	get_typlenbyval(param->paramtype, &typlen, &typbyval);
	return (Node *) makeConst(param->paramtype, param->paramtypmod, param->paramcollid, typlen,
							  value->isnull ? (Datum) 0 : datumCopy(value->value, typbyval, typlen),
							  value->isnull, typbyval);
}

static void
require_counting(Relation stream)
{
	if (!bs_registry_ready())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("cannot read stream \"%s\" here", RelationGetRelationName(stream)),
						errdetail("Nothing is received on a server in recovery, or without backstream in "
								  "shared_preload_libraries.")));
}

/* ---------- this server as a node ---------- */

/* Columns of a stream of nodes, by the number that they have in the stream here. */
typedef struct ColumnMap
{
	Index varno;
	AttrNumber *here; /* by number there, less one */
} ColumnMap;

static Node *
map_columns(Node *node, ColumnMap *map)
{
	Var *var = (Var *) node;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var) || (Index) var->varno != map->varno || var->varattno <= 0)
		return expression_tree_mutator(node, map_columns, map);
	var = copyObject(var);
	var->varattno = map->here[var->varattno - 1];
	return (Node *) var;
}

/* Columns are the same by name; those that are looked at must be of one type. */
static AttrNumber *
columns_here(Relation there, Relation here, const Bitmapset *wanted)
{
	TupleDesc desc = RelationGetDescr(there);
	AttrNumber *attnos = palloc0(sizeof(AttrNumber) * (Size) (desc->natts + 1));
	int attno = 0;

	while ((attno = bms_next_member(wanted, attno)) > 0)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, attno - 1);
		AttrNumber found = get_attnum(RelationGetRelid(here), NameStr(attribute->attname));

		if (found <= 0 || get_atttype(RelationGetRelid(here), found) != attribute->atttypid)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("stream \"%s\" of this server has no column \"%s\" of type %s",
							RelationGetRelationName(here), NameStr(attribute->attname),
							format_type_be(attribute->atttypid)),
					 errhint("Import the stream anew.")));
		attnos[attno - 1] = found;
	}
	return attnos;
}

/* Another server would ask for the same right. */
static void
check_select(Relation stream, Oid user)
{
	AclResult result = pg_class_aclcheck(RelationGetRelid(stream), user, ACL_SELECT);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_TABLE, RelationGetRelationName(stream));
}

/* ---------- opening ---------- */

/* Through an ordinary view, its owner. */
static Oid
reading_user(ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Oid user = exec_rt_fetch(plan->scan.scanrelid, node->ss.ps.state)->checkAsUser;

	return OidIsValid(user) ? user : GetUserId();
}

/* What the writers of this server have to know, once the stream is open. */
static void
set_up_stream(TailScan *scan, List *conditions, Index varno, const AttrNumber *here)
{
	Bitmapset *wanted = NULL;
	int attno = 0;

	require_counting(scan->stream);
	scan->attnos = palloc(sizeof(AttrNumber) * (Size) (RelationGetDescr(scan->stream)->natts + 1));
	while ((attno = bms_next_member(scan->wanted, attno)) > 0)
		wanted = bms_add_member(wanted, here != NULL ? here[attno - 1] : attno);
	scan->conditions = bs_tail_pushable(RelationGetRelid(scan->stream), conditions, varno);
	/* Where its columns go, in the order of their numbers here. */
	for (int i = 0, at = 0; (at = bms_next_member(wanted, at)) > 0; i++)
	{
		attno = at;
		if (here != NULL)
			for (attno = 1; !bms_is_member(attno, scan->wanted) || here[attno - 1] != at;)
				attno++;
		scan->attnos[i] = (AttrNumber) attno;
	}
	scan->wanted = wanted;
}

static void
open_nodes(TailScan *scan, ForeignScanState *node, List *conditions)
{
	Relation there = node->ss.ss_currentRelation;
	ColumnMap map = {.varno = ((ForeignScan *) node->ss.ps.plan)->scan.scanrelid};
	Oid user = reading_user(node);
	Oid local;

	scan->nodes = bs_node_tail_open(there, bms_copy(scan->wanted), user, scan->context);
	local = bs_node_tail_local(scan->nodes);
	if (!OidIsValid(local))
		return;
	scan->stream = table_open(local, AccessShareLock);
	check_select(scan->stream, user);
	map.here = columns_here(there, scan->stream, scan->wanted);
	set_up_stream(scan, (List *) map_columns((Node *) conditions, &map), map.varno, map.here);
}

void
bs_tailscan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState *estate = node->ss.ps.state;
	Relation stream = node->ss.ss_currentRelation;
	List *conditions;
	TailScan *scan;
	ListCell *cell;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	scan = palloc0(sizeof(TailScan));
	scan->context = AllocSetContextCreate(CurrentMemoryContext, "backstream tail", ALLOCSET_DEFAULT_SIZES);
	foreach (cell, (List *) linitial(plan->fdw_private))
		scan->wanted = bms_add_member(scan->wanted, lfirst_int(cell));
	scan->values = palloc(sizeof(BsValue) * (Size) (bms_num_members(scan->wanted) + 1));
	scan->nulls = palloc(sizeof(bool) * (Size) (bms_num_members(scan->wanted) + 1));
	scan->ends = palloc(sizeof(uint64) * bs_tail_nrings());
	scan->reads_no_table = bs_listening_reads_no_table(estate, NIL);
	conditions = (List *) params_to_consts(linitial(plan->fdw_exprs), estate->es_param_list_info);
	if (bs_relation_is_remote(RelationGetRelid(stream)))
		open_nodes(scan, node, conditions);
	else
	{
		scan->stream = stream;
		set_up_stream(scan, conditions, plan->scan.scanrelid, NULL);
	}
	node->fdw_state = scan;
}

/* ---------- begin and end ---------- */

/* pg_dump must not wait for records, and there is nothing of a stream to be dumped. */
static bool
is_dump(void)
{
	return application_name != NULL && strcmp(application_name, "pg_dump") == 0;
}

/* Conditions with the values that parameters have now: in the inner side of a join others each time. */
static void
start_nodes(TailScan *scan, ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	List *conditions = bs_ship_choose(bs_ship_bind(linitial(plan->fdw_exprs), &node->ss.ps), plan->scan.scanrelid);

	bs_node_tail_stop(scan->nodes);
	bs_node_tail_start(scan->nodes, conditions, bs_setting_listen_for_msec);
	scan->nodes_going = true;
}

static void
start(TailScan *scan, ForeignScanState *node)
{
	scan->started = true;
	scan->ended = false;
	scan->deadline = 0;
	if (bs_setting_listen_for_msec > 0)
		scan->deadline =
			TimestampTzPlusMilliseconds(GetCurrentTimestamp(), (int64) bs_setting_listen_for_msec);
	scan->nodes_going = false;
	if (is_dump())
	{
		scan->ended = true;
		return;
	}
	if (scan->nodes != NULL)
		start_nodes(scan, node);
	if (scan->tail != NULL)
		bs_tail_skip(scan->tail);
	else if (scan->stream != NULL)
		scan->tail = bs_tail_open(scan->stream, scan->wanted, scan->conditions, scan->context);
	/* It may not keep more on its way than it keeps here. */
	if (bs_setting_tail_report_msec > 0 && MyProcPort != NULL)
	{
		int bytes = bs_setting_tail_buffer_kb * 1024;

		(void) setsockopt(MyProcPort->sock, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	}
}

void
bs_tailscan_again(ForeignScanState *node)
{
	((TailScan *) node->fdw_state)->started = false;
}

static uint64
count_dropped(const TailScan *scan)
{
	return (scan->tail != NULL ? bs_tail_dropped(scan->tail) : 0) +
		   (scan->nodes != NULL ? bs_node_tail_dropped(scan->nodes) : 0);
}

void
bs_tailscan_end(ForeignScanState *node)
{
	TailScan *scan = node->fdw_state;
	uint64 dropped;

	node->fdw_state = NULL;
	if (scan == NULL)
		return;
	if (scan->nodes != NULL)
		bs_node_tail_stop(scan->nodes);
	dropped = count_dropped(scan);
	if (scan->tail != NULL)
		bs_tail_close(scan->tail);
	if (scan->nodes != NULL && scan->stream != NULL)
		table_close(scan->stream, NoLock);
	if (dropped > 0)
		ereport(NOTICE, (errmsg_plural("%llu record of stream \"%s\" was not returned: it came faster than "
									   "it was taken",
									   "%llu records of stream \"%s\" were not returned: they came faster "
									   "than they were taken",
									   (unsigned long) dropped, (unsigned long long) dropped,
									   RelationGetRelationName(node->ss.ss_currentRelation)),
						 errhint("Raise backstream.tail_buffer, or ask for less: conditions and columns are "
								 "looked at before records come here.")));
}

/* ---------- records ---------- */

/* The record that has been read, as a row; values by reference are in the context of the tuple. */
static TupleTableSlot *
make_row(TailScan *scan, TupleTableSlot *slot)
{
	TupleDesc desc = slot->tts_tupleDescriptor;
	const BsRecordColumns *columns = &scan->tail->columns;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * (Size) desc->natts);
	for (uint32 i = 0; i < columns->ncolumns; i++)
	{
		int column = scan->attnos[i] - 1;

		if (scan->nulls[i])
			continue;
		slot->tts_values[column] = bs_value_to_datum(columns->types[i], &scan->values[i],
													 TupleDescAttr(desc, column)->atttypid);
		slot->tts_isnull[column] = false;
	}
	scan->records++;
	return ExecStoreVirtualTuple(slot);
}

/*
 * Tell a client that wants to know (nodetail.h) how many records have found no room, if that has changed, or it is time
 * for a sign of life, or for the last word.
 */
static void
report(TailScan *scan, bool last)
{
	TimestampTz now;
	uint64 dropped;
	StringInfoData message;
	char text[24]; /* nothing is freed here while a stream is silent */

	if (bs_setting_tail_report_msec == 0 || whereToSendOutput != DestRemote)
		return;
	now = GetCurrentTimestamp();
	dropped = count_dropped(scan);
	if (!last && dropped == scan->reported && now < scan->report_at)
		return;
	scan->reported = dropped;
	scan->report_at = TimestampTzPlusMilliseconds(now, bs_setting_tail_report_msec);
	pq_beginmessage(&message, 'S');
	pq_sendstring(&message, BS_TAIL_PARAMETER);
	snprintf(text, sizeof(text), UINT64_FORMAT, dropped);
	pq_sendstring(&message, text);
	pq_endmessage(&message);
}

/* Wait for records, or until the deadline. */
static void
wait_for_records(TailScan *scan)
{
	long msec = WAIT_MSEC;

	report(scan, false);
	if (bs_setting_tail_report_msec > 0)
		msec = Min(msec, bs_setting_tail_report_msec);
	if (scan->deadline != 0 && !scan->ended)
		msec = Min(msec, TimestampDifferenceMilliseconds(GetCurrentTimestamp(), scan->deadline) + 1);
	bs_listening_pause(scan->reads_no_table);
	if (scan->nodes_going)
	{
		scan->nodes_going = bs_node_tail_wait(scan->nodes, msec);
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, msec, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* Has listening ended?  What has come by then is still returned. */
static bool
is_over(TailScan *scan)
{
	if (scan->ended)
		return true;
	if (scan->deadline == 0 || GetCurrentTimestamp() < scan->deadline)
		return false;
	if (scan->tail != NULL)
		bs_tail_positions(scan->tail, scan->ends);
	if (scan->nodes != NULL)
		bs_node_tail_time_is_over(scan->nodes);
	scan->ended = true;
	return true;
}

static bool
next_of_nodes(TailScan *scan, TupleTableSlot *slot)
{
	if (scan->nodes == NULL)
		return false;
	ExecClearTuple(slot);
	if (!bs_node_tail_next(scan->nodes, slot))
		return false;
	ExecStoreVirtualTuple(slot);
	return true;
}

static bool
next_of_server(TailScan *scan, TupleTableSlot *slot)
{
	if (scan->tail == NULL ||
		!bs_tail_next(scan->tail, scan->ended ? scan->ends : NULL, scan->values, scan->nulls))
		return false;
	make_row(scan, slot);
	return true;
}

/* One of nodes and one of this server in turn, as long as there are. */
static bool
next_record(TailScan *scan, TupleTableSlot *slot)
{
	scan->nodes_next = !scan->nodes_next;
	if (scan->nodes_next)
		return next_of_nodes(scan, slot) || next_of_server(scan, slot);
	return next_of_server(scan, slot) || next_of_nodes(scan, slot);
}

/* What is not to wait while records come without end. */
static void
look_around(TailScan *scan)
{
	(void) is_over(scan);
	report(scan, false);
	if (scan->nodes_going && scan->tail != NULL)
		scan->nodes_going = bs_node_tail_wait(scan->nodes, 0);
}

TupleTableSlot *
bs_tailscan_next(ForeignScanState *node)
{
	TailScan *scan = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (!scan->started)
		start(scan, node);
	if (++scan->since_clock >= CLOCK_EVERY)
	{
		scan->since_clock = 0;
		look_around(scan);
	}
	for (;;)
	{
		if (next_record(scan, slot))
			return slot;
		if (!scan->nodes_going && (scan->ended || scan->tail == NULL))
			break;
		if (!is_over(scan) || scan->nodes_going)
			wait_for_records(scan);
	}
	report(scan, true);
	return ExecClearTuple(slot);
}

/* ---------- EXPLAIN ---------- */

void
bs_tailscan_explain(ForeignScanState *node, ExplainState *es)
{
	TailScan *scan = node->fdw_state;

	bool remote = bs_relation_is_remote(RelationGetRelid(node->ss.ss_currentRelation));

	bs_tailscan_explain_plan(node, es);
	if (!es->analyze || scan == NULL || !scan->started)
		return;
	ExplainPropertyUInteger("Records Received", NULL,
							scan->records + (remote ? bs_node_tail_records(scan->nodes) : 0), es);
	ExplainPropertyUInteger("Records Dropped", NULL, count_dropped(scan), es);
	if (remote)
		bs_node_tail_explain(scan->nodes, es);
}
