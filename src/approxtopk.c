/* SPDX-License-Identifier: PostgreSQL */
/*
 * approxtopk.c: approx_top_k(), a space-saving sketch of values that are not NULL.  See sketches.h.
 *
 * The state is NULL before the first record.  Serialised:
 *
 *     | 1 | type, u32 | length, u16, and name of the type | packed form (sketch_topk.h) |
 *
 * The type is needed only where equal values may be different bytes, and 0 elsewhere.  A type that
 * is not PostgreSQL's own goes by its name, whose length is 0 for the others.
 */
#include "backstream.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "engine/sketch_topk.h"
#include "sketches.h"

BS_SQL_FUNCTION(bs_approx_top_k_transition);
BS_SQL_FUNCTION(bs_approx_top_k_combine);
BS_SQL_FUNCTION(bs_approx_top_k_serialize);
BS_SQL_FUNCTION(bs_approx_top_k_deserialize);
BS_SQL_FUNCTION(bs_approx_top_k_final);

#define VERSION      1
#define HEADER_BYTES 7

typedef struct State
{
	Oid type; /* 0: values are equal when their bytes are */
	BsTopk *topk;
} State;

void
bs_approx_check_entries(int32 k)
{
	if (k < 1 || k > (int32) BS_TOPK_MAX_K)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of entries %d is not between 1 and %u", k, BS_TOPK_MAX_K)));
}

static State *
make_state(MemoryContext context, Oid type, uint32 k)
{
	State *state = MemoryContextAlloc(context, sizeof(State));

	state->type = type;
	state->topk = bs_topk_create(bs_sketch_memory(context), k);
	bs_sketch_check(state->topk == NULL ? BS_SKETCH_NO_MEMORY : BS_SKETCH_OK);
	return state;
}

/* ---------- transition and combination ---------- */

static uint32
entries_argument(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("number of entries must not be null")));
	bs_approx_check_entries(PG_GETARG_INT32(2));
	return (uint32) PG_GETARG_INT32(2);
}

/* 0 where it is NULL. */
static uint64
weight_argument(FunctionCallInfo fcinfo)
{
	int64 weight;

	if (PG_NARGS() < 4)
		return 1;
	if (PG_ARGISNULL(3))
		return 0;
	weight = PG_GETARG_INT64(3);
	if (weight < 0)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("weight " INT64_FORMAT " is negative", weight)));
	return (uint64) weight;
}

/* (internal, anyelement, integer [, bigint]) -> internal */
Datum
bs_approx_top_k_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context = bs_sketch_context(fcinfo);
	uint32 k = entries_argument(fcinfo);
	uint64 weight = weight_argument(fcinfo);
	BsSketchType *type = fcinfo->flinfo->fn_extra;
	State *state;
	uint64 word;

	if (type == NULL)
		type = bs_sketch_type(fcinfo, bs_sketch_argument_type(fcinfo, 1));
	state = PG_ARGISNULL(0) ? make_state(context, type->same_bytes ? InvalidOid : type->type, k)
							: (State *) PG_GETARG_POINTER(0);
	if (bs_topk_k(state->topk) != k)
		bs_sketch_check(BS_SKETCH_MISMATCH);
	if (!PG_ARGISNULL(1) && weight > 0)
	{
		BsTopkEqual equal = {bs_sketch_items_equal, type};
		Datum value = PG_GETARG_DATUM(1);

		bs_sketch_check(bs_topk_add(state->topk, bs_sketch_hash(type, value),
									bs_sketch_item(type, value, &word), weight,
									type->same_bytes ? NULL : &equal));
	}
	PG_RETURN_POINTER(state);
}

/* (internal, internal) -> internal */
Datum
bs_approx_top_k_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = bs_sketch_context(fcinfo);
	BsTopkEqual equal = {bs_sketch_items_equal, NULL};
	const State *other;
	State *state;

	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0))
			PG_RETURN_NULL();
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	}
	other = (State *) PG_GETARG_POINTER(1);
	state = PG_ARGISNULL(0) ? make_state(context, other->type, bs_topk_k(other->topk))
							: (State *) PG_GETARG_POINTER(0);
	if (state->type != other->type)
		bs_sketch_check(BS_SKETCH_CORRUPT);
	if (OidIsValid(state->type))
		equal.context = bs_sketch_type(fcinfo, state->type);
	bs_sketch_check(
		bs_topk_merge(state->topk, other->topk, OidIsValid(state->type) ? &equal : NULL));
	PG_RETURN_POINTER(state);
}

