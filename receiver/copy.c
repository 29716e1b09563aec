/* SPDX-License-Identifier: PostgreSQL */
/*
 * copy.c: run a copy plan over the records of a data set.  See copy.h.
 *
 * Each operation is one loop over the rows.  run_op() is compiled twice, for records at a stride and
 * for records with anchors, so that the usual case has no choice to make within a loop.
 */
#include "template.h"
#include "sampling.h"
#include "wire.h"

#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define NTP_UNIX_SECONDS INT64_C(2208988800) /* from 1900 to 1970 */
#define NTP_ERA_SECONDS  (INT64_C(1) << 32)
/* Stamps from here on are not believed: the year 10000. */
#define LAST_UNIX_SECONDS INT64_C(253402300800)

/* Where a column's values of this run go. */
typedef struct Target
{
	union
	{
		int64_t *i64;
		BsInet *inet;
	};
	uint8_t *nulls;
	bool *has_nulls;
} Target;

typedef struct Run
{
	const BsCopyPlan *plan;
	BsCopyContext *context;
	BsCopyScratch *scratch;
	BsBatch *batch;
	uint32_t first_row;
} Run;

static uint32_t
scratch_of(BsFlowColumn column)
{
	return column == BS_FLOW_PROTO ? 0 : column == BS_FLOW_DST_PORT ? 1 : 2;
}

/* A column of 8-byte values; a scratch one when it is only needed for others. */
ALWAYS_INLINE Target
target_of(const Run *run, BsFlowColumn column)
{
	BsLane *lane = &run->batch->columns[column];
	uint32_t slot;

	if (bs_lane_wanted(lane))
		return (Target){.i64 = lane->i64 + run->first_row,
						.nulls = lane->nulls + run->first_row,
						.has_nulls = &lane->has_nulls};
	slot = scratch_of(column);
	return (Target){.i64 = run->scratch->values[slot],
					.nulls = run->scratch->nulls[slot],
					.has_nulls = &run->scratch->has_nulls};
}

/* A column of addresses, which is always wanted when it is written. */
ALWAYS_INLINE Target
inet_target_of(const Run *run, BsFlowColumn column)
{
	BsLane *lane = &run->batch->columns[column];

	return (Target){.inet = lane->inet + run->first_row,
					.nulls = lane->nulls + run->first_row,
					.has_nulls = &lane->has_nulls};
}

ALWAYS_INLINE const uint8_t *
field_at(const BsRows *rows, const BsFieldRef *ref, uint32_t row, bool strided)
{
	if (strided)
		return rows->base + row * rows->stride + ref->offset;
	return rows->anchors[ref->anchor * BS_VARIABLE_ROWS + row] + ref->offset;
}

/* The value behind a field's own length prefix, if it has one; its width. */
ALWAYS_INLINE const uint8_t *
field_value(const uint8_t *at, const BsFieldRef *ref, uint32_t *width)
{
	*width = ref->width;
	if (ref->width != BS_FIELD_VARIABLE)
		return at;
	*width = at[0];
	if (at[0] < 255)
		return at + 1;
	*width = bs_load_u16(at + 1);
	return at + 3;
}

/* Unix time to PostgreSQL's; false when it is not credible as a stamp. */
ALWAYS_INLINE bool
from_unix(int64_t seconds, int64_t usec, int64_t *value)
{
	if (seconds < 0 || seconds >= LAST_UNIX_SECONDS || (seconds == 0 && usec == 0))
		return false;
	*value = seconds * 1000000 + usec - BS_UNIX_TO_PG_USEC;
	return true;
}

/* Item 28.  Seconds below 2^31 lie in the era that begins in 2036 (RFC 5905 section 6). */
ALWAYS_INLINE bool
from_ntp(uint64_t stamp, int64_t *value)
{
	int64_t seconds = (int64_t) (stamp >> 32);
	int64_t usec = (int64_t) ((stamp & UINT32_MAX) * 1000000 >> 32);

	if (stamp == 0)
		return false;
	if (seconds < NTP_ERA_SECONDS / 2)
		seconds += NTP_ERA_SECONDS;
	return from_unix(seconds - NTP_UNIX_SECONDS, usec, value);
}

