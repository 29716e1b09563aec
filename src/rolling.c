/* SPDX-License-Identifier: PostgreSQL */
/* rolling.c: what the options of a rolling view mean over a stream.  See rolling.h. */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "query.h"
#include "node.h"
#include "rolling.h"
#include "viewdef.h"
#include "windowform.h"

/* Of backstream.flow it is known; other streams have no column of arrival. */
static const char *
column_name(Oid stream, const BsViewOptions *options)
{
	if (options->time_column != NULL)
		return options->time_column;
	return bs_stream_is_flow(stream) ? "time_received" : NULL;
}

static AttrNumber
column_of(Oid stream, const BsViewOptions *options)
{
	const char *name = column_name(stream, options);

	return name != NULL ? get_attnum(stream, name) : InvalidAttrNumber;
}

void
bs_rolling_mark(Query *query, const BsViewOptions *options)
{
	Oid stream = bs_query_stream(query);
	AttrNumber column;
	ListCell *cell;

	if (!bs_is_rolling(options) || !OidIsValid(stream))
		return;
	column = column_of(stream, options);
	foreach (cell, query->rtable)
	{
		RangeTblEntry *entry = lfirst_node(RangeTblEntry, cell);

		if (column > 0 && entry->rtekind == RTE_RELATION && entry->relid == stream)
			entry->selectedCols =
				bms_add_member(entry->selectedCols, column - FirstLowInvalidHeapAttributeNumber);
	}
}

static void
refuse_column(Oid stream, const BsViewOptions *options, const BsPlace *place)
{
	const char *name = column_name(stream, options);
	const char *hint = "Name a column of type timestamp with time zone in the option time_column.";

	if (name == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("a rolling view over stream \"%s\" needs the option time_column",
							   get_rel_name(stream)),
						errhint("%s", hint), bs_error_position(place->source, place->statement)));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("stream \"%s\" has no column \"%s\" of type timestamp with time zone",
					get_rel_name(stream), name),
			 errhint("%s", hint), bs_error_position(place->source, place->statement)));
}

static void
refuse_level(Oid lower, const BsPlace *place)
{
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("a rolling view cannot read a continuous view"),
					errdetail("Rows come when a window of \"%s\" closes, not as time goes on.",
							  get_rel_name(lower)),
					errhint("Group by hop() of the start of its window, or read the stream itself."),
					bs_error_position(place->source, place->statement)));
}

void
bs_rolling_form(Oid stream, Index varno, const BsViewOptions *options, const BsPlace *place,
				BsWindowForm *form)
{
	AttrNumber column;

	if (bs_relation_is_view(stream))
		refuse_level(stream, place);
	column = column_of(stream, options);
	if (column <= 0 || getBaseType(get_atttype(stream, column)) != TIMESTAMPTZOID)
		refuse_column(stream, options, place);
	form->time = makeVar(varno, column, TIMESTAMPTZOID, -1, InvalidOid, 0);
	form->windowing = bs_windowing_of(options->slide_usec, options->window_usec, BS_ROLLING_ORIGIN);
	bs_window_check_range(NULL, &form->windowing, place);
}
