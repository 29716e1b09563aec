/* SPDX-License-Identifier: PostgreSQL */
/*
 * copy.c: run a copy plan over the records of a data set.  See copy.h.
 *
 * Each operation is one loop over the rows.  run_op() is compiled twice, for records at a stride
 * and for records with anchors, so that the usual case has no choice to make within a loop.
 */
#include "load.h"
#include "sampling.h"

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

ALWAYS_INLINE bool
is_zero(const uint8_t *at, uint32_t width)
{
	uint8_t all = 0;

	for (uint32_t i = 0; i < width; i++)
		all |= at[i];
	return all == 0;
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

/* Item 22: the family of each record, from its addresses, then from ipVersion, then from the order.
 */
ALWAYS_INLINE void
run_family(const Run *run, const BsRows *rows, bool strided)
{
	const BsCopyPlan *plan = run->plan;
	uint8_t *family = run->scratch->family;

#define ZERO(field, len_bytes)                                                                     \
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
			target.i64[row] =
				column == BS_FLOW_ICMP_TYPE ? port.i64[row] >> 8 & 0xFF : port.i64[row] & 0xFF;
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
