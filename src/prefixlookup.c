/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixlookup.c: prefix_lookup() and its like: for SQL, and told to the native path.  See prefix.h.
 *
 * Each call is inside for itself: copied out is what is returned.  What is found of a map by its name is
 * kept for the next call.
 */
#include "backstream.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "lanes.h"
#include "prefix.h"

BS_SQL_FUNCTION(bs_prefix_lookup);
BS_SQL_FUNCTION(bs_prefix_lookup_bigint);
BS_SQL_FUNCTION(bs_prefix_lookup_inet);

/* What one place in a query has found; in fn_extra. */
typedef struct Found
{
	char map[NAMEDATALEN];
	Oid role;
	int slot;
	uint64 definition;
} Found;

typedef struct Look
{
	BsInet address;
	uint32_t prefix; /* 0: none */
	int column;
	BsLabelKind kind;
	bool found; /* has a label that is not NULL */
	int64_t number;
	BsInet network;
	BsBytes text; /* in text_copy */
} Look;

/* Outside of enter and leave memory may run out: labels are copied here first. */
static uint8 text_copy[BS_PREFIX_MAX_LABEL_BYTES];

static void
name_of_text(text *from, char *name)
{
	text_to_cstring_buffer(from, name, NAMEDATALEN);
}

static void
refuse_unknown(const char *map)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("prefix map \"%s\" does not exist", map),
			 errhint("backstream.create_prefix_map() makes one, once it commits; "
					 "backstream.prefix_maps shows those that there are.")));
}

/* Find the map of this name, if it is not the one that was found before. */
static Found *
find(FunctionCallInfo fcinfo)
{
	Found *found = fcinfo->flinfo->fn_extra;
	char map[NAMEDATALEN];
	Oid owner = InvalidOid;
	bool is_public = false;

	if (found == NULL)
		fcinfo->flinfo->fn_extra = found =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Found));
	name_of_text(PG_GETARG_TEXT_PP(0), map);
	if (found->definition != 0 && found->role == GetUserId() && strcmp(found->map, map) == 0 &&
		pg_atomic_read_u64(&bs_prefix_slot(found->slot)->definition) == found->definition)
		return found;
	found->definition = 0;
	found->slot = bs_prefix_find(map, &owner, &is_public, &found->definition);
	if (found->slot < 0)
		refuse_unknown(map);
	if (!is_public && !has_privs_of_role(GetUserId(), owner))
	{
		found->definition = 0;
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for prefix map \"%s\"", map),
				 errhint("Its owner and members of that role may use it, and everybody if it was "
						 "created with public => true.")));
	}
	strlcpy(found->map, map, sizeof(found->map));
	found->role = GetUserId();
	return found;
}

/* Raises nothing.  False: there is no map (yet). */
static bool
look_inside(const Found *found, const char *label, bool with_label, Look *look)
{
	BsArena *arena = bs_shared_arena();
	const BsPrefixMap *map = bs_prefix_map(found->slot, found->definition);
	BsBytes text;

	if (map == NULL)
		return false;
	look->prefix = bs_prefixmap_find(arena, map, &look->address);
	look->column = with_label ? bs_prefixmap_column(map, label) : -1;
	if (look->column >= 0)
		look->kind = bs_prefixmap_kind(map, look->column);
	if (look->prefix == 0)
		return true;
	look->network = bs_prefixmap_network(arena, map, look->prefix, &look->address);
	if (look->column < 0)
		return true;
	look->found = bs_prefixmap_label(arena, map, look->prefix, look->column, &text, &look->number);
	if (look->found)
	{
		memcpy(text_copy, text.data, text.len);
		look->text = (BsBytes){.data = text_copy, .len = text.len};
	}
	return true;
}

static Look
look_up(FunctionCallInfo fcinfo, bool with_label)
{
	const Found *found = find(fcinfo);
	Look look = {.column = -1};
	char label[NAMEDATALEN] = "";
	bool built;

	look.address = bs_value_from_datum(BS_INET, INETOID, PG_GETARG_DATUM(1), NULL).inet;
	if (PG_NARGS() > 2)
		name_of_text(PG_GETARG_TEXT_PP(2), label);
	bs_prefix_enter(NIL);
	built = look_inside(found, label, with_label, &look);
	bs_prefix_leave();
	if (!built)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("prefix map \"%s\" is not built yet", found->map),
				 errhint("backstream.refresh_prefix_map() waits for it; backstream.prefix_maps "
						 "says why it cannot be built, if so.")));
	if (with_label && look.column < 0)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_COLUMN),
						label[0] != '\0'
							? errmsg("prefix map \"%s\" has no label \"%s\"", found->map, label)
							: errmsg("prefix map \"%s\" has no label", found->map)));
	return look;
}

Datum
bs_prefix_lookup(PG_FUNCTION_ARGS)
{
	Look look = look_up(fcinfo, true);

	if (!look.found)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text_with_len((const char *) look.text.data, (int) look.text.len));
}

Datum
bs_prefix_lookup_bigint(PG_FUNCTION_ARGS)
{
	Look look = look_up(fcinfo, true);

	if (look.kind != BS_LABEL_BIGINT)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("the label of prefix map \"%s\" is not a number",
							   text_to_cstring(PG_GETARG_TEXT_PP(0))),
						errhint("Only columns of type smallint, integer or bigint are; "
								"backstream.prefix_lookup() gives any as text.")));
	if (!look.found)
		PG_RETURN_NULL();
	PG_RETURN_INT64(look.number);
}

Datum
bs_prefix_lookup_inet(PG_FUNCTION_ARGS)
{
	Look look = look_up(fcinfo, false);
	BsValue value = {.inet = look.network};

	if (look.prefix == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(bs_value_to_datum(BS_INET, &value, INETOID));
}

/* ---- the native path ------------------------------------------------------------------------- */

static const struct
{
	PGFunction function;
	BsOp op;
	BsType type;
} functions[] = {
	{bs_prefix_lookup, BS_OP_PREFIX_TEXT, BS_BYTES},
	{bs_prefix_lookup_bigint, BS_OP_PREFIX_BIGINT, BS_INT8},
	{bs_prefix_lookup_inet, BS_OP_PREFIX_NETWORK, BS_INET},
};

static char *
constant_name(Node *node)
{
	char *name;

	if (!IsA(node, Const) || ((Const *) node)->constisnull)
		return NULL;
	name = palloc(NAMEDATALEN);
	name_of_text(DatumGetTextPP(((Const *) node)->constvalue), name);
	return name;
}

bool
bs_prefix_call(const FuncExpr *expr, BsPrefixCall *call)
{
	FmgrInfo info;

	/* Functions elsewhere are not ours, and are not to be loaded only to see that. */
	if (get_func_namespace(expr->funcid) != get_namespace_oid(BS_EXTENSION, true))
		return false;
	fmgr_info(expr->funcid, &info);
	for (size_t i = 0; i < lengthof(functions); i++)
	{
		if (info.fn_addr != functions[i].function)
			continue;
		call->op = functions[i].op;
		call->type = functions[i].type;
		call->map = constant_name(linitial(expr->args));
		call->label = list_length(expr->args) > 2 ? constant_name(lthird(expr->args)) : "";
		call->address = lsecond(expr->args);
		return call->map != NULL && call->label != NULL;
	}
	return false;
}
