/* SPDX-License-Identifier: PostgreSQL */
/* checkpointfile.c: writing and reading the files of windows.  See checkpointfile.h. */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xlog.h"
#include "commands/defrem.h"
#include "common/file_perm.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "port/pg_crc32c.h"
#include "storage/fd.h"

#include "checkpointfile.h"
#include "engine/bytes.h"

#define MAGIC        UINT64CONST(0x50435342) /* BSCP */
#define VERSION      1
#define BUFFER_BYTES (128 * 1024)
#define HEAD_WORDS   (sizeof(BsCheckpointHead) / sizeof(uint64))
#define HEAD_BYTES   (8 + HEAD_WORDS * 8)
#define CRC_BYTES    4
#define FLUSH_BYTES  (8 * 1024 * 1024) /* the kernel is told to begin writing after so many */
#define FILE_MODE    (S_IRUSR | S_IWUSR)
#define ASIDE        ".damaged"
#define MORE_BYTES   16u /* and, of each part, 9 and ncolumns */

struct BsCheckpointWriter
{
	int fd;
	int error; /* errno of the first failure */
	char path[MAXPGPATH];
	char new_path[MAXPGPATH];
	pg_crc32c crc;
	uint64 bytes;
	uint64 flushed;
	size_t used;
	uint8 buffer[BUFFER_BYTES];
};

struct BsCheckpointReader
{
	int fd;
	uint64 left; /* bytes before the checksum that have not been read */
	size_t used;
	size_t filled;
	uint8 buffer[BUFFER_BYTES];
	uint8 *message;
	size_t capacity;
};

/* ---------- names and stamps ---------- */

#define WAITING_NAME "next."

void
bs_checkpoint_state_path(char *path, Oid relid, bool waiting)
{
	snprintf(path, MAXPGPATH, BS_CHECKPOINT_FOLDER "/%u.%sstate", relid, waiting ? WAITING_NAME : "");
}

void
bs_checkpoint_segment_path(char *path, Oid relid, bool waiting, uint64 segment)
{
	snprintf(path, MAXPGPATH, BS_CHECKPOINT_FOLDER "/%u.%s%llu", relid, waiting ? WAITING_NAME : "",
			 (unsigned long long) segment);
}

void
bs_checkpoint_stamp(BsCheckpointHead *head, BsCheckpointKind kind, Oid relid, uint64 fingerprint)
{
	memset(head, 0, sizeof(*head));
	head->kind = kind;
	head->system_identifier = GetSystemIdentifier();
	head->timeline = GetWALInsertionTimeLine();
	head->database = MyDatabaseId;
	head->relid = relid;
	head->fingerprint = fingerprint;
	head->written_at = GetCurrentTimestamp();
	head->nreceivers = (uint64) bs_backend_writer();
}

bool
bs_checkpoint_is_ours(const BsCheckpointHead *head)
{
	return head->system_identifier == GetSystemIdentifier() &&
		   head->timeline == GetWALInsertionTimeLine() && head->database == MyDatabaseId;
}

/* ---------- writing ---------- */

static void
flush_buffer(BsCheckpointWriter *writer)
{
	size_t done = 0;

	while (writer->error == 0 && done < writer->used)
	{
		ssize_t n = write(writer->fd, writer->buffer + done, writer->used - done);

		if (n < 0 && errno != EINTR)
			writer->error = errno;
		else if (n == 0)
			writer->error = ENOSPC;
		else if (n > 0)
			done += (size_t) n;
	}
	writer->bytes += writer->used;
	writer->used = 0;
	/* Then the one fsync at the end has little left to wait for. */
	if (writer->error == 0 && writer->bytes - writer->flushed >= FLUSH_BYTES)
	{
		pg_flush_data(writer->fd, (off_t) writer->flushed,
					  (off_t) (writer->bytes - writer->flushed));
		writer->flushed = writer->bytes;
	}
}

