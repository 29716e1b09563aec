/* SPDX-License-Identifier: PostgreSQL */
/*
 * approxcount.c: approx_count_distinct(), a HyperLogLog of the hashes of values that are not NULL.
 * See sketches.h.
 *
 * The state is a BsHll; NULL before the first record.  Serialised it is the sketch's packed form.
 */
#include "backstream.h"

#include <math.h>

#include "engine/sketch_hll.h"
#include "sketches.h"

BS_SQL_FUNCTION(bs_approx_count_transition);
BS_SQL_FUNCTION(bs_approx_count_combine);
BS_SQL_FUNCTION(bs_approx_count_serialize);
BS_SQL_FUNCTION(bs_approx_count_deserialize);
BS_SQL_FUNCTION(bs_approx_count_final);

static BsHll *
state_in(MemoryContext context)
{
	BsHll *hll = bs_hll_create(bs_sketch_memory(context));

	bs_sketch_check(hll == NULL ? BS_SKETCH_NO_MEMORY : BS_SKETCH_OK);
	return hll;
}

/* (internal, anyelement) -> internal */
Datum
bs_approx_count_transition(PG_FUNCTION_ARGS)
{
	MemoryContext context = bs_sketch_context(fcinfo);
	BsHll *hll = PG_ARGISNULL(0) ? state_in(context) : (BsHll *) PG_GETARG_POINTER(0);

	if (!PG_ARGISNULL(1))
	{
		BsSketchType *type = fcinfo->flinfo->fn_extra;

		if (type == NULL)
			type = bs_sketch_type(fcinfo, bs_sketch_argument_type(fcinfo, 1));
		bs_sketch_check(bs_hll_add(hll, bs_sketch_hash(type, PG_GETARG_DATUM(1))));
	}
	PG_RETURN_POINTER(hll);
}

/* (internal, internal) -> internal */
Datum
bs_approx_count_combine(PG_FUNCTION_ARGS)
{
	MemoryContext context = bs_sketch_context(fcinfo);
	BsHll *hll;

	if (PG_ARGISNULL(0) && PG_ARGISNULL(1))
		PG_RETURN_NULL();
	hll = PG_ARGISNULL(0) ? state_in(context) : (BsHll *) PG_GETARG_POINTER(0);
	if (!PG_ARGISNULL(1))
		bs_sketch_check(bs_hll_merge(hll, (BsHll *) PG_GETARG_POINTER(1)));
	PG_RETURN_POINTER(hll);
}

/* (internal) -> bytea */
Datum
bs_approx_count_serialize(PG_FUNCTION_ARGS)
{
	BsHll *hll = (BsHll *) PG_GETARG_POINTER(0);
	Size len = bs_hll_packed_bytes(hll);
	bytea *result = palloc(VARHDRSZ + len);

	SET_VARSIZE(result, VARHDRSZ + len);
	bs_hll_pack(hll, (uint8_t *) VARDATA(result));
	PG_RETURN_BYTEA_P(result);
}

/* (bytea, internal) -> internal */
Datum
bs_approx_count_deserialize(PG_FUNCTION_ARGS)
{
	bytea *packed = PG_GETARG_BYTEA_PP(0);
	BsHll *hll;

	bs_sketch_check(bs_hll_unpack(bs_sketch_memory(CurrentMemoryContext),
								  (const uint8_t *) VARDATA_ANY(packed), VARSIZE_ANY_EXHDR(packed),
								  &hll));
	PG_RETURN_POINTER(hll);
}

/* (internal) -> bigint */
Datum
bs_approx_count_final(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_INT64(0);
	PG_RETURN_INT64((int64) llround(bs_hll_estimate((BsHll *) PG_GETARG_POINTER(0))));
}
