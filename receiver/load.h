/* SPDX-License-Identifier: PostgreSQL */
/*
 * load.h: the plain loads, of one field of each record into one column; part of copy.c.
 *
 * Nearly all columns of nearly all exporters are filled here, so that these loops are what a record
 * costs: no call, no choice and no NULL within them.
 */
#ifndef BS_LOAD_H
#define BS_LOAD_H

#include "target.h"

/*
 * The plain loads: one field of each record into one column.  Each is compiled for records at a
 * stride and for records with anchors.
 */
#define EACH_FIELD(statement)                                                                      \
	if (strided)                                                                                   \
	{                                                                                              \
		const uint8_t *at = rows->base + ref->offset;                                              \
		const size_t stride = rows->stride;                                                        \
                                                                                                   \
		_Pragma("GCC unroll 4") for (uint32_t row = 0; row < nrows; row++, at += stride)           \
			statement;                                                                             \
	}                                                                                              \
	else                                                                                           \
	{                                                                                              \
		const uint8_t *const *anchors = &rows->anchors[ref->anchor * BS_VARIABLE_ROWS];            \
		const size_t offset = ref->offset;                                                         \
                                                                                                   \
		for (uint32_t row = 0; row < nrows; row++)                                                 \
		{                                                                                          \
			const uint8_t *at = anchors[row] + offset;                                             \
			statement;                                                                             \
		}                                                                                          \
	}

#define LOAD_ARGUMENTS const BsRows *rows, const BsFieldRef *ref, bool strided

ALWAYS_INLINE void
load_u8(int64_t *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(to[row] = at[0])
}

ALWAYS_INLINE void
load_u16(int64_t *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(to[row] = bs_load_u16(at))
}

ALWAYS_INLINE void
load_u32(int64_t *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(to[row] = bs_load_u32(at))
}

/* Returns all values or'ed: negative when one is above INT64_MAX. */
ALWAYS_INLINE int64_t
load_u64(int64_t *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;
	int64_t all = 0;

	EACH_FIELD({
		to[row] = (int64_t) bs_load_u64(at);
		all |= to[row];
	})
	return all;
}

ALWAYS_INLINE void
load_uptime32(int64_t *restrict to, LOAD_ARGUMENTS, int64_t uptime_usec, uint32_t uptime_msec)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(to[row] = uptime_usec - (int64_t) (int32_t) (uptime_msec - bs_load_u32(at)) * 1000)
}

/* Returns whether all are credible as stamps. */
ALWAYS_INLINE bool
load_milliseconds64(int64_t *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;
	bool credible = true;

	EACH_FIELD({
		uint64_t msec = bs_load_u64(at);

		credible &= msec - 1 < (uint64_t) LAST_UNIX_SECONDS * 1000 - 1;
		to[row] = (int64_t) (msec * 1000 - (uint64_t) BS_UNIX_TO_PG_USEC);
	})
	return credible;
}

ALWAYS_INLINE void
load_address4(BsInet *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(store_inet4(&to[row], at))
}

ALWAYS_INLINE void
load_address6(BsInet *restrict to, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(store_inet6(&to[row], at))
}

ALWAYS_INLINE void
run_u64(Target target, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	if (load_u64(target.i64, rows, ref, strided) >= 0)
		return;
	for (uint32_t row = 0; row < nrows; row++)
		if (target.i64[row] < 0)
			set_null(&target, row);
}

ALWAYS_INLINE void
run_milliseconds64(Target target, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	if (load_milliseconds64(target.i64, rows, ref, strided))
		return;
	EACH_FIELD({
		uint64_t msec = bs_load_u64(at);

		if (msec - 1 >= (uint64_t) LAST_UNIX_SECONDS * 1000 - 1)
			set_null(&target, row);
	})
}

ALWAYS_INLINE void
run_uptime32(const BsCopyContext *context, Target target, LOAD_ARGUMENTS)
{
	const uint32_t nrows = rows->nrows;

	if (context->export_known && context->uptime_known)
		load_uptime32(target.i64, rows, ref, strided, context->uptime_usec, context->uptime_msec);
	else
		for (uint32_t row = 0; row < nrows; row++)
			set_null(&target, row);
}

ALWAYS_INLINE void
run_field(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	const BsFieldRef *ref = &op->ref;
	Target target = target_of(run, (BsFlowColumn) op->column);

	switch ((BsCopyKind) op->kind)
	{
		case BS_COPY_U8:
			load_u8(target.i64, rows, ref, strided);
			break;
		case BS_COPY_U16:
			load_u16(target.i64, rows, ref, strided);
			break;
		case BS_COPY_U32:
			load_u32(target.i64, rows, ref, strided);
			break;
		case BS_COPY_U64:
			run_u64(target, rows, ref, strided);
			break;
		case BS_COPY_UPTIME32:
			run_uptime32(run->context, target, rows, ref, strided);
			break;
		case BS_COPY_MILLISECONDS64:
			run_milliseconds64(target, rows, ref, strided);
			break;
		case BS_COPY_ADDRESS4:
			load_address4(inet_target_of(run, (BsFlowColumn) op->column).inet, rows, ref, strided);
			break;
		case BS_COPY_ADDRESS6:
			load_address6(inet_target_of(run, (BsFlowColumn) op->column).inet, rows, ref, strided);
			break;
		default:
			break;
	}
}

#endif