/* How far an export time in whole seconds may lie before systemInitTime in milliseconds. */
#define INIT_SLACK_USEC INT64_C(60000000)

void
bs_copy_set_init_time(BsCopyContext *context, uint64_t init_msec)
{
	int64_t init_usec;

	context->uptime_known =
		context->export_known && init_msec / 1000 < (uint64_t) LAST_UNIX_SECONDS &&
		from_unix((int64_t) (init_msec / 1000), (int64_t) (init_msec % 1000) * 1000, &init_usec);
	if (!context->uptime_known)
		return;
	context->uptime_usec = context->export_usec;
	if (context->export_usec < init_usec - INIT_SLACK_USEC)
		context->uptime_usec = init_usec;
	context->uptime_msec = (uint32_t) ((context->uptime_usec - init_usec) / 1000);
}

/*
 * A stamp in milliseconds of uptime (items 26, 27): the difference is signed and wraps.  init_at: where
 * systemInitTime stands in the record, or NULL.
 */
static inline bool
from_uptime(const BsCopyContext *context, const BsFieldRef *init, const uint8_t *init_at,
			uint32_t stamp_msec, int64_t *value)
{
	BsCopyContext own;

	if (init_at != NULL && !context->uptime_in_header)
	{
		own = *context;
		bs_copy_set_init_time(&own, bs_load_uint(init_at, init->width));
		context = &own;
	}
	if (!context->uptime_known || !context->export_known)
		return false;
	*value = context->uptime_usec -
			 (int64_t) (int32_t) (context->uptime_msec - stamp_msec) * 1000;
	return true;
}

/* forwardingStatus: one byte, or four with the status in the last or (some exporters) the first. */
ALWAYS_INLINE uint64_t
forwarding_status(uint64_t raw, uint32_t width)
{
	return width == 4 && raw > 255 && (raw & 0xFFFFFF) == 0 ? raw >> 24 : raw;
}

/* Any scalar.  init_at: where systemInitTime stands in the record, or NULL. */
ALWAYS_INLINE bool
value_of(const BsCopyOp *op, const BsCopyContext *context, const uint8_t *at, uint32_t width,
		 const uint8_t *init_at, int64_t *value)
{
	uint64_t raw;

	if (!bs_form_accepts((BsForm) op->form, width))
		return false;
	raw = bs_load_uint(at, width);
	switch ((BsForm) op->form)
	{
		case BS_FORM_FORWARDING:
			raw = forwarding_status(raw, width);
			break;
		case BS_FORM_MPLS:
			raw >>= width == 3 ? 4 : 12;
			break;
		case BS_FORM_UPTIME:
			return from_uptime(context, &op->other, init_at, (uint32_t) raw, value);
		case BS_FORM_SECONDS:
			return raw < (uint64_t) LAST_UNIX_SECONDS && from_unix((int64_t) raw, 0, value);
		case BS_FORM_MILLISECONDS:
			return from_unix((int64_t) (raw / 1000), (int64_t) (raw % 1000) * 1000, value);
		case BS_FORM_NTP:
			return from_ntp(raw, value);
		case BS_FORM_BEFORE_EXPORT:
			*value = context->export_usec - (int64_t) raw;
			return context->export_known && raw <= UINT32_MAX;
		default:
			raw >>= op->shift;
			if (op->mask != 0)
				raw &= op->mask;
	}
	*value = (int64_t) raw;
	return raw <= op->limit;
}

ALWAYS_INLINE void
set_null(Target *target, uint32_t row)
{
	target->i64[row] = 0;
	target->nulls[row] = 1;
	*target->has_nulls = true;
}

