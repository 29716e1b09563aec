/* SPDX-License-Identifier: PostgreSQL */
/*
 * sourcenames.h: which addresses the sources are that backends have inserted.
 *
 * Views know a source of time by a number (bs_exporter_source()).  Receivers keep the addresses of their
 * exporters; what backends insert is noted here, in the main shared memory segment, for as long as the server
 * runs.  Open addressing; readers and those who find an address noted take no lock.  Bound: BS_MAX_SOURCE_NAMES
 * entries of sizeof(BsSourceName); what finds no room near its place is not noted: it is counted all the same,
 * and has no name.
 */
#ifndef BS_SOURCENAMES_H
#define BS_SOURCENAMES_H

#include "postgres.h"

#include "port/atomics.h"
#include "storage/spin.h"

#include "engine/types.h"

#define BS_MAX_SOURCE_NAMES 8192 /* a power of two */

typedef struct BsSourceName
{
	pg_atomic_uint64 source; /* 0: free; written last, and never again */
	BsInet address;
} BsSourceName;

typedef struct BsSharedSourceNames
{
	slock_t mutex; /* who adds */
	BsSourceName names[BS_MAX_SOURCE_NAMES];
} BsSharedSourceNames;

extern void bs_source_names_init(BsSharedSourceNames *shared);

/* This source has this address. */
extern void bs_source_names_note(uint64 source, const BsInet *address);

/* Copy the next one that is known from *place on (0 to begin with); false: there is none. */
extern bool bs_source_names_next(uint32 *place, uint64 *source, BsInet *address);

#endif
