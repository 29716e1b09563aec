/* SPDX-License-Identifier: PostgreSQL */
/*
 * fuzz_mmdb.c: any bytes as a file of the MaxMind DB format: it is opened or not, walked or not, and what
 * comes out of it are networks and values whose bytes can be read.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../receiver/mmdb.h"

#define MAX_BYTES (1 << 20)

extern int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* MMDB_open() of libmaxminddb 1.7.1 does not give back all memory when the metadata are damaged. */
extern const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libmaxminddb";
}

static const char *const paths[] = {
	"name", "country.iso_code", "list.1.x", "list.-1", "country.", "", "0"};
#define NPATHS (sizeof(paths) / sizeof(paths[0]))

static bool
visit(void *context, const BsInet *network, const BsMmdbValue *values)
{
	uint64_t *sum = context;

	if (network->bits > (network->family == 4 ? 32 : 128))
		abort();
	for (size_t i = 0; i < NPATHS; i++)
		if (values[i].type == BS_MMDB_TEXT || values[i].type == BS_MMDB_BYTES)
			for (uint32_t byte = 0; byte < values[i].len; byte++)
				*sum += values[i].data[byte];
	return true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int copy = memfd_create("fuzz_mmdb", 0);
	char path[64];
	char error[256] = "";
	uint64_t sum = 0;
	uint32_t aliases;
	BsMmdb *file;

	if (copy < 0 || write(copy, data, size) != (ssize_t) size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", copy);
	file = bs_mmdb_open(path, MAX_BYTES, error, sizeof(error));
	if ((file == NULL) != (error[0] != '\0'))
		abort();
	if (file != NULL)
		(void) bs_mmdb_walk(file, NPATHS, paths, visit, &sum, &aliases, error, sizeof(error));
	bs_mmdb_close(file);
	close(copy);
	return 0;
}
