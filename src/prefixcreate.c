/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixcreate.c: create_prefix_map() and its like, drop_prefix_map(), refresh_prefix_map(), the trigger on registered
 * tables, and the counters behind backstream.prefix_maps.  See prefix.h.
 *
 * The row of backstream.prefix_map is written as the owner of that table; all else, the trigger on the
 * user's table above all, is done as the caller.
 */
#include "backstream.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

#include "prefix.h"
#include "refuse.h"

BS_SQL_FUNCTION(bs_create_prefix_map);
BS_SQL_FUNCTION(bs_create_prefix_map_from_file);
BS_SQL_FUNCTION(bs_drop_prefix_map);
BS_SQL_FUNCTION(bs_refresh_prefix_map);
BS_SQL_FUNCTION(bs_prefix_map_changed);
BS_SQL_FUNCTION(bs_prefix_map_counters);

#define TRIGGER_NAME      "backstream_prefix_map"
#define REFRESH_LOOK_MSEC 10
#define NCOUNTERS         10

/* ---- the table of registrations -------------------------------------------------------------- */

static Oid
config_relid(void)
{
	return get_relname_relid(BS_PREFIX_TABLE, get_namespace_oid(BS_EXTENSION, false));
}

typedef struct Identity
{
	Oid user;
	int security;
} Identity;

/* Become the owner of the extension's table. */
static Identity
become_extension(void)
{
	Identity caller;
	Relation table = table_open(config_relid(), AccessShareLock);
	Oid owner = table->rd_rel->relowner;

	table_close(table, NoLock);
	GetUserIdAndSecContext(&caller.user, &caller.security);
	SetUserIdAndSecContext(owner, caller.security | SECURITY_LOCAL_USERID_CHANGE);
	return caller;
}

static void
become(Identity caller)
{
	SetUserIdAndSecContext(caller.user, caller.security);
}

/* Run a statement about the extension's table as its owner; SPI is connected.  Returns rows processed. */
static uint64
run_on_config(const char *statement, int nargs, Oid *types, Datum *values)
{
	Identity caller = become_extension();
	int result = SPI_execute_with_args(statement, nargs, types, values, NULL, false, 0);

	become(caller);
	if (result < 0)
		elog(ERROR, "statement about prefix maps failed: %s", SPI_result_code_string(result));
	return SPI_processed;
}

/* ---- making ---------------------------------------------------------------------------------- */

static void
copy_name(char *to, const char *from, const char *what)
{
	if (from[0] == '\0' || strlen(from) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("%s must have 1 to %d bytes", what, NAMEDATALEN - 1)));
	strlcpy(to, from, NAMEDATALEN);
}

static void
add_label(BsPrefixDef *def, const char *label)
{
	if (def->nlabels == BS_PREFIX_MAX_LABELS)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("a prefix map can have at most %d labels", BS_PREFIX_MAX_LABELS)));
	for (int i = 0; i < def->nlabels; i++)
		if (strcmp(def->labels[i], label) == 0)
			ereport(ERROR, (errcode(ERRCODE_DUPLICATE_COLUMN),
							errmsg("label \"%s\" is named twice", label)));
	copy_name(def->labels[def->nlabels++], label, "the name of a label");
}

/* create_prefix_map(map, relation, prefix, label, labels, public); label and labels may be NULL. */
static void
read_arguments(FunctionCallInfo fcinfo, BsPrefixDef *def)
{
	Datum *elements;
	bool *nulls;
	int n;

	for (int i = 0; i < 6; i++)
		if (PG_ARGISNULL(i) && i != 3 && i != 4)
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("map, relation, prefix and public cannot be NULL")));
	copy_name(def->name, text_to_cstring(PG_GETARG_TEXT_PP(0)), "the name of a prefix map");
	def->relid = PG_GETARG_OID(1);
	copy_name(def->prefix, NameStr(*PG_GETARG_NAME(2)), "the name of a column");
	if (!PG_ARGISNULL(3))
		add_label(def, NameStr(*PG_GETARG_NAME(3)));
	if (!PG_ARGISNULL(4))
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(4), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
						  &elements, &nulls, &n);
		for (int i = 0; i < n; i++)
			if (!nulls[i])
				add_label(def, NameStr(*DatumGetName(elements[i])));
	}
	def->is_public = PG_GETARG_BOOL(5);
	def->owner = GetUserId();
}

