/* SPDX-License-Identifier: PostgreSQL */
/*
 * latest.c: backstream.latest(NULL::v), the newest closed window, and backstream.merged(NULL::v,
 * from, to), the windows of a span merged into one exact answer: states are merged, not values
 * added.
 */
#include "backstream.h"

#include "access/relation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "reader.h"

BS_SQL_FUNCTION(bs_latest);
BS_SQL_FUNCTION(bs_merged);

/* ---------- the view ---------- */

/* The relation whose row type the first argument has. */
static Oid
relation_of_argument(FunctionCallInfo fcinfo, const char *function)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid relid = OidIsValid(type) ? get_typ_typrelid(getBaseType(type)) : InvalidOid;

	if (!OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("first argument of backstream.%s must have the type of a continuous view",
						function),
				 errhint("Write backstream.%s(NULL::name_of_the_view%s).", function,
						 strcmp(function, "merged") == 0 ? ", from, to" : "")));
	return relid;
}

/* Opens the view of the first argument and a reader of all its columns, in CurrentMemoryContext. */
static Relation
open_view(FunctionCallInfo fcinfo, const char *function, BsReader **reader)
{
	Oid relid = relation_of_argument(fcinfo, function);
	Relation relation = bs_viewdef_open(relid);

	bs_viewdef_check_select(relid);
	*reader = bs_reader_open(relid, RelationGetDescr(relation), NULL, CurrentMemoryContext);
	if (!(*reader)->shape->windowed)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("continuous view \"%s\" has no windows", RelationGetRelationName(relation)),
				 errhint("Select from the view itself: it has one answer.")));
	return relation;
}

/* ---------- rows ---------- */

/* The caller may have been planned for columns that the view no longer has. */
static void
check_expected(const ReturnSetInfo *result, Relation relation)
{
	TupleDesc expected = result->expectedDesc;
	TupleDesc actual = RelationGetDescr(relation);
	bool same = expected == NULL || expected->natts == actual->natts;

	for (int i = 0; same && expected != NULL && i < expected->natts; i++)
		same = TupleDescAttr(expected, i)->atttypid == TupleDescAttr(actual, i)->atttypid;
	if (!same)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the columns of continuous view \"%s\" have changed",
							   RelationGetRelationName(relation))));
}

static void
put_rows(BsReader *reader, ReturnSetInfo *result, int64 first, int64 last, int64 shown)
{
	TupleTableSlot *slot;

	bs_reader_load(reader, first, last, shown);
	while ((slot = bs_reader_next(reader, NULL, NULL)) != NULL)
	{
		tuplestore_puttupleslot(result->setResult, slot);
		CHECK_FOR_INTERRUPTS();
	}
}

Datum
bs_latest(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	BsReader *reader;
	Relation relation;
	BsWindowInfo *windows;
	int newest;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	relation = open_view(fcinfo, "latest", &reader);
	check_expected(result, relation);
	windows = bs_reader_windows(reader, &newest);
	do
		newest--;
	while (newest >= 0 && !windows[newest].closed);
	if (newest >= 0)
		put_rows(reader, result, windows[newest].window, windows[newest].window,
				 windows[newest].window);
	bs_reader_close(reader);
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}

/* An end of the span: NULL leaves it open, as infinity does. */
static int64
span_end(FunctionCallInfo fcinfo, int argument, int64 open)
{
	return PG_ARGISNULL(argument) ? open : PG_GETARG_TIMESTAMPTZ(argument);
}

/*
 * The windows that start in [from, to), from taken down to the start of its window.  They are shown
 * as the window that from is in; with an open start, as the first that there is.
 */
Datum
bs_merged(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	int64 from = span_end(fcinfo, 1, DT_NOBEGIN);
	int64 to = span_end(fcinfo, 2, DT_NOEND);
	BsReader *reader;
	Relation relation;
	BsWindowInfo *windows;
	int nwindows;
	int first = 0;
	int last;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC | MAT_SRF_BLESS);
	relation = open_view(fcinfo, "merged", &reader);
	check_expected(result, relation);
	if (!TIMESTAMP_NOT_FINITE(from))
		from = bs_window_start(&reader->view->program.windowing, from);
	windows = bs_reader_windows(reader, &nwindows);
	while (first < nwindows && windows[first].window < from)
		first++;
	last = first;
	while (last < nwindows && windows[last].window < to)
		last++;
	if (last > first)
		put_rows(reader, result, windows[first].window, windows[last - 1].window,
				 TIMESTAMP_NOT_FINITE(from) ? windows[first].window : from);
	bs_reader_close(reader);
	relation_close(relation, AccessShareLock);
	return (Datum) 0;
}
