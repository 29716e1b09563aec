/* SPDX-License-Identifier: PostgreSQL */
/*
 * lanes.c: PostgreSQL's values as the engine's, and back.  See lanes.h.
 *
 * One row of conversions[] per engine type; the PostgreSQL types that have one of their own are in
 * native_types[].
 */
#include "postgres.h"

#include <sys/socket.h>

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/inet.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "lanes.h"

StaticAssertDecl(sizeof(Datum) == 8, "lanes need a Datum of 64 bits");
StaticAssertDecl(FLOAT8PASSBYVAL, "lanes need float8 by value");

static const struct
{
	Oid type;
	BsType bs_type;
} native_types[] = {
	{BOOLOID, BS_BOOL},
	{INT2OID, BS_INT2},
	{INT4OID, BS_INT4},
	{INT8OID, BS_INT8},
	{FLOAT4OID, BS_FLOAT4},
	{FLOAT8OID, BS_FLOAT8},
	{TIMESTAMPTZOID, BS_TIMESTAMPTZ},
	{MACADDROID, BS_MACADDR},
	{INTERVALOID, BS_INTERVAL},
	{INETOID, BS_INET},
	{CIDROID, BS_INET},
};

BsType
bs_type_of(Oid type)
{
	Oid base = getBaseType(type);

	for (size_t i = 0; i < lengthof(native_types); i++)
	{
		if (native_types[i].type == base)
			return native_types[i].bs_type;
	}
	return get_typbyval(base) ? BS_WORD : BS_BYTES;
}

/* The commonest varlena types need no look-up. */
static int16
type_length(Oid type)
{
	switch (type)
	{
		case TEXTOID:
		case VARCHAROID:
		case BYTEAOID:
		case NUMERICOID:
			return -1;
		default:
			return lookup_type_cache(type, 0)->typlen;
	}
}

static void
bool_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	value->i64 = DatumGetBool(datum) ? 1 : 0;
}

static Datum
bool_to_datum(const BsValue *value, Oid type)
{
	return BoolGetDatum(value->i64 != 0);
}

static void
int2_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	value->i64 = DatumGetInt16(datum);
}

static Datum
int2_to_datum(const BsValue *value, Oid type)
{
	return Int16GetDatum((int16) value->i64);
}

static void
int4_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	value->i64 = DatumGetInt32(datum);
}

static Datum
int4_to_datum(const BsValue *value, Oid type)
{
	return Int32GetDatum((int32) value->i64);
}

/* timestamptz too */
static void
int8_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	value->i64 = DatumGetInt64(datum);
}

static Datum
int8_to_datum(const BsValue *value, Oid type)
{
	return Int64GetDatum(value->i64);
}

static void
float4_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	value->f64 = DatumGetFloat4(datum);
}

static Datum
float4_to_datum(const BsValue *value, Oid type)
{
	return Float4GetDatum((float4) value->f64);
}

static void
float8_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	value->f64 = DatumGetFloat8(datum);
}

static Datum
float8_to_datum(const BsValue *value, Oid type)
{
	return Float8GetDatum(value->f64);
}

static void
macaddr_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	const unsigned char *bytes = (const unsigned char *) DatumGetMacaddrP(datum);
	int64 word = 0;

	for (int i = 0; i < 6; i++)
		word = (word << 8) | bytes[i];
	value->i64 = word;
}

static Datum
macaddr_to_datum(const BsValue *value, Oid type)
{
	unsigned char *bytes = palloc(sizeof(macaddr));

	for (int i = 0; i < 6; i++)
		bytes[i] = (unsigned char) ((uint64) value->i64 >> (40 - 8 * i));
	return MacaddrPGetDatum((macaddr *) bytes);
}

/*
 * A datum shorter than 8 bytes may come with any upper bits (macros of PostgreSQL differ in whether
 * they extend the sign), so that they are made one before anybody compares words.
 */
static void
word_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	switch (type_length(type))
	{
		case 1:
			value->i64 = (int8) datum;
			break;
		case 2:
			value->i64 = (int16) datum;
			break;
		case 4:
			value->i64 = (int32) datum;
			break;
		default:
			value->i64 = (int64) datum;
			break;
	}
}

static Datum
word_to_datum(const BsValue *value, Oid type)
{
	return (Datum) value->i64;
}

static void
interval_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	const Interval *interval = DatumGetIntervalP(datum);

	value->interval = (BsInterval){
		.usec = interval->time,
		.days = interval->day,
		.months = interval->month,
	};
}

static Datum
interval_to_datum(const BsValue *value, Oid type)
{
	Interval *interval = palloc(sizeof(Interval));

	interval->time = value->interval.usec;
	interval->day = value->interval.days;
	interval->month = value->interval.months;
	return IntervalPGetDatum(interval);
}

