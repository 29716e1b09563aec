/* SPDX-License-Identifier: PostgreSQL */
/* options.c: options of continuous views, streams and servers, and the wrapper's validator. */
#include "backstream.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_foreign_table.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/regproc.h"
#include "utils/timestamp.h"

#include "node.h"
#include "options.h"
#include "pinned.h"

BS_SQL_FUNCTION(bs_fdw_validator);

/* Where an option may stand. */
#define ON_VIEW   1
#define ON_STREAM 2
#define ON_SERVER 4

typedef enum OptionKind
{
	KIND_TEXT,
	KIND_INTERVAL, /* stored in microseconds */
	KIND_COUNT,
	KIND_CHOICE,  /* stored as the index among choices */
	KIND_CHANNEL,  /* of NOTIFY */
	KIND_RELATION, /* a name, with or without a schema */
	KIND_SETTING, /* a value of the PostgreSQL setting of that name */
	KIND_LATER    /* known, and for a version to come */
} OptionKind;

#define WRITTEN_BY_US 1 /* users do not write it */
#define FIXED         2 /* ALTER does not change it */

#define MAX_USEC (INT64CONST(36500) * USECS_PER_DAY)

typedef struct OptionRow
{
	const char *name;
	int where;
	OptionKind kind;
	int flags;
	size_t offset; /* in BsViewOptions or BsServerOptions */
	int64 min;
	int64 max;
	const char *const *choices;
} OptionRow;

static const char *const clock_choices[] = {"wall", "data", NULL};
static const char *const notify_on_choices[] = {"row", "change", NULL};
static const char *const show_choices[] = {"all", "closed", NULL};
static const char *const overflow_choices[] = {"count", "other", NULL};
static const char *const node_failure_choices[] = {"error", "partial", NULL};
static const char *const switch_choices[] = {"off", "on", NULL};

static const char *const take_over_choices[] = {"closed", "now", NULL};

#define IN_VIEW(field)   offsetof(BsViewOptions, field)
#define IN_SERVER(field) offsetof(BsServerOptions, field)

