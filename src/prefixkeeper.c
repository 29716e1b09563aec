/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixkeeper.c: the keeper's part of prefix maps: which are registered, when they must be built again,
 * building, putting in force.  See prefix.h.
 *
 * Whatever changes a registered table, or the table of registrations, sends an invalidation of that
 * relation: the trigger for its rows (which also makes it right for savepoints and PREPARE TRANSACTION),
 * PostgreSQL by itself for ALTER, DROP, TRUNCATE, GRANT.  The keeper takes invalidations in ten times a
 * second and builds what they name.
 *
 * Files are looked at once a second, and when somebody asks.
 *
 * It waits for no lock: a table that is locked just now is looked at again in the next turn, and the
 * map that is in force stays.
 */
#include "backstream.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "prefix.h"

enum
{
	CONFIG_MAP = 1,
	CONFIG_RELATION,
	CONFIG_PREFIX,
	CONFIG_LABELS,
	CONFIG_OWNER,
	CONFIG_PUBLIC,
	CONFIG_FILE
};

/* How often files are looked at. */
#define FILES_LOOK_MSEC 1000

/* What the keeper knows of a slot. */
typedef struct Kept
{
	bool dirty;              /* to be built again */
	BsPrefixFileStamp stamp; /* of its file, when it was looked at last */
} Kept;

static Kept *kept; /* [bs_setting_max_prefix_maps] */
static bool registrations_stale = true;
static uint64 generation_seen;
static TimestampTz files_looked_at;
static uint64 files_request; /* the last one for which they were looked at */
static Oid config_relid; /* backstream.prefix_map; InvalidOid: not there */

/* Of the build in hand, which an error may leave behind. */
static BsPrefixBuilder *builder;

/* ---- invalidations --------------------------------------------------------------------------- */

static void
on_relation(Datum argument, Oid relid)
{
	/* While it is not there, whatever comes may be it. */
	if (relid == InvalidOid || relid == config_relid || !OidIsValid(config_relid))
		registrations_stale = true;
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
		if (relid == InvalidOid || bs_prefix_slot(i)->def.relid == relid)
			kept[i].dirty = true;
}

static void
begin(void)
{
	if (kept != NULL)
		return;
	kept =
		MemoryContextAllocZero(TopMemoryContext, sizeof(Kept) * (Size) bs_setting_max_prefix_maps);
	/* What an earlier keeper knew is not known any more. */
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
		kept[i].dirty = true;
	CacheRegisterRelcacheCallback(on_relation, (Datum) 0);
}

/* ---- registrations --------------------------------------------------------------------------- */

static void
read_labels(BsPrefixDef *def, Datum array)
{
	Datum *elements;
	bool *nulls;
	int n;

	deconstruct_array(DatumGetArrayTypeP(array), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elements, &nulls, &n);
	for (int i = 0; i < n && def->nlabels < BS_PREFIX_MAX_LABELS; i++)
		if (!nulls[i])
			strlcpy(def->labels[def->nlabels++], NameStr(*DatumGetName(elements[i])), NAMEDATALEN);
}

static BsPrefixDef *
read_registration(TupleTableSlot *row)
{
	BsPrefixDef *def = palloc0(sizeof(BsPrefixDef));

	/* A table and its column, or a file: nothing else can be NULL. */
	slot_getallattrs(row);
	text_to_cstring_buffer(DatumGetTextPP(row->tts_values[CONFIG_MAP - 1]), def->name, NAMEDATALEN);
	if (row->tts_isnull[CONFIG_FILE - 1])
	{
		def->relid = DatumGetObjectId(row->tts_values[CONFIG_RELATION - 1]);
		strlcpy(def->prefix, NameStr(*DatumGetName(row->tts_values[CONFIG_PREFIX - 1])),
				NAMEDATALEN);
	}
	else
		text_to_cstring_buffer(DatumGetTextPP(row->tts_values[CONFIG_FILE - 1]), def->file,
							   sizeof(def->file));
	read_labels(def, row->tts_values[CONFIG_LABELS - 1]);
	def->owner = DatumGetObjectId(row->tts_values[CONFIG_OWNER - 1]);
	def->is_public = DatumGetBool(row->tts_values[CONFIG_PUBLIC - 1]);
	return def;
}