/* Maps take a part of backstream.memory, as views do. */
static void
check_may_create(void)
{
	ForeignServer *server = GetForeignServerByName(BS_EXTENSION, false);
	AclResult result = pg_foreign_server_aclcheck(server->serverid, GetUserId(), ACL_USAGE);

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, BS_EXTENSION);
}

static bool
is_registered(const char *map)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(map)};

	return run_on_config("SELECT FROM backstream.prefix_map WHERE map OPERATOR(pg_catalog.=) $1", 1,
						 types, values) > 0;
}

static void
check_free(const BsPrefixDef *def)
{
	if (is_registered(def->name))
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("prefix map \"%s\" already exists", def->name)));
	if (run_on_config("SELECT FROM backstream.prefix_map", 0, NULL, NULL) >=
		(uint64) bs_setting_max_prefix_maps)
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("too many prefix maps"),
				 errhint("Raise backstream.max_prefix_maps and restart the server.")));
}

static const char *
qualified_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
run_as_caller(const char *statement)
{
	if (SPI_execute(statement, false, 0) < 0)
		elog(ERROR, "\"%s\" failed", statement);
}

/* One trigger for all maps of a table. */
static void
make_trigger(Oid relid)
{
	if (OidIsValid(get_trigger_oid(relid, TRIGGER_NAME, true)))
		return;
	run_as_caller(psprintf("CREATE TRIGGER " TRIGGER_NAME
						   " AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s"
						   " FOR EACH STATEMENT EXECUTE FUNCTION backstream.prefix_map_changed()",
						   qualified_name(relid)));
}

static void
register_map(const BsPrefixDef *def)
{
	Oid types[] = {TEXTOID, REGCLASSOID, NAMEOID, NAMEARRAYOID, REGROLEOID, BOOLOID, TEXTOID};
	bool is_file = def->file[0] != '\0';
	Datum labels[BS_PREFIX_MAX_LABELS];
	Datum values[7];

	for (int i = 0; i < def->nlabels; i++)
		labels[i] = NameGetDatum((const NameData *) def->labels[i]);
	values[0] = CStringGetTextDatum(def->name);
	values[1] = ObjectIdGetDatum(def->relid);
	values[2] = NameGetDatum((const NameData *) def->prefix);
	values[3] = PointerGetDatum(
		construct_array(labels, def->nlabels, NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR));
	values[4] = ObjectIdGetDatum(def->owner);
	values[5] = BoolGetDatum(def->is_public);
	values[6] = CStringGetTextDatum(def->file);
	run_on_config(is_file
					  ? "INSERT INTO backstream.prefix_map VALUES ($1, NULL, NULL, $4, $5, $6, $7)"
					  : "INSERT INTO backstream.prefix_map VALUES ($1, $2, $3, $4, $5, $6, NULL)",
				  7, types, values);
}

Datum
bs_create_prefix_map(PG_FUNCTION_ARGS)
{
	BsPrefixDef def;
	Relation table;

	memset(&def, 0, sizeof(def));
	read_arguments(fcinfo, &def);
	check_may_create();
	table = table_open(def.relid, AccessShareLock);
	bs_prefix_check_table(table, &def);
	table_close(table, NoLock);
	SPI_connect();
	check_free(&def);
	make_trigger(def.relid);
	register_map(&def);
	SPI_finish();
	PG_RETURN_VOID();
}

/* create_prefix_map_from_file(map, file, label, labels, public); label and labels may be NULL. */
static void
read_file_arguments(FunctionCallInfo fcinfo, BsPrefixDef *def)
{
	Datum *elements;
	bool *nulls;
	int n;
	char *file;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("map, file and public cannot be NULL")));
	copy_name(def->name, text_to_cstring(PG_GETARG_TEXT_PP(0)), "the name of a prefix map");
	file = text_to_cstring(PG_GETARG_TEXT_PP(1));
	canonicalize_path(file);
	if (!is_absolute_path(file) || strlen(file) >= sizeof(def->file))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME), errmsg("\"%s\" is not an absolute path", file),
				 errdetail("The file is read by the server.")));
	strlcpy(def->file, file, sizeof(def->file));
	if (!PG_ARGISNULL(2))
		add_label(def, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (!PG_ARGISNULL(3))
	{
		deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), TEXTOID, -1, false, TYPALIGN_INT, &elements,
						  &nulls, &n);
		for (int i = 0; i < n; i++)
			if (!nulls[i])
				add_label(def, TextDatumGetCString(elements[i]));
	}
	def->is_public = PG_GETARG_BOOL(4);
	def->owner = GetUserId();
}

