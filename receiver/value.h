/* SPDX-License-Identifier: PostgreSQL */
/*
 * value.h: the bytes of one field into one value; part of copy.c.
 *
 * Everything is inline: what is constant where it is called is chosen when it is compiled.
 */
#ifndef BS_VALUE_H
#define BS_VALUE_H

#include <string.h>

#include "template.h"
#include "wire.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define NTP_UNIX_SECONDS INT64_C(2208988800) /* from 1900 to 1970 */
#define NTP_ERA_SECONDS  (INT64_C(1) << 32)
/* Stamps from here on are not believed: the year 10000. */
#define LAST_UNIX_SECONDS INT64_C(253402300800)

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

/*
 * A stamp in milliseconds of uptime (items 26, 27): the difference is signed and wraps.  init_at:
 * where systemInitTime stands in the record, or NULL.
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
	*value = context->uptime_usec - (int64_t) (int32_t) (context->uptime_msec - stamp_msec) * 1000;
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

#endif
