/* SPDX-License-Identifier: PostgreSQL */
/*
 * mmdb.h: networks and their data in a file of the MaxMind DB format
 * (https://maxmind.github.io/MaxMind-DB/), by libmaxminddb.
 *
 * The file is copied to memory of its own first (memfd): it may be cut short by whoever writes it, and a
 * process that has mapped it would end then.  Whatever is in it does no harm: sizes and depths are
 * checked, by the library and here, and a walk ends after a number of steps that a sound file never
 * takes.
 */
#ifndef BS_MMDB_H
#define BS_MMDB_H

#include "../src/engine/types.h"

#define BS_MMDB_MAX_PATHS  8
#define BS_MMDB_PATH_BYTES 64 /* of a path, with its end */

typedef enum BsMmdbType
{
	BS_MMDB_NOTHING, /* there is no such value here */
	BS_MMDB_TEXT,    /* UTF-8, not checked: data, len */
	BS_MMDB_BYTES,   /* data, len */
	BS_MMDB_INTEGER, /* number: of 16 to 64 bits, as far as it has a sign bit to spare */
	BS_MMDB_LARGE,   /* high, low: an unsigned integer that does not fit in number */
	BS_MMDB_FLOAT,   /* real */
	BS_MMDB_DOUBLE,  /* real */
	BS_MMDB_BOOLEAN, /* number */
	BS_MMDB_COMPOUND /* a map or an array */
} BsMmdbType;

/* A value at a path; what it points to stays until the file is closed. */
typedef struct BsMmdbValue
{
	BsMmdbType type;
	const uint8_t *data;
	uint32_t len;
	int64_t number;
	uint64_t high;
	uint64_t low;
	double real;
} BsMmdbValue;

typedef struct BsMmdb BsMmdb;

/*
 * Open a file of at most max_bytes.  NULL: error (of error_bytes) says why.
 */
extern BsMmdb *bs_mmdb_open(const char *path, size_t max_bytes, char *error, size_t error_bytes);
extern void bs_mmdb_close(BsMmdb *file);

/*
 * A network and what it has at each path.  False: that is enough.  The walk keeps nothing that must be
 * freed, so this may also leave it by longjmp.
 */
typedef bool (*BsMmdbVisit)(void *context, const BsInet *network, const BsMmdbValue *values);

/*
 * Visit all networks that have data.  A path names keys of maps and numbers of array elements, with dots
 * between: country.iso_code, subdivisions.0.names.en.  IPv4 networks of a file for both come as IPv4 and
 * once; *aliases (BsPrefixAlias, or-ed) says where else they are to be found.  False: the file is
 * damaged, error says how.
 */
extern bool bs_mmdb_walk(BsMmdb *file, uint32_t npaths, const char *const *paths, BsMmdbVisit visit,
						 void *context, uint32_t *aliases, char *error, size_t error_bytes);

#endif
