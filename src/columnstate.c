/* SPDX-License-Identifier: PostgreSQL */
/* columnstate.c: the state of one column of a continuous view.  See columnstate.h. */
#include "postgres.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"

#include "columnstate.h"
#include "lanes.h"
#include "pinned.h"

/* A state of an image: flags, carry, then the state itself. */
#define IMAGE_SEEN     1u
#define IMAGE_OVERFLOW 2u
#define IMAGE_CARRY    4
#define IMAGE_STATE    8
#define RECORDS        (-1) /* in place of an aggregate: the number of records of the row */
/* Packed states are merged when they have grown beyond twice what the last merge left, and this. */
#define MERGE_BYTES 512
/* Values that are folded at a time. */
#define FOLD_ROWS 256

/* ---------- which columns ---------- */

/* The scan tuple's column that a column of the view is, unchanged; NULL: it is an expression. */
static const BsScanColumn *
scan_column(const BsViewProgram *view, AttrNumber attno)
{
	TargetEntry *entry = list_nth(view->tlist, attno - 1);
	Var *var = (Var *) entry->expr;

	Assert(entry->resno == attno);
	return IsA(var, Var) ? &view->scan[var->varattno - 1] : NULL;
}

const char *
bs_columnstate_refusal(const BsViewProgram *view, AttrNumber attno)
{
	const TargetEntry *entry = list_nth(view->tlist, attno - 1);
	const BsScanColumn *column = scan_column(view, attno);
	const char *name = entry->resname != NULL ? entry->resname : "?column?";

	if (view->having != NULL)
		return "The view has HAVING: groups that it leaves out of its rows would be missing.";
	if (column == NULL)
		return psprintf(
			"Column \"%s\" computes with an aggregate; only what is an aggregate itself "
			"can be combined.",
			name);
	if (column->source == BS_SCAN_WINDOW)
		return psprintf("Column \"%s\" is the start of the window.", name);
	if (column->source == BS_SCAN_KEY)
		return psprintf("Column \"%s\" is what the view groups by, not an aggregate.", name);
	return NULL;
}

/* ---------- layout ---------- */

/* Put an aggregate of the view's program, or RECORDS, into the image; returns its number there. */
static uint32_t
add_to_image(BsColumnState *state, const BsViewProgram *view, int source)
{
	BsAggregate *aggregate = &state->aggregates[state->program.naggregates];

	if (source == RECORDS)
	{
		aggregate->kind = BS_AGG_COUNT;
		aggregate->type = BS_INT8;
	}
	else
		*aggregate = view->program.aggregates[source];
	aggregate->argument = NULL;
	aggregate->filter = NULL;
	aggregate->only_row = false;
	aggregate->flags_offset = (uint16_t) state->image_bytes;
	aggregate->seen_mask = IMAGE_SEEN;
	aggregate->overflow_mask = IMAGE_OVERFLOW;
	aggregate->carry_offset = (uint16_t) (state->image_bytes + IMAGE_CARRY);
	aggregate->offset = (uint16_t) (state->image_bytes + IMAGE_STATE);
	state->image_bytes +=
		IMAGE_STATE +
		(uint32) TYPEALIGN(8, bs_aggregate_state_bytes(aggregate->kind, aggregate->type));
	Assert(state->image_bytes <= BS_MAX_IMAGE_BYTES);
	state->sources[state->program.naggregates] = source;
	return state->program.naggregates++;
}

static void
init_image(BsColumnState *state, const BsViewProgram *view, const BsFinal *final)
{
	state->program.aggregates = state->aggregates;
	if (final->kind == BS_FINAL_RECORDS)
	{
		state->final.kind = BS_FINAL_COUNT;
		state->final.state = add_to_image(state, view, RECORDS);
		state->final.second = state->final.state;
		return;
	}
	state->final.state = add_to_image(state, view, (int) final->state);
	state->final.second = final->second == final->state
							  ? state->final.state
							  : add_to_image(state, view, (int) final->second);
}