/* All registrations, a list of BsPrefixDef; false: the table is locked just now. */
static bool
read_registrations(List **defs)
{
	Oid schema = get_namespace_oid(BS_EXTENSION, true);
	Relation table;
	TupleTableSlot *row;
	TableScanDesc scan;

	*defs = NIL;
	config_relid = OidIsValid(schema) ? get_relname_relid(BS_PREFIX_TABLE, schema) : InvalidOid;
	if (!OidIsValid(config_relid))
		return true;
	if (!ConditionalLockRelationOid(config_relid, AccessShareLock))
		return false;
	table = try_relation_open(config_relid, NoLock);
	if (table == NULL)
		return true;
	PushActiveSnapshot(GetLatestSnapshot());
	row = table_slot_create(table, NULL);
	scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	while (table_scan_getnextslot(scan, ForwardScanDirection, row))
		*defs = lappend(*defs, read_registration(row));
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
	PopActiveSnapshot();
	table_close(table, NoLock);
	return true;
}

static const BsPrefixDef *
def_named(List *defs, const char *name)
{
	ListCell *lc;

	foreach (lc, defs)
	{
		const BsPrefixDef *def = lfirst(lc);

		if (strcmp(def->name, name) == 0)
			return def;
	}
	return NULL;
}

/* Another definition begins with no map: what was built may be of another table, for other people. */
static void
slot_set(BsSharedPrefixMap *slot, const BsPrefixDef *def)
{
	pg_atomic_write_u64(&slot->definition, 0);
	bs_prefix_publish(slot, 0);
	bs_prefix_lock(LW_EXCLUSIVE);
	memset(&slot->def, 0, sizeof(slot->def));
	if (def != NULL)
		slot->def = *def;
	slot->built_at = 0;
	slot->build_usec = 0;
	slot->rows = 0;
	memset(&slot->info, 0, sizeof(slot->info));
	slot->failed = false;
	slot->error_at = 0;
	slot->error[0] = '\0';
	pg_atomic_write_u64(&slot->served, 0);
	pg_atomic_write_u64(&slot->definition, def != NULL ? bs_prefix_next_definition() : 0);
	bs_prefix_unlock();
}

static bool
slot_has_room(const BsSharedPrefixMap *slot)
{
	return slot->retired[0].map == 0 && slot->retired[1].map == 0;
}

/* Returns whether something has changed; what finds no slot now is looked at again. */
static bool
slots_update(List *defs)
{
	bool changed = false;
	ListCell *lc;

	registrations_stale = false;
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
	{
		BsSharedPrefixMap *slot = bs_prefix_slot(i);
		const BsPrefixDef *def = def_named(defs, slot->def.name);

		if (slot->def.name[0] == '\0' ||
			(def != NULL && memcmp(def, &slot->def, sizeof(*def)) == 0))
			continue;
		slot_set(slot, NULL);
		changed = true;
	}
	foreach (lc, defs)
	{
		const BsPrefixDef *def = lfirst(lc);
		int empty = -1;
		bool found = false;

		for (int i = 0; i < bs_setting_max_prefix_maps && !found; i++)
		{
			BsSharedPrefixMap *slot = bs_prefix_slot(i);

			found = strcmp(slot->def.name, def->name) == 0;
			if (slot->def.name[0] == '\0' && slot_has_room(slot) && empty < 0)
				empty = i;
		}
		if (found)
			continue;
		if (empty < 0)
		{
			registrations_stale = true;
			continue;
		}
		slot_set(bs_prefix_slot(empty), def);
		kept[empty].dirty = true;
		changed = true;
	}
	return changed;
}

/* False: not now. */
static bool
follow_registrations(void)
{
	List *defs;

	if (generation_seen != bs_registry_generation())
		registrations_stale = true;
	if (!registrations_stale)
		return true;
	generation_seen = bs_registry_generation();
	if (!read_registrations(&defs))
		return false;
	/* Views find their maps anew. */
	if (slots_update(defs))
		bs_registry_bump();
	return true;
}

/* ---- building -------------------------------------------------------------------------------- */

static void
report_built(BsSharedPrefixMap *slot, const BsPrefixMap *map, uint64 rows, TimestampTz started)
{
	bs_prefix_lock(LW_EXCLUSIVE);
	slot->built_at = GetCurrentTimestamp();
	slot->build_usec = slot->built_at - started;
	slot->rows = rows;
	slot->info = bs_prefixmap_info(map);
	slot->failed = false;
	bs_prefix_unlock();
}

static void
report_failed(BsSharedPrefixMap *slot, const char *message)
{
	bool first = !slot->failed;

	bs_prefix_lock(LW_EXCLUSIVE);
	slot->failed = true;
	slot->error_at = GetCurrentTimestamp();
	strlcpy(slot->error, message, sizeof(slot->error));
	bs_prefix_unlock();
	if (first)
		ereport(LOG, (errmsg("prefix map \"%s\" could not be built: %s", slot->def.name, message),
					  slot->built_at != 0 ? errdetail("The map as it was stays in force.") : 0));
}

