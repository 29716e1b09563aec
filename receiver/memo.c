/* SPDX-License-Identifier: PostgreSQL */
/* memo.c: what is known of exporters, from one decoder to the next.  See memo.h. */
#include "memo.h"

#include <stdlib.h>
#include <string.h>

#include "../src/engine/bytes.h"
#include "decoder.h"
#include "recall.h"

#define MAGIC             0x4d545342u /* BSTM */
#define VERSION           1u
#define HEAD_BYTES        8u
#define IDENTITY_BYTES    24u /* address, family, flow type, unused, domain */
#define ENTRY_FIXED_BYTES (4 + IDENTITY_BYTES + 8 + 4 + 4 + 4 + 8 + 8 + 2 + 2)
#define RATE_BYTES        (4 + 8 + 8)
#define TEMPLATE_BYTES    8u
#define FIELD_BYTES       8u
#define FLAG_SEQUENCE     1u
#define FLAG_BOOT         2u

struct BsMemo
{
	uint8_t *data; /* entries, one behind the other */
	size_t len;
	size_t capacity;
	uint32_t nentries;
	uint32_t nslots; /* a power of two, at most half full */
	size_t *slots;   /* offset of an entry + 1; 0: empty */
};

/* ---- entries ----------------------------------------------------------------------------------- */

static uint64_t
identity_hash(const uint8_t *identity)
{
	uint64_t hash = 0;

	for (uint32_t i = 0; i < IDENTITY_BYTES; i += 8)
	{
		uint64_t word;

		memcpy(&word, identity + i, 8);
		hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
		hash ^= hash >> 29;
	}
	return hash;
}

static uint8_t *
put_identity(uint8_t *out, const BsInet *address, BsFlowType flow_type, uint32_t id)
{
	memcpy(out, address->address, 16);
	out = bs_bytes_put_word(out + 16, address->family, 1);
	out = bs_bytes_put_word(out, (uint64_t) flow_type, 1);
	out = bs_bytes_put_word(out, 0, 2);
	return bs_bytes_put_word(out, id, 4);
}

static size_t
entry_bytes(const BsDomain *domain)
{
	size_t bytes = ENTRY_FIXED_BYTES + domain->sampling.nentries * RATE_BYTES;

	for (uint32_t i = 0; i < domain->templates.capacity; i++)
		if (domain->templates.slots[i] != NULL)
			bytes += TEMPLATE_BYTES + domain->templates.slots[i]->nfields * FIELD_BYTES;
	return bytes;
}

static uint8_t *
put_template(uint8_t *out, const BsTemplate *tmpl)
{
	out = bs_bytes_put_word(out, tmpl->id, 2);
	out = bs_bytes_put_word(out, tmpl->options, 2);
	out = bs_bytes_put_word(out, tmpl->nscope, 2);
	out = bs_bytes_put_word(out, tmpl->nfields, 2);
	for (uint32_t i = 0; i < tmpl->nfields; i++)
	{
		out = bs_bytes_put_word(out, tmpl->fields[i].element, 2);
		out = bs_bytes_put_word(out, tmpl->fields[i].width, 2);
		out = bs_bytes_put_word(out, tmpl->fields[i].enterprise, 4);
	}
	return out;
}

/* The port that was heard last; NULL: none is known. */
static const BsSequencePort *
last_port(const BsSequence *sequence)
{
	const BsSequencePort *last = NULL;

	for (uint32_t i = 0; i < BS_SEQUENCE_PORTS; i++)
	{
		const BsSequencePort *port = &sequence->ports[i];

		if (port->used && port->known && (last == NULL || port->turn > last->turn))
			last = port;
	}
	return last;
}

