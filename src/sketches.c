/* SPDX-License-Identifier: PostgreSQL */
/* sketches.c: what the approximate aggregates have in common.  See sketches.h. */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/nbtree.h"
#include "catalog/namespace.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "engine/sketch_topk.h"
#include "sketches.h"

/* ---------- memory and status ---------- */

static void *
allocate(void *context, size_t size)
{
	return MemoryContextAllocExtended(context, size, MCXT_ALLOC_NO_OOM);
}

static void
release(void *context, void *memory)
{
	pfree(memory);
}

BsSketchMemory
bs_sketch_memory(MemoryContext context)
{
	return (BsSketchMemory){.allocate = allocate, .release = release, .context = context};
}

void
bs_sketch_check(BsSketchStatus status)
{
	switch (status)
	{
		case BS_SKETCH_OK:
			return;
		case BS_SKETCH_NO_MEMORY:
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		case BS_SKETCH_CORRUPT:
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("state of an approximate aggregate is corrupt")));
		case BS_SKETCH_MISMATCH:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("number of entries must be the same for all records of a group")));
		case BS_SKETCH_TOO_LONG:
			ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
							errmsg("value is too long for approx_top_k"),
							errdetail("Values may have up to %u bytes.", BS_TOPK_MAX_ITEM_BYTES),
							errhint("Use a part of it, such as left(..., 64), or its md5().")));
	}
}

MemoryContext
bs_sketch_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		elog(ERROR, "aggregate function called in non-aggregate context");
	return context;
}

/* ---------- types ---------- */

/* Does the type's btree operator class say that equal values are the same bytes? */
static bool
has_equal_image(const TypeCacheEntry *entry, Oid collation)
{
	Oid procedure;

	if (!OidIsValid(entry->btree_opf))
		return false;
	procedure = get_opfamily_proc(entry->btree_opf, entry->btree_opintype, entry->btree_opintype,
								  BTEQUALIMAGE_PROC);
	return OidIsValid(procedure) &&
		   DatumGetBool(
			   OidFunctionCall1Coll(procedure, collation, ObjectIdGetDatum(entry->btree_opintype)));
}

/* Rows of no type: whether their columns can be hashed is seen only when there is one. */
static Oid
hash_function(const TypeCacheEntry *entry)
{
	return entry->type_id == RECORDOID ? F_HASH_RECORD_EXTENDED : entry->hash_extended_proc;
}

static TypeCacheEntry *
hashable_type(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(
		type, TYPECACHE_HASH_EXTENDED_PROC | TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);

	if (!OidIsValid(hash_function(entry)) || !OidIsValid(entry->eq_opr) || entry->typlen == -2)
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FUNCTION),
						errmsg("could not identify an extended hash function for type %s",
							   format_type_be(type)),
						errhint("Use another form of the value, such as its text: (...)::text.")));
	return entry;
}

/* Rows of no type mean something in the process alone that made them. */
static void
check_kept(Oid type)
{
	if (type == RECORDOID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("approx_top_k cannot keep values of type record"),
				 errhint("Use a composite type that has a name, or the text: ROW(...)::text.")));
}

BsSketchType *
bs_sketch_type(FunctionCallInfo fcinfo, Oid type)
{
	FmgrInfo *function = fcinfo->flinfo;
	BsSketchType *known = function->fn_extra;
	TypeCacheEntry *entry;

	if (known != NULL && known->type == type)
		return known;
	entry = hashable_type(type);
	if (known == NULL)
		known = MemoryContextAllocZero(function->fn_mcxt, sizeof(BsSketchType));
	known->collation = PG_GET_COLLATION();
	known->len = entry->typlen;
	known->by_value = entry->typbyval;
	known->is_enum = entry->typtype == TYPTYPE_ENUM;
	known->same_bytes = known->is_enum || has_equal_image(entry, known->collation);
	fmgr_info_cxt(hash_function(entry), &known->hash, function->fn_mcxt);
	fmgr_info_cxt(get_opcode(entry->eq_opr), &known->equal, function->fn_mcxt);
	known->type = type;
	function->fn_extra = known;
	return known;
}

Oid
bs_sketch_argument_type(FunctionCallInfo fcinfo, int argument)
{
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, argument);

	if (!OidIsValid(type))
		elog(ERROR, "could not determine type of argument");
	return getBaseType(type);
}

/* The bits of a value passed by value: macros differ in how they fill those that it has not. */
static uint64
word_of(const BsSketchType *type, Datum value)
{
	switch (type->len)
	{
		case 1:
			return (uint64) (int64) (int8) value;
		case 2:
			return (uint64) (int64) (int16) value;
		case 4:
			return (uint64) (int64) (int32) value;
		default:
			return (uint64) value;
	}
}

static char *
enum_label(Datum value)
{
	HeapTuple tuple = SearchSysCache1(ENUMOID, value);
	char *label;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for enum value %u", DatumGetObjectId(value));
	label = pstrdup(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel));
	ReleaseSysCache(tuple);
	return label;
}

