/* SPDX-License-Identifier: PostgreSQL */
/*
 * foreignagg.h: aggregates backed by PostgreSQL's own functions.
 *
 * Between batches, in shared memory and between processes a state is bytes:
 *
 *     [0]   0: the state is NULL, nothing follows; 1: it is not
 *     [1..] what serialfunc made of it (transition type internal), or the datum: 8 bytes of a type
 * passed by value, the bytes of a type of fixed length, those behind the header of a varlena
 *
 * in the layout of this machine and major version.  No bytes at all are the state before any
 * record.
 *
 * A batch is accumulated from nothing for each group that it touches; what comes of it is combined
 * with what was there before, when and where that suits (states may be kept as lists).  So no
 * PostgreSQL function runs while somebody waits for a lock.
 */
#ifndef BS_FOREIGNAGG_H
#define BS_FOREIGNAGG_H

#include "postgres.h"
#include "nodes/primnodes.h"

#include "computed.h"

typedef struct BsForeignAgg BsForeignAgg;

/*
 * Why an aggregate cannot be backed so (its parts cannot be combined), or NULL.  The text completes
 * "aggregate function %s cannot be used in a continuous view" as its detail.
 */
extern const char *bs_foreignagg_refusal(const Aggref *aggref);

/* Allocated in context.  Raises an error when owner may not execute the aggregate. */
extern BsForeignAgg *bs_foreignagg_create(const Aggref *aggref, Oid owner, MemoryContext context);

/*
 * Accumulate the records of one group of one batch, from nothing.  argument is the lane of the only
 * argument, of BsArguments where there are several (BS_COMPUTED_ARGUMENTS), or NULL without any.  A
 * record whose transition fails gets errors[row] = BS_ERROR_FOREIGN and leaves no trace; errors of
 * a row that is in no error are not touched.
 *
 * state: palloc'ed in CurrentMemoryContext; len 0 when no record was added.  Runs on the set's
 * terms (computed.h), between bs_computed_begin and bs_computed_end.
 */
extern void bs_foreignagg_accumulate(BsForeignAgg *aggregate, BsComputed *set,
									 const BsLane *argument, BsRows rows, uint8_t *errors,
									 BsBytes *state);

/*
 * The same for several groups: states[i] for the records groups[i].  What costs the same for one
 * group and many (a subtransaction) is done once, unless records fail.
 */
extern void bs_foreignagg_accumulate_groups(BsForeignAgg *aggregate, BsComputed *set,
											const BsLane *argument, const BsRows *groups,
											uint32_t ngroups, uint8_t *errors, BsBytes *states);

/* One state of several (at least one).  False if it failed (bs_computed_last_error); the same
 * terms. */
extern bool bs_foreignagg_combine(BsForeignAgg *aggregate, BsComputed *set, const BsBytes *states,
								  uint32_t nstates, BsBytes *combined);

/*
 * The value of nstates states together, which may be none.  For readers: errors are raised.  In
 * CurrentMemoryContext.
 */
extern Datum bs_foreignagg_final(BsForeignAgg *aggregate, const BsBytes *states, int nstates,
								 bool *isnull);

/*
 * One state of several (at least one), palloc'ed in CurrentMemoryContext.  For readers: errors are
 * raised.
 */
extern BsBytes bs_foreignagg_merge(BsForeignAgg *aggregate, const BsBytes *states, int nstates);

/* Are NULLs nothing to it?  Then a set of values is all that it needs of DISTINCT ones. */
extern bool bs_foreignagg_ignores_nulls(const Aggref *aggref);

/*
 * The value of the aggregate of one argument over these, none of them NULL.  For readers: errors are raised.
 * In CurrentMemoryContext.
 */
extern Datum bs_foreignagg_over(BsForeignAgg *aggregate, const Datum *values, uint32_t nvalues,
								bool *isnull);

/* Is it somebody's own, whose functions may do something else under other settings? */
extern bool bs_foreignagg_is_own(const BsForeignAgg *aggregate);

/* Are the states of two the same ones, of the same records? */
extern bool bs_foreignagg_equal(const BsForeignAgg *a, const BsForeignAgg *b);

/*
 * A number for what the bytes of its states mean: another one after CREATE OR REPLACE AGGREGATE has
 * changed the type of the state or a function.
 */
extern uint64 bs_foreignagg_fingerprint(const BsForeignAgg *aggregate);

/*
 * Could these bytes, which come from elsewhere, be a state of this aggregate?  Says so by their length, and for
 * arrays by their header, so that no function reads past them.  What a state of type internal means its own
 * deserial function checks, when it is used.  Raises nothing.
 */
extern bool bs_foreignagg_state_valid(const BsForeignAgg *aggregate, BsBytes state);

#endif
