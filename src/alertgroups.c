/* SPDX-License-Identifier: PostgreSQL */
/* alertgroups.c: which groups a window had, told apart by the columns that show their keys.  See alerts.h. */
#include "backstream.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "alerts.h"

struct BsGroupSet
{
	MemoryContext context; /* all of this */
	MemoryContext tuples;
	MemoryContext scratch;
	TupleHashTable table;
	TupleTableSlot *stored; /* minimal: a group of the table */
	uint64 count;
};

/* ---------- columns ---------- */

static bool
shows_key(const BsViewShape *shape, int i)
{
	return shape->levels[i] == BS_LEVEL_KEYS;
}

BsGroupColumns *
bs_group_columns(const BsReader *reader, MemoryContext context)
{
	MemoryContext outer = MemoryContextSwitchTo(context);
	TupleDesc all = bs_reader_desc(reader);
	BsGroupColumns *columns = palloc0(sizeof(BsGroupColumns));

	columns->attributes = palloc(sizeof(AttrNumber) * (Size) Max(all->natts, 1));
	for (int i = 0; i < all->natts; i++)
		if (shows_key(reader->shape, i))
			columns->attributes[columns->ncolumns++] = (AttrNumber) (i + 1);
	columns->desc = CreateTemplateTupleDesc(columns->ncolumns);
	for (int i = 0; i < columns->ncolumns; i++)
		TupleDescCopyEntry(columns->desc, (AttrNumber) (i + 1), all, columns->attributes[i]);
	columns->desc = BlessTupleDesc(columns->desc);
	columns->slot = MakeSingleTupleTableSlot(columns->desc, &TTSOpsVirtual);
	MemoryContextSwitchTo(outer);
	return columns;
}

static Oid
equality_of(Oid type)
{
	TypeCacheEntry *cache = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);

	return OidIsValid(cache->hash_proc) ? cache->eq_opr : InvalidOid;
}

void
bs_group_columns_check(const BsViewShape *shape, TupleDesc desc)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (shows_key(shape, i) && !OidIsValid(equality_of(attribute->atttypid)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("option \"notify_on\" cannot be \"change\" for groups by column \"%s\"",
							NameStr(attribute->attname)),
					 errdetail("Values of type %s cannot be hashed.", format_type_be(attribute->atttypid)),
					 errhint("Use notify_on = 'row', or group by an expression of another type.")));
	}
}

void
bs_group_of_row(BsGroupColumns *columns, TupleTableSlot *row)
{
	slot_getallattrs(row);
	ExecClearTuple(columns->slot);
	for (int i = 0; i < columns->ncolumns; i++)
	{
		columns->slot->tts_values[i] = row->tts_values[columns->attributes[i] - 1];
		columns->slot->tts_isnull[i] = row->tts_isnull[columns->attributes[i] - 1];
	}
	ExecStoreVirtualTuple(columns->slot);
}

/* ---------- a set ---------- */

static TupleHashTable
make_table(const BsGroupColumns *columns, MemoryContext context, MemoryContext tuples, MemoryContext scratch)
{
	int n = columns->ncolumns;
	AttrNumber *numbers = palloc(sizeof(AttrNumber) * (Size) Max(n, 1));
	Oid *operators = palloc(sizeof(Oid) * (Size) Max(n, 1));
	Oid *collations = palloc(sizeof(Oid) * (Size) Max(n, 1));
	Oid *equal;
	FmgrInfo *hash;

	for (int i = 0; i < n; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(columns->desc, i);

		numbers[i] = (AttrNumber) (i + 1);
		operators[i] = equality_of(attribute->atttypid);
		collations[i] = attribute->attcollation;
	}
	execTuplesHashPrepare(n, operators, &equal, &hash);
	return BuildTupleHashTableExt(NULL, columns->desc, n, numbers, equal, hash, collations, 64, 0,
								  context, tuples, scratch, false);
}

BsGroupSet *
bs_group_set_create(const BsGroupColumns *columns)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "backstream groups", ALLOCSET_DEFAULT_SIZES);
	MemoryContext outer = MemoryContextSwitchTo(context);
	BsGroupSet *set = palloc0(sizeof(BsGroupSet));

	set->context = context;
	set->tuples = AllocSetContextCreate(context, "backstream group tuples", ALLOCSET_DEFAULT_SIZES);
	set->scratch = AllocSetContextCreate(context, "backstream group scratch", ALLOCSET_SMALL_SIZES);
	set->table = make_table(columns, context, set->tuples, set->scratch);
	set->stored = MakeSingleTupleTableSlot(CreateTupleDescCopy(columns->desc), &TTSOpsMinimalTuple);
	MemoryContextSwitchTo(outer);
	return set;
}

void
bs_group_set_free(BsGroupSet *set)
{
	if (set != NULL)
		MemoryContextDelete(set->context);
}

bool
bs_group_set_fits(const BsGroupSet *set, const BsGroupColumns *columns)
{
	return equalTupleDescs(set->stored->tts_tupleDescriptor, columns->desc);
}

uint64
bs_group_set_count(const BsGroupSet *set)
{
	return set->count;
}

Size
bs_group_set_bytes(const BsGroupSet *set)
{
	return MemoryContextMemAllocated(set->context, true);
}

bool
bs_group_set_add(BsGroupSet *set, const BsGroupColumns *columns)
{
	bool isnew;

	(void) LookupTupleHashEntry(set->table, columns->slot, &isnew, NULL);
	MemoryContextReset(set->scratch);
	set->count += isnew;
	return isnew;
}

bool
bs_group_set_mark(BsGroupSet *set, const BsGroupColumns *columns)
{
	TupleHashEntry entry = LookupTupleHashEntry(set->table, columns->slot, NULL, NULL);

	MemoryContextReset(set->scratch);
	if (entry == NULL)
		return false;
	entry->additional = set;
	return true;
}

void
bs_group_set_unmarked(BsGroupSet *set, BsGroupColumns *columns, void (*visit)(void *context),
					  void *context)
{
	TupleHashIterator iterator;
	TupleHashEntry entry;

	InitTupleHashIterator(set->table, &iterator);
	while ((entry = ScanTupleHashTable(set->table, &iterator)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (entry->additional != NULL)
			continue;
		ExecStoreMinimalTuple(entry->firstTuple, set->stored, false);
		slot_getallattrs(set->stored);
		ExecClearTuple(columns->slot);
		for (int i = 0; i < columns->ncolumns; i++)
		{
			columns->slot->tts_values[i] = set->stored->tts_values[i];
			columns->slot->tts_isnull[i] = set->stored->tts_isnull[i];
		}
		ExecStoreVirtualTuple(columns->slot);
		visit(context);
	}
	TermTupleHashIterator(&iterator);
}
