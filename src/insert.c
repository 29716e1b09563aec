/* SPDX-License-Identifier: PostgreSQL */
/*
 * insert.c: INSERT and COPY into streams.  See insert.h.
 *
 * There is no ExecForeignBatchInsert: putting a row aside is cheaper than the copy of it that the
 * executor makes to fill a batch.
 */
#include "backstream.h"

#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "feed.h"
#include "insert.h"
#include "node.h"
#include "viewdef.h"

static int
is_updatable(Relation relation)
{
	Oid relid = RelationGetRelid(relation);

	return bs_relation_is_stream(relid) && !bs_relation_is_remote(relid) ? 1 << CMD_INSERT : 0;
}

static const char *
command_text(CmdType command)
{
	switch (command)
	{
		case CMD_UPDATE:
			return "update";
		case CMD_DELETE:
			return "delete from";
		default:
			return "insert into";
	}
}

static void
refuse(Oid relid, CmdType command)
{
	if (bs_relation_is_view(relid))
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("cannot %s continuous view \"%s\"", command_text(command),
							   get_rel_name(relid)),
						errdetail("A continuous view holds what its query has counted."),
						errhint("Insert into the stream that it reads.")));
	if (command == CMD_INSERT)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("cannot insert into stream \"%s\"", get_rel_name(relid)),
						errdetail("It is on other servers."),
						errhint("Insert there, into the stream that it stands for.")));
	ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
					errmsg("cannot %s stream \"%s\"", command_text(command), get_rel_name(relid)),
					errdetail("Records of a stream are counted by its views and not stored.")));
}

/*
 * UPDATE and DELETE come here before the planner asks how to read the table, and so get an error
 * that is about them.
 */
static void
add_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *rte, Relation relation)
{
	refuse(RelationGetRelid(relation), root->parse->commandType);
}

static List *
plan_modify(PlannerInfo *root, ModifyTable *plan, Index result_relation, int subplan)
{
	Oid relid = planner_rt_fetch(result_relation, root)->relid;

	if (plan->operation != CMD_INSERT || bs_relation_is_view(relid) || bs_relation_is_remote(relid))
		refuse(relid, plan->operation);
	return NIL;
}

static void
insert_begin(ModifyTableState *state, ResultRelInfo *result)
{
	result->ri_FdwState = bs_feed_open(result->ri_RelationDesc);
}

static void
modify_begin(ModifyTableState *state, ResultRelInfo *result, List *private, int subplan, int eflags)
{
	if (!(eflags & EXEC_FLAG_EXPLAIN_ONLY))
		insert_begin(state, result);
}

static TupleTableSlot *
insert_row(EState *estate, ResultRelInfo *result, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	bs_feed_put_slot(result->ri_FdwState, slot);
	return slot;
}

void
bs_insert_routine(FdwRoutine *routine)
{
	routine->AddForeignUpdateTargets = add_update_targets;
	routine->PlanForeignModify = plan_modify;
	routine->BeginForeignModify = modify_begin;
	routine->ExecForeignInsert = insert_row;
	routine->BeginForeignInsert = insert_begin;
	routine->IsForeignRelUpdatable = is_updatable;
}