static const OptionRow option_rows[] = {
	{"query", ON_VIEW, KIND_TEXT, WRITTEN_BY_US | FIXED, IN_VIEW(query), 0, 0, NULL},
	{"retain", ON_VIEW, KIND_INTERVAL, 0, IN_VIEW(retain_usec), 0, MAX_USEC, NULL},
	{"lateness", ON_VIEW, KIND_INTERVAL, 0, IN_VIEW(lateness_usec), 0, MAX_USEC, NULL},
	{"idle", ON_VIEW, KIND_INTERVAL, 0, IN_VIEW(idle_usec), 1000, MAX_USEC, NULL},
	{"max_future", ON_VIEW, KIND_INTERVAL, 0, IN_VIEW(max_future_usec), 0, MAX_USEC, NULL},
	{"max_behind", ON_VIEW, KIND_INTERVAL, 0, IN_VIEW(max_behind_usec), 0, MAX_USEC, NULL},
	{"max_groups", ON_VIEW, KIND_COUNT, 0, IN_VIEW(max_groups), 1, INT64CONST(1000000000), NULL},
	{"clock", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(clock), 0, 0, clock_choices},
	{"show", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(show), 0, 0, show_choices},
	{"overflow", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(overflow), 0, 0, overflow_choices},
	{"take_over", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(take_over), 0, 0, take_over_choices},
	{"notify", ON_VIEW, KIND_CHANNEL, 0, IN_VIEW(notify), 0, 0, NULL},
	{"notify_on", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(notify_on), 0, 0, notify_on_choices},
	{"notify_limit", ON_VIEW, KIND_COUNT, 0, IN_VIEW(notify_limit), 0, 10000, NULL},
	{"archive", ON_VIEW, KIND_RELATION, 0, IN_VIEW(archive), 0, 0, NULL},
	{"window", ON_VIEW, KIND_INTERVAL, FIXED, IN_VIEW(window_usec), 1000, MAX_USEC, NULL},
	{"slide", ON_VIEW, KIND_INTERVAL, FIXED, IN_VIEW(slide_usec), 1000, MAX_USEC, NULL},
	{"time_column", ON_VIEW, KIND_TEXT, FIXED, IN_VIEW(time_column), 0, 0, NULL},
	{"timezone", ON_VIEW, KIND_SETTING, FIXED, IN_VIEW(timezone), 0, 0, NULL},
	{"datestyle", ON_VIEW, KIND_SETTING, FIXED, IN_VIEW(datestyle), 0, 0, NULL},
	{"intervalstyle", ON_VIEW, KIND_SETTING, FIXED, IN_VIEW(intervalstyle), 0, 0, NULL},
	{"format", ON_VIEW, KIND_COUNT, WRITTEN_BY_US | FIXED, IN_VIEW(format), 1, PG_INT32_MAX, NULL},

	{"watermark_by", ON_STREAM, KIND_TEXT, 0, 0, 0, 0, NULL},

	{"on_node_failure", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(on_node_failure), 0, 0, node_failure_choices},
	{"nodes_follow", ON_VIEW, KIND_CHOICE, 0, IN_VIEW(nodes_follow), 0, 0, switch_choices},
	{"schema_name", ON_VIEW, KIND_TEXT, WRITTEN_BY_US | FIXED, IN_VIEW(schema_name), 0, 0, NULL},
	{"table_name", ON_VIEW, KIND_TEXT, WRITTEN_BY_US | FIXED, IN_VIEW(table_name), 0, 0, NULL},
	{"schema_name", ON_STREAM, KIND_TEXT, 0, 0, 0, 0, NULL},
	{"table_name", ON_STREAM, KIND_TEXT, 0, 0, 0, 0, NULL},
	{"nodes", ON_SERVER, KIND_TEXT, 0, IN_SERVER(nodes), 0, 0, NULL},
	{"schema", ON_SERVER, KIND_TEXT, 0, IN_SERVER(schema), 0, 0, NULL},
	{"node_timeout", ON_SERVER, KIND_INTERVAL, 0, IN_SERVER(node_timeout_usec), 1000, USECS_PER_DAY, NULL},
	{"on_node_failure", ON_SERVER, KIND_CHOICE, 0, IN_SERVER(on_node_failure), 0, 0, node_failure_choices},
};

/* An error in a value points at the option and names it. */
typedef struct ValueContext
{
	const char *name;
	const char *source;
	int location;
	ErrorContextCallback callback;
} ValueContext;

int
bs_error_position(const char *source, int location)
{
	if (source == NULL || location < 0)
		return 0;
	return errposition(pg_mbstrlen_with_len(source, location) + 1);
}

DefElem *
bs_option_find(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, name) == 0)
			return def;
	}
	return NULL;
}

static const OptionRow *
row_find(const char *name, int where)
{
	for (size_t i = 0; i < lengthof(option_rows); i++)
	{
		if ((option_rows[i].where & where) && strcmp(option_rows[i].name, name) == 0)
			return &option_rows[i];
	}
	return NULL;
}

static const char *
where_name(int where)
{
	switch (where)
	{
		case ON_VIEW:
			return "a continuous view";
		case ON_STREAM:
			return "a stream";
		case ON_SERVER:
			return "a server";
		default:
			return "this object";
	}
}

/* "retain, lateness, ..."; empty when there is none to write. */
static char *
row_names(int where)
{
	StringInfoData names;

	initStringInfo(&names);
	for (size_t i = 0; i < lengthof(option_rows); i++)
	{
		const OptionRow *row = &option_rows[i];

		if ((row->where & where) && !(row->flags & WRITTEN_BY_US) && row->kind != KIND_LATER)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", row->name);
	}
	return names.data;
}

