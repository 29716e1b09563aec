/* SPDX-License-Identifier: PostgreSQL */
/*
 * aggregates.h: SQL's aggregates as states of the engine and finals of the reader.
 *
 * Plans, as in native.h: palloc'ed, made real by query.c when nothing can fail any more.
 */
#ifndef BS_AGGREGATES_H
#define BS_AGGREGATES_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

#include "finals.h"
#include "native.h"
#include "refuse.h"

/* One state in the row of each group. */
typedef struct BsStatePlan
{
	BsAggregateKind kind;
	BsType type;      /* of the argument */
	BsExpr *argument; /* plan; NULL: none */
	BsExpr *filter;   /* plan; NULL: none */
	uint32_t foreign; /* number in BsAggregatePlans.foreign */
	uint32_t set;     /* over the values of this set, counted from 1; 0: over all */
} BsStatePlan;

/* The distinct values of an argument. */
typedef struct BsSetPlan
{
	BsExpr *argument; /* plan, in canonical form */
	BsExpr *filter;   /* plan; NULL: none */
} BsSetPlan;

/* All states of a view; equal ones are kept once. */
typedef struct BsAggregatePlans
{
	BsNative *native;
	Oid owner;
	const BsPlace *place;
	MemoryContext context; /* of foreign aggregates */
	List *states;          /* of BsStatePlan * */
	List *sets;            /* of BsSetPlan * */
	List *foreign;         /* of BsForeignAgg * */
} BsAggregatePlans;

/* Plan the states of an aggregate call, and say how its value comes from them. */
extern BsFinal bs_aggregates_plan(BsAggregatePlans *plans, Aggref *aggref);

/* The number of a state that keeps the first value of a plan. */
extern uint32_t bs_aggregates_plan_any(BsAggregatePlans *plans, BsExpr *argument);

#endif
