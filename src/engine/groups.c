/* SPDX-License-Identifier: PostgreSQL */
/* groups.c: row numbers of programs with the same keys, beside the table of one.  See groups.h. */
#include "groups.h"

#include <stdlib.h>
#include <string.h>

#define TABLES 2u /* of a program that are remembered at once: records of two panes come together */
#define EPOCH_BITS 6u
#define LAST_EPOCH ((1u << EPOCH_BITS) - 1)
#define MAX_NUMBER (UINT32_MAX >> EPOCH_BITS)
/* A program goes on to another table once in so many batches: records of many panes must not take turns. */
#define BATCHES_PER_TABLE 64u
#define PREFETCH_AHEAD 16u

/* A table that is remembered. */
typedef struct Known
{
	const BsArena *arena; /* NULL: none */
	const BsTable *table;
	uint32_t serial;
	uint32_t epoch;  /* of a follower's entries, 1 .. LAST_EPOCH */
	uint64_t nrows;  /* added to it since the program last went on to another */
	/* The leader's: */
	uint32_t *entries; /* [max_groups * entries_per_group] */
	uint32_t ngroups;  /* whose entries may be set */
} Known;

/* The tables of one program. */
typedef struct Member
{
	Known known[TABLES];
	uint64_t went_on; /* number of the batch */
} Member;

struct BsGroups
{
	uint32_t capacity;
	uint32_t nfollowers;
	uint32_t entries_per_group;
	uint32_t max_groups; /* of a table of the leader */
	uint64_t batch;      /* number of this one */
	bool begun;
	Member leader;
	Member *followers;   /* [nfollowers] */
	uint32_t **at;       /* [capacity] by row of the batch: its group's entries; NULL: not found */
};

BsGroups *
bs_groups_create(uint32_t nfollowers, uint32_t capacity, size_t max_bytes)
{
	BsGroups *groups = calloc(1, sizeof(BsGroups));
	bool ok = groups != NULL;

	if (!ok)
		return NULL;
	groups->capacity = capacity;
	groups->nfollowers = nfollowers;
	groups->entries_per_group = nfollowers * TABLES;
	groups->max_groups =
		(uint32_t) (max_bytes / TABLES / (groups->entries_per_group * sizeof(uint32_t)));
	groups->followers = calloc(nfollowers, sizeof(Member));
	groups->at = calloc(capacity, sizeof(*groups->at));
	ok = groups->followers != NULL && groups->at != NULL;
	/* Zero pages of the kernel's until they are written to. */
	for (uint32_t i = 0; ok && i < TABLES; i++)
	{
		groups->leader.known[i].entries =
			calloc(groups->max_groups, groups->entries_per_group * sizeof(uint32_t));
		ok = groups->leader.known[i].entries != NULL;
	}
	if (ok)
		return groups;
	bs_groups_free(groups);
	return NULL;
}

void
bs_groups_free(BsGroups *groups)
{
	if (groups == NULL)
		return;
	for (uint32_t i = 0; i < TABLES; i++)
		free(groups->leader.known[i].entries);
	free(groups->followers);
	free(groups->at);
	free(groups);
}

void
bs_groups_begin(BsGroups *groups)
{
	groups->batch++;
	groups->begun = true;
	memset(groups->at, 0, groups->capacity * sizeof(*groups->at));
}

void
bs_groups_end(BsGroups *groups)
{
	groups->begun = false;
}

/* The one of a member's tables to be given up for another, if that is worth it; counting begins anew. */
static Known *
least_used(Member *member, uint64_t batch, uint32_t nrows)
{
	Known *least = &member->known[0];
	uint64_t used;

	for (uint32_t i = 1; i < TABLES; i++)
		if (member->known[i].nrows < least->nrows)
			least = &member->known[i];
	if (least->arena != NULL && batch < member->went_on + BATCHES_PER_TABLE)
		return NULL;
	used = least->nrows / (batch - member->went_on + 1);
	member->went_on = batch;
	for (uint32_t i = 0; i < TABLES; i++)
		member->known[i].nrows = 0;
	return used > nrows ? NULL : least;
}

/* The place of a table; *is_new when it took another's.  NULL: it is not remembered. */
static Known *
known_of(Member *member, uint64_t batch, const BsArena *arena, const BsTable *table, uint32_t nrows,
		 bool *is_new)
{
	Known *known;

	*is_new = false;
	for (uint32_t i = 0; i < TABLES; i++)
	{
		known = &member->known[i];
		if (known->arena == arena && known->table == table && known->serial == table->serial)
		{
			known->nrows += nrows;
			return known;
		}
	}
	known = least_used(member, batch, nrows);
	if (known == NULL)
		return NULL;
	*is_new = true;
	known->arena = arena;
	known->table = table;
	known->serial = table->serial;
	known->nrows = nrows;
	return known;
}