static const OptionRow *
row_require(const DefElem *def, int where, const char *source)
{
	const OptionRow *row = row_find(def->defname, where);
	const char *names = row_names(where);

	if (row == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						errmsg("%s has no option \"%s\"", where_name(where), def->defname),
						!*names              ? errhint("It has no options.")
						: where == ON_SERVER ? errhint("Options are: %s, and those of libpq.", names)
											 : errhint("Options are: %s.", names),
						bs_error_position(source, def->location)));
	if (row->kind == KIND_LATER)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("option \"%s\" is not supported yet", row->name),
						*names ? errhint("Options are: %s.", names) : 0,
						bs_error_position(source, def->location)));
	return row;
}

static void
value_context(void *arg)
{
	ValueContext *context = arg;

	(void) bs_error_position(context->source, context->location);
	errcontext("value of option \"%s\"", context->name);
}

static char *
channel_value(const OptionRow *row, const char *text)
{
	if (text[0] == '\0' || strlen(text) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("option \"%s\" must be the name of a channel, of at most %d bytes: \"%s\"",
							   row->name, NAMEDATALEN - 1, text),
						errhint("Sessions that LISTEN to it get a notification when a window closes.")));
	return pstrdup(text);
}

static int64
interval_value(const OptionRow *row, const char *text)
{
	int level = bs_pinned_enter_text();
	Interval *interval = DatumGetIntervalP(DirectFunctionCall3(
		interval_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	int64 usec;

	bs_pinned_leave(level);
	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" cannot have months or years: \"%s\"", row->name, text),
				 errdetail("They have no fixed length."),
				 errhint("Use days, hours, minutes or seconds, as in '30 days'.")));
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &usec) ||
		pg_add_s64_overflow(usec, interval->time, &usec) || usec < row->min || usec > row->max)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" is out of range: \"%s\"", row->name, text),
				 row->min == 0
					 ? errdetail("It is from 0 to %d days.", (int) (row->max / USECS_PER_DAY))
					 : errdetail("It is from %d ms to %d days.", (int) (row->min / 1000),
								 (int) (row->max / USECS_PER_DAY))));
	return usec;
}

static int64
count_value(const OptionRow *row, const char *text)
{
	int64 value = pg_strtoint64(text);

	if (value < row->min || value > row->max)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("option \"%s\" is out of range: \"%s\"", row->name, text),
						errdetail("It is from " INT64_FORMAT " to " INT64_FORMAT ".", row->min,
								  row->max)));
	return value;
}

static int
choice_value(const OptionRow *row, const char *text)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; row->choices[i] != NULL; i++)
	{
		if (pg_strcasecmp(row->choices[i], text) == 0)
			return i;
		appendStringInfo(&list, "%s%s", i ? ", " : "", row->choices[i]);
	}
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					errmsg("option \"%s\" cannot be \"%s\"", row->name, text),
					errhint("It is one of: %s.", list.data)));
	return 0;
}

/* Check one value and put it where it belongs. */
static void
value_store(const OptionRow *row, const char *text, void *result)
{
	char *field = (char *) result + row->offset;

	switch (row->kind)
	{
		case KIND_INTERVAL:
			*(int64 *) field = interval_value(row, text);
			break;
		case KIND_COUNT:
			*(int64 *) field = count_value(row, text);
			break;
		case KIND_CHOICE:
			*(int *) field = choice_value(row, text);
			break;
		case KIND_SETTING:
			/* Raises what SET would. */
			(void) set_config_option(row->name, text, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
									 false, ERROR, false);
			*(char **) field = pstrdup(text);
			break;
		case KIND_CHANNEL:
			*(char **) field = channel_value(row, text);
			break;
		case KIND_RELATION:
			(void) stringToQualifiedNameList(text);
			*(char **) field = pstrdup(text);
			break;
		case KIND_TEXT:
			*(char **) field = pstrdup(text);
			break;
		case KIND_LATER:
			elog(ERROR, "option \"%s\" has no value yet", row->name);
	}
}

static void
value_check(const OptionRow *row, DefElem *def, const char *source, void *result)
{
	ValueContext context = {.name = def->defname, .source = source, .location = def->location};

	context.callback.callback = value_context;
	context.callback.arg = &context;
	context.callback.previous = error_context_stack;
	error_context_stack = &context.callback;
	value_store(row, defGetString(def), result);
	error_context_stack = context.callback.previous;
}

