/* SPDX-License-Identifier: PostgreSQL */
/*
 * prefixfile.c: the networks of a file of the MaxMind DB format, for a map.  See prefix.h and
 * receiver/mmdb.h.
 *
 * A column of labels is of numbers when all its values are integers that fit in bigint.  That is known
 * at the end only: reading begins with columns of numbers, and anew with one of texts when something
 * else comes.
 */
#include "backstream.h"

#include <sys/stat.h>
#include <time.h>

#include "catalog/pg_authid.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "../receiver/mmdb.h"
#include "prefix.h"

#define NETWORKS_PER_BREATH 4096
/* Two changes within a tick of the kernel's clock may have the same stamp. */
#define TICK_NSEC INT64CONST(100000000)

StaticAssertDecl(BS_PREFIX_MAX_LABELS <= BS_MMDB_MAX_PATHS && NAMEDATALEN <= BS_MMDB_PATH_BYTES,
				 "labels of a file are paths in it");

/* The file in hand, which an error may leave behind. */
static BsMmdb *file;

void
bs_prefix_file_let_go(void)
{
	bs_mmdb_close(file);
	file = NULL;
}

static void
open_file(const BsPrefixDef *def)
{
	char error[BS_ERROR_TEXT];

	bs_prefix_file_let_go();
	if (!has_privs_of_role(def->owner, ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" may not read files of the server",
							   GetUserNameFromId(def->owner, true)),
						errhint("Grant it membership in pg_read_server_files.")));
	file =
		bs_mmdb_open(def->file, (size_t) bs_setting_memory_mb * 1024 * 1024, error, sizeof(error));
	if (file == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("%s", error)));
}

void
bs_prefix_file_check(const BsPrefixDef *def)
{
	open_file(def);
	bs_prefix_file_let_go();
}

/* ---- whether it has changed ------------------------------------------------------------------ */

static int64
nsec_of(const struct timespec *time)
{
	return time->tv_sec * INT64CONST(1000000000) + time->tv_nsec;
}

BsPrefixFileStamp
bs_prefix_file_stamp(const char *path)
{
	BsPrefixFileStamp stamp;
	struct stat about;
	struct timespec now;
	int64 age;

	/* It is compared by its bytes. */
	memset(&stamp, 0, sizeof(stamp));
	if (stat(path, &about) != 0)
		return stamp;
	stamp.device = about.st_dev;
	stamp.inode = about.st_ino;
	stamp.size = about.st_size;
	stamp.changed_nsec = nsec_of(&about.st_ctim);
	clock_gettime(CLOCK_REALTIME, &now);
	age = nsec_of(&now) - stamp.changed_nsec;
	stamp.young = age >= 0 && age < TICK_NSEC;
	return stamp;
}

/* ---- labels ---------------------------------------------------------------------------------- */

typedef struct Reading
{
	const BsPrefixDef *def;
	BsPrefixBuilder *builder;
	BsLabelColumn columns[BS_PREFIX_MAX_LABELS];
	bool seen[BS_PREFIX_MAX_LABELS]; /* some network has this label */
	bool again;                      /* a column is of another kind than it was taken for */
	uint64 networks;
	MemoryContext scratch;
	void (*breathe)(void);
} Reading;

static char *
large_text(uint64 high, uint64 low)
{
	unsigned __int128 number = (unsigned __int128) high << 64 | low;
	char digits[40];
	char *at = digits + sizeof(digits) - 1;

	*at = '\0';
	do
		*--at = (char) ('0' + (int) (number % 10));
	while ((number /= 10) != 0);
	return pstrdup(at);
}

static char *
bytes_text(const BsMmdbValue *value)
{
	bytea *bytes = palloc(VARHDRSZ + value->len);

	SET_VARSIZE(bytes, VARHDRSZ + value->len);
	memcpy(VARDATA(bytes), value->data, value->len);
	return DatumGetCString(DirectFunctionCall1(byteaout, PointerGetDatum(bytes)));
}

static BsBytes
text_label(const BsMmdbValue *value)
{
	const char *text = (const char *) value->data;
	uint32 len = value->len;

	/* Raises an error for what is no UTF-8; returns the text itself where that is the encoding. */
	if (GetDatabaseEncoding() == PG_UTF8)
		(void) pg_verify_mbstr(PG_UTF8, text, (int) len, false);
	else if (len > 0)
	{
		text = pg_any_to_server(text, (int) len, PG_UTF8);
		len = text == (const char *) value->data ? len : (uint32) strlen(text);
	}
	return (BsBytes){.data = (const uint8 *) text, .len = len};
}