static void
inet_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	const inet *address = DatumGetInetPP(datum);

	value->inet = (BsInet){
		.family = ip_family(address) == PGSQL_AF_INET ? 4 : 6,
		.bits = ip_bits(address),
	};
	memcpy(value->inet.address, ip_addr(address), ip_addrsize(address));
}

static Datum
inet_to_datum(const BsValue *value, Oid type)
{
	inet *address = palloc0(sizeof(inet));

	ip_family(address) = value->inet.family == 4 ? PGSQL_AF_INET : PGSQL_AF_INET6;
	ip_bits(address) = value->inet.bits;
	memcpy(ip_addr(address), value->inet.address, ip_addrsize(address));
	SET_INET_VARSIZE(address);
	return InetPGetDatum(address);
}

static void
set_bytes(BsValue *value, const void *data, size_t len, MemoryContext keep)
{
	if (keep != NULL && len > 0)
		data = memcpy(MemoryContextAlloc(keep, len), data, len);
	value->bytes = (BsBytes){.data = data, .len = (uint32) len};
}

static void
bytes_from_datum(BsValue *value, Oid type, Datum datum, MemoryContext keep)
{
	void *pointer = DatumGetPointer(datum);
	int16 typlen = type_length(type);
	struct varlena *flat;

	if (typlen != -1)
	{
		set_bytes(value, pointer, typlen == -2 ? strlen(pointer) : (size_t) typlen, keep);
		return;
	}
	flat = pg_detoast_datum_packed(pointer);
	set_bytes(value, VARDATA_ANY(flat), VARSIZE_ANY_EXHDR(flat), keep);
	if ((void *) flat != pointer && keep != NULL)
		pfree(flat);
}

static Datum
bytes_to_datum(const BsValue *value, Oid type)
{
	const BsBytes *bytes = &value->bytes;
	int16 typlen = type_length(type);
	Size header = typlen == -1 ? VARHDRSZ : 0;
	char *result = palloc(header + bytes->len + (typlen == -2 ? 1 : 0));

	if (bytes->len > 0)
		memcpy(result + header, bytes->data, bytes->len);
	if (typlen == -1)
		SET_VARSIZE(result, header + bytes->len);
	else if (typlen == -2)
		result[bytes->len] = '\0';
	return PointerGetDatum(result);
}

static const struct
{
	void (*from_datum)(BsValue *value, Oid type, Datum datum, MemoryContext keep);
	Datum (*to_datum)(const BsValue *value, Oid type);
} conversions[] = {
	[BS_BOOL] = {bool_from_datum, bool_to_datum},
	[BS_INT2] = {int2_from_datum, int2_to_datum},
	[BS_INT4] = {int4_from_datum, int4_to_datum},
	[BS_INT8] = {int8_from_datum, int8_to_datum},
	[BS_FLOAT4] = {float4_from_datum, float4_to_datum},
	[BS_FLOAT8] = {float8_from_datum, float8_to_datum},
	[BS_TIMESTAMPTZ] = {int8_from_datum, int8_to_datum},
	[BS_MACADDR] = {macaddr_from_datum, macaddr_to_datum},
	[BS_WORD] = {word_from_datum, word_to_datum},
	[BS_INTERVAL] = {interval_from_datum, interval_to_datum},
	[BS_INET] = {inet_from_datum, inet_to_datum},
	[BS_BYTES] = {bytes_from_datum, bytes_to_datum},
};

BsValue
bs_value_from_datum(BsType bs_type, Oid type, Datum datum, MemoryContext keep)
{
	BsValue value = {0};

	conversions[bs_type].from_datum(&value, type, datum, keep);
	return value;
}

Datum
bs_value_to_datum(BsType bs_type, const BsValue *value, Oid type)
{
	return conversions[bs_type].to_datum(value, type);
}

void
bs_lane_put(BsLane *lane, uint32_t row, Oid type, Datum value, bool isnull, MemoryContext keep)
{
	size_t width = bs_type_lane_width(lane->type);
	char *cell = (char *) lane->values + row * width;
	BsValue converted;

	lane->nulls[row] = isnull ? 1 : 0;
	if (isnull)
	{
		/* A stale pointer must not look like a value. */
		memset(cell, 0, width);
		lane->has_nulls = true;
		return;
	}
	/* Not initialised whole: each conversion writes all of its own type. */
	conversions[lane->type].from_datum(&converted, type, value, keep);
	memcpy(cell, &converted, width);
}

Datum
bs_lane_get(const BsLane *lane, uint32_t row, Oid type, bool *isnull)
{
	size_t width = bs_type_lane_width(lane->type);
	BsValue value;

	*isnull = bs_lane_is_null(lane, row);
	if (*isnull)
		return (Datum) 0;
	memcpy(&value, (const char *) lane->values + row * width, width);
	return bs_value_to_datum(lane->type, &value, type);
}