static void
view_options_defaults(BsViewOptions *result)
{
	memset(result, 0, sizeof(*result));
	result->retain_usec = USECS_PER_HOUR;
	result->lateness_usec = BS_LATENESS_DEFAULT;
	result->idle_usec = 10 * USECS_PER_SEC;
	result->max_future_usec = USECS_PER_MINUTE;
	result->max_behind_usec = BS_MAX_BEHIND_DEFAULT;
	result->max_groups = 1000000;
	result->clock = BS_CLOCK_WALL;
	result->show = BS_SHOW_ALL;
	result->take_over = BS_TAKE_OVER_CLOSED;
	result->notify_on = BS_NOTIFY_ROW;
	result->notify_limit = 100;
	result->overflow = BS_OVERFLOW_COUNT;
	result->format = BS_FORMAT;
	result->on_node_failure = BS_NODE_FAILURE_UNSET;
	result->nodes_follow = true;
}

/* Those that say how windows close, or are kept when they have: a rolling view has none. */
static const char *const closing_options[] = {"retain", "lateness", "idle", "max_behind", "show"};

static void
rolling_refuse(const DefElem *def, const char *message, const char *hint, const char *source)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg(message, def->defname),
					errhint("%s", hint), bs_error_position(source, def->location)));
}

/* What belongs together in a list of options that have been checked one by one. */
static void
rolling_check(List *options, const BsViewOptions *parsed, const char *source)
{
	DefElem *window = bs_option_find(options, "window");
	DefElem *slide = bs_option_find(options, "slide");
	DefElem *time_column = bs_option_find(options, "time_column");

	if (window == NULL && (slide != NULL || time_column != NULL))
		rolling_refuse(slide != NULL ? slide : time_column, "option \"%s\" needs the option window",
					   "A rolling view has WITH (window = '5 min', slide = '5 s').", source);
	if (window == NULL)
		return;
	if (slide == NULL)
		rolling_refuse(window, "option \"%s\" needs the option slide",
					   "It says how often the answer moves on: WITH (window = '5 min', slide = '5 s').",
					   source);
	if (parsed->slide_usec > parsed->window_usec)
		rolling_refuse(slide, "option \"%s\" is longer than the window",
					   "It says how often the answer moves on: WITH (window = '5 min', slide = '5 s').",
					   source);
	for (size_t i = 0; i < lengthof(closing_options); i++)
	{
		DefElem *def = bs_option_find(options, closing_options[i]);

		if (def != NULL)
			rolling_refuse(def, "option \"%s\" means nothing for a rolling view",
						   "Leave it out: the answer is always that of the last window, with whatever "
						   "has come of it.",
						   source);
	}
}

/* ---------- shown and waiting ---------- */

static bool
is_waiting(const DefElem *def)
{
	return strncmp(def->defname, BS_NEXT_PREFIX, strlen(BS_NEXT_PREFIX)) == 0;
}

char *
bs_option_next_name(const char *name)
{
	return psprintf(BS_NEXT_PREFIX "%s", name);
}

List *
bs_options_shown(List *options)
{
	List *shown = NIL;
	ListCell *cell;

	foreach (cell, options)
		if (!is_waiting(lfirst_node(DefElem, cell)))
			shown = lappend(shown, copyObject(lfirst(cell)));
	return shown;
}

List *
bs_options_waiting(List *options)
{
	List *waiting = NIL;
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (!is_waiting(def))
			continue;
		def = copyObject(def);
		def->defname += strlen(BS_NEXT_PREFIX);
		waiting = lappend(waiting, def);
	}
	return waiting;
}

List *
bs_options_join(List *shown, List *waiting)
{
	List *joined = copyObject(shown);
	ListCell *cell;

	foreach (cell, waiting)
	{
		DefElem *def = copyObject(lfirst_node(DefElem, cell));

		def->defname = bs_option_next_name(def->defname);
		joined = lappend(joined, def);
	}
	return joined;
}

