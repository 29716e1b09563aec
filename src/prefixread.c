/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixread.c: the rows of a table of prefixes, for a map.  See prefix.h.
 *
 * The table is read by a plain scan, not by SQL: the keeper must not wait for locks or run what others
 * have attached to the table.
 */
#include "backstream.h"

#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "lanes.h"
#include "prefix.h"

#define ROWS_PER_BREATH 4096

static Form_pg_attribute
find_column(Relation table, const char *name)
{
	TupleDesc desc = RelationGetDescr(table);

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped && strcmp(NameStr(attribute->attname), name) == 0)
			return attribute;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("table \"%s\" has no column \"%s\"", RelationGetRelationName(table), name)));
	return NULL;
}

static void
check_right(Relation table, const char *column, Oid role)
{
	AttrNumber attnum = find_column(table, column)->attnum;

	if (pg_class_aclcheck(RelationGetRelid(table), role, ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck(RelationGetRelid(table), attnum, role, ACL_SELECT) != ACLCHECK_OK)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for column \"%s\" of table \"%s\"", column,
							   RelationGetRelationName(table)),
						errdetail("A prefix map is read with the rights of its owner.")));
}

static void
check_kind(Relation table)
{
	if (table->rd_rel->relkind != RELKIND_RELATION)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an ordinary table", RelationGetRelationName(table)),
				 errdetail("Changes of views, foreign and partitioned tables cannot be followed."),
				 errhint("Keep the prefixes in a table, and fill that from the other one.")));
	if (table->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
						errmsg("\"%s\" is a temporary table", RelationGetRelationName(table)),
						errdetail("Other processes cannot read it.")));
}

void
bs_prefix_check_table(Relation table, const BsPrefixDef *def)
{
	Form_pg_attribute prefix;
	Oid type;

	check_kind(table);
	prefix = find_column(table, def->prefix);
	type = getBaseType(prefix->atttypid);
	if (type != INETOID && type != CIDROID)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("column \"%s\" of table \"%s\" is of type %s", def->prefix,
							   RelationGetRelationName(table), format_type_be(prefix->atttypid)),
						errhint("A column of prefixes is of type cidr or inet.")));
	check_right(table, def->prefix, def->owner);
	for (int i = 0; i < def->nlabels; i++)
		check_right(table, def->labels[i], def->owner);
	if (check_enable_rls(RelationGetRelid(table), def->owner, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of table \"%s\" applies to role \"%s\"",
						RelationGetRelationName(table), GetUserNameFromId(def->owner, true)),
				 errhint("The owner of the map must be able to see all rows: the table's owner "
						 "can make it, or a role with BYPASSRLS.")));
}

static bool
is_integer(Oid type)
{
	type = getBaseType(type);
	return type == INT2OID || type == INT4OID || type == INT8OID;
}

void
bs_prefix_columns(Relation table, const BsPrefixDef *def, BsLabelColumn *columns)
{
	memset(columns, 0, sizeof(BsLabelColumn) * BS_PREFIX_MAX_LABELS);
	for (int i = 0; i < def->nlabels; i++)
	{
		bool integer = is_integer(find_column(table, def->labels[i])->atttypid);

		strlcpy(columns[i].name, def->labels[i], sizeof(columns[i].name));
		columns[i].kind = integer ? BS_LABEL_BIGINT : BS_LABEL_TEXT;
	}
}

/* How a column's values become labels. */
typedef struct Column
{
	AttrNumber attnum;
	Oid base;
	bool integer;
	FmgrInfo output;
} Column;

static void
column_begin(Column *column, Relation table, const char *name)
{
	Form_pg_attribute attribute = find_column(table, name);
	Oid output;
	bool varlena;

	column->attnum = attribute->attnum;
	column->base = getBaseType(attribute->atttypid);
	column->integer = is_integer(attribute->atttypid);
	getTypeOutputInfo(attribute->atttypid, &output, &varlena);
	fmgr_info(output, &column->output);
}

static BsLabel
label_of(Column *column, TupleTableSlot *slot)
{
	BsLabel label = {0};
	Datum value = slot_getattr(slot, column->attnum, &label.is_null);
	text *flat;
	char *string;

	if (label.is_null)
		return label;
	if (column->base == TEXTOID || column->base == VARCHAROID)
	{
		flat = DatumGetTextPP(value);
		label.text =
			(BsBytes){.data = (uint8 *) VARDATA_ANY(flat), .len = (uint32) VARSIZE_ANY_EXHDR(flat)};
		return label;
	}
	if (column->integer)
		label.number = column->base == INT2OID   ? DatumGetInt16(value)
					   : column->base == INT4OID ? DatumGetInt32(value)
												 : DatumGetInt64(value);
	string = OutputFunctionCall(&column->output, value);
	label.text = (BsBytes){.data = (uint8 *) string, .len = (uint32) strlen(string)};
	/* A character(n) as text is without its trailing blanks. */
	while (column->base == BPCHAROID && label.text.len > 0 && string[label.text.len - 1] == ' ')
		label.text.len--;
	return label;
}

static bool
row_add(BsPrefixBuilder *builder, TupleTableSlot *slot, AttrNumber prefix_column, Column *columns,
		int ncolumns)
{
	BsLabel labels[BS_PREFIX_MAX_LABELS];
	bool isnull;
	Datum prefix = slot_getattr(slot, prefix_column, &isnull);
	BsInet inet;
	BsPrefixStatus status;

	if (isnull)
		return false;
	inet = bs_value_from_datum(BS_INET, INETOID, prefix, NULL).inet;
	for (int i = 0; i < ncolumns; i++)
		labels[i] = label_of(&columns[i], slot);
	status = bs_prefix_builder_add(builder, &inet, labels);
	if (status != BS_PREFIX_OK)
		ereport(ERROR,
				(errcode(status == BS_PREFIX_LABEL_TOO_LONG ? ERRCODE_STRING_DATA_RIGHT_TRUNCATION
															: ERRCODE_OUT_OF_MEMORY),
				 errmsg("%s", bs_prefix_status_message(status))));
	return true;
}

uint64
bs_prefix_read(Relation table, const BsPrefixDef *def, BsPrefixBuilder *builder,
			   void (*breathe)(void))
{
	AttrNumber prefix_column = find_column(table, def->prefix)->attnum;
	Column columns[BS_PREFIX_MAX_LABELS];
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "backstream prefix row",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old;
	uint64 rows = 0;

	for (int i = 0; i < def->nlabels; i++)
		column_begin(&columns[i], table, def->labels[i]);
	old = MemoryContextSwitchTo(row_context);
	for (uint64 n = 1; table_scan_getnextslot(scan, ForwardScanDirection, slot); n++)
	{
		rows += row_add(builder, slot, prefix_column, columns, def->nlabels);
		MemoryContextReset(row_context);
		if (n % ROWS_PER_BREATH == 0)
		{
			CHECK_FOR_INTERRUPTS();
			breathe();
		}
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(row_context);
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return rows;
}