/* ---------- bytes ---------- */

/* (internal) -> bytea */
Datum
bs_approx_top_k_serialize(PG_FUNCTION_ARGS)
{
	State *state = (State *) PG_GETARG_POINTER(0);
	bool by_name = state->type >= FirstNormalObjectId;
	const char *name = by_name ? format_type_be_qualified(state->type) : "";
	Size name_len = strlen(name);
	bytea *result;
	uint8_t *out;

	bs_sketch_check(bs_topk_trim(state->topk));
	result = palloc(VARHDRSZ + HEADER_BYTES + name_len + bs_topk_packed_bound(state->topk));
	out = (uint8_t *) VARDATA(result);
	out = bs_bytes_put_word(out, VERSION, 1);
	out = bs_bytes_put_word(out, by_name ? 0 : state->type, 4);
	out = bs_bytes_put_word(out, name_len, 2);
	memcpy(out, name, name_len);
	out += name_len;
	out += bs_topk_pack(state->topk, out);
	SET_VARSIZE(result, out - (uint8_t *) result);
	PG_RETURN_BYTEA_P(result);
}

/* (bytea, internal) -> internal */
Datum
bs_approx_top_k_deserialize(PG_FUNCTION_ARGS)
{
	bytea *packed = PG_GETARG_BYTEA_PP(0);
	BsCursor cursor = {.at = (const uint8_t *) VARDATA_ANY(packed),
							 .left_bytes = VARSIZE_ANY_EXHDR(packed)};
	uint64 version = bs_cursor_get_word(&cursor, 1);
	Oid type = (Oid) bs_cursor_get_word(&cursor, 4);
	Size name_len = bs_cursor_get_word(&cursor, 2);
	const char *name = (const char *) bs_cursor_get_bytes(&cursor, name_len);
	State *state = palloc0(sizeof(State));
	int32 typmod;

	if (cursor.bad || version != VERSION || (name_len > 0 && OidIsValid(type)))
		bs_sketch_check(BS_SKETCH_CORRUPT);
	state->type = type;
	if (name_len > 0)
		parseTypeString(pnstrdup(name, name_len), &state->type, &typmod, false);
	bs_sketch_check(bs_topk_unpack(bs_sketch_memory(CurrentMemoryContext), cursor.at,
								   cursor.left_bytes, &state->topk));
	PG_RETURN_POINTER(state);
}

/* ---------- the result ---------- */

typedef struct Entry
{
	BsTopkCounter counter;
	BsUint128 estimate; /* the middle of the bounds */
	Datum value;
} Entry;

/* The order of values: that of their type if it has one, else that of their bytes. */
typedef struct Order
{
	FmgrInfo *compare; /* or NULL */
	Oid collation;
} Order;

static int
compare_items(BsBytes a, BsBytes b)
{
	int result = memcmp(a.data, b.data, Min(a.len, b.len));

	return result != 0 ? result : (a.len > b.len) - (a.len < b.len);
}

static int
compare_entries(const void *left, const void *right, void *argument)
{
	const Entry *a = left;
	const Entry *b = right;
	const Order *order = argument;
	int result = 0;

	if (a->estimate != b->estimate)
		return a->estimate > b->estimate ? -1 : 1;
	if (a->counter.lower != b->counter.lower)
		return a->counter.lower > b->counter.lower ? -1 : 1;
	if (order->compare != NULL)
		result =
			DatumGetInt32(FunctionCall2Coll(order->compare, order->collation, a->value, b->value));
	return result != 0 ? result : compare_items(a->counter.item, b->counter.item);
}