static void
init_values(BsColumnState *state, const BsViewProgram *view, uint32_t set)
{
	const BsKey *key = &view->program.sets[set].rows->keys[view->program.nkeys];

	state->form = BS_STATE_VALUES;
	state->set = set;
	state->value_type = key->type;
	state->value_width = key->type == BS_BYTES ? 0 : key->width;
}

void
bs_columnstate_init(BsColumnState *state, const BsViewProgram *view, const BsViewOptions *options,
					AttrNumber attno)
{
	const BsFinal *final = &scan_column(view, attno)->final;

	memset(state, 0, sizeof(*state));
	state->tag = hash_combine64(view->program.fingerprint, (uint64) attno);
	state->options = options;
	state->final = *final;
	if (final->kind == BS_FINAL_FOREIGN)
	{
		state->form = BS_STATE_PACKED;
		state->in_settings = bs_foreignagg_is_own(final->foreign);
		return;
	}
	if (final->kind == BS_FINAL_DISTINCT)
	{
		init_values(state, view, final->set);
		state->in_settings = bs_foreignagg_is_own(final->foreign);
		return;
	}
	init_image(state, view, final);
	if (final->kind != BS_FINAL_RECORDS && view->program.aggregates[final->state].set != 0)
		init_values(state, view, view->program.aggregates[final->state].set - 1);
}

/* ---------- out of a row ---------- */

static void
pack_image(const BsColumnState *state, const BsViewProgram *view, const BsGroupRow *group,
		   StringInfo out)
{
	const uint8 *row = group->row;
	uint64 image[BS_MAX_IMAGE_BYTES / sizeof(uint64)] = {0};

	for (uint32_t i = 0; i < state->program.naggregates; i++)
	{
		const BsAggregate *to = &state->aggregates[i];
		const BsAggregate *from =
			state->sources[i] != RECORDS ? &view->program.aggregates[state->sources[i]] : NULL;
		uint8 *at = (uint8 *) image;

		if (from == NULL)
		{
			memcpy(at + to->offset, row + view->program.count_offset, sizeof(uint64));
			continue;
		}
		*(uint32 *) (at + to->flags_offset) = (bs_state_has_value(from, row) ? IMAGE_SEEN : 0) |
											  (bs_state_overflowed(from, row) ? IMAGE_OVERFLOW : 0);
		if (from->kind == BS_AGG_SUM_INT)
			memcpy(at + to->carry_offset, row + from->carry_offset, sizeof(int32));
		memcpy(at + to->offset, bs_state_at(from, row),
			   bs_aggregate_state_bytes(from->kind, from->type));
	}
	appendBinaryStringInfo(out, (const char *) image, (int) state->image_bytes);
}

static void
pack_values(const BsColumnState *state, const BsGroupRow *group, StringInfo out)
{
	BsBytes *values;
	uint32 n = bs_group_values(group, state->set, &values);

	for (uint32 i = 0; i < n; i++)
		bs_valuelist_put(out, state->value_width, values[i]);
	pfree(values);
}

static void
pack_states(const BsColumnState *state, const BsViewProgram *view, const BsGroupRow *group,
			StringInfo out)
{
	const BsAggregate *aggregate = &view->program.aggregates[state->final.state];
	BsBytes *states;
	int n = bs_group_states(aggregate, group, &states);

	if (bs_state_overflowed(aggregate, group->row))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("There was no room for a part of an aggregate's state.")));
	for (int i = 0; i < n; i++)
		bs_valuelist_put(out, 0, states[i]);
	pfree(states);
}

Datum
bs_columnstate_pack(const BsColumnState *state, const BsViewProgram *view, const BsGroupRow *group)
{
	StringInfoData out;

	initStringInfo(&out);
	out.len = VARHDRSZ;
	appendBinaryStringInfo(&out, (const char *) &state->tag, sizeof(state->tag));
	switch (state->form)
	{
		case BS_STATE_IMAGE:
			pack_image(state, view, group, &out);
			break;
		case BS_STATE_PACKED:
			pack_states(state, view, group, &out);
			break;
		case BS_STATE_VALUES:
			pack_values(state, group, &out);
			break;
	}
	SET_VARSIZE(out.data, out.len);
	return PointerGetDatum(out.data);
}