static void
put(BsCheckpointWriter *writer, const uint8 *data, size_t len)
{
	COMP_CRC32C(writer->crc, data, len);
	while (len > 0)
	{
		size_t n = Min(len, BUFFER_BYTES - writer->used);

		memcpy(writer->buffer + writer->used, data, n);
		writer->used += n;
		data += n;
		len -= n;
		if (writer->used == BUFFER_BYTES)
			flush_buffer(writer);
	}
}

static void
put_head(BsCheckpointWriter *writer, const BsCheckpointHead *head)
{
	uint8 bytes[HEAD_BYTES];
	uint8 *out = bs_bytes_put_word(bytes, MAGIC, 4);
	uint64 words[HEAD_WORDS];

	memcpy(words, head, sizeof(words));
	out = bs_bytes_put_word(out, VERSION, 4);
	for (size_t i = 0; i < HEAD_WORDS; i++)
		out = bs_bytes_put_word(out, words[i], 8);
	put(writer, bytes, sizeof(bytes));
}

BsCheckpointWriter *
bs_checkpoint_create(const char *path, const BsCheckpointHead *head)
{
	BsCheckpointWriter *writer = malloc(sizeof(BsCheckpointWriter));

	if (writer == NULL)
		return NULL;
	writer->error = 0;
	writer->bytes = writer->flushed = 0;
	writer->used = 0;
	INIT_CRC32C(writer->crc);
	strlcpy(writer->path, path, MAXPGPATH);
	snprintf(writer->new_path, MAXPGPATH, "%s.new", path);
	if (MakePGDirectory(BS_CHECKPOINT_FOLDER) == 0)
		fsync_fname_ext(".", true, true, LOG);
	writer->fd =
		BasicOpenFilePerm(writer->new_path, O_WRONLY | O_CREAT | O_TRUNC | PG_BINARY, FILE_MODE);
	if (writer->fd < 0)
	{
		int error = errno;

		free(writer);
		errno = error;
		return NULL;
	}
	put_head(writer, head);
	return writer;
}

void
bs_checkpoint_put(BsCheckpointWriter *writer, uint32 tag, BsBytes message)
{
	uint8 bytes[8];

	bs_bytes_put_word(bs_bytes_put_word(bytes, tag, 4), message.len, 4);
	put(writer, bytes, sizeof(bytes));
	put(writer, message.data, message.len);
}

int
bs_checkpoint_close(BsCheckpointWriter *writer, bool keep, uint64 *bytes)
{
	pg_crc32c crc = writer->crc;
	uint8 word[CRC_BYTES];
	int error;

	FIN_CRC32C(crc);
	bs_bytes_put_word(word, crc, CRC_BYTES);
	put(writer, word, sizeof(word));
	flush_buffer(writer);
	if (keep && writer->error == 0 && pg_fsync(writer->fd) != 0)
		writer->error = errno;
	if (close(writer->fd) != 0 && writer->error == 0)
		writer->error = errno;
	if (keep && writer->error == 0 && rename(writer->new_path, writer->path) != 0)
		writer->error = errno;
	if (keep && writer->error == 0 && fsync_fname_ext(BS_CHECKPOINT_FOLDER, true, true, LOG) != 0)
		writer->error = errno;
	error = writer->error;
	if (!keep || error != 0)
		(void) unlink(writer->new_path);
	else
		*bytes += writer->bytes;
	free(writer);
	return error;
}

/* ---------- reading ---------- */

/* Exactly len bytes; false: there are not so many. */
static bool
take(BsCheckpointReader *reader, uint8 *data, size_t len)
{
	if (len > reader->left)
		return false;
	reader->left -= len;
	while (len > 0)
	{
		size_t n = Min(len, reader->filled - reader->used);

		if (n == 0)
		{
			ssize_t got = read(reader->fd, reader->buffer, BUFFER_BYTES);

			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				return false;
			reader->filled = (size_t) got;
			reader->used = 0;
			continue;
		}
		memcpy(data, reader->buffer + reader->used, n);
		reader->used += n;
		data += n;
		len -= n;
	}
	return true;
}

static bool
rewind_to(BsCheckpointReader *reader, uint64 bytes)
{
	reader->used = reader->filled = 0;
	reader->left = bytes;
	return lseek(reader->fd, 0, SEEK_SET) == 0;
}

