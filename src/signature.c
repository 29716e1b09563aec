/* SPDX-License-Identifier: PostgreSQL */
/* signature.c: what a view's definition counts.  See signature.h. */
#include "postgres.h"

#include "common/hashfn.h"
#include "nodes/bitmapset.h"
#include "optimizer/optimizer.h"

#include "fingerprint.h"
#include "signature.h"

/* ---------- making ---------- */

static BsStatePlace *
state_places(const BsSignature *signature)
{
	return (BsStatePlace *) (signature->columns + signature->ncolumns);
}

static BsSignatureKey *
signature_keys(const BsSignature *signature)
{
	return (BsSignatureKey *) (state_places(signature) + signature->nstates);
}

/* Do settings decide which records, windows or groups there are, or what is aggregated? */
static bool
depends_on_settings(const BsViewProgram *view, const Query *query)
{
	if (contain_mutable_functions(query->jointree->quals))
		return true;
	for (int i = 0; i < view->nscan; i++)
		if (contain_mutable_functions(view->scan[i].expr))
			return true;
	return false;
}

static uint64
hash_windowing(uint64 hash, const BsProgram *program)
{
	hash = hash_combine64(hash, program->windowed);
	hash = hash_combine64(hash, program->time_column);
	hash = hash_combine64(hash, (uint64) program->windowing.pane_usec);
	hash = hash_combine64(hash, (uint64) program->windowing.slide_usec);
	hash = hash_combine64(hash, (uint64) program->windowing.size_usec);
	return hash_combine64(hash, (uint64) program->windowing.origin);
}

static uint64
hash_key(const BsViewProgram *view, uint32 key)
{
	for (int i = 0; i < view->nscan; i++)
		if (view->scan[i].source == BS_SCAN_KEY && view->scan[i].key == key)
			return hash_combine64(bs_fingerprint_tree(view->scan[i].expr), view->program.keys[key].type);
	return 0;
}

/* The query's names may change without changing what has been counted: its trees hold OIDs. */
static uint64
hash_records(const BsViewProgram *view, const Query *query, const BsViewOptions *options)
{
	const BsProgram *program = &view->program;
	uint64 hash = hash_windowing(view->stream, program);
	uint64 keys = program->nkeys;
	ListCell *lc;

	hash = hash_combine64(hash, bs_fingerprint_tree(query->jointree->quals));
	hash = hash_combine64(hash, (uint64) view->ungrouped << 1 | (uint64) view->rolling);
	foreach (lc, query->rtable)
		if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_FUNCTION)
			hash = hash_combine64(
				hash, bs_fingerprint_tree((Node *) lfirst_node(RangeTblEntry, lc)->functions));
	/* In whatever order. */
	for (uint32 k = 0; k < program->nkeys; k++)
		keys += hash_key(view, k);
	hash = hash_combine64(hash, keys);
	return depends_on_settings(view, query) ? bs_fingerprint_settings(hash, options) : hash;
}

static uint64
hash_state(uint64 hash, const BsProgram *program, uint32 state)
{
	const BsAggregate *aggregate = &program->aggregates[state];

	hash = hash_combine64(hash, (uint64) aggregate->kind << 32 | (uint64) aggregate->type);
	return hash_combine64(hash, aggregate->set != 0 ? (uint64) program->sets[aggregate->set - 1].type : 0);
}

/*
 * The same text can come to mean something else when a function or aggregate in it is replaced: what was
 * counted before must not be read by the new rules.
 */
static void
describe_aggregate(const BsViewProgram *view, const BsScanColumn *scan, BsSignatureColumn *column)
{
	const BsFinal *final = &scan->final;

	column->hash = hash_combine64(bs_fingerprint_tree(scan->expr), final->kind);
	if (final->kind == BS_FINAL_RECORDS)
		return;
	if (final->kind == BS_FINAL_DISTINCT)
	{
		column->set = final->set + 1;
		column->hash = hash_combine64(column->hash, final->set_type);
		column->hash = hash_combine64(column->hash, bs_foreignagg_fingerprint(final->foreign));
		return;
	}
	column->state = (int32) final->state;
	column->second = (int32) final->second;
	column->hash = hash_state(column->hash, &view->program, final->state);
	column->hash = hash_state(column->hash, &view->program, final->second);
	if (final->kind == BS_FINAL_FOREIGN)
		column->hash = hash_combine64(column->hash, bs_foreignagg_fingerprint(final->foreign));
}

