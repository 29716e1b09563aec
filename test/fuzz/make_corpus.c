/* SPDX-License-Identifier: PostgreSQL */
/*
 * make_corpus.c: writes the corpus of fuzz_decode from datagrams built in code.
 *
 *     build/release/make_corpus test/fuzz/corpus/decode
 *
 * One file for each kind of export, in the format of fuzz_decode.c.  Run it again when a kind is
 * added; what it writes is committed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../unit/build_datagram.h"

#define UNIX_SECONDS 1700000000
#define UPTIME_MSEC  1000000

static FILE *out;
static BsBuild build;

static void
open_file(const char *folder, const char *name, uint8_t options)
{
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	out = fopen(path, "wb");
	if (out == NULL)
	{
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	fputc(options, out);
}

static void
put_as_is(uint8_t source)
{
	fputc(source, out);
	fputc((int) (build.len_bytes >> 8), out);
	fputc((int) (build.len_bytes & 255), out);
	fwrite(build.bytes, 1, build.len_bytes, out);
}

static void
put(uint8_t source)
{
	bs_build_end(&build);
	put_as_is(source);
}

/* Records whose bytes count up: some value for every field. */
static void
put_records(const BsBuildField *fields, uint32_t nfields, uint32_t nrecords)
{
	for (uint32_t i = 0; i < nrecords; i++)
		for (uint32_t j = 0; j < nfields; j++)
		{
			if (fields[j].width == 65535)
			{
				bs_build_u8(&build, i % 4);
				bs_build_zeros(&build, i % 4);
			}
			else
				bs_build_uint(&build, (i + 1) * (j + 1), fields[j].width);
		}
}

static void
v5_file(const char *folder)
{
	open_file(folder, "netflow5", 0);
	for (uint32_t i = 0; i < 3; i++)
	{
		bs_build_v5(&build, &(BsBuildV5){.count = 2,
										 .uptime_msec = UPTIME_MSEC,
										 .unix_seconds = UNIX_SECONDS,
										 .sequence = i * 3,
										 .sampling = 0x4064});
		for (uint32_t j = 0; j < 2; j++)
			bs_build_v5_record(&build, &(BsBuildV5Record){.src_addr = 0x0A000001 + j,
														  .dst_addr = 0x0A000002,
														  .bytes = 1500,
														  .packets = 2,
														  .first_msec = UPTIME_MSEC - 10,
														  .last_msec = UPTIME_MSEC - 5,
														  .proto = (uint8_t) (j ? 1 : 6)});
		put(0x10);
	}
	fclose(out);
}

typedef struct Kind
{
	const char *name;
	uint16_t version;
	uint32_t nscope; /* > 0: an options template */
	const BsBuildField *fields;
	uint32_t nfields;
} Kind;

static void
begin(uint16_t version, uint32_t sequence, uint32_t domain)
{
	if (version == 10)
		bs_build_ipfix(&build, UNIX_SECONDS, sequence, domain);
	else
		bs_build_v9(&build, UPTIME_MSEC, UNIX_SECONDS, sequence, domain);
}

/* Template and data together, then data alone. */
static void
kind_file(const char *folder, const Kind *kind)
{
	open_file(folder, kind->name, 1);
	for (uint32_t i = 0; i < 2; i++)
	{
		begin(kind->version, i * 3, 7);
		if (i == 0 && kind->nscope > 0)
			bs_build_options_template(&build, 256, kind->nscope, kind->fields, kind->nfields);
		else if (i == 0)
			bs_build_template(&build, 256, kind->fields, kind->nfields);
		bs_build_set(&build, 256);
		put_records(kind->fields, kind->nfields, 3);
		bs_build_zeros(&build, i);
		put(0x25);
	}
	fclose(out);
}

/* One record of a flow sample: its format, and words. */
static void
put_words(uint32_t format, const uint32_t *words, uint32_t nwords)
{
	bs_build_u32(&build, format);
	bs_build_u32(&build, nwords * 4);
	for (uint32_t i = 0; i < nwords; i++)
		bs_build_u32(&build, words[i]);
}