Datum
bs_columnstate_lacking(void)
{
	struct varlena *empty = palloc(VARHDRSZ);

	SET_VARSIZE(empty, VARHDRSZ);
	return PointerGetDatum(empty);
}

/* ---------- sums ---------- */

BsStateSum *
bs_statesum_create(const BsColumnState *state, MemoryContext context)
{
	Size size = offsetof(BsStateSum, image);
	BsStateSum *sum;

	/* There may be very many: no more than is needed. */
	if (state->form == BS_STATE_IMAGE)
		size += state->image_bytes;
	else
		size = sizeof(BsStateSum);
	sum = MemoryContextAllocZero(context, size);
	sum->state = state;
	if (state->form == BS_STATE_VALUES)
		sum->values = bs_valueset_create(state->value_width, context);
	else if (state->form == BS_STATE_PACKED)
	{
		sum->packed.maxlen = MERGE_BYTES;
		sum->packed.data = MemoryContextAlloc(context, MERGE_BYTES);
	}
	return sum;
}

static void
add_image(BsStateSum *sum, BsBytes packed)
{
	const BsColumnState *state = sum->state;
	uint64 image[BS_MAX_IMAGE_BYTES / sizeof(uint64)];

	Assert(packed.len == state->image_bytes);
	/* What comes out of a tuple is not aligned. */
	memcpy(image, packed.data, state->image_bytes);
	for (uint32_t i = 0; i < state->program.naggregates; i++)
		bs_aggregate_combine(&state->aggregates[i], (uint8 *) sum->image, (const uint8 *) image);
}

static void
add_values(BsStateSum *sum, BsBytes packed)
{
	BsBytes value;

	while (bs_valuelist_next(&packed, sum->state->value_width, &value))
		bs_valueset_add(sum->values, value);
}

static int
enter_settings(const BsColumnState *state)
{
	return state->in_settings ? bs_pinned_enter_evaluation(state->options) : -1;
}

static void
leave_settings(int level)
{
	if (level >= 0)
		bs_pinned_leave(level);
}

/* The states of a sum, palloc'ed; returns their number. */
static int
states_of(const StringInfoData *packed, BsBytes **states)
{
	BsBytes rest = {.data = (const uint8_t *) packed->data, .len = (uint32_t) packed->len};
	int n = 0;

	/* Each has its length before it. */
	*states = palloc(sizeof(BsBytes) * (rest.len / sizeof(uint32) + 1));
	while (bs_valuelist_next(&rest, 0, &(*states)[n]))
		n++;
	return n;
}

static void
merge_states(BsStateSum *sum)
{
	int level = enter_settings(sum->state);
	BsBytes *states;
	int n = states_of(&sum->packed, &states);
	BsBytes merged = bs_foreignagg_merge(sum->state->final.foreign, states, n);

	resetStringInfo(&sum->packed);
	bs_valuelist_put(&sum->packed, 0, merged);
	sum->merged_bytes = (uint32) sum->packed.len;
	pfree(unconstify(uint8_t *, merged.data));
	pfree(states);
	leave_settings(level);
}

/* They are merged many at a time: each merge unpacks and packs what there is. */
static void
add_states(BsStateSum *sum, BsBytes packed)
{
	appendBinaryStringInfo(&sum->packed, (const char *) packed.data, (int) packed.len);
	if ((uint32) sum->packed.len > 2 * sum->merged_bytes + MERGE_BYTES)
		merge_states(sum);
}

/* What a state holds behind its tag. */
static BsBytes
open_state(const BsColumnState *state, const struct varlena *packed)
{
	BsBytes bytes = {.data = (const uint8_t *) VARDATA_ANY(packed),
					 .len = (uint32_t) VARSIZE_ANY_EXHDR(packed)};

	if (bytes.len < sizeof(state->tag) || memcmp(bytes.data, &state->tag, sizeof(state->tag)) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("a state of another column cannot be combined")));
	bytes.data += sizeof(state->tag);
	bytes.len -= (uint32_t) sizeof(state->tag);
	return bytes;
}