static bool
in_having(const BsViewProgram *view, int column)
{
	List *vars = pull_var_clause(view->having, 0);
	ListCell *cell;

	foreach (cell, vars)
		if (lfirst_node(Var, cell)->varattno == column + 1)
			return true;
	return false;
}

static void
describe_columns(const BsViewProgram *view, BsSignature *signature)
{
	for (int i = 0; i < view->nscan; i++)
	{
		const BsScanColumn *scan = &view->scan[i];
		BsSignatureColumn *column = &signature->columns[i];
		BsSignatureColumn *shown = &signature->columns[view->nscan + i];

		column->state = column->second = shown->state = shown->second = -1;
		column->in_having = in_having(view, i);
		if (scan->source == BS_SCAN_AGGREGATE)
			describe_aggregate(view, scan, column);
		else if (scan->source == BS_SCAN_KEY && scan->shown >= 0)
		{
			shown->hash = hash_combine64(bs_fingerprint_tree(scan->expr), 1);
			shown->state = shown->second = scan->shown;
		}
	}
}

BsSignature *
bs_signature_make(const BsViewProgram *view, const Query *query, const BsViewOptions *options)
{
	uint32 ncolumns = (uint32) view->nscan * 2;
	uint32 nstates = view->program.naggregates;
	uint32 nkeys = view->program.nkeys;
	Size bytes = offsetof(BsSignature, columns) + ncolumns * sizeof(BsSignatureColumn) +
				 nstates * sizeof(BsStatePlace) + nkeys * sizeof(BsSignatureKey);
	BsSignature *signature = palloc0(bytes);

	signature->bytes = bytes;
	signature->windowed = view->program.windowed;
	signature->ncolumns = ncolumns;
	signature->nstates = nstates;
	signature->nkeys = nkeys;
	signature->row = bs_row_places(&view->program);
	signature->records = hash_records(view, query, options);
	describe_columns(view, signature);
	for (uint32 i = 0; i < nstates; i++)
		state_places(signature)[i] = bs_state_place(&view->program.aggregates[i]);
	for (uint32 k = 0; k < nkeys; k++)
		signature_keys(signature)[k] = (BsSignatureKey){.hash = hash_key(view, k),
														.offset = view->program.keys[k].offset,
														.width = view->program.keys[k].width};
	return signature;
}

uint64
bs_signature_fingerprint(const BsSignature *signature)
{
	uint64 hash = hash_combine64(signature->records, signature->row.layout.row_bytes);

	for (uint32 i = 0; i < signature->ncolumns; i++)
	{
		hash = hash_combine64(hash, signature->columns[i].hash);
		hash = hash_combine64(hash, (uint64) signature->columns[i].state);
		hash = hash_combine64(hash, (uint64) signature->columns[i].second);
		hash = hash_combine64(hash, signature->columns[i].set);
	}
	for (uint32 i = 0; i < signature->nstates; i++)
	{
		const BsStatePlace *place = &state_places(signature)[i];

		hash = hash_combine64(hash, (uint64) place->offset << 48 | (uint64) place->bytes << 32 |
										(uint64) place->carry_offset << 16 | place->flags_offset);
		hash = hash_combine64(hash, (uint64) place->seen_mask << 32 | place->set);
	}
	for (uint32 k = 0; k < signature->nkeys; k++)
		hash = hash_combine64(hash, signature_keys(signature)[k].hash);
	return hash != 0 ? hash : 1;
}

/* ---------- comparing ---------- */

static const BsSignatureColumn *
column_find(const BsSignature *signature, uint64 hash)
{
	for (uint32 i = 0; i < signature->ncolumns; i++)
		if (signature->columns[i].hash == hash)
			return &signature->columns[i];
	return NULL;
}

bool
bs_signature_continues(const BsSignature *older, const BsViewProgram *newer)
{
	const BsSignature *signature = newer->signature;

	if (older->records != signature->records || !older->windowed)
		return false;
	for (uint32 i = 0; i < older->ncolumns; i++)
		if (older->columns[i].hash != 0 && column_find(signature, older->columns[i].hash) == NULL)
			return false;
	for (uint32 i = 0; i < signature->ncolumns; i++)
		if (signature->columns[i].hash != 0 && signature->columns[i].in_having != 0 &&
			column_find(older, signature->columns[i].hash) == NULL)
			return false;
	return true;
}