static uint8_t *
put_entry(uint8_t *out, const BsDomain *domain)
{
	const BsSequencePort *port = last_port(&domain->sequence);
	uint32_t flags = port == NULL ? 0 : FLAG_SEQUENCE;

	if (port != NULL && domain->flow_type == BS_NETFLOW_V9)
		flags |= FLAG_BOOT;
	out = bs_bytes_put_word(out, entry_bytes(domain), 4);
	out = put_identity(out, &domain->exporter->address, domain->flow_type, domain->id);
	out = bs_bytes_put_word(out, (uint64_t) domain->stats->last_seen_usec, 8);
	out = bs_bytes_put_word(out, flags, 4);
	out = bs_bytes_put_word(out, port != NULL ? port->next : 0, 4);
	out = bs_bytes_put_word(out, port != NULL ? port->boot_msec : 0, 4);
	out = bs_bytes_put_word(out, domain->init_msec, 8);
	out = bs_bytes_put_word(out, (uint64_t) domain->sampling.domain_rate, 8);
	out = bs_bytes_put_word(out, domain->sampling.nentries, 2);
	out = bs_bytes_put_word(out, domain->templates.ntemplates, 2);
	for (uint32_t i = 0; domain->sampling.entries != NULL && i < 2 * BS_SAMPLING_MAX_ENTRIES; i++)
	{
		const BsSamplingEntry *entry = &domain->sampling.entries[i];

		if (entry->scope == BS_SAMPLING_NOT_USED)
			continue;
		out = bs_bytes_put_word(out, entry->scope, 4);
		out = bs_bytes_put_word(out, entry->id, 8);
		out = bs_bytes_put_word(out, (uint64_t) entry->rate, 8);
	}
	for (uint32_t i = 0; i < domain->templates.capacity; i++)
		if (domain->templates.slots[i] != NULL)
			out = put_template(out, domain->templates.slots[i]);
	return out;
}

/* One that has nothing to tell takes the place of what was known before. */
static bool
worth_telling(const BsDomain *domain)
{
	return (domain->flow_type == BS_NETFLOW_V9 || domain->flow_type == BS_IPFIX) &&
		   domain->stats->last_seen_usec != 0 && domain->templates.ntemplates <= UINT16_MAX;
}

bool
bs_decoder_pack(const BsDecoder *decoder, uint8_t **data, size_t *len)
{
	const BsExporterSet *set = &decoder->exporters;
	size_t bytes = HEAD_BYTES;
	uint8_t *out;

	for (uint32_t i = 0; i < set->ndomains; i++)
		if (worth_telling(set->domains[i]))
			bytes += entry_bytes(set->domains[i]);
	*data = malloc(bytes);
	*len = 0;
	if (*data == NULL)
		return false;
	out = bs_bytes_put_word(*data, MAGIC, 4);
	out = bs_bytes_put_word(out, VERSION, 4);
	for (uint32_t i = 0; i < set->ndomains; i++)
	{
		const BsDomain *domain = set->domains[i];

		if (worth_telling(domain) &&
			(size_t) (out - *data) + entry_bytes(domain) <= BS_MEMO_MAX_BYTES)
			out = put_entry(out, domain);
	}
	*len = (size_t) (out - *data);
	return true;
}

uint64_t
bs_decoder_changes(const BsDecoder *decoder)
{
	const BsExporterSet *set = &decoder->exporters;
	uint64_t changes = set->ndomains;

	for (uint32_t i = 0; i < set->ndomains; i++)
		changes += set->domains[i]->templates.changes + set->domains[i]->sampling.changes;
	return changes;
}

/* ---- memos ------------------------------------------------------------------------------------- */

BsMemo *
bs_memo_create(void)
{
	return calloc(1, sizeof(BsMemo));
}

void
bs_memo_free(BsMemo *memo)
{
	if (memo == NULL)
		return;
	free(memo->data);
	free(memo->slots);
	free(memo);
}

static const uint8_t *
entry_identity(const BsMemo *memo, size_t slot)
{
	return memo->data + memo->slots[slot] - 1 + 4;
}