void
bs_statesum_add(BsStateSum *sum, Datum datum)
{
	struct varlena *flat = PG_DETOAST_DATUM_PACKED(datum);
	BsBytes packed;

	if (VARSIZE_ANY_EXHDR(flat) == 0)
	{
		sum->lacking = true;
		return;
	}
	packed = open_state(sum->state, flat);

	switch (sum->state->form)
	{
		case BS_STATE_IMAGE:
			add_image(sum, packed);
			break;
		case BS_STATE_PACKED:
			add_states(sum, packed);
			break;
		case BS_STATE_VALUES:
			add_values(sum, packed);
			break;
	}
	if (PointerGetDatum(flat) != datum)
		pfree(flat);
}

/* ---------- values ---------- */

static Datum
final_image(const BsColumnState *state, const void *image, bool *isnull)
{
	BsGroupRow group = {.row = image, .ordinal = BS_NO_ROW};

	return bs_final_value(&state->final, &state->program, &group, isnull);
}

/* Fold up to FOLD_ROWS values into an image. */
static void
fold(const BsColumnState *state, uint64 *image, const BsBytes *values, uint32 n, BsLane *lane)
{
	uint8_t *row_at[FOLD_ROWS];
	uint16_t at[FOLD_ROWS];
	BsRows rows = {.nrows = n, .rows = at};

	for (uint32 i = 0; i < n; i++)
	{
		row_at[i] = (uint8_t *) image;
		at[i] = (uint16_t) i;
		if (state->value_type == BS_BYTES)
			lane->bytes[i] = values[i];
		else
			bs_cell_unpack(state->value_type, values[i].data, NULL, lane, i);
	}
	for (uint32_t a = 0; a < state->program.naggregates; a++)
	{
		const BsAggregate *aggregate = &state->aggregates[a];

		if (aggregate->kind == BS_AGG_SUM_INT)
			*(uint32 *) ((uint8 *) image + aggregate->flags_offset) |= IMAGE_SEEN;
		bs_aggregate_accumulate(aggregate, row_at, lane, NULL, rows);
	}
}

static Datum
final_folded(const BsColumnState *state, const BsBytes *values, uint32 nvalues, bool *isnull)
{
	uint64 image[BS_MAX_IMAGE_BYTES / sizeof(uint64)] = {0};
	BsLane lane = {.type = state->value_type};

	lane.nulls = palloc0(FOLD_ROWS);
	lane.values = palloc(bs_type_lane_width(state->value_type) * FOLD_ROWS);
	for (uint32 first = 0; first < nvalues; first += FOLD_ROWS)
		fold(state, image, values + first, Min(nvalues - first, FOLD_ROWS), &lane);
	pfree(lane.nulls);
	pfree(lane.values);
	return final_image(state, image, isnull);
}

static Datum
final_values(const BsStateSum *sum, bool *isnull)
{
	const BsColumnState *state = sum->state;
	BsBytes *values = bs_valueset_values(sum->values);
	uint32 nvalues = sum->values->nvalues;
	int level = enter_settings(state);
	Datum result = state->final.kind == BS_FINAL_DISTINCT
					   ? bs_final_over_values(&state->final, values, nvalues, isnull)
					   : final_folded(state, values, nvalues, isnull);

	leave_settings(level);
	pfree(values);
	return result;
}

static Datum
final_packed(const BsStateSum *sum, bool *isnull)
{
	int level = enter_settings(sum->state);
	BsBytes *states;
	int n = states_of(&sum->packed, &states);
	Datum value = bs_foreignagg_final(sum->state->final.foreign, states, n, isnull);

	pfree(states);
	leave_settings(level);
	return value;
}

Datum
bs_statesum_final(const BsStateSum *sum, bool *isnull)
{
	*isnull = sum->lacking;
	if (sum->lacking)
		return (Datum) 0;
	switch (sum->state->form)
	{
		case BS_STATE_PACKED:
			return final_packed(sum, isnull);
		case BS_STATE_VALUES:
			return final_values(sum, isnull);
		default:
			return final_image(sum->state, sum->image, isnull);
	}
}