uint32_t
bs_groups_lead(BsGroups *groups, const BsArena *arena, const BsTable *table, uint32_t nrows)
{
	bool is_new;
	Known *known;

	if (!groups->begun)
		return BS_NOT_REMEMBERED;
	known = known_of(&groups->leader, groups->batch, arena, table, nrows, &is_new);
	if (known == NULL)
		return BS_NOT_REMEMBERED;
	if (is_new)
	{
		memset(known->entries, 0,
			   (size_t) known->ngroups * groups->entries_per_group * sizeof(uint32_t));
		known->ngroups = 0;
	}
	return (uint32_t) (known - groups->leader.known);
}

/* Make the entries of a follower's table unknown in every group. */
static void
forget_all(BsGroups *groups, uint32_t place)
{
	for (uint32_t i = 0; i < TABLES; i++)
	{
		Known *known = &groups->leader.known[i];

		for (uint32_t g = 0; g < known->ngroups; g++)
			known->entries[(size_t) g * groups->entries_per_group + place] = 0;
	}
}

uint32_t
bs_groups_follow(BsGroups *groups, uint32_t follower, const BsArena *arena, const BsTable *table,
				 uint32_t nrows)
{
	Member *member = &groups->followers[follower];
	bool is_new;
	Known *known;
	uint32_t place;

	if (!groups->begun)
		return BS_NOT_REMEMBERED;
	known = known_of(member, groups->batch, arena, table, nrows, &is_new);
	if (known == NULL)
		return BS_NOT_REMEMBERED;
	place = follower * TABLES + (uint32_t) (known - member->known);
	if (is_new && known->epoch == LAST_EPOCH)
	{
		forget_all(groups, place);
		known->epoch = 0;
	}
	known->epoch += is_new;
	return place;
}

void
bs_groups_found(BsGroups *groups, uint32_t place, const BsProgram *program, BsRows rows,
				const uint32_t *numbers)
{
	Known *known = &groups->leader.known[place];
	uint32_t per_chunk = bs_rows_per_chunk(&program->layout);
	uint32_t highest = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t group = (numbers[i] >> BS_ROW_SHIFT) * per_chunk + (numbers[i] & BS_ROW_MASK);

		if (numbers[i] == BS_NO_ROW || group >= groups->max_groups)
			continue;
		groups->at[rows.rows[i]] = &known->entries[(size_t) group * groups->entries_per_group];
		highest = group > highest ? group : highest;
	}
	if (rows.nrows > 0 && highest >= known->ngroups && groups->max_groups > 0)
		known->ngroups = highest + 1;
}

/*
 * What prefetches must be inlined by force: gcc takes a function that only prefetches for one without
 * effect, and drops the call.
 */
static inline __attribute__((always_inline)) void
prefetch_entry(const BsGroups *groups, uint32_t place, BsRows rows, uint32_t i)
{
	if (i < rows.nrows)
		__builtin_prefetch(groups->at[rows.rows[i]] + place);
}

uint32_t
bs_groups_recall(const BsGroups *groups, uint32_t place, BsArena *arena, const BsTable *table,
				 const BsProgram *program, BsRows rows, uint32_t *numbers, uint16_t *unknown)
{
	uint32_t epoch = groups->followers[place / TABLES].known[place % TABLES].epoch;
	uint32_t nunknown = 0;

	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		const uint32_t *entries = groups->at[rows.rows[i]];
		uint32_t entry = entries != NULL ? entries[place] : 0;
		const uint8_t *row;

		prefetch_entry(groups, place, rows, i + PREFETCH_AHEAD);
		if ((entry & LAST_EPOCH) != epoch)
		{
			unknown[nunknown++] = (uint16_t) i;
			continue;
		}
		numbers[i] = entry >> EPOCH_BITS;
		row = bs_table_row(arena, table, program, numbers[i]);
		__builtin_prefetch(row + program->flags_offset, 1);
		__builtin_prefetch(row + program->row_bytes - 1, 1);
	}
	return nunknown;
}

void
bs_groups_remember(BsGroups *groups, uint32_t place, uint16_t row, uint32_t number)
{
	uint32_t epoch = groups->followers[place / TABLES].known[place % TABLES].epoch;

	if (groups->at[row] != NULL && number <= MAX_NUMBER)
		groups->at[row][place] = number << EPOCH_BITS | epoch;
}
