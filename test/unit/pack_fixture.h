/* SPDX-License-Identifier: PostgreSQL */
/*
 * pack_fixture.h: programs with keys and states of every kind, for the tests and the fuzzer of packing.
 */
#ifndef BS_PACK_FIXTURE_H
#define BS_PACK_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "../../src/engine/pack.h"

#define PACK_FINGERPRINT UINT64_C(0x0123456789abcdef)
#define PACK_CAPACITY    256u

/* Column c of a batch has type c + 1: BS_BOOL, BS_INT2, ... BS_BYTES. */
#define PACK_NCOLUMNS ((uint32_t) BS_BYTES)

typedef struct PackShape
{
	const char *name;
	BsType keys[12];
	uint32_t nkeys;
	bool aggregates; /* one of each kind and type */
	bool foreign;
	bool sets;
	int64_t width; /* of windows; 0: none */
} PackShape;

static const PackShape pack_shapes[] = {
	{.name = "matrix", .keys = {BS_INT8, BS_INT8}, .nkeys = 2},
	{.name = "all keys",
	 .keys = {BS_BOOL, BS_INT2, BS_INT4, BS_INT8, BS_FLOAT4, BS_FLOAT8, BS_TIMESTAMPTZ, BS_MACADDR,
			  BS_WORD, BS_INTERVAL, BS_INET, BS_BYTES},
	 .nkeys = 12},
	{.name = "all aggregates", .keys = {BS_INET}, .nkeys = 1, .aggregates = true},
	{.name = "foreign", .keys = {BS_BYTES, BS_INT2}, .nkeys = 2, .foreign = true},
	{.name = "sets", .keys = {BS_INT4, BS_BYTES}, .nkeys = 2, .sets = true},
	{.name = "everything, no keys", .aggregates = true, .foreign = true, .sets = true},
};

#define PACK_NSHAPES (sizeof(pack_shapes) / sizeof(pack_shapes[0]))

static const PackShape pack_windows = {.name = "windows",
									   .keys = {BS_INT2, BS_BYTES},
									   .nkeys = 2,
									   .foreign = true,
									   .sets = true,
									   .width = 50};

static inline void
pack_add_aggregate(BsProgram *program, BsAggregateKind kind, BsType type)
{
	BsAggregate *aggregate;

	if (bs_aggregate_check(kind, type) != NULL)
		return;
	aggregate = &program->aggregates[program->naggregates++];
	aggregate->kind = kind;
	aggregate->type = type;
	aggregate->argument = bs_expr_column((uint32_t) type - 1, type);
	aggregate->foreign = program->naggregates - 1;
}

static inline void
pack_add_set(BsProgram *program, BsType type, BsAggregateKind kind)
{
	BsSet *set = &program->sets[program->nsets++];
	BsAggregate *aggregate = &program->aggregates[program->naggregates++];

	set->type = type;
	set->argument = bs_expr_column((uint32_t) type - 1, type);
	aggregate->kind = kind;
	aggregate->type = type;
	aggregate->set = program->nsets;
}

/* NULL, or what is wrong. */
static inline const char *
pack_make_program(BsProgram *program, const PackShape *shape)
{
	memset(program, 0, sizeof(*program));
	program->fingerprint = PACK_FINGERPRINT;
	program->hash_seed = 7;
	program->windowed = shape->width > 0;
	program->time_column = BS_TIMESTAMPTZ - 1;
	program->windowing = bs_windowing_tumble(shape->width, 0);
	program->keys = calloc(shape->nkeys + 1, sizeof(BsKey));
	program->aggregates = calloc(BS_NAGGREGATES * PACK_NCOLUMNS, sizeof(BsAggregate));
	program->sets = calloc(4, sizeof(BsSet));
	for (uint32_t k = 0; k < shape->nkeys; k++)
	{
		BsKey *key = &program->keys[program->nkeys++];

		key->type = shape->keys[k];
		key->expr = bs_expr_column((uint32_t) key->type - 1, key->type);
	}
	pack_add_aggregate(program, BS_AGG_SUM_INT, BS_INT8);
	pack_add_aggregate(program, BS_AGG_SUM_INT, BS_INT4);
	for (uint32_t kind = 1; shape->aggregates && kind < BS_AGG_FOREIGN; kind++)
		for (uint32_t type = 1; type <= PACK_NCOLUMNS; type++)
			pack_add_aggregate(program, (BsAggregateKind) kind, (BsType) type);
	if (shape->foreign)
	{
		pack_add_aggregate(program, BS_AGG_FOREIGN, BS_INT8);
		pack_add_aggregate(program, BS_AGG_FOREIGN, BS_BYTES);
	}
	if (shape->sets)
	{
		pack_add_set(program, BS_INT8, BS_AGG_COUNT);
		pack_add_set(program, BS_BYTES, BS_AGG_COUNT);
		pack_add_set(program, BS_INET, BS_AGG_COUNT);
	}
	return bs_program_finish(program, PACK_CAPACITY);
}

#endif
