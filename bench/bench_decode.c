/* SPDX-License-Identifier: PostgreSQL */
/*
 * bench_decode.c: nanoseconds per record of the decoders alone, from memory.
 *
 * For each kind of export NDATAGRAMS datagrams of 1,400 bytes and less are built, whose keys
 * differ, and decoded over and over into one batch whose sink only empties it.  Shown is the
 * fastest and the median of NPASSES passes.  The sequence numbers repeat from pass to pass, as an
 * exporter's that begins anew would; that costs one step per pass.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../receiver/decode.h"
#include "../test/unit/build_datagram.h"

#define NDATAGRAMS   256
#define NPASSES      201
#define MAX_BYTES    1400
#define UNIX_SECONDS 1700000000
#define UPTIME_MSEC  86400000

typedef struct Source
{
	const char *name;

	void (*template_message)(BsBuild *build);
	void (*data_message)(BsBuild *build, uint32_t number);
} Source;

/* clang-format off */
static const BsBuildField v9_fields[] = {
	{8, 4, 0}, {12, 4, 0}, {15, 4, 0}, {10, 4, 0}, {14, 4, 0}, {2, 4, 0}, {1, 4, 0}, {22, 4, 0}, {21, 4, 0},
	{7, 2, 0}, {11, 2, 0}, {6, 1, 0}, {4, 1, 0}, {5, 1, 0}, {61, 1, 0}, {16, 4, 0}, {17, 4, 0}, {9, 1, 0}, {13, 1, 0},
};
static const BsBuildField ipfix_fields[] = {
	{8, 4, 0}, {12, 4, 0}, {15, 4, 0}, {10, 4, 0}, {14, 4, 0}, {2, 8, 0}, {1, 8, 0}, {152, 8, 0}, {153, 8, 0},
	{7, 2, 0}, {11, 2, 0}, {6, 1, 0}, {4, 1, 0}, {5, 1, 0}, {61, 1, 0}, {16, 4, 0}, {17, 4, 0}, {9, 1, 0}, {13, 1, 0},
};
static const BsBuildField variable_fields[] = {
	{8, 4, 0}, {12, 4, 0}, {15, 4, 0}, {10, 4, 0}, {14, 4, 0}, {2, 8, 0}, {1, 8, 0}, {82, 65535, 0}, {152, 8, 0}, {153, 8, 0},
	{7, 2, 0}, {11, 2, 0}, {6, 1, 0}, {4, 1, 0}, {5, 1, 0}, {61, 1, 0}, {16, 4, 0}, {17, 4, 0}, {9, 1, 0}, {13, 1, 0},
};
/* clang-format on */

static uint32_t
scatter(uint32_t number)
{
	return number * UINT32_C(2654435761);
}

static void
no_template(BsBuild *build)
{
	build->len_bytes = 0;
}

static void
v5_data(BsBuild *build, uint32_t number)
{
	bs_build_v5(build, &(BsBuildV5){.count = 30,
									.uptime_msec = UPTIME_MSEC,
									.unix_seconds = UNIX_SECONDS,
									.sequence = number * 30});
	for (uint32_t i = 0; i < 30; i++)
	{
		uint32_t key = scatter(number * 30 + i);

		bs_build_v5_record(build, &(BsBuildV5Record){.src_addr = key,
													 .dst_addr = ~key,
													 .in_if = (uint16_t) (key & 7),
													 .packets = key & 255,
													 .bytes = key & 0xFFFF,
													 .first_msec = UPTIME_MSEC - 5000,
													 .last_msec = UPTIME_MSEC - (key & 1023),
													 .src_port = (uint16_t) key,
													 .dst_port = 443,
													 .proto = 6,
													 .src_as = (uint16_t) (key >> 8),
													 .dst_as = (uint16_t) (key >> 16)});
	}
}

/* A value for each field that the element could hold. */
static void
add_record(BsBuild *build, const BsBuildField *fields, uint32_t nfields, uint32_t key)
{
	for (uint32_t i = 0; i < nfields; i++)
	{
		switch (fields[i].element)
		{
			case 21:
			case 22:
				bs_build_u32(build, UPTIME_MSEC - (key & 1023));
				break;
			case 152:
			case 153:
				bs_build_u64(build, UINT64_C(1000) * UNIX_SECONDS - (key & 1023));
				break;
			case 82:
				bs_build_u8(build, 4 + (key & 7));
				bs_build_zeros(build, 4 + (key & 7));
				break;
			default:
				bs_build_uint(build, key >> (fields[i].element & 7), fields[i].width);
		}
	}
}

static void
fill_set(BsBuild *build, const BsBuildField *fields, uint32_t nfields, uint32_t number)
{
	uint32_t record_bytes = 0;

	for (uint32_t i = 0; i < nfields; i++)
		record_bytes += fields[i].width == 65535 ? 12 : fields[i].width;
	bs_build_set(build, 256);
	for (uint32_t i = 0; build->len_bytes + record_bytes <= MAX_BYTES; i++)
		add_record(build, fields, nfields, scatter(number * 64 + i));
	bs_build_end(build);
}