/* Written as three words: a BsInet put together on the stack is read back before its bytes are there. */
ALWAYS_INLINE void
store_inet(BsInet *to, uint64_t first, uint64_t second, uint8_t family, uint8_t bits)
{
	uint8_t tail_bytes[8] = {family, bits};
	uint64_t tail;

	_Static_assert(offsetof(BsInet, family) == 16 && sizeof(BsInet) == 24, "three words");
	memcpy(&tail, tail_bytes, 8);
	memcpy((uint8_t *) to, &first, 8);
	memcpy((uint8_t *) to + 8, &second, 8);
	memcpy((uint8_t *) to + 16, &tail, 8);
}

ALWAYS_INLINE void
store_inet4(BsInet *to, const uint8_t *at)
{
	uint32_t four;

	memcpy(&four, at, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	store_inet(to, four, 0, 4, 32);
#else
	store_inet(to, (uint64_t) four << 32, 0, 4, 32);
#endif
}

ALWAYS_INLINE void
store_inet6(BsInet *to, const uint8_t *at)
{
	uint64_t first;
	uint64_t second;

	memcpy(&first, at, 8);
	memcpy(&second, at + 8, 8);
	store_inet(to, first, second, 6, 128);
}

ALWAYS_INLINE bool
is_zero(const uint8_t *at, uint32_t width)
{
	uint8_t all = 0;

	for (uint32_t i = 0; i < width; i++)
		all |= at[i];
	return all == 0;
}

static void
fill_nulls(const Run *run, BsFlowColumn column, uint32_t nrows)
{
	size_t width = bs_type_lane_width(bs_flow_column_types[column]);
	Target target = target_of(run, column);

	if (width != sizeof(int64_t))
		target = inet_target_of(run, column);
	memset(target.i64, 0, nrows * width);
	memset(target.nulls, 1, nrows);
	*target.has_nulls = true;
}

static void
fill_i64(const Run *run, BsFlowColumn column, uint32_t nrows, int64_t value)
{
	Target target = target_of(run, column);

	for (uint32_t row = 0; row < nrows; row++)
		target.i64[row] = value;
}

/* Values that are the same for all records of the datagram. */
static void
run_constant(const Run *run, BsFlowColumn column, uint32_t nrows)
{
	const BsCopyContext *context = run->context;
	BsLane *lane = &run->batch->columns[column];

	switch (column)
	{
		case BS_FLOW_TIME_RECEIVED:
			fill_i64(run, column, nrows, context->received_usec);
			break;
		case BS_FLOW_TIME_EXPORT:
			if (context->export_known)
				fill_i64(run, column, nrows, context->export_usec);
			else
				fill_nulls(run, column, nrows);
			break;
		case BS_FLOW_OBS_DOMAIN:
			fill_i64(run, column, nrows, context->obs_domain);
			break;
		case BS_FLOW_EXPORTER:
			for (uint32_t row = 0; row < nrows; row++)
				lane->inet[run->first_row + row] = *context->exporter;
			break;
		default: /* flow_type */
			for (uint32_t row = 0; row < nrows; row++)
				lane->bytes[run->first_row + row] = context->flow_type;
	}
}

/* Item 22: the family of each record, from its addresses, then from ipVersion, then from the order. */
ALWAYS_INLINE void
run_family(const Run *run, const BsRows *rows, bool strided)
{
	const BsCopyPlan *plan = run->plan;
	uint8_t *family = run->scratch->family;

#define ZERO(field, len_bytes) \
	(plan->field.width == 0 || is_zero(field_at(rows, &plan->field, row, strided), len_bytes))
	for (uint32_t row = 0; row < rows->nrows; row++)
	{
		bool zero4 = ZERO(src4, 4) && ZERO(dst4, 4);
		bool zero6 = ZERO(src6, 16) && ZERO(dst6, 16);
		uint64_t version = 0;

		if (plan->ip_version.width != 0)
			version = bs_load_uint(field_at(rows, &plan->ip_version, row, strided),
								   plan->ip_version.width);
		if (zero4 != zero6)
			family[row] = zero4 ? 6 : 4;
		else if (version == 4 || version == 6)
			family[row] = (uint8_t) version;
		else
			family[row] = !zero4 && plan->six_first ? 6 : 4;
	}
#undef ZERO
}

ALWAYS_INLINE void
run_address_pick(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	Target target = inet_target_of(run, (BsFlowColumn) op->column);

	for (uint32_t row = 0; row < rows->nrows; row++)
	{
		const uint8_t *four = field_at(rows, &op->ref, row, strided);
		const uint8_t *six = field_at(rows, &op->other, row, strided);
		bool zero4 = is_zero(four, 4);
		bool take6 = zero4 != is_zero(six, 16) ? zero4 : run->scratch->family[row] == 6;

		if (take6)
			store_inet6(&target.inet[row], six);
		else
			store_inet4(&target.inet[row], four);
	}
}

ALWAYS_INLINE void
run_mask_pick(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	Target target = target_of(run, (BsFlowColumn) op->column);

	for (uint32_t row = 0; row < rows->nrows; row++)
	{
		const BsFieldRef *ref = run->scratch->family[row] == 6 ? &op->other : &op->ref;
		uint64_t value = bs_load_uint(field_at(rows, ref, row, strided), ref->width);

		if (value <= op->limit)
			target.i64[row] = (int64_t) value;
		else
			set_null(&target, row);
	}
}

/* An address field of variable length: there when its length is one. */
ALWAYS_INLINE void
run_address(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	Target target = inet_target_of(run, (BsFlowColumn) op->column);

	for (uint32_t row = 0; row < rows->nrows; row++)
	{
		uint32_t width;
		const uint8_t *at = field_value(field_at(rows, &op->ref, row, strided), &op->ref, &width);

		if (!bs_form_accepts((BsForm) op->form, width))
		{
			target.inet[row] = (BsInet){0};
			target.nulls[row] = 1;
			*target.has_nulls = true;
		}
		else if (width == 4)
			store_inet4(&target.inet[row], at);
		else
			store_inet6(&target.inet[row], at);
	}
}

ALWAYS_INLINE void
run_value(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	Target target = target_of(run, (BsFlowColumn) op->column);

	for (uint32_t row = 0; row < rows->nrows; row++)
	{
		uint32_t width;
		const uint8_t *at = field_value(field_at(rows, &op->ref, row, strided), &op->ref, &width);
		const uint8_t *init_at =
			op->other.width != 0 ? field_at(rows, &op->other, row, strided) : NULL;
		bool keep = op->fill == BS_MERGE_IF_NULL   ? !target.nulls[row]
					: op->fill == BS_MERGE_IF_ZERO ? target.i64[row] != 0
												   : false;
		int64_t value;

		if (keep)
			continue;
		if (value_of(op, run->context, at, width, init_at, &value))
		{
			target.i64[row] = value;
			target.nulls[row] = 0;
		}
		else if (op->fill == BS_MERGE_NONE)
			set_null(&target, row);
	}
}

/* Item 21: a NAT event carries no traffic. */
ALWAYS_INLINE void
run_nat_event(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	Target target = target_of(run, (BsFlowColumn) op->column);

	for (uint32_t row = 0; row < rows->nrows; row++)
		if (bs_load_uint(field_at(rows, &op->ref, row, strided), op->ref.width) != 0)
			set_null(&target, row);
}

static void
run_icmp(const Run *run, BsFlowColumn column, uint32_t nrows)
{
	Target target = target_of(run, column);
	Target proto = target_of(run, BS_FLOW_PROTO);
	Target port = target_of(run, BS_FLOW_DST_PORT);

	for (uint32_t row = 0; row < nrows; row++)
	{
		bool icmp = proto.i64[row] == 1 || proto.i64[row] == 58;

		if (proto.nulls[row])
			continue;
		if (!icmp)
			set_null(&target, row);
		else if (target.nulls[row] && !port.nulls[row])
		{
			target.i64[row] = column == BS_FLOW_ICMP_TYPE ? port.i64[row] >> 8 & 0xFF
														  : port.i64[row] & 0xFF;
			target.nulls[row] = 0;
		}
	}
}

static void
run_event_time(const Run *run, uint32_t nrows)
{
	const BsCopyContext *context = run->context;
	Target target = target_of(run, BS_FLOW_TIME_EVENT);
	Target end = target_of(run, BS_FLOW_TIME_FLOW_END);
	int64_t otherwise = context->export_known ? context->export_usec : context->received_usec;

	memcpy(target.i64, end.i64, nrows * sizeof(int64_t));
	for (uint32_t row = 0; *end.has_nulls && row < nrows; row++)
		if (end.nulls[row])
			target.i64[row] = otherwise;
}

/* Item 30: a start kept from before the last export does not belong to what is counted here. */
static void
run_longest(const Run *run, uint32_t nrows)
{
	int64_t longest = run->context->longest_flow_usec;
	Target start = target_of(run, BS_FLOW_TIME_FLOW_START);
	Target end = target_of(run, BS_FLOW_TIME_FLOW_END);

	if (longest <= 0)
		return;
	for (uint32_t row = 0; row < nrows; row++)
		if (!start.nulls[row] && !end.nulls[row] && start.i64[row] < end.i64[row] - longest)
			start.i64[row] = end.i64[row] - longest;
}

static void
run_untimed(const Run *run, uint32_t nrows)
{
	Target end = target_of(run, BS_FLOW_TIME_FLOW_END);
	uint32_t untimed = 0;

	if (!*end.has_nulls)
		return;
	for (uint32_t row = 0; row < nrows; row++)
		untimed += end.nulls[row];
	run->context->untimed += untimed;
}

/* Whether anything in a record of this template can tell its sampling rate. */
static bool
sampling_varies(const Run *run)
{
	const BsSampling *sampling = run->context->sampling;
	bool by_interface = (sampling->own != NULL && sampling->own->by_interface) ||
						(sampling->domain0 != NULL && sampling->domain0->by_interface);

	if (sampling->override_rate != 0)
		return false;
	for (uint32_t i = 0; i < BS_NSAMPLING_FIELDS; i++)
		if (run->plan->sampling[i].width != 0 && (i != BS_SAMPLED_INTERFACE || by_interface))
			return true;
	return false;
}

/* The sampling rate of one record; 0 unknown. */
ALWAYS_INLINE int64_t
sampling_rate_of(const Run *run, const BsRows *rows, uint32_t row, bool strided)
{
	BsSamplingValues values = {0};

	for (uint32_t i = 0; i < BS_NSAMPLING_FIELDS; i++)
	{
		const BsFieldRef *ref = &run->plan->sampling[i];

		values.present[i] = ref->width != 0;
		if (ref->width != 0)
			values.value[i] = bs_load_uint(field_at(rows, ref, row, strided), ref->width);
	}
	return bs_sampling_rate(run->context->sampling, &values, run->context->template_id);
}

ALWAYS_INLINE void
run_sampling(const Run *run, const BsRows *rows, bool strided)
{
	Target target = target_of(run, BS_FLOW_SAMPLING_RATE);
	bool varies = sampling_varies(run);
	int64_t rate = sampling_rate_of(run, rows, 0, strided);

	for (uint32_t row = 0; row < rows->nrows; row++)
	{
		if (varies)
			rate = sampling_rate_of(run, rows, row, strided);
		if (rate != 0)
			target.i64[row] = rate;
		else
			set_null(&target, row);
	}
}

/*
 * The plain loads: one field of each record into one column.  Each is compiled for records at a stride
 * and for records with anchors.
 */
#define EACH_FIELD(statement)                                                                     \
	if (strided)                                                                                  \
	{                                                                                             \
		const uint8_t *at = rows->base + ref->offset;                                             \
		const size_t stride = rows->stride;                                                       \
                                                                                                  \
		_Pragma("GCC unroll 4")                                                                  \
		for (uint32_t row = 0; row < nrows; row++, at += stride)                                  \
			statement;                                                                            \
	}                                                                                             \
	else                                                                                          \
	{                                                                                             \
		const uint8_t *const *anchors = &rows->anchors[ref->anchor * BS_VARIABLE_ROWS];           \
		const size_t offset = ref->offset;                                                        \
                                                                                                  \
		for (uint32_t row = 0; row < nrows; row++)                                                \
		{                                                                                         \
			const uint8_t *at = anchors[row] + offset;                                            \
			statement;                                                                            \
		}                                                                                         \
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
load_uptime32(int64_t *restrict to, LOAD_ARGUMENTS, int64_t uptime_usec,
			  uint32_t uptime_msec)
{
	const uint32_t nrows = rows->nrows;

	EACH_FIELD(to[row] =
				   uptime_usec - (int64_t) (int32_t) (uptime_msec - bs_load_u32(at)) * 1000)
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

ALWAYS_INLINE void
run_op(const Run *run, const BsCopyOp *op, const BsRows *rows, bool strided)
{
	switch ((BsCopyKind) op->kind)
	{
		case BS_COPY_NULLS:
			fill_nulls(run, (BsFlowColumn) op->column, rows->nrows);
			break;
		case BS_COPY_CONSTANT:
			run_constant(run, (BsFlowColumn) op->column, rows->nrows);
			break;
		case BS_COPY_VALUE:
			run_value(run, op, rows, strided);
			break;
		case BS_COPY_ADDRESS:
			run_address(run, op, rows, strided);
			break;
		case BS_COPY_FAMILY:
			run_family(run, rows, strided);
			break;
		case BS_COPY_ADDRESS_PICK:
			run_address_pick(run, op, rows, strided);
			break;
		case BS_COPY_MASK_PICK:
			run_mask_pick(run, op, rows, strided);
			break;
		case BS_COPY_ICMP:
			run_icmp(run, (BsFlowColumn) op->column, rows->nrows);
			break;
		case BS_COPY_SAMPLING:
			run_sampling(run, rows, strided);
			break;
		case BS_COPY_NAT_EVENT:
			run_nat_event(run, op, rows, strided);
			break;
		case BS_COPY_EVENT_TIME:
			run_event_time(run, rows->nrows);
			break;
		case BS_COPY_LONGEST:
			run_longest(run, rows->nrows);
			break;
		case BS_COPY_UNTIMED:
			run_untimed(run, rows->nrows);
			break;
		default:
			run_field(run, op, rows, strided);
	}
}

static __attribute__((noinline)) void
run_strided(const Run *run, BsRows rows)
{
	for (uint32_t i = 0; i < run->plan->nops; i++)
		run_op(run, &run->plan->ops[i], &rows, true);
}

static __attribute__((noinline)) void
run_anchored(const Run *run, BsRows rows)
{
	for (uint32_t i = 0; i < run->plan->nops; i++)
		run_op(run, &run->plan->ops[i], &rows, false);
}

void
bs_copy_run(const BsCopyPlan *plan, const BsRows *rows, BsCopyContext *context,
			BsCopyScratch *scratch, BsBatch *batch, uint32_t first_row)
{
	Run run = {.plan = plan,
			   .context = context,
			   .scratch = scratch,
			   .batch = batch,
			   .first_row = first_row};

	if (rows->nrows == 0)
		return;
	for (uint32_t i = 0; plan->uses_scratch && i < BS_NSCRATCH; i++)
	{
		memset(scratch->nulls[i], 0, rows->nrows);
		scratch->has_nulls = false;
	}
	if (!plan->has_end)
		context->untimed += rows->nrows;
	if (rows->anchors == NULL)
		run_strided(&run, *rows);
	else
		run_anchored(&run, *rows);
	if (plan->has_sampling)
		context->sampling_rate =
			sampling_rate_of(&run, rows, rows->nrows - 1, rows->anchors == NULL);
}
