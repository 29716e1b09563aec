/* SPDX-License-Identifier: PostgreSQL */
/*
 * sketches.h: what the approximate aggregates have in common.
 *
 *   approxcount.c       approx_count_distinct()   engine/sketch_hll.h
 *   approxpercentile.c  approx_percentile()       engine/sketch_dd.h
 *   approxtopk.c        approx_top_k()            engine/sketch_topk.h
 *
 * They are ordinary aggregates with transition type internal; in continuous views they run as any
 * other does (foreignagg.h).  States are allocated in the aggregate's context.
 */
#ifndef BS_SKETCHES_H
#define BS_SKETCHES_H

#include "postgres.h"
#include "fmgr.h"
#include "nodes/primnodes.h"

#include "engine/sketch.h"

/* Memory of a sketch that lives in this context. */
extern BsSketchMemory bs_sketch_memory(MemoryContext context);

/* Raise an error unless the status is OK. */
extern void bs_sketch_check(BsSketchStatus status);

/* The context that states live in.  Raises an error outside of aggregates. */
extern MemoryContext bs_sketch_context(FunctionCallInfo fcinfo);

/*
 * How values of a type are hashed and compared, as its operator = compares them: by the functions
 * of its default hash and btree operator classes.  Where equal values are always the same bytes,
 * the bytes will do; enums are their labels, which are the same on every node.
 */
typedef struct BsSketchType
{
	Oid type; /* a domain's base type */
	Oid collation;
	int16 len;
	bool by_value;
	bool is_enum;
	bool same_bytes; /* equal values are the same bytes */
	FmgrInfo hash;
	FmgrInfo equal;
} BsSketchType;

/*
 * The type as function remembers it (fn_extra), looked up when it is another one than before.
 * Raises an error for a type that cannot be hashed.
 */
extern BsSketchType *bs_sketch_type(FunctionCallInfo fcinfo, Oid type);

/* The type of an argument of the function, by number from 0. */
extern Oid bs_sketch_argument_type(FunctionCallInfo fcinfo, int argument);

/* 64 bits, spread well. */
extern uint64 bs_sketch_hash(BsSketchType *type, Datum value);

/*
 * A value as bytes, which may lie in it, in *word, or in CurrentMemoryContext; and back, in
 * CurrentMemoryContext.  The way back raises an error for bytes that cannot be of the type.
 */
extern BsBytes bs_sketch_item(const BsSketchType *type, Datum value, uint64 *word);
extern Datum bs_sketch_item_value(const BsSketchType *type, BsBytes item);

/* A BsTopkEqual; context is the BsSketchType. */
extern bool bs_sketch_items_equal(void *context, BsBytes a, BsBytes b);

/*
 * Raise the error that a call in the query of a continuous view would raise for each record: a type
 * that cannot be hashed, a constant out of range.  Does nothing for other aggregates.
 */
extern void bs_sketch_check_call(const Aggref *aggref);

/* Arguments that must be the same for all records of a group. */
extern void bs_approx_check_fraction(double fraction);
extern void bs_approx_check_entries(int32 k);

#endif