static bool
checksum_is_right(BsCheckpointReader *reader, uint64 bytes)
{
	uint8 block[8192];
	uint8 word[CRC_BYTES];
	BsCursor cursor = {.at = word, .left_bytes = CRC_BYTES};
	pg_crc32c crc;

	INIT_CRC32C(crc);
	while (reader->left > CRC_BYTES)
	{
		size_t n = (size_t) Min(sizeof(block), reader->left - CRC_BYTES);

		if (!take(reader, block, n))
			return false;
		COMP_CRC32C(crc, block, n);
	}
	FIN_CRC32C(crc);
	return take(reader, word, CRC_BYTES) && bs_cursor_get_word(&cursor, CRC_BYTES) == crc;
}

static const char *
read_head(BsCheckpointReader *reader, BsCheckpointHead *head)
{
	uint8 bytes[HEAD_BYTES];
	uint64 words[HEAD_WORDS];
	BsCursor cursor = {.at = bytes, .left_bytes = sizeof(bytes)};

	if (!take(reader, bytes, sizeof(bytes)) || bs_cursor_get_word(&cursor, 4) != MAGIC)
		return "it is no file of windows";
	if (bs_cursor_get_word(&cursor, 4) != VERSION)
		return "it is of another version of the format";
	for (size_t i = 0; i < HEAD_WORDS; i++)
		words[i] = bs_cursor_get_word(&cursor, 8);
	memcpy(head, words, sizeof(words));
	return NULL;
}

/* The version is looked at first: another one's checksum may be made in another way. */
static const char *
check_file(BsCheckpointReader *reader, BsCheckpointHead *head)
{
	struct stat status;
	const char *problem;

	if (fstat(reader->fd, &status) != 0)
		return psprintf("could not stat it: %m");
	if (status.st_size < (off_t) (HEAD_BYTES + CRC_BYTES))
		return "it is too short";
	reader->left = (uint64) status.st_size;
	problem = read_head(reader, head);
	if (problem == NULL && (!rewind_to(reader, (uint64) status.st_size) ||
							!checksum_is_right(reader, (uint64) status.st_size)))
		problem = "its checksum is wrong";
	if (problem == NULL && !rewind_to(reader, (uint64) status.st_size - CRC_BYTES))
		problem = psprintf("could not seek in it: %m");
	return problem != NULL ? problem : read_head(reader, head);
}

BsCheckpointReader *
bs_checkpoint_open(const char *path, BsCheckpointHead *head, const char **problem)
{
	BsCheckpointReader *reader = palloc0(sizeof(BsCheckpointReader));

	reader->fd = BasicOpenFile(path, O_RDONLY | PG_BINARY);
	if (reader->fd < 0)
	{
		*problem = errno == ENOENT ? "" : psprintf("could not open it: %m");
		pfree(reader);
		return NULL;
	}
	*problem = check_file(reader, head);
	if (*problem == NULL)
		return reader;
	bs_checkpoint_free(reader);
	return NULL;
}

void
bs_checkpoint_free(BsCheckpointReader *reader)
{
	close(reader->fd);
	free(reader->message);
	pfree(reader);
}

static bool
reserve(BsCheckpointReader *reader, size_t bytes)
{
	uint8 *message;

	if (bytes <= reader->capacity)
		return true;
	message = realloc(reader->message, bytes);
	if (message == NULL)
		return false;
	reader->message = message;
	reader->capacity = bytes;
	return true;
}

bool
bs_checkpoint_next(BsCheckpointReader *reader, uint32 *tag, BsBytes *message, const char **problem)
{
	uint8 head[8];
	BsCursor cursor = {.at = head, .left_bytes = sizeof(head)};
	size_t len;

	*problem = NULL;
	if (reader->left == 0)
		return false;
	*problem = "it ends in the middle";
	if (!take(reader, head, sizeof(head)))
		return false;
	*tag = (uint32) bs_cursor_get_word(&cursor, 4);
	len = (size_t) bs_cursor_get_word(&cursor, 4);
	if (len > reader->left || len > BS_PACK_MAX_BYTES)
		return false;
	if (!reserve(reader, len + 1))
	{
		*problem = "memory is out";
		return false;
	}
	if (!take(reader, reader->message, len))
		return false;
	*message = (BsBytes){.data = reader->message, .len = (uint32) len};
	*problem = NULL;
	return true;
}