/* The rows of the table into the builder, with the rights of the map's owner. */
static uint64
read_table(Relation table, const BsPrefixDef *def, void (*breathe)(void))
{
	BsLabelColumn columns[BS_PREFIX_MAX_LABELS];
	Oid user;
	int security;
	uint64 rows;

	bs_prefix_check_table(table, def);
	bs_prefix_columns(table, def, columns);
	builder = bs_prefix_builder_create((uint32_t) def->nlabels, columns,
									   (size_t) bs_setting_memory_mb * 1024 * 1024);
	if (builder == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	GetUserIdAndSecContext(&user, &security);
	SetUserIdAndSecContext(def->owner,
						   security | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	PushActiveSnapshot(GetLatestSnapshot());
	rows = bs_prefix_read(table, def, builder, breathe);
	PopActiveSnapshot();
	SetUserIdAndSecContext(user, security);
	return rows;
}

/* False: the table is locked just now. */
static bool
open_and_read(const BsPrefixDef *def, void (*breathe)(void), uint64 *rows)
{
	Relation table;

	if (!ConditionalLockRelationOid(def->relid, AccessShareLock))
		return false;
	table = try_relation_open(def->relid, NoLock);
	if (table == NULL)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("its table does not exist")));
	*rows = read_table(table, def, breathe);
	table_close(table, NoLock);
	return true;
}

static void
build(BsSharedPrefixMap *slot, void (*breathe)(void), bool *locked)
{
	const BsPrefixDef *def = &slot->def;
	TimestampTz started = GetCurrentTimestamp();
	BsPrefixStatus status;
	uint64 rows;
	uint64 map = 0;

	if (!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(def->owner)))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("its owner does not exist")));
	if (def->file[0] != '\0')
		rows = bs_prefix_file_read(def, &builder, breathe);
	else
		*locked = !open_and_read(def, breathe, &rows);
	if (*locked)
		return;
	/* From here to publishing nothing is raised and no interrupt is served: nothing can be lost. */
	status = bs_prefix_builder_finish(builder, bs_shared_arena(), &map);
	if (status != BS_PREFIX_OK)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("%s", bs_prefix_status_message(status))));
	report_built(slot, bs_arena_at(bs_shared_arena(), map), rows, started);
	bs_prefix_publish(slot, map);
}

/* In a transaction of its own; errors are kept at the slot.  False: not now. */
static bool
build_guarded(BsSharedPrefixMap *slot, void (*breathe)(void))
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = true;

	PG_TRY();
	{
		bool locked = false;

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		build(slot, breathe, &locked);
		CommitTransactionCommand();
		done = !locked;
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		report_failed(slot, error->message);
		FreeErrorData(error);
	}
	PG_END_TRY();
	bs_prefix_file_let_go();
	bs_prefix_builder_free(builder);
	builder = NULL;
	return done;
}

static void
build_dirty(uint64 request, void (*breathe)(void))
{
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
	{
		BsSharedPrefixMap *slot = bs_prefix_slot(i);

		bs_prefix_free_retired(slot);
		if (slot->def.name[0] == '\0')
			continue;
		if (kept[i].dirty && slot_has_room(slot))
		{
			/* Before it is read: what comes while it is read makes it dirty again. */
			kept[i].dirty = false;
			if (!build_guarded(slot, breathe))
				kept[i].dirty = true;
			breathe();
		}
		if (!kept[i].dirty)
			pg_atomic_write_u64(&slot->served, request);
	}
}

static void
look_at_files(uint64 request)
{
	TimestampTz now = GetCurrentTimestamp();

	if (request == files_request &&
		!TimestampDifferenceExceeds(files_looked_at, now, FILES_LOOK_MSEC))
		return;
	files_looked_at = now;
	files_request = request;
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
	{
		const BsPrefixDef *def = &bs_prefix_slot(i)->def;
		BsPrefixFileStamp stamp;

		if (def->file[0] == '\0')
			continue;
		stamp = bs_prefix_file_stamp(def->file);
		if (stamp.young || memcmp(&stamp, &kept[i].stamp, sizeof(stamp)) != 0)
			kept[i].dirty = true;
		kept[i].stamp = stamp;
	}
}

void
bs_prefix_keep(void (*breathe)(void))
{
	uint64 request = bs_prefix_requests();
	MemoryContext context = CurrentMemoryContext;
	volatile bool followed = true;

	begin();
	PG_TRY();
	{
		/* Takes invalidations in, also those of whoever made the request. */
		StartTransactionCommand();
		followed = follow_registrations();
		CommitTransactionCommand();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		/* It would fail the same way ten times a second. */
		registrations_stale = false;
	}
	PG_END_TRY();
	look_at_files(request);
	build_dirty(request, breathe);
	if (followed)
		bs_prefix_set_looked_at(request);
	pgstat_report_stat(false);
}