Datum
bs_create_prefix_map_from_file(PG_FUNCTION_ARGS)
{
	BsPrefixDef def;

	memset(&def, 0, sizeof(def));
	read_file_arguments(fcinfo, &def);
	check_may_create();
	bs_prefix_file_check(&def);
	SPI_connect();
	check_free(&def);
	register_map(&def);
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- views that look up ---------------------------------------------------------------------- */

typedef struct QueryCheck
{
	const char *source;
	int location;
} QueryCheck;

static void
check_call(const FuncExpr *expr, const BsPrefixCall *call, const QueryCheck *check)
{
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(call->map)};
	int location = expr->location >= 0 ? expr->location : check->location;
	bool isnull;
	Oid owner;

	if (run_on_config("SELECT owner::pg_catalog.oid, public FROM backstream.prefix_map"
					  " WHERE map OPERATOR(pg_catalog.=) $1",
					  1, types, values) == 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("prefix map \"%s\" does not exist", call->map),
						errhint("Make it first, with backstream.create_prefix_map()."),
						bs_error_position(check->source, location)));
	owner =
		DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (!DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull)) &&
		!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for prefix map \"%s\"", call->map),
						bs_error_position(check->source, location)));
}

static bool
query_walker(Node *node, QueryCheck *check)
{
	BsPrefixCall call;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && bs_prefix_call((FuncExpr *) node, &call))
		check_call((FuncExpr *) node, &call, check);
	return expression_tree_walker(node, query_walker, check);
}

void
bs_prefix_check_query(Query *query, const char *source, int location)
{
	QueryCheck check = {source, location};

	SPI_connect();
	(void) query_tree_walker(query, query_walker, &check, 0);
	SPI_finish();
}

/* ---- dropping -------------------------------------------------------------------------------- */

/* No other map follows the table: its trigger goes, if the caller may; else it is left, and harmless. */
static void
drop_trigger(Oid relid)
{
	Oid types[] = {REGCLASSOID};
	Datum values[] = {ObjectIdGetDatum(relid)};

	if (run_on_config("SELECT FROM backstream.prefix_map WHERE relation OPERATOR(pg_catalog.=) $1",
					  1, types, values) > 0)
		return;
	if (get_rel_name(relid) == NULL || !OidIsValid(get_trigger_oid(relid, TRIGGER_NAME, true)) ||
		!pg_class_ownercheck(relid, GetUserId()))
		return;
	run_as_caller(psprintf("DROP TRIGGER " TRIGGER_NAME " ON %s", qualified_name(relid)));
}

Datum
bs_drop_prefix_map(PG_FUNCTION_ARGS)
{
	char *map = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool if_exists = PG_GETARG_BOOL(1);
	Oid types[] = {TEXTOID};
	Datum values[] = {CStringGetTextDatum(map)};
	bool isnull;
	Oid relid;
	Oid owner;

	SPI_connect();
	if (run_on_config(
			"SELECT relation::pg_catalog.oid, owner::pg_catalog.oid FROM backstream.prefix_map"
			" WHERE map OPERATOR(pg_catalog.=) $1 FOR UPDATE",
			1, types, values) == 0)
	{
		ereport(if_exists ? NOTICE : ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 if_exists ? errmsg("prefix map \"%s\" does not exist, skipping", map)
						   : errmsg("prefix map \"%s\" does not exist", map)));
		SPI_finish();
		PG_RETURN_VOID();
	}
	relid =
		DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	owner =
		DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2, &isnull));
	if (!has_privs_of_role(GetUserId(), owner))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("must be owner of prefix map \"%s\"", map)));
	run_on_config("DELETE FROM backstream.prefix_map WHERE map OPERATOR(pg_catalog.=) $1", 1, types,
				  values);
	if (OidIsValid(relid))
		drop_trigger(relid);
	SPI_finish();
	PG_RETURN_VOID();
}