/* A flow sample of all records that are known, a counter sample, and a sample of some other format. */
static void
sflow_file(const char *folder)
{
	/* An Ethernet frame with a tag, MPLS, IPv6, a fragment header and TCP. */
	static const uint32_t header[] = {
		1,          1500,       4,          88,         0x02000000, 0x00d10200, 0x000000a1, 0x81000005,
		0x88470000, 0x10010000, 0x20004060, 0x00000000, 0x05dc2c40, 0x20010db8, 0,          0,
		0x00000001, 0x20010db8, 0,          0,          0x00020600, 0x00010000, 0x004d01bb, 0xc3500000,
		0x00010000, 0x00005012};
	static const uint32_t ethernet[] = {64, 0x02000000, 0x00d10000, 0x02000000, 0x00a10000, 0x0806};
	static const uint32_t ipv4[] = {576, 6, 0x0A000003, 0x0A000004, 80, 40000, 0x18, 4};
	static const uint32_t ipv6[] = {576, 17, 0x20010db8, 0, 0, 1, 0x20010db8, 0, 0, 2, 53, 4000, 0, 0};
	static const uint32_t vlans[] = {10, 0, 20, 0};
	static const uint32_t router[] = {1, 0x0A0000FE, 24, 16};
	static const uint32_t gateway[] = {2, 0x20010db8, 0, 0, 9, 64500, 0, 64501, 1, 2, 2, 64510, 64520, 0, 100};
	static const uint32_t counters[] = {1, 7, 0};

	open_file(folder, "sflow", 0);
	for (uint32_t i = 0; i < 3; i++)
	{
		uint32_t sample;

		build.len_bytes = 0;
		for (uint32_t word = 0; word < 7; word++)
			bs_build_u32(&build, (const uint32_t[]){5, 1, 0xC0000201, 3, i * 2, UPTIME_MSEC, 3}[word]);
		bs_build_u32(&build, 1);
		bs_build_u32(&build, 0);
		sample = build.len_bytes;
		for (uint32_t word = 0; word < 8; word++)
			bs_build_u32(&build, (const uint32_t[]){i * 3, 7, 100, 1000, 0, 7, 0x40000102, 7}[word]);
		put_words(1, header, BS_BUILD_COUNT(header));
		put_words(2, ethernet, BS_BUILD_COUNT(ethernet));
		put_words(3, ipv4, BS_BUILD_COUNT(ipv4));
		put_words(4, ipv6, BS_BUILD_COUNT(ipv6));
		put_words(1001, vlans, BS_BUILD_COUNT(vlans));
		put_words(1002, router, BS_BUILD_COUNT(router));
		put_words(1003, gateway, BS_BUILD_COUNT(gateway));
		bs_build_patch_u16(&build, sample - 2, build.len_bytes - sample);
		put_words(2, counters, BS_BUILD_COUNT(counters));
		put_words(5, counters, BS_BUILD_COUNT(counters));
		put_as_is(0x10);
	}
	fclose(out);
}

/* What is wrong in framing: cut off, too long, of no length, withdrawn. */
static void
faults_file(const char *folder)
{
	static const BsBuildField fields[] = {{8, 4, 0}, {1, 4, 0}};
	static const BsBuildField empty[] = {{1, 0, 0}};

	open_file(folder, "faults", 0);
	for (uint16_t version = 9; version <= 10; version++)
	{
		begin(version, 1, 7);
		bs_build_template(&build, 256, fields, 2);
		bs_build_template(&build, 257, empty, 1);
		bs_build_template(&build, 258, NULL, 0);
		bs_build_options_template(&build, 259, 3, fields, 2);
		bs_build_set(&build, 256);
		put_records(fields, 2, 2);
		bs_build_set(&build, 999);
		bs_build_zeros(&build, 9);
		put(0);
		build.len_bytes -= 20;
		put_as_is(1);
		bs_build_patch_u16(&build, 22, 3);
		put_as_is(2);
		build.len_bytes = 10;
		put_as_is(3);
	}
	fclose(out);
}