/* ---------- what a state says besides ---------- */

/* Names and values in turn, each with its zero byte. */
BsBytes
bs_checkpoint_options_pack(List *options)
{
	StringInfoData text;
	ListCell *cell;

	initStringInfo(&text);
	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		char *value = defGetString(def);

		appendBinaryStringInfo(&text, def->defname, (int) strlen(def->defname) + 1);
		appendBinaryStringInfo(&text, value, (int) strlen(value) + 1);
	}
	return (BsBytes){.data = (uint8 *) text.data, .len = (uint32) text.len};
}

List *
bs_checkpoint_options_unpack(BsBytes message)
{
	const char *at = (const char *) message.data;
	const char *end = at + message.len;
	List *options = NIL;

	while (at < end)
	{
		Size name = strnlen(at, (Size) (end - at)) + 1;
		Size value = at + name < end ? strnlen(at + name, (Size) (end - at) - name) + 1 : 0;

		/* Not as it was written. */
		if (value == 0 || name + value > (Size) (end - at))
			return NIL;
		options = lappend(options, makeDefElem(pstrdup(at), (Node *) makeString(pstrdup(at + name)), -1));
		at += name + value;
	}
	return options;
}

BsBytes
bs_checkpoint_more_pack(const BsCheckpointMore *more)
{
	size_t len = MORE_BYTES + more->nparts * (9 + (size_t) more->ncolumns);
	uint8 *data = malloc(len);
	uint8 *out = data;

	if (data == NULL)
		return (BsBytes){0};
	out = bs_bytes_put_word(out, (uint64) more->full_from, 8);
	out = bs_bytes_put_word(out, more->nparts, 4);
	out = bs_bytes_put_word(out, more->ncolumns, 4);
	for (uint32 i = 0; i < more->nparts; i++)
	{
		out = bs_bytes_put_word(out, more->parts[i].gone, 1);
		out = bs_bytes_put_word(out, (uint64) more->parts[i].since, 8);
		if (more->parts[i].missing != NULL)
			memcpy(out, more->parts[i].missing, more->ncolumns);
		else
			memset(out, 0, more->ncolumns);
		out += more->ncolumns;
	}
	return (BsBytes){.data = data, .len = (uint32) len};
}

bool
bs_checkpoint_more_unpack(BsBytes message, uint32 ncolumns, BsCheckpointMore *more)
{
	BsCursor cursor = {.at = message.data, .left_bytes = message.len};

	memset(more, 0, sizeof(*more));
	more->full_from = (int64) bs_cursor_get_word(&cursor, 8);
	more->nparts = (uint32) bs_cursor_get_word(&cursor, 4);
	more->ncolumns = (uint32) bs_cursor_get_word(&cursor, 4);
	if (cursor.bad || more->nparts >= BS_MAX_PARTS || more->ncolumns != ncolumns)
		return false;
	for (uint32 i = 0; i < more->nparts; i++)
	{
		more->parts[i].gone = bs_cursor_get_word(&cursor, 1) != 0;
		more->parts[i].since = (int64) bs_cursor_get_word(&cursor, 8);
		more->parts[i].missing = bs_cursor_get_bytes(&cursor, ncolumns);
	}
	return !cursor.bad && cursor.left_bytes == 0;
}

/* ---------- the folder ---------- */

void
bs_checkpoint_set_aside(const char *path, const char *problem)
{
	char aside[MAXPGPATH];

	snprintf(aside, MAXPGPATH, "%s" ASIDE, path);
	if (rename(path, aside) != 0)
		(void) unlink(path);
	ereport(LOG, (errmsg("windows in file \"%s\" are not taken up: %s", path, problem),
				  errdetail("The file is kept as \"%s\".", aside)));
}