uint64
bs_sketch_hash(BsSketchType *type, Datum value)
{
	uint64 hash;

	if (type->is_enum)
	{
		char *label = enum_label(value);

		hash = DatumGetUInt64(hash_any_extended((unsigned char *) label, (int) strlen(label), 0));
		pfree(label);
	}
	else if (type->by_value && type->same_bytes)
		/* PostgreSQL's function for bigint and what looks like it folds 64 bits to 32. */
		hash = word_of(type, value) + UINT64CONST(0x9E3779B97F4A7C15);
	else
		hash = DatumGetUInt64(
			FunctionCall2Coll(&type->hash, type->collation, value, Int64GetDatum(0)));
	return bs_sketch_mix(hash);
}

/* ---------- items ---------- */

static BsBytes
make_item(const void *data, Size len)
{
	/* No value is longer than the number can say; BS_SKETCH_TOO_LONG comes much earlier. */
	return (BsBytes){.data = data, .len = (uint32) len};
}

BsBytes
bs_sketch_item(const BsSketchType *type, Datum value, uint64 *word)
{
	struct varlena *flat;

	check_kept(type->type);
	if (type->is_enum)
	{
		char *label = enum_label(value);

		return make_item(label, strlen(label));
	}
	if (type->by_value)
	{
		bs_bytes_put_word((uint8_t *) word, word_of(type, value), sizeof(*word));
		return make_item(word, sizeof(*word));
	}
	if (type->len > 0)
		return make_item(DatumGetPointer(value), (Size) type->len);
	flat = PG_DETOAST_DATUM_PACKED(value);
	return make_item(VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat));
}

static Datum
enum_value(const BsSketchType *type, BsBytes item)
{
	char *label = pnstrdup((const char *) item.data, item.len);

	return OidInputFunctionCall(F_ENUM_IN, label, type->type, -1);
}

Datum
bs_sketch_item_value(const BsSketchType *type, BsBytes item)
{
	struct varlena *value;

	if (type->is_enum)
		return enum_value(type, item);
	if (type->by_value)
	{
		BsCursor cursor = {.at = item.data, .left_bytes = item.len};
		uint64 word = bs_cursor_get_word(&cursor, sizeof(word));

		bs_sketch_check(cursor.bad || cursor.left_bytes != 0 ? BS_SKETCH_CORRUPT : BS_SKETCH_OK);
		return (Datum) word;
	}
	if (type->len > 0)
	{
		bs_sketch_check(item.len != (uint32) type->len ? BS_SKETCH_CORRUPT : BS_SKETCH_OK);
		return PointerGetDatum(memcpy(palloc(item.len), item.data, item.len));
	}
	value = palloc(VARHDRSZ + item.len);
	SET_VARSIZE(value, VARHDRSZ + item.len);
	memcpy(VARDATA(value), item.data, item.len);
	return PointerGetDatum(value);
}

bool
bs_sketch_items_equal(void *context, BsBytes a, BsBytes b)
{
	BsSketchType *type = context;
	Datum value_a;
	Datum value_b;
	bool equal;

	if (a.len == b.len && memcmp(a.data, b.data, a.len) == 0)
		return true;
	value_a = bs_sketch_item_value(type, a);
	value_b = bs_sketch_item_value(type, b);
	equal = DatumGetBool(FunctionCall2Coll(&type->equal, type->collation, value_a, value_b));
	if (!type->by_value)
	{
		pfree(DatumGetPointer(value_a));
		pfree(DatumGetPointer(value_b));
	}
	return equal;
}

/* ---------- calls in continuous views ---------- */

static Const *
constant_argument(const Aggref *aggref, int number)
{
	TargetEntry *entry = list_nth_node(TargetEntry, aggref->args, number);
	Node *simple = eval_const_expressions(NULL, (Node *) copyObject(entry->expr));

	return IsA(simple, Const) && !((Const *) simple)->constisnull ? (Const *) simple : NULL;
}

void
bs_sketch_check_call(const Aggref *aggref)
{
	const char *name;
	Const *constant;

	if (get_func_namespace(aggref->aggfnoid) != get_namespace_oid("backstream", true))
		return;
	name = get_func_name(aggref->aggfnoid);
	if (strcmp(name, "approx_count_distinct") == 0)
		(void) hashable_type(linitial_oid(aggref->aggargtypes));
	else if (strcmp(name, "approx_top_k") == 0)
	{
		(void) hashable_type(linitial_oid(aggref->aggargtypes));
		check_kept(linitial_oid(aggref->aggargtypes));
		constant = constant_argument(aggref, 1);
		if (constant != NULL)
			bs_approx_check_entries(DatumGetInt32(constant->constvalue));
	}
	else if (strcmp(name, "approx_percentile") == 0)
	{
		constant = constant_argument(aggref, 0);
		if (constant != NULL)
			bs_approx_check_fraction(DatumGetFloat8(constant->constvalue));
	}
}
