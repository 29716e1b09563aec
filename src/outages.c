/* SPDX-License-Identifier: PostgreSQL */
/* outages.c: when this server was down.  See outages.h; the list of before is in shared memory (BsSharedCheckpoint). */
#include "backstream.h"

#include "checkpointfile.h"
#include "engine/bytes.h"
#include "outages.h"
#include "registry.h"

#define ENTRY_BYTES 16

/* The end of the last that this process has written, and of the last that it could not write. */
static TimestampTz written_until;
static TimestampTz failed_until;

void
bs_outages_known(BsSpans *outages)
{
	BsSharedCheckpoint *shared = bs_shared_checkpoint();
	BsSpan last;

	SpinLockAcquire(&shared->mutex);
	*outages = shared->outages;
	last = (BsSpan){.since = shared->down_since, .until = shared->up_since};
	SpinLockRelease(&shared->mutex);
	if (last.since == 0)
		return;
	/* A clock that was set back. */
	last.until = Max(last.until, last.since);
	bs_spans_add(outages, last);
}

/* ---------- the file ---------- */

static bool
unpack(BsSpans *outages, BsBytes message)
{
	BsCursor cursor = {.at = message.data, .left_bytes = message.len};

	if (message.len % ENTRY_BYTES != 0 || message.len / ENTRY_BYTES > BS_MAX_SPANS)
		return false;
	for (uint32 i = 0; i < message.len / ENTRY_BYTES; i++)
	{
		BsSpan outage;

		outage.since = (int64) bs_cursor_get_word(&cursor, 8);
		outage.until = (int64) bs_cursor_get_word(&cursor, 8);
		if (outage.since > outage.until || (i > 0 && outage.since <= outages->of[i - 1].until))
			return false;
		outages->of[outages->n++] = outage;
	}
	return true;
}

bool
bs_outages_read(BsSpans *outages, const char **problem)
{
	BsCheckpointHead head;
	BsCheckpointReader *reader;
	BsBytes message;
	uint32 tag;

	outages->n = 0;
	*problem = "";
	reader = bs_checkpoint_open(BS_CHECKPOINT_OUTAGES_PATH, &head, problem);
	if (reader == NULL)
		return (*problem)[0] == '\0';
	*problem = NULL;
	if (head.kind != BS_CHECKPOINT_OUTAGES || !bs_checkpoint_is_ours(&head))
		*problem = "it is of another server, or of another time of this one";
	else if (bs_checkpoint_next(reader, &tag, &message, problem) && !unpack(outages, message))
		*problem = "it is no list of times";
	bs_checkpoint_free(reader);
	if (*problem != NULL)
		outages->n = 0;
	return *problem == NULL;
}

int
bs_outages_write(bool again)
{
	uint8 data[BS_MAX_SPANS * ENTRY_BYTES];
	uint8 *out = data;
	uint64 bytes = 0;
	BsSpans known;
	BsCheckpointHead head;
	BsCheckpointWriter *writer;
	int error;

	bs_outages_known(&known);
	if (known.n == 0 || known.of[known.n - 1].until == written_until ||
		(!again && known.of[known.n - 1].until == failed_until))
		return 0;
	failed_until = known.of[known.n - 1].until;
	for (uint32 i = 0; i < known.n; i++)
	{
		out = bs_bytes_put_word(out, (uint64) known.of[i].since, 8);
		out = bs_bytes_put_word(out, (uint64) known.of[i].until, 8);
	}
	bs_checkpoint_stamp(&head, BS_CHECKPOINT_OUTAGES, InvalidOid, 0);
	writer = bs_checkpoint_create(BS_CHECKPOINT_OUTAGES_PATH, &head);
	if (writer == NULL)
		return errno;
	bs_checkpoint_put(writer, 0, (BsBytes){.data = data, .len = (uint32) (out - data)});
	error = bs_checkpoint_close(writer, true, &bytes);
	if (error == 0)
		written_until = known.of[known.n - 1].until;
	return error;
}