/* ---- following ------------------------------------------------------------------------------- */

/*
 * AFTER trigger for each statement.  The invalidation goes out when and if this commits, also by COMMIT
 * PREPARED; the keeper builds every map of the table anew then.
 */
Datum
bs_prefix_map_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("backstream.prefix_map_changed() is a trigger function")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	return PointerGetDatum(NULL);
}

/* The slot of a map that has served the request; NULL: not yet. */
static BsSharedPrefixMap *
served_slot(const char *map, uint64 request)
{
	Oid owner = InvalidOid;
	bool is_public;
	uint64 definition;
	int number = bs_prefix_find(map, &owner, &is_public, &definition);
	BsSharedPrefixMap *slot;

	if (number < 0 && bs_prefix_looked_at() >= request)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("prefix map \"%s\" does not exist", map),
				 errhint("One that was made by this transaction exists when it has committed.")));
	if (number < 0)
		return NULL;
	if (!has_privs_of_role(GetUserId(), owner) && !is_public)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("permission denied for prefix map \"%s\"", map)));
	slot = bs_prefix_slot(number);
	return pg_atomic_read_u64(&slot->served) >= request ? slot : NULL;
}

static void
report_failure(BsSharedPrefixMap *slot, const char *map)
{
	char error[BS_ERROR_TEXT];
	bool failed;

	bs_prefix_lock(LW_SHARED);
	failed = slot->failed;
	strlcpy(error, slot->error, sizeof(error));
	bs_prefix_unlock();
	if (failed)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("prefix map \"%s\" could not be built: %s", map, error)));
}

Datum
bs_refresh_prefix_map(PG_FUNCTION_ARGS)
{
	char *map = text_to_cstring(PG_GETARG_TEXT_PP(0));
	BsSharedPrefixMap *slot;
	uint64 request;

	if (!bs_registry_ready())
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("prefix maps are not kept on this server"),
						errdetail("On a standby nothing runs until promotion.")));
	request = bs_prefix_request();
	while ((slot = served_slot(map, request)) == NULL)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 REFRESH_LOOK_MSEC, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	report_failure(slot, map);
	PG_RETURN_VOID();
}

/* ---- counters -------------------------------------------------------------------------------- */

static const char *
state_of(const BsSharedPrefixMap *slot)
{
	if (slot->built_at == 0)
		return slot->failed ? "failed" : "waiting";
	return slot->failed ? "outdated" : "built";
}

static void
counters_row(ReturnSetInfo *result, const BsSharedPrefixMap *slot)
{
	bool visible = has_privs_of_role(GetUserId(), slot->def.owner) ||
				   has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	Interval *took = palloc0(sizeof(Interval));
	bool built = slot->built_at != 0;
	bool erred = slot->error_at != 0;
	Datum values[NCOUNTERS];
	bool nulls[NCOUNTERS] = {
		false, false, !built, !built, !built, !built, !built, !built, !erred || !visible, !erred};

	took->time = slot->build_usec;
	values[0] = CStringGetTextDatum(slot->def.name);
	values[1] = CStringGetTextDatum(state_of(slot));
	values[2] = Int64GetDatum((int64) slot->rows);
	values[3] = Int64GetDatum((int64) slot->info.prefixes);
	values[4] = Int64GetDatum((int64) slot->info.duplicates);
	values[5] = Int64GetDatum((int64) slot->info.bytes);
	values[6] = TimestampTzGetDatum(slot->built_at);
	values[7] = IntervalPGetDatum(took);
	values[8] = CStringGetTextDatum(slot->error);
	values[9] = TimestampTzGetDatum(slot->error_at);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

Datum
bs_prefix_map_counters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	if (result->setDesc->natts != NCOUNTERS)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the extension's objects are of another version than its library"),
						errhint("ALTER EXTENSION backstream UPDATE.")));
	for (int i = 0; i < bs_setting_max_prefix_maps; i++)
	{
		BsSharedPrefixMap copy;

		bs_prefix_lock(LW_SHARED);
		memcpy(&copy, bs_prefix_slot(i), sizeof(copy));
		bs_prefix_unlock();
		if (copy.def.name[0] != '\0')
			counters_row(result, &copy);
	}
	return (Datum) 0;
}
