/* SPDX-License-Identifier: PostgreSQL */
/*
 * exporterconfig.c: reading backstream.exporter_config.  See exporterconfig.h.
 *
 * The table is read by a plain scan, not by SQL: a receiver must not plan queries or wait for locks.
 * A trigger on the table tells the receivers when it has changed.
 */
#include "backstream.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "exporterconfig.h"
#include "lanes.h"
#include "viewdef.h"
#include "views.h"

#define MAX_RULES 100000

enum
{
	CONFIG_EXPORTER = 1,
	CONFIG_NAME,
	CONFIG_DEFAULT,
	CONFIG_OVERRIDE
};

static int64
rate_of(TupleTableSlot *slot, AttrNumber column)
{
	bool isnull;
	Datum value = slot_getattr(slot, column, &isnull);

	return isnull || DatumGetInt64(value) < 0 ? 0 : DatumGetInt64(value);
}

static BsSamplingRule *
collect(Relation table, uint32 *nrules)
{
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	uint32 capacity = 64;
	BsSamplingRule *rules = palloc(capacity * sizeof(BsSamplingRule));

	*nrules = 0;
	while (*nrules < MAX_RULES && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		bool isnull;
		Datum exporter = slot_getattr(slot, CONFIG_EXPORTER, &isnull);

		if (isnull)
			continue;
		if (*nrules == capacity)
			rules = repalloc(rules, (capacity *= 2) * sizeof(BsSamplingRule));
		rules[*nrules].exporter = bs_value_from_datum(BS_INET, INETOID, exporter, NULL).inet;
		rules[*nrules].default_rate = rate_of(slot, CONFIG_DEFAULT);
		rules[*nrules].override_rate = rate_of(slot, CONFIG_OVERRIDE);
		(*nrules)++;
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	return rules;
}

bool
bs_exporter_config_load(BsDecoder *decoder)
{
	Oid relid = get_relname_relid("exporter_config", get_namespace_oid(BS_EXTENSION, true));
	BsSamplingRule *rules;
	uint32 nrules;
	Relation table;

	if (!OidIsValid(relid))
		return true;
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	table = try_relation_open(relid, NoLock);
	if (table == NULL)
		return true;
	rules = collect(table, &nrules);
	if (!bs_decoder_set_sampling(decoder, rules, nrules))
		ereport(LOG, (errcode(ERRCODE_OUT_OF_MEMORY),
					  errmsg("out of memory for the rules of backstream.exporter_config")));
	pfree(rules);
	table_close(table, NoLock);
	return true;
}

BS_SQL_FUNCTION(bs_exporter_config_changed);

/* AFTER trigger for each statement: decoders read the table again when this commits. */
Datum
bs_exporter_config_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("backstream.exporter_config_changed() is a trigger function")));
	bs_views_changed();
	return PointerGetDatum(NULL);
}
