/* SPDX-License-Identifier: PostgreSQL */
/* statrow.h: rows of functions in which one looks at the system itself, column by column. */
#ifndef BS_STATROW_H
#define BS_STATROW_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "lanes.h"

#define BS_MAX_ROW_COLUMNS 32

/* A row being made; columns are added in the order in which the function declares them. */
typedef struct BsRow
{
	ReturnSetInfo *result;
	int ncolumns;
	Datum values[BS_MAX_ROW_COLUMNS];
	bool nulls[BS_MAX_ROW_COLUMNS];
} BsRow;

static inline BsRow
bs_row_begin(FunctionCallInfo fcinfo)
{
	return (BsRow){.result = (ReturnSetInfo *) fcinfo->resultinfo};
}

static inline void
bs_row_put(BsRow *row, Datum value)
{
	row->values[row->ncolumns] = value;
	row->nulls[row->ncolumns++] = false;
}

static inline void
bs_row_put_null(BsRow *row)
{
	row->values[row->ncolumns] = (Datum) 0;
	row->nulls[row->ncolumns++] = true;
}

static inline void
bs_row_put_count(BsRow *row, uint64 count)
{
	bs_row_put(row, Int64GetDatum((int64) count));
}

/* NULL for 0. */
static inline void
bs_row_put_time(BsRow *row, TimestampTz time)
{
	if (time != 0)
		bs_row_put(row, TimestampTzGetDatum(time));
	else
		bs_row_put_null(row);
}

static inline void
bs_row_put_text(BsRow *row, const char *text)
{
	if (text != NULL)
		bs_row_put(row, CStringGetTextDatum(text));
	else
		bs_row_put_null(row);
}

static inline void
bs_row_put_interval(BsRow *row, int64 usec)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = usec;
	bs_row_put(row, IntervalPGetDatum(interval));
}

static inline void
bs_row_put_inet(BsRow *row, const BsInet *address)
{
	BsValue value = {.inet = *address};

	bs_row_put(row, bs_value_to_datum(BS_INET, &value, INETOID));
}

static inline void
bs_row_end(BsRow *row)
{
	if (row->ncolumns != row->result->setDesc->natts)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the extension's objects are of another version than its library"),
						errhint("ALTER EXTENSION backstream UPDATE.")));
	tuplestore_putvalues(row->result->setResult, row->result->setDesc, row->values, row->nulls);
	row->ncolumns = 0;
}

#endif
