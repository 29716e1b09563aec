/* SPDX-License-Identifier: PostgreSQL */
/*
 * sets.c: what NetFlow v9 and IPFIX share: definitions of templates, and data sets.
 *
 * Bytes behind the last whole record of a set are padding, however many (item 1).
 */
#include "decoder.h"

#include <string.h>

void
bs_sets_define(BsDecoding *decoding, const BsTemplateDefinition *definition)
{
	BsDomain *domain = decoding->domain;
	const BsTemplate *old = bs_template_find(&domain->templates, definition->id);
	bool unconfirmed = old != NULL && old->unconfirmed;

	switch (bs_template_define(&domain->templates, &domain->exporter->budget,
							   &decoding->decoder->budget, definition,
							   decoding->datagram->received_usec))
	{
		case BS_TEMPLATE_INVALID:
			decoding->stats->template_errors++;
			break;
		case BS_TEMPLATE_FULL:
			decoding->stats->templates_refused_full++;
			break;
		case BS_TEMPLATE_STORED:
			decoding->stats->unconfirmed_wrong += unconfirmed;
			break;
		case BS_TEMPLATE_SAME:
			break;
	}
	decoding->stats->templates = domain->templates.ntemplates;
}

static void
append_rows(BsDecoding *decoding, const BsTemplate *tmpl, const BsRows *rows)
{
	BsBatch *batch = decoding->batch;
	uint32_t first = batch->nrows;

	bs_copy_run(&tmpl->plan, rows, &decoding->context, &decoding->decoder->scratch, batch, first);
	bs_batch_add_run(batch, first, rows->nrows, decoding->domain->exporter->source);
	batch->nrows = first + rows->nrows;
	decoding->stats->records += rows->nrows;
	if (tmpl->plan.totals_used)
		decoding->stats->totals_used += rows->nrows;
	decoding->units += rows->nrows;
}

bool
bs_sets_prepare(BsDecoding *decoding, BsTemplate *tmpl)
{
	const BsWanted *wanted = &decoding->decoder->wanted;

	if (tmpl->plan.generation == wanted->generation ||
		bs_copy_compile(&tmpl->plan, tmpl->fields, tmpl->nfields, wanted))
		return true;
	decoding->stats->decode_errors++;
	decoding->countable = false;
	return false;
}

uint32_t
bs_sets_fixed_records(BsDecoding *decoding, BsTemplate *tmpl, BsWire *wire, uint32_t max_records)
{
	uint32_t done = 0;
	size_t whole = wire->left / tmpl->len_bytes;
	uint32_t nrecords = whole < max_records ? (uint32_t) whole : max_records;

	decoding->context.template_id = tmpl->id;
	while (done < nrecords)
	{
		BsRows rows = {.stride = tmpl->len_bytes, .nrows = bs_decoding_room(decoding)};

		if (rows.nrows == 0)
			break;
		if (rows.nrows > nrecords - done)
			rows.nrows = nrecords - done;
		rows.base = bs_wire_take(wire, rows.nrows * rows.stride);
		append_rows(decoding, tmpl, &rows);
		done += rows.nrows;
	}
	return done;
}

/*
 * Walk one record of a template with variable-length fields, noting where each anchor lies (anchors
 * may be NULL).  False when it is cut off.
 */
static bool
walk_record(const BsTemplate *tmpl, BsWire *wire, const uint8_t **anchors, uint32_t row)
{
	BsWire walk = *wire; /* a copy, which no store to an anchor can be taken to change */
	const uint32_t *gaps = tmpl->gaps;
	uint32_t nvariable = tmpl->nvariable;

	if (anchors != NULL)
		anchors[row] = walk.at;
	for (uint32_t i = 0; i < nvariable; i++)
	{
		uint32_t len_bytes;

		if (!bs_wire_skip(&walk, gaps[i]) || !bs_wire_variable_length(&walk, &len_bytes) ||
			!bs_wire_skip(&walk, len_bytes))
			return false;
		if (anchors != NULL && i < BS_MAX_ANCHORS)
			anchors[(i + 1) * BS_VARIABLE_ROWS + row] = walk.at;
	}
	if (!bs_wire_skip(&walk, gaps[nvariable]))
		return false;
	*wire = walk;
	return true;
}