static BsBytes
label_text(const BsMmdbValue *value, const char *path)
{
	char *text = NULL;

	switch (value->type)
	{
		case BS_MMDB_TEXT:
			return text_label(value);
		case BS_MMDB_BYTES:
			text = bytes_text(value);
			break;
		case BS_MMDB_INTEGER:
			text = psprintf(INT64_FORMAT, value->number);
			break;
		case BS_MMDB_LARGE:
			text = large_text(value->high, value->low);
			break;
		case BS_MMDB_FLOAT:
			text = DatumGetCString(
				DirectFunctionCall1(float4out, Float4GetDatum((float4) value->real)));
			break;
		case BS_MMDB_DOUBLE:
			text = DatumGetCString(DirectFunctionCall1(float8out, Float8GetDatum(value->real)));
			break;
		case BS_MMDB_BOOLEAN:
			text = value->number ? "true" : "false";
			break;
		case BS_MMDB_NOTHING:
		case BS_MMDB_COMPOUND:
			ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
							errmsg("\"%s\" is no value but a map or an array", path),
							errhint("Name one of its keys, or the number of an element: names.en, "
									"subdivisions.0.iso_code.")));
	}
	return (BsBytes){.data = (const uint8 *) text, .len = (uint32) strlen(text)};
}

static bool
label_of(Reading *reading, int i, const BsMmdbValue *value, BsLabel *label)
{
	memset(label, 0, sizeof(*label));
	label->is_null = value->type == BS_MMDB_NOTHING;
	if (label->is_null)
		return true;
	reading->seen[i] = true;
	if (reading->columns[i].kind == BS_LABEL_BIGINT && value->type != BS_MMDB_INTEGER)
	{
		reading->columns[i].kind = BS_LABEL_TEXT;
		reading->again = true;
		return false;
	}
	label->number = value->number;
	label->text = label_text(value, reading->def->labels[i]);
	return true;
}

/* ---- networks -------------------------------------------------------------------------------- */

static void
breathe_sometimes(Reading *reading)
{
	if (++reading->networks % NETWORKS_PER_BREATH != 0)
		return;
	MemoryContextReset(reading->scratch);
	CHECK_FOR_INTERRUPTS();
	reading->breathe();
}

static bool
visit(void *context, const BsInet *network, const BsMmdbValue *values)
{
	Reading *reading = context;
	BsLabel labels[BS_PREFIX_MAX_LABELS];
	BsPrefixStatus status;

	breathe_sometimes(reading);
	for (int i = 0; i < reading->def->nlabels; i++)
		if (!label_of(reading, i, &values[i], &labels[i]))
			return false;
	status = bs_prefix_builder_add(reading->builder, network, labels);
	if (status != BS_PREFIX_OK)
		ereport(ERROR,
				(errcode(status == BS_PREFIX_LABEL_TOO_LONG ? ERRCODE_STRING_DATA_RIGHT_TRUNCATION
															: ERRCODE_OUT_OF_MEMORY),
				 errmsg("%s", bs_prefix_status_message(status))));
	return true;
}

/* All networks into a new builder, unless a column is of another kind. */
static void
read_once(Reading *reading, BsPrefixBuilder **builder)
{
	const BsPrefixDef *def = reading->def;
	const char *paths[BS_PREFIX_MAX_LABELS];
	char error[BS_ERROR_TEXT];
	MemoryContext outer = MemoryContextSwitchTo(reading->scratch);
	uint32 aliases;
	bool sound;

	bs_prefix_builder_free(*builder);
	reading->builder = *builder = bs_prefix_builder_create(
		(uint32) def->nlabels, reading->columns, (size_t) bs_setting_memory_mb * 1024 * 1024);
	if (reading->builder == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	for (int i = 0; i < def->nlabels; i++)
		paths[i] = def->labels[i];
	reading->again = false;
	reading->networks = 0;
	sound = bs_mmdb_walk(file, (uint32) def->nlabels, paths, visit, reading, &aliases, error,
						 sizeof(error));
	MemoryContextSwitchTo(outer);
	MemoryContextReset(reading->scratch);
	if (!sound)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("%s", error)));
	bs_prefix_builder_set_aliases(reading->builder, aliases);
}

uint64
bs_prefix_file_read(const BsPrefixDef *def, BsPrefixBuilder **builder, void (*breathe)(void))
{
	Reading reading = {.def = def, .breathe = breathe};

	open_file(def);
	reading.scratch = AllocSetContextCreate(CurrentMemoryContext, "backstream prefix file",
											ALLOCSET_DEFAULT_SIZES);
	for (int i = 0; i < def->nlabels; i++)
	{
		strlcpy(reading.columns[i].name, def->labels[i], sizeof(reading.columns[i].name));
		reading.columns[i].kind = BS_LABEL_BIGINT;
	}
	do
		read_once(&reading, builder);
	while (reading.again);
	bs_prefix_file_let_go();
	MemoryContextDelete(reading.scratch);
	for (int i = 0; i < def->nlabels && reading.networks > 0; i++)
		if (!reading.seen[i])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("no network of file \"%s\" has \"%s\"", def->file, def->labels[i])));
	return reading.networks;
}