/* The slot of a domain, or the empty one where it belongs. */
static size_t
find_slot(const BsMemo *memo, const uint8_t *identity)
{
	size_t slot = identity_hash(identity) & (memo->nslots - 1);

	while (memo->slots[slot] != 0 &&
		   memcmp(entry_identity(memo, slot), identity, IDENTITY_BYTES) != 0)
		slot = (slot + 1) & (memo->nslots - 1);
	return slot;
}

static bool
grow_slots(BsMemo *memo)
{
	BsMemo old = *memo;

	if (2 * (memo->nentries + 1) <= memo->nslots)
		return true;
	memo->nslots = memo->nslots == 0 ? 64 : memo->nslots * 2;
	memo->slots = calloc(memo->nslots, sizeof(size_t));
	if (memo->slots == NULL)
	{
		*memo = old;
		return false;
	}
	for (uint32_t i = 0; i < old.nslots; i++)
		if (old.slots[i] != 0)
			memo->slots[find_slot(memo, entry_identity(&old, i))] = old.slots[i];
	free(old.slots);
	return true;
}

static bool
grow_data(BsMemo *memo, size_t more)
{
	size_t capacity = 2 * (memo->len + more) + 1024;
	uint8_t *data;

	if (memo->len + more > BS_MEMO_MAX_BYTES)
		return false;
	if (memo->len + more <= memo->capacity)
		return true;
	data = realloc(memo->data, capacity);
	if (data == NULL)
		return false;
	memo->data = data;
	memo->capacity = capacity;
	return true;
}

/* Walk an entry behind its length; false: it is none.  What it says goes to take, which may be NULL. */
static bool
walk_entry(BsCursor *cursor, BsRecalled *recalled, const BsRecall *take)
{
	uint32_t nrates;
	uint32_t ntemplates;

	*recalled = (BsRecalled){.identity = bs_cursor_get_bytes(cursor, IDENTITY_BYTES)};
	recalled->heard_usec = (int64_t) bs_cursor_get_word(cursor, 8);
	recalled->flags = (uint32_t) bs_cursor_get_word(cursor, 4);
	recalled->sequence = (uint32_t) bs_cursor_get_word(cursor, 4);
	recalled->boot_msec = (uint32_t) bs_cursor_get_word(cursor, 4);
	recalled->init_msec = bs_cursor_get_word(cursor, 8);
	recalled->domain_rate = (int64_t) bs_cursor_get_word(cursor, 8);
	nrates = (uint32_t) bs_cursor_get_word(cursor, 2);
	recalled->ntemplates = ntemplates = (uint32_t) bs_cursor_get_word(cursor, 2);
	if (cursor->bad || nrates > BS_SAMPLING_MAX_ENTRIES)
		return false;
	for (; nrates > 0 && !cursor->bad; nrates--)
	{
		uint32_t scope = (uint32_t) bs_cursor_get_word(cursor, 4);
		uint64_t id = bs_cursor_get_word(cursor, 8);
		int64_t rate = (int64_t) bs_cursor_get_word(cursor, 8);

		if (scope == BS_SAMPLING_NOT_USED || scope >= BS_SAMPLING_OF_DOMAIN || rate < 1)
			return false;
		if (take != NULL)
			take->rate(take->context, (BsSamplingScope) scope, id, rate);
	}
	for (; ntemplates > 0 && !cursor->bad; ntemplates--)
	{
		BsField fields[BS_TEMPLATE_MAX_FIELDS];
		BsTemplateDefinition definition = {.fields = fields};

		definition.id = (uint16_t) bs_cursor_get_word(cursor, 2);
		definition.options = bs_cursor_get_word(cursor, 2) != 0;
		definition.nscope = (uint16_t) bs_cursor_get_word(cursor, 2);
		definition.nfields = (uint16_t) bs_cursor_get_word(cursor, 2);
		if (definition.nfields > BS_TEMPLATE_MAX_FIELDS)
			return false;
		for (uint32_t i = 0; i < definition.nfields; i++)
		{
			fields[i].element = (uint16_t) bs_cursor_get_word(cursor, 2);
			fields[i].width = (uint16_t) bs_cursor_get_word(cursor, 2);
			fields[i].enterprise = (uint32_t) bs_cursor_get_word(cursor, 4);
		}
		if (take != NULL && !cursor->bad)
			take->define(take->context, &definition);
	}
	return !cursor->bad && cursor->left_bytes == 0;
}