static void
variable_records(BsDecoding *decoding, const BsTemplate *tmpl, BsWire wire)
{
	const uint8_t **anchors = decoding->decoder->anchors;
	bool cut = false;

	decoding->context.template_id = tmpl->id;
	while (!cut && wire.left >= tmpl->len_bytes)
	{
		BsRows rows = {.anchors = anchors};
		uint32_t room = bs_decoding_room(decoding);

		if (room == 0)
			break;
		if (room > BS_VARIABLE_ROWS)
			room = BS_VARIABLE_ROWS;
		while (!cut && rows.nrows < room && wire.left >= tmpl->len_bytes)
		{
			cut = !walk_record(tmpl, &wire, anchors, rows.nrows);
			rows.nrows += !cut;
		}
		if (rows.nrows > 0)
			append_rows(decoding, tmpl, &rows);
	}
	decoding->stats->decode_errors += cut;
	decoding->countable &= !cut;
}

/* The bytes of the next record, by walking its fields. */
static bool
next_record(const BsTemplate *tmpl, BsWire *wire, BsWire *record)
{
	BsWire after = *wire;

	if (tmpl->nvariable == 0)
		return bs_wire_sub(wire, tmpl->len_bytes, record);
	if (!walk_record(tmpl, &after, NULL, 0))
		return false;
	return bs_wire_sub(wire, (size_t) (after.at - wire->at), record);
}

static void
options_records(BsDecoding *decoding, const BsTemplate *tmpl, BsWire wire)
{
	BsWire record;

	while (wire.left >= tmpl->len_bytes)
	{
		if (!next_record(tmpl, &wire, &record))
		{
			decoding->stats->decode_errors++;
			decoding->countable = false;
			return;
		}
		bs_options_take(decoding, tmpl, record);
		decoding->stats->option_records++;
		decoding->units++;
	}
}

void
bs_sets_data(BsDecoding *decoding, uint16_t template_id, BsWire wire)
{
	BsTemplate *tmpl = bs_template_find(&decoding->domain->templates, template_id);
	uint64_t before;

	if (tmpl == NULL)
	{
		decoding->stats->unknown_template++;
		decoding->stats->last_unknown_template = template_id;
		decoding->countable = false;
		return;
	}
	tmpl->used_usec = decoding->datagram->received_usec;
	before = decoding->stats->records;
	if (tmpl->options)
		options_records(decoding, tmpl, wire);
	else if (!bs_sets_prepare(decoding, tmpl))
		return;
	else if (tmpl->nvariable > 0)
		variable_records(decoding, tmpl, wire);
	else
		bs_sets_fixed_records(decoding, tmpl, &wire, UINT32_MAX);
	if (tmpl->unconfirmed)
		decoding->stats->unconfirmed_records += decoding->stats->records - before;
}

#define SET_HEADER_BYTES 4

/*
 * A set that is longer than what is left is read as far as it goes: exporters that set the length
 * of the message or of the last set wrong are many, and whole records are whole.
 */
void
bs_sets_walk(BsDecoding *decoding, BsWire wire,
			 void (*take)(BsDecoding *decoding, uint16_t id, BsWire set))
{
	uint16_t id;
	uint16_t len_bytes;
	BsWire set;

	while (bs_wire_u16(&wire, &id) && bs_wire_u16(&wire, &len_bytes))
	{
		size_t body = (size_t) len_bytes - SET_HEADER_BYTES;

		if (len_bytes < SET_HEADER_BYTES)
		{
			decoding->stats->decode_errors++;
			decoding->countable = false;
			return;
		}
		if (body > wire.left)
		{
			decoding->stats->decode_errors++;
			decoding->countable = false;
			body = wire.left;
		}
		if (bs_wire_sub(&wire, body, &set))
			take(decoding, id, set);
	}
}