/* The best k entries, in order; *nentries says how many there are. */
static Entry *
best_entries(const BsTopk *topk, const BsSketchType *type, uint32 *nentries)
{
	TypeCacheEntry *cache = lookup_type_cache(type->type, TYPECACHE_CMP_PROC_FINFO);
	Order order = {.compare =
					   OidIsValid(cache->cmp_proc_finfo.fn_oid) ? &cache->cmp_proc_finfo : NULL,
				   .collation = type->collation};
	uint32 count = bs_topk_count(topk);
	Entry *entries = palloc(sizeof(Entry) * Max(count, 1));

	for (uint32 i = 0; i < count; i++)
	{
		Entry *entry = &entries[i];

		entry->counter = bs_topk_counter(topk, i);
		entry->estimate = entry->counter.lower + (entry->counter.upper - entry->counter.lower) / 2;
		entry->value = bs_sketch_item_value(type, entry->counter.item);
	}
	qsort_arg(entries, count, sizeof(Entry), compare_entries, &order);
	*nentries = Min(count, bs_topk_k(topk));
	return entries;
}

static Numeric
number_value(BsUint128 number)
{
	char digits[40];
	char *at = digits + sizeof(digits) - 1;

	if (number <= PG_INT64_MAX)
		return int64_to_numeric((int64) number);
	*at = '\0';
	for (; number > 0; number /= 10)
		*--at = (char) ('0' + (int) (number % 10));
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(at),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static void
push_key(JsonbParseState **json, const char *key)
{
	JsonbValue value = {.type = jbvString};

	value.val.string.val = (char *) key;
	value.val.string.len = (int) strlen(key);
	pushJsonbValue(json, WJB_KEY, &value);
}

static void
push_number(JsonbParseState **json, const char *key, BsUint128 number)
{
	JsonbValue value = {.type = jbvNumeric};

	value.val.numeric = number_value(number);
	push_key(json, key);
	pushJsonbValue(json, WJB_VALUE, &value);
}

static void
push_jsonb(JsonbParseState **json, const char *key, Jsonb *jsonb)
{
	JsonbValue value;

	if (!JB_ROOT_IS_SCALAR(jsonb) || !JsonbExtractScalar(&jsonb->root, &value))
	{
		value.type = jbvBinary;
		value.val.binary.data = &jsonb->root;
		value.val.binary.len = (int) VARSIZE(jsonb) - VARHDRSZ;
	}
	push_key(json, key);
	pushJsonbValue(json, WJB_VALUE, &value);
}

/* to_jsonb() for values of this type. */
static void
make_to_jsonb(FmgrInfo *function, Oid type)
{
	Const *argument = makeNullConst(type, -1, InvalidOid);
	FuncExpr *call = makeFuncExpr(F_TO_JSONB, JSONBOID, list_make1(argument), InvalidOid,
								  InvalidOid, COERCE_EXPLICIT_CALL);

	fmgr_info(F_TO_JSONB, function);
	fmgr_info_set_expr((Node *) call, function);
}

static Jsonb *
make_result(const BsTopk *topk, const BsSketchType *type)
{
	JsonbParseState *json = NULL;
	FmgrInfo to_jsonb;
	uint32 nentries;
	Entry *entries = best_entries(topk, type, &nentries);

	make_to_jsonb(&to_jsonb, type->type);
	pushJsonbValue(&json, WJB_BEGIN_OBJECT, NULL);
	push_number(&json, "total", bs_topk_total(topk));
	push_key(&json, "entries");
	pushJsonbValue(&json, WJB_BEGIN_ARRAY, NULL);
	for (uint32 i = 0; i < nentries; i++)
	{
		pushJsonbValue(&json, WJB_BEGIN_OBJECT, NULL);
		push_jsonb(&json, "value", DatumGetJsonbP(FunctionCall1(&to_jsonb, entries[i].value)));
		push_number(&json, "estimate", entries[i].estimate);
		push_number(&json, "lower", entries[i].counter.lower);
		push_number(&json, "upper", entries[i].counter.upper);
		pushJsonbValue(&json, WJB_END_OBJECT, NULL);
	}
	pushJsonbValue(&json, WJB_END_ARRAY, NULL);
	return JsonbValueToJsonb(pushJsonbValue(&json, WJB_END_OBJECT, NULL));
}

/* (internal, anyelement, integer [, bigint]) -> jsonb */
Datum
bs_approx_top_k_final(PG_FUNCTION_ARGS)
{
	const State *state = PG_ARGISNULL(0) ? NULL : (State *) PG_GETARG_POINTER(0);

	if (state == NULL || bs_topk_count(state->topk) == 0)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(
		make_result(state->topk, bs_sketch_type(fcinfo, bs_sketch_argument_type(fcinfo, 1))));
}
