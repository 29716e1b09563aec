/* SPDX-License-Identifier: PostgreSQL */
/*
 * lanes.h: PostgreSQL's values as the engine's, and back.
 *
 * Which engine type a PostgreSQL type becomes:
 *
 *   boolean, smallint, integer, bigint    BS_BOOL, BS_INT2, BS_INT4, BS_INT8
 *   real, double precision                BS_FLOAT4, BS_FLOAT8
 *   timestamptz, interval                 BS_TIMESTAMPTZ, BS_INTERVAL
 *   macaddr, inet and cidr                BS_MACADDR, BS_INET (that a value is a cidr is known by its
 *                                         PostgreSQL type alone)
 *   any other type passed by value        BS_WORD: date, timestamp, oid, "char", enums, ...
 *   any other type                        BS_BYTES: the bytes behind the varlena header, detoasted and
 *                                         decompressed; all bytes of a type of fixed length
 *
 * A domain is its base type.  Whether equal values are equal bytes is a question to the type (see
 * equalimage), not answered here.  Nothing here keeps state.
 */
#ifndef BS_LANES_H
#define BS_LANES_H

#include "postgres.h"

#include "engine/batch.h"
#include "engine/expr.h"

/* The engine's type for a PostgreSQL type, domains included.  Raises an error for a type unknown. */
extern BsType bs_type_of(Oid type);

/*
 * A value that is not NULL, as the engine's.  type is the PostgreSQL type (a domain is fine), bs_type
 * what bs_type_of() says of it.  Bytes are copied to keep; where keep is NULL they stay where the
 * datum has them, or in CurrentMemoryContext if they had to be detoasted.  May raise an error while
 * detoasting.
 */
extern BsValue bs_value_from_datum(BsType bs_type, Oid type, Datum datum, MemoryContext keep);

/* The reverse: what is passed by reference is made in CurrentMemoryContext. */
extern Datum bs_value_to_datum(BsType bs_type, const BsValue *value, Oid type);

/*
 * Write one cell of a lane that has memory; bytes as in bs_value_from_datum().  The type must be one
 * that the lane was made for.
 */
extern void bs_lane_put(BsLane *lane, uint32_t row, Oid type, Datum value, bool isnull,
						MemoryContext keep);

/* Read one cell.  Returns 0 where *isnull; what is passed by reference is in CurrentMemoryContext. */
extern Datum bs_lane_get(const BsLane *lane, uint32_t row, Oid type, bool *isnull);

#endif