#define MESSAGES(name, header, fields)                                                             \
	static void name##_template(BsBuild *build)                                                    \
	{                                                                                              \
		const uint32_t number = 0;                                                                 \
                                                                                                   \
		header;                                                                                    \
		bs_build_template(build, 256, fields, BS_BUILD_COUNT(fields));                             \
		bs_build_end(build);                                                                       \
	}                                                                                              \
	static void name##_data(BsBuild *build, uint32_t number)                                       \
	{                                                                                              \
		header;                                                                                    \
		fill_set(build, fields, BS_BUILD_COUNT(fields), number);                                   \
	}

MESSAGES(v9, bs_build_v9(build, UPTIME_MSEC, UNIX_SECONDS, number, 1), v9_fields)
MESSAGES(ipfix, bs_build_ipfix(build, UNIX_SECONDS, number * 19, 1), ipfix_fields)
MESSAGES(variable, bs_build_ipfix(build, UNIX_SECONDS, number * 17, 1), variable_fields)

static const BsFlowColumn few[] = {BS_FLOW_TIME_FLOW_END, BS_FLOW_SRC_AS, BS_FLOW_DST_AS,
								   BS_FLOW_BYTES, BS_FLOW_PACKETS};
static const BsFlowColumn fourteen[] = {
	BS_FLOW_TIME_FLOW_END, BS_FLOW_SRC_AS,   BS_FLOW_DST_AS,   BS_FLOW_BYTES,     BS_FLOW_PACKETS,
	BS_FLOW_SRC_ADDR,      BS_FLOW_DST_ADDR, BS_FLOW_SRC_PORT, BS_FLOW_DST_PORT,  BS_FLOW_PROTO,
	BS_FLOW_TCP_FLAGS,     BS_FLOW_IN_IF,    BS_FLOW_OUT_IF,   BS_FLOW_TIME_EVENT};

static uint64_t nflushed;

static void
discard(void *context, BsBatch *batch)
{
	(void) context;
	nflushed += batch->nrows;
	bs_batch_reset(batch);
}

static double
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *) a;
	double y = *(const double *) b;

	return (x > y) - (x < y);
}

static void
measure(const Source *source, const BsFlowColumn *columns, uint32_t ncolumns)
{
	static BsBuild build;
	static uint8_t messages[NDATAGRAMS][2048];
	static BsExporterStats stats[4];
	static double passes[NPASSES];
	BsDatagram datagrams[NDATAGRAMS];
	BsDecoderConfig config = {.stats = stats, .max_exporters = 4, .sink = {discard, NULL}};
	bool wanted[BS_FLOW_NCOLUMNS] = {false};
	BsDecoder *decoder;
	BsBatch *batch;

	memset(stats, 0, sizeof(stats));
	for (uint32_t i = 0; i < ncolumns; i++)
		wanted[columns[i]] = true;
	decoder = bs_decoder_create(&config);
	batch = bs_batch_create(bs_flow_column_types, BS_FLOW_NCOLUMNS, wanted, BS_BATCH_ROWS);
	source->template_message(&build);
	if (build.len_bytes > 0)
		bs_decoder_decode(
			decoder,
			&(BsDatagram){.data = build.bytes,
						  .len_bytes = build.len_bytes,
						  .exporter = {.family = 4, .bits = 32, .address = {127, 0, 0, 1}}},
			batch);
	for (uint32_t i = 0; i < NDATAGRAMS; i++)
	{
		source->data_message(&build, i);
		memcpy(messages[i], build.bytes, build.len_bytes);
		datagrams[i] =
			(BsDatagram){.data = messages[i],
						 .len_bytes = build.len_bytes,
						 .port = 2000,
						 .exporter = {.family = 4, .bits = 32, .address = {127, 0, 0, 1}}};
	}
	for (uint32_t pass = 0; pass < NPASSES; pass++)
	{
		uint64_t before = nflushed + batch->nrows;
		double start = now_ns();

		for (uint32_t i = 0; i < NDATAGRAMS; i++)
			bs_decoder_decode(decoder, &datagrams[i], batch);
		passes[pass] = (now_ns() - start) / (double) (nflushed + batch->nrows - before);
	}
	qsort(passes, NPASSES, sizeof(double), compare_doubles);
	printf("%-24s %2u columns  %5.1f records/datagram  best %6.2f  median %6.2f ns/record\n",
		   source->name, ncolumns, (double) stats[0].records / NPASSES / NDATAGRAMS, passes[0],
		   passes[NPASSES / 2]);
	if (stats[0].decode_errors + stats[0].unknown_template > 0)
		printf("  ERRORS: %llu\n",
			   (unsigned long long) (stats[0].decode_errors + stats[0].unknown_template));
	bs_batch_free(batch);
	bs_decoder_free(decoder);
}

int
main(void)
{
	static const Source sources[] = {
		{"NetFlow v5", no_template, v5_data},
		{"NetFlow v9", v9_template, v9_data},
		{"IPFIX", ipfix_template, ipfix_data},
		{"IPFIX, variable length", variable_template, variable_data},
	};

	for (uint32_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
	{
		measure(&sources[i], few, sizeof(few) / sizeof(few[0]));
		measure(&sources[i], fourteen, sizeof(fourteen) / sizeof(fourteen[0]));
	}
	return 0;
}