int
main(int argc, char **argv)
{
	/* clang-format off */
	static const BsBuildField plain[] = {
		{8, 4, 0}, {12, 4, 0}, {15, 4, 0}, {10, 4, 0}, {14, 4, 0}, {2, 4, 0}, {1, 4, 0}, {22, 4, 0}, {21, 4, 0},
		{7, 2, 0}, {11, 2, 0}, {6, 1, 0}, {4, 1, 0}, {5, 1, 0}, {16, 4, 0}, {17, 4, 0}, {9, 1, 0}, {13, 1, 0}};
	static const BsBuildField dual[] = {
		{8, 4, 0}, {12, 4, 0}, {27, 16, 0}, {28, 16, 0}, {60, 1, 0}, {9, 1, 0}, {29, 1, 0}, {15, 4, 0}, {62, 16, 0},
		{18, 4, 0}, {63, 16, 0}, {32, 2, 0}, {139, 2, 0}, {4, 1, 0}, {48, 2, 0}, {230, 1, 0}, {1, 8, 0}};
	static const BsBuildField times[] = {
		{150, 4, 0}, {151, 4, 0}, {152, 8, 0}, {153, 8, 0}, {154, 8, 0}, {155, 8, 0}, {156, 8, 0}, {157, 8, 0},
		{158, 4, 0}, {159, 4, 0}, {160, 8, 0}, {21, 4, 0}, {22, 8, 0}, {323, 8, 0}, {85, 8, 0}, {86, 8, 0}};
	static const BsBuildField variable[] = {
		{82, 65535, 0}, {8, 4, 0}, {95, 65535, 0}, {1, 65535, 0}, {27, 65535, 0}, {371, 65535, 9}, {2, 2, 0}};
	static const BsBuildField rare[] = {
		{56, 6, 0}, {80, 6, 0}, {58, 2, 0}, {59, 2, 0}, {70, 3, 0}, {89, 4, 0}, {31, 3, 0}, {54, 4, 0}, {88, 2, 0},
		{234, 4, 0}, {235, 4, 0}, {192, 1, 0}, {61, 1, 0}, {176, 1, 0}, {177, 1, 0}, {182, 2, 0}, {180, 2, 0},
		{34, 4, 0}, {305, 4, 0}, {306, 4, 0}, {309, 4, 0}, {310, 4, 0}, {302, 8, 0}, {210, 5, 0}, {231, 4, 0}, {298, 4, 0}};
	static const BsBuildField v9_options[] = {{1, 4, 0}, {48, 2, 0}, {50, 4, 0}, {34, 4, 0}};
	static const BsBuildField v9_scopes[] = {{2, 4, 0}, {5, 2, 0}, {34, 4, 0}};
	static const BsBuildField ipfix_options[] = {
		{149, 4, 0}, {145, 2, 0}, {10, 4, 0}, {160, 8, 0}, {302, 8, 0}, {309, 4, 0}, {310, 4, 0}, {83, 65535, 0}};
	static const Kind kinds[] = {
		{"netflow9", 9, 0, plain, BS_BUILD_COUNT(plain)},
		{"netflow9-dual", 9, 0, dual, BS_BUILD_COUNT(dual)},
		{"netflow9-rare", 9, 0, rare, BS_BUILD_COUNT(rare)},
		{"netflow9-variable", 9, 0, variable, 5},
		{"netflow9-options", 9, 1, v9_options, BS_BUILD_COUNT(v9_options)},
		{"netflow9-scopes", 9, 2, v9_scopes, BS_BUILD_COUNT(v9_scopes)},
		{"ipfix", 10, 0, plain, BS_BUILD_COUNT(plain)},
		{"ipfix-dual", 10, 0, dual, BS_BUILD_COUNT(dual)},
		{"ipfix-times", 10, 0, times, BS_BUILD_COUNT(times)},
		{"ipfix-variable", 10, 0, variable, BS_BUILD_COUNT(variable)},
		{"ipfix-rare", 10, 0, rare, BS_BUILD_COUNT(rare)},
		{"ipfix-options", 10, 3, ipfix_options, BS_BUILD_COUNT(ipfix_options)},
	};
	/* clang-format on */

	if (argc != 2)
	{
		fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
		return 1;
	}
	mkdir(argv[1], 0777);
	v5_file(argv[1]);
	for (uint32_t i = 0; i < BS_BUILD_COUNT(kinds); i++)
		kind_file(argv[1], &kinds[i]);
	sflow_file(argv[1]);
	faults_file(argv[1]);
	return 0;
}