void
bs_signature_lacks(const BsSignature *older, const BsViewProgram *newer, bool *lacks)
{
	for (int i = 0; i < newer->nscan; i++)
	{
		uint64 hash = newer->signature->columns[i].hash;

		lacks[i] |= hash != 0 && column_find(older, hash) == NULL;
	}
}

void
bs_signature_missing(const BsSignature *older, const BsSignature *newer, uint8 *missing)
{
	for (uint32 i = 0; i < newer->ncolumns; i++)
		missing[i] =
			newer->columns[i].hash != 0 && column_find(older, newer->columns[i].hash) == NULL;
}

BsSignature *
bs_signature_without(const BsSignature *signature, const uint8 *missing)
{
	BsSignature *result = palloc(signature->bytes);

	memcpy(result, signature, signature->bytes);
	for (uint32 i = 0; i < result->ncolumns; i++)
		if (missing[i] != 0)
			result->columns[i].hash = 0;
	return result;
}

/* A state goes along once, however many columns use it. */
static void
add_move(BsTranslation *translation, const BsSignature *older, int32 from,
		 const BsSignature *newer, int32 to)
{
	BsStateMove move;

	if (from < 0 || to < 0)
		return;
	move.from = state_places(older)[from];
	move.to = state_places(newer)[to];
	for (uint32 i = 0; i < translation->nmoves; i++)
		if (translation->moves[i].to.offset == move.to.offset)
			return;
	translation->moves[translation->nmoves++] = move;
	if (move.to.set != 0)
		translation->set_from[move.to.set - 1] = (int32) move.from.set;
}

/* Keys in another order.  Two that are equal are no two keys, but may be written so: each goes to one. */
static void
add_key_moves(BsTranslation *translation, const BsSignature *older, const BsSignature *newer)
{
	Bitmapset *taken = NULL;

	translation->key_moves = palloc((Size) (newer->nkeys + 1) * sizeof(BsKeyMove));
	for (uint32 to = 0; to < newer->nkeys; to++)
		for (uint32 from = 0; from < older->nkeys; from++)
		{
			const BsSignatureKey *a = &signature_keys(older)[from];
			const BsSignatureKey *b = &signature_keys(newer)[to];

			if (a->hash != b->hash || bms_is_member((int) from, taken))
				continue;
			taken = bms_add_member(taken, (int) from);
			translation->key_moves[translation->nkeys++] =
				(BsKeyMove){.from = (uint16) from,
							.to = (uint16) to,
							.from_offset = a->offset,
							.to_offset = b->offset,
							.width = a->width};
			translation->reordered |= from != to;
			break;
		}
	bms_free(taken);
}

BsTranslation *
bs_signature_translation(const BsSignature *older, const BsViewProgram *newer)
{
	const BsSignature *signature = newer->signature;
	BsTranslation *translation = palloc0(sizeof(BsTranslation));
	uint32 row_bytes = signature->row.layout.row_bytes;

	translation->from = older->row;
	translation->to = signature->row;
	translation->moves = palloc((Size) (signature->nstates + 1) * sizeof(BsStateMove));
	for (uint32 i = 0; i < signature->ncolumns; i++)
	{
		const BsSignatureColumn *to = &signature->columns[i];
		const BsSignatureColumn *from = to->hash != 0 ? column_find(older, to->hash) : NULL;

		if (from == NULL)
			continue;
		if (to->set != 0)
			translation->set_from[to->set - 1] = (int32) from->set;
		add_move(translation, older, from->state, signature, to->state);
		add_move(translation, older, from->second, signature, to->second);
	}
	add_key_moves(translation, older, signature);
	translation->rows_capacity = bs_rows_per_chunk(&signature->row.layout);
	for (uint32 i = 0; i < newer->program.nsets; i++)
		row_bytes = Max(row_bytes, signature->row.layout.set_row_bytes[i]);
	translation->rows = palloc((Size) translation->rows_capacity * row_bytes);
	return translation;
}