/* What the name of a file says. */
typedef struct FileName
{
	Oid relid;
	bool waiting;
	bool is_state;
	bool is_segment;
	bool is_aside;
	uint64 segment;
} FileName;

/* False: it is no view's. */
static bool
parse_name(const char *name, FileName *parsed)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	if (end == name || *end != '.' || number == 0 || number > PG_UINT32_MAX)
		return false;
	*parsed = (FileName){.relid = (Oid) number};
	name = end + 1;
	parsed->waiting = strncmp(name, WAITING_NAME, strlen(WAITING_NAME)) == 0;
	if (parsed->waiting)
		name += strlen(WAITING_NAME);
	parsed->is_state = strcmp(name, "state") == 0;
	parsed->segment = strtou64(name, &end, 10);
	parsed->is_segment = end != name && *end == '\0';
	parsed->is_aside = strlen(name) >= strlen(ASIDE) && strcmp(name + strlen(name) - strlen(ASIDE), ASIDE) == 0;
	return true;
}

/* Call back with every file of a view; of all views: InvalidOid. */
typedef void (*FileSeen)(void *context, const char *name, const FileName *parsed);

static void
each_file(Oid relid, FileSeen seen, void *context)
{
	DIR *folder = opendir(BS_CHECKPOINT_FOLDER);
	struct dirent *entry;
	FileName parsed;

	while (folder != NULL && (entry = readdir(folder)) != NULL)
		if (parse_name(entry->d_name, &parsed) && (!OidIsValid(relid) || parsed.relid == relid))
			seen(context, entry->d_name, &parsed);
	if (folder != NULL)
		closedir(folder);
}

/* Which files of a view go. */
typedef struct Removal
{
	bool both; /* definitions; else: */
	bool waiting;
	bool segments_only;
	uint64 first; /* segments that stay: first .. end - 1 */
	uint64 end;
} Removal;

static void
remove_file(void *context, const char *name, const FileName *parsed)
{
	const Removal *removal = context;
	char path[MAXPGPATH * 2];

	if (parsed->is_aside || (!removal->both && parsed->waiting != removal->waiting) ||
		(removal->segments_only && !parsed->is_segment) ||
		(parsed->is_segment && parsed->segment >= removal->first && parsed->segment < removal->end))
		return;
	snprintf(path, sizeof(path), BS_CHECKPOINT_FOLDER "/%s", name);
	(void) unlink(path);
}

void
bs_checkpoint_remove(Oid relid)
{
	each_file(relid, remove_file, &(Removal){.both = true});
}

void
bs_checkpoint_remove_definition(Oid relid, bool waiting)
{
	each_file(relid, remove_file, &(Removal){.waiting = waiting});
}

void
bs_checkpoint_remove_segments(Oid relid, bool waiting, uint64 first, uint64 end)
{
	each_file(relid, remove_file,
			  &(Removal){.waiting = waiting, .segments_only = true, .first = first, .end = end});
}

typedef struct Highest
{
	bool waiting;
	bool any;
	uint64 free; /* segment */
} Highest;

static void
note_highest(void *context, const char *name, const FileName *parsed)
{
	Highest *highest = context;

	if (parsed->is_aside)
		return;
	highest->any = true;
	if (parsed->is_segment && parsed->waiting == highest->waiting)
		highest->free = Max(highest->free, parsed->segment + 1);
}

uint64
bs_checkpoint_free_segment(Oid relid, bool waiting, bool *any)
{
	Highest highest = {.waiting = waiting};

	each_file(relid, note_highest, &highest);
	*any = highest.any;
	return highest.free;
}

typedef struct Seeing
{
	BsCheckpointSeen seen;
	void *context;
} Seeing;

static void
see_state(void *context, const char *name, const FileName *parsed)
{
	const Seeing *seeing = context;

	if (parsed->is_state)
		seeing->seen(seeing->context, parsed->relid);
}

void
bs_checkpoint_each(BsCheckpointSeen seen, void *context)
{
	each_file(InvalidOid, see_state, &(Seeing){.seen = seen, .context = context});
}
