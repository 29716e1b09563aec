/* SPDX-License-Identifier: PostgreSQL */
/* mmdb.c: reading files of the MaxMind DB format.  See mmdb.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif
#include "mmdb.h"

#include <errno.h>
#include <fcntl.h>
#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../src/engine/prefixmap.h"

#define COPY_BYTES (1 << 16)
/* A sound file has each node in one place, and the IPv4 tree in a few more. */
#define VISITS_PER_NODE 8
#define MAX_BITS        128
#define MAX_STEPS       (BS_MMDB_PATH_BYTES / 2 + 1)

struct BsMmdb
{
	MMDB_s db;
	bool open;
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool
write_all(int to, const char *data, size_t len)
{
	while (len > 0)
	{
		ssize_t written = write(to, data, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		len -= (size_t) written;
	}
	return true;
}

/* As many bytes as there were when it was looked at, or more if it has grown meanwhile. */
static const char *
copy_file(int from, int to, size_t size, size_t max_bytes)
{
	char buffer[COPY_BYTES];
	size_t copied = 0;
	ssize_t got;

	while ((got = read(from, buffer, sizeof(buffer))) != 0)
	{
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return strerror(errno);
		copied += (size_t) got;
		if (copied > max_bytes)
			return "it is larger than the memory for it";
		if (!write_all(to, buffer, (size_t) got))
			return strerror(errno);
	}
	return copied < size ? "it was cut short while it was read" : NULL;
}

/* A copy in memory; -1: *why says why not. */
static int
copy_to_memory(const char *path, size_t max_bytes, const char **why)
{
	struct stat about;
	int to = -1;
	/* Not to wait for whoever writes into a pipe. */
	int from = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	*why = NULL;
	if (from < 0 || fstat(from, &about) < 0)
		*why = strerror(errno);
	else if (!S_ISREG(about.st_mode))
		*why = "it is not a regular file";
	else if ((size_t) about.st_size > max_bytes)
		*why = "it is larger than the memory for it";
	else if ((to = memfd_create("backstream mmdb", MFD_CLOEXEC)) < 0)
		*why = strerror(errno);
	else
		*why = copy_file(from, to, (size_t) about.st_size, max_bytes);
	if (from >= 0)
		close(from);
	if (*why == NULL)
		return to;
	if (to >= 0)
		close(to);
	return -1;
}

BsMmdb *
bs_mmdb_open(const char *path, size_t max_bytes, char *error, size_t error_bytes)
{
	BsMmdb *file = calloc(1, sizeof(BsMmdb));
	const char *why = "out of memory";
	int copy = file != NULL ? copy_to_memory(path, max_bytes, &why) : -1;
	char name[64];
	int status;

	if (copy >= 0)
	{
		snprintf(name, sizeof(name), "/proc/self/fd/%d", copy);
		status = MMDB_open(name, MMDB_MODE_MMAP, &file->db);
		file->open = status == MMDB_SUCCESS;
		why = MMDB_strerror(status);
		close(copy);
	}
	if (file != NULL && file->open &&
		(file->db.metadata.ip_version == 4 || file->db.metadata.ip_version == 6))
		return file;
	snprintf(error, error_bytes, "could not open file \"%s\": %s", path, why);
	bs_mmdb_close(file);
	return NULL;
}

void
bs_mmdb_close(BsMmdb *file)
{
	if (file != NULL && file->open)
		MMDB_close(&file->db);
	free(file);
}

/* ---- values ---------------------------------------------------------------------------------- */

typedef struct Path
{
	char text[BS_MMDB_PATH_BYTES]; /* with ends where the dots were */
	const char *steps[MAX_STEPS];  /* ended by NULL */
} Path;

static void
path_split(const char *text, Path *path)
{
	size_t n = 0;
	char *at = path->text;

	snprintf(path->text, sizeof(path->text), "%s", text);
	while (at != NULL && n < MAX_STEPS - 1)
		path->steps[n++] = strsep(&at, ".");
	path->steps[n] = NULL;
}

static void
put_large(uint64_t high, uint64_t low, BsMmdbValue *value)
{
	value->high = high;
	value->low = low;
	value->number = (int64_t) low;
	value->type = high != 0 || low > INT64_MAX ? BS_MMDB_LARGE : BS_MMDB_INTEGER;
}

static void
put_number(int64_t number, BsMmdbType type, BsMmdbValue *value)
{
	value->number = number;
	value->type = type;
}

static void
put_real(double real, BsMmdbType type, BsMmdbValue *value)
{
	value->real = real;
	value->type = type;
}

static void
value_of(const MMDB_entry_data_s *entry, BsMmdbValue *value)
{
	value->data = entry->bytes;
	value->len = entry->data_size;
	switch (entry->type)
	{
		case MMDB_DATA_TYPE_UTF8_STRING:
			value->type = BS_MMDB_TEXT;
			break;
		case MMDB_DATA_TYPE_BYTES:
			value->type = BS_MMDB_BYTES;
			break;
		case MMDB_DATA_TYPE_UINT16:
			put_number(entry->uint16, BS_MMDB_INTEGER, value);
			break;
		case MMDB_DATA_TYPE_UINT32:
			put_number(entry->uint32, BS_MMDB_INTEGER, value);
			break;
		case MMDB_DATA_TYPE_INT32:
			put_number(entry->int32, BS_MMDB_INTEGER, value);
			break;
		case MMDB_DATA_TYPE_UINT64:
			put_large(0, entry->uint64, value);
			break;
		case MMDB_DATA_TYPE_UINT128:
			put_large((uint64_t) (entry->uint128 >> 64), (uint64_t) entry->uint128, value);
			break;
		case MMDB_DATA_TYPE_DOUBLE:
			put_real(entry->double_value, BS_MMDB_DOUBLE, value);
			break;
		case MMDB_DATA_TYPE_FLOAT:
			put_real((double) entry->float_value, BS_MMDB_FLOAT, value);
			break;
		case MMDB_DATA_TYPE_BOOLEAN:
			put_number(entry->boolean, BS_MMDB_BOOLEAN, value);
			break;
		default:
			value->type = BS_MMDB_COMPOUND;
	}
}

/* NULL, or what is wrong with the file. */
static const char *
read_value(MMDB_entry_s *record, const Path *path, BsMmdbValue *value)
{
	MMDB_entry_data_s entry = {0};
	int status = MMDB_aget_value(record, &entry, path->steps);

	memset(value, 0, sizeof(*value));
	/* Other data than the path is made for, or an array that is shorter: nothing is there. */
	if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR ||
		status == MMDB_INVALID_LOOKUP_PATH_ERROR)
		return NULL;
	if (status != MMDB_SUCCESS)
		return MMDB_strerror(status);
	if (entry.has_data)
		value_of(&entry, value);
	return NULL;
}

/* ---- the tree -------------------------------------------------------------------------------- */

typedef struct Walk
{
	BsMmdb *file;
	uint32_t npaths;
	Path paths[BS_MMDB_MAX_PATHS];
	BsMmdbVisit visit;
	void *context;
	uint32_t *aliases;
	uint64_t visits_left;
	/* The record read last: neighbours often share one. */
	uint32_t last_offset;
	bool has_last;
	BsMmdbValue values[BS_MMDB_MAX_PATHS];
} Walk;

/* A node to be read, and the bits of addresses that lead there. */
typedef struct Place
{
	uint32_t node;
	BsInet at; /* at.bits: so many of them */
} Place;

/* Where sound files put the IPv4 tree a second time. */
static const struct
{
	uint8_t bits;
	uint8_t address[16];
	BsPrefixAlias alias;
} alias_places[] = {
	{96, {0}, BS_ALIAS_COMPATIBLE},
	{96, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, BS_ALIAS_MAPPED},
	{32, {0x20, 0x01}, BS_ALIAS_TEREDO},
	{16, {0x20, 0x02}, BS_ALIAS_6TO4},
};

/* Is this the IPv4 tree, in a place that an alias stands for? */
static bool
is_alias(const Walk *walk, const Place *place)
{
	const MMDB_ipv4_start_node_s *start = &walk->file->db.ipv4_start_node;

	if (place->at.family == 4 || start->netmask != 96 || place->node != start->node_value)
		return false;
	for (size_t i = 0; i < sizeof(alias_places) / sizeof(alias_places[0]); i++)
		if (place->at.bits == alias_places[i].bits &&
			memcmp(place->at.address, alias_places[i].address, sizeof(place->at.address)) == 0)
		{
			*walk->aliases |= alias_places[i].alias;
			return true;
		}
	return false;
}

static const char *
visit_record(Walk *walk, MMDB_entry_s *record, const BsInet *network, bool *enough)
{
	const char *why = NULL;

	if (!walk->has_last || walk->last_offset != record->offset)
	{
		for (uint32_t i = 0; i < walk->npaths && why == NULL; i++)
			why = read_value(record, &walk->paths[i], &walk->values[i]);
		walk->has_last = why == NULL;
		walk->last_offset = record->offset;
	}
	if (why == NULL)
		*enough = !walk->visit(walk->context, network, walk->values);
	return why;
}

static BsInet
child_of(const BsInet *at, bool right)
{
	BsInet child = *at;

	if (right)
		child.address[at->bits / 8] |= (uint8_t) (0x80 >> at->bits % 8);
	child.bits++;
	return child;
}

/* One tree, whose addresses have so many bits.  NULL, or what is wrong with it. */
static const char *
walk_tree(Walk *walk, Place root, unsigned nbits, bool *enough)
{
	static const char corrupt[] = "The search tree is damaged";
	Place stack[MAX_BITS + 1];
	unsigned n = 0;
	const char *why = NULL;

	stack[n++] = root;
	while (n > 0 && why == NULL && !*enough)
	{
		Place place = stack[--n];
		MMDB_search_node_s node;

		if (place.at.bits >= nbits || walk->visits_left-- == 0 ||
			MMDB_read_node(&walk->file->db, place.node, &node) != MMDB_SUCCESS)
			return corrupt;
		/* The right one first on the stack: addresses come in their order. */
		for (int side = 1; side >= 0 && why == NULL; side--)
		{
			uint8_t type = side ? node.right_record_type : node.left_record_type;
			uint64_t record = side ? node.right_record : node.left_record;
			Place child = {.node = (uint32_t) record, .at = child_of(&place.at, side != 0)};

			if (type == MMDB_RECORD_TYPE_SEARCH_NODE && !is_alias(walk, &child))
				stack[n++] = child;
			else if (type == MMDB_RECORD_TYPE_DATA && !*enough)
				why = visit_record(walk, side ? &node.right_record_entry : &node.left_record_entry,
								   &child.at, enough);
			else if (type == MMDB_RECORD_TYPE_INVALID)
				why = corrupt;
		}
	}
	return why;
}

/*
 * The record of all IPv4 addresses, where a file for both has no tree of them: it is found as an IPv6
 * network as well.
 */
static const char *
visit_single(Walk *walk, bool *enough)
{
	MMDB_s *db = &walk->file->db;
	BsInet all = {.family = 4, .bits = 0};
	MMDB_entry_s record = {.mmdb = db};
	uint32_t value = db->ipv4_start_node.node_value;

	/* As many nodes as there are: empty.  16 zeros lie between the tree and the data. */
	if (value <= db->metadata.node_count)
		return NULL;
	record.offset = value - db->metadata.node_count - 16;
	if (value - db->metadata.node_count < 16 || record.offset >= db->data_section_size)
		return "The search tree is damaged";
	return visit_record(walk, &record, &all, enough);
}

static const char *
walk_all(Walk *walk)
{
	MMDB_s *db = &walk->file->db;
	Place root = {.at = {.family = db->metadata.ip_version == 4 ? 4 : 6}};
	Place root4 = {.node = db->ipv4_start_node.node_value, .at = {.family = 4}};
	bool enough = false;
	const char *why;

	if (db->metadata.node_count == 0)
		return NULL;
	if (db->metadata.ip_version == 4)
		return walk_tree(walk, root, 32, &enough);
	why = db->ipv4_start_node.netmask == 96 && root4.node < db->metadata.node_count
			  ? walk_tree(walk, root4, 32, &enough)
			  : visit_single(walk, &enough);
	if (why == NULL && !enough)
		why = walk_tree(walk, root, MAX_BITS, &enough);
	return why;
}

bool
bs_mmdb_walk(BsMmdb *file, uint32_t npaths, const char *const *paths, BsMmdbVisit visit,
			 void *context, uint32_t *aliases, char *error, size_t error_bytes)
{
	Walk walk = {.file = file,
				 .npaths = npaths < BS_MMDB_MAX_PATHS ? npaths : BS_MMDB_MAX_PATHS,
				 .visit = visit,
				 .context = context,
				 .aliases = aliases,
				 .visits_left =
					 (uint64_t) file->db.metadata.node_count * VISITS_PER_NODE + MAX_BITS};
	const char *why;

	*aliases = 0;
	for (uint32_t i = 0; i < walk.npaths; i++)
		path_split(paths[i], &walk.paths[i]);
	why = walk_all(&walk);
	if (why != NULL)
		snprintf(error, error_bytes, "damaged file: %s", why);
	return why == NULL;
}