static bool
add_entry(BsMemo *memo, const uint8_t *entry, size_t len)
{
	size_t slot;

	if (!grow_slots(memo) || !grow_data(memo, len))
		return false;
	slot = find_slot(memo, entry + 4);
	if (memo->slots[slot] != 0)
		return true;
	memcpy(memo->data + memo->len, entry, len);
	memo->slots[slot] = memo->len + 1;
	memo->len += len;
	memo->nentries++;
	return true;
}

bool
bs_memo_add(BsMemo *memo, const uint8_t *data, size_t len, int64_t heard_after)
{
	BsCursor cursor = {.at = data, .left_bytes = len};

	if (bs_cursor_get_word(&cursor, 4) != MAGIC || bs_cursor_get_word(&cursor, 4) != VERSION)
		return false;
	while (cursor.left_bytes > 0)
	{
		const uint8_t *entry = cursor.at;
		size_t entry_len = (size_t) bs_cursor_get_word(&cursor, 4);
		BsRecalled recalled;
		BsCursor inside;

		if (cursor.bad || entry_len < 4 || bs_cursor_get_bytes(&cursor, entry_len - 4) == NULL)
			return false;
		inside = (BsCursor){.at = entry + 4, .left_bytes = entry_len - 4};
		if (!walk_entry(&inside, &recalled, NULL))
			return false;
		if (recalled.heard_usec >= heard_after && !add_entry(memo, entry, entry_len))
			return false;
	}
	return true;
}

bool
bs_memo_pack(const BsMemo *memo, uint8_t **data, size_t *len)
{
	uint8_t *out;

	*len = HEAD_BYTES + memo->len;
	*data = malloc(*len);
	if (*data == NULL)
		return false;
	out = bs_bytes_put_word(*data, MAGIC, 4);
	out = bs_bytes_put_word(out, VERSION, 4);
	if (memo->len > 0)
		memcpy(out, memo->data, memo->len);
	return true;
}

bool
bs_memo_recall(const BsMemo *memo, const BsInet *address, BsFlowType flow_type, uint32_t id,
			   const BsRecall *take, BsRecalled *recalled)
{
	uint8_t identity[IDENTITY_BYTES];
	BsCursor cursor;
	size_t slot;

	if (memo == NULL || memo->nentries == 0)
		return false;
	put_identity(identity, address, flow_type, id);
	slot = find_slot(memo, identity);
	if (memo->slots[slot] == 0)
		return false;
	cursor = (BsCursor){.at = memo->data + memo->slots[slot] - 1, .left_bytes = 4};
	cursor.left_bytes = (size_t) bs_cursor_get_word(&cursor, 4) - 4;
	return walk_entry(&cursor, recalled, take);
}

bool
bs_recalled_goes_on(const BsRecalled *recalled, BsFlowType flow_type, const BsSequenceMark *mark)
{
	uint32_t boot_msec = mark->export_seconds * 1000u - mark->uptime_msec;
	int32_t moved = (int32_t) (boot_msec - recalled->boot_msec);

	if ((recalled->flags & FLAG_SEQUENCE) == 0)
		return true;
	if ((recalled->flags & FLAG_BOOT) != 0 && flow_type == BS_NETFLOW_V9)
		return moved > -BS_BOOT_SLACK_MSEC && moved < BS_BOOT_SLACK_MSEC;
	return (int32_t) (mark->number - recalled->sequence) >= 0;
}