void
bs_view_options_parse(List *options, BsViewOptions *result)
{
	BsViewOptions waiting;
	ListCell *cell;

	if (bs_options_waiting(options) != NIL)
	{
		bs_view_options_parse(bs_options_waiting(options), &waiting);
		options = bs_options_shown(options);
	}

	view_options_defaults(result);
	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		value_check(row_require(def, ON_VIEW, NULL), def, NULL, result);
	}
	rolling_check(options, result, NULL);
	if (result->format > BS_FORMAT)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						errmsg("a continuous view of format " INT64_FORMAT
							   " was written by a newer version of BackStream",
							   result->format),
						errdetail("This version knows formats up to %d.", BS_FORMAT),
						errhint("Update the extension on this server.")));
}

void
bs_server_options_parse(List *options, BsServerOptions *result)
{
	ListCell *cell;

	*result = (BsServerOptions){.node_timeout_usec = -1, .on_node_failure = BS_NODE_FAILURE_ERROR};
	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (!bs_libpq_option_check(def, ForeignServerRelationId))
			value_check(row_require(def, ON_SERVER, NULL), def, NULL, result);
	}
}

List *
bs_view_options_from_user(List *defelems, const char *source)
{
	List *result = NIL;
	ListCell *cell;
	BsViewOptions parsed;

	view_options_defaults(&parsed);
	foreach (cell, defelems)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		const OptionRow *row;

		if (def->defnamespace != NULL)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("a continuous view has no option \"%s.%s\"", def->defnamespace,
								   def->defname),
							errhint("Options are: %s.", row_names(ON_VIEW)),
							bs_error_position(source, def->location)));
		if (strcmp(def->defname, "continuous") == 0)
			continue;
		row = row_require(def, ON_VIEW, source);
		if (row->flags & WRITTEN_BY_US)
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("option \"%s\" cannot be set", def->defname),
							errhint("It comes from the query after AS."),
							bs_error_position(source, def->location)));
		if (bs_option_find(result, def->defname))
			ereport(ERROR, (errcode(ERRCODE_SYNTAX_ERROR),
							errmsg("option \"%s\" is given more than once", def->defname),
							bs_error_position(source, def->location)));
		value_check(row, def, source, &parsed);
		result = lappend(result, makeDefElem(pstrdup(def->defname),
											 (Node *) makeString(pstrdup(defGetString(def))),
											 def->location));
	}
	if (bs_option_find(result, "window") && bs_option_find(result, "slide"))
		rolling_check(result, &parsed, source);
	return result;
}

bool
bs_view_option_is_fixed(const char *name)
{
	const OptionRow *row = row_find(name, ON_VIEW);

	if (strncmp(name, BS_NEXT_PREFIX, strlen(BS_NEXT_PREFIX)) == 0)
		return true;
	return row != NULL && (row->flags & FIXED);
}

bool
bs_view_option_exists(const char *name)
{
	return row_find(name, ON_VIEW) != NULL;
}

static void
all_checked(List *options, int where)
{
	ListCell *cell;

	foreach (cell, options)
		(void) row_require(lfirst_node(DefElem, cell), where, NULL);
}

/*
 * The validator sees the options alone: what needs the relation (is the query right, is there such
 * a column) is checked by ddl.c.
 */
Datum
bs_fdw_validator(PG_FUNCTION_ARGS)
{
	List *options = untransformRelOptions(PG_GETARG_DATUM(0));
	Oid catalog = PG_GETARG_OID(1);
	BsViewOptions view;

	if (catalog == ForeignTableRelationId && bs_option_find(options, "query"))
		bs_view_options_parse(options, &view);
	else if (catalog == ForeignTableRelationId)
		all_checked(options, ON_STREAM);
	else if (catalog == ForeignServerRelationId)
		bs_node_server_check(options);
	else if (catalog == UserMappingRelationId)
		bs_node_mapping_check(options);
	else
		all_checked(options, 0);
	PG_RETURN_VOID();
}
