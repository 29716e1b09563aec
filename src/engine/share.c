/* SPDX-License-Identifier: PostgreSQL */
/* share.c: what programs have in common: finding it, and evaluating it.  See share.h. */
#include "share.h"

#include <stdlib.h>
#include <string.h>

#include "expr_internal.h"
#include "groups.h"

/* What a tree is asked for: its values, or the rows for which it is true, as WHERE or as FILTER. */
typedef enum Role
{
	ROLE_VALUE,
	ROLE_WHERE,
	ROLE_FILTER
} Role;

/* One tree that several programs have, or one program several times. */
struct BsCommon
{
	BsShare *share;
	BsExpr *expr; /* a copy */
	Role role;
	uint64_t made_for;  /* number of the batch that the rest is about */
	const BsLane *lane; /* ROLE_VALUE */
	uint32_t nkept;     /* else: rows for which it is true */
	uint16_t *kept;     /* [capacity] */
	uint8_t *holds;     /* [capacity] the same, by row */
	bool any_fault;     /* some row has one of these: */
	uint8_t *errors;    /* [capacity] */
	uint8_t *unknown;   /* [capacity] scaled() met a NULL rate */
};

struct BsShare
{
	uint32_t capacity;
	const BsBatch *batch; /* NULL: programs work alone */
	uint64_t number;      /* of the batch */
	uint16_t *all_rows;   /* 0, 1, .. */
	uint32_t nprograms;
	BsProgram **programs;
	uint32_t ncommons;
	BsCommon **commons;
	uint32_t ngroups;
	BsGroups **groups;
};

/* ---- trees ------------------------------------------------------------------------------------ */

/* A tree of a program, in its role. */
typedef struct Root
{
	uint64_t hash;
	BsExpr *expr;
	Role role;
} Root;

typedef struct Roots
{
	uint32_t n;
	Root *roots; /* NULL: only count */
} Roots;

static bool
may_be_shared(const BsExpr *expr)
{
	if (expr->op == BS_OP_FOREIGN || expr->prefix != NULL)
		return false;
	for (uint32_t i = 0; i < expr->nargs; i++)
		if (!may_be_shared(expr->args[i]))
			return false;
	return true;
}

static void
add_root(Roots *roots, BsExpr *expr, Role role)
{
	if (expr == NULL || expr->op == BS_OP_COLUMN || expr->op == BS_OP_CONST || !may_be_shared(expr))
		return;
	if (roots->roots != NULL)
		roots->roots[roots->n] = (Root){bs_expr_hash(expr), expr, role};
	roots->n++;
}

static void
add_roots(Roots *roots, const BsProgram *program)
{
	add_root(roots, program->where, ROLE_WHERE);
	for (uint32_t k = 0; k < program->nkeys; k++)
		add_root(roots, program->keys[k].expr, ROLE_VALUE);
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		add_root(roots, program->aggregates[a].argument, ROLE_VALUE);
		add_root(roots, program->aggregates[a].filter, ROLE_FILTER);
	}
	for (uint32_t i = 0; i < program->nsets; i++)
	{
		add_root(roots, program->sets[i].argument, ROLE_VALUE);
		add_root(roots, program->sets[i].filter, ROLE_FILTER);
	}
}

static int
by_hash(const void *a, const void *b)
{
	const Root *x = a;
	const Root *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (int) x->role - (int) y->role;
}

static void
common_free(BsCommon *common)
{
	if (common == NULL)
		return;
	bs_expr_free(common->expr);
	free(common->kept);
	free(common->holds);
	free(common->errors);
	free(common->unknown);
	free(common);
}

static BsCommon *
common_create(BsShare *share, const BsExpr *expr, Role role)
{
	BsCommon *common = calloc(1, sizeof(BsCommon));

	if (common == NULL)
		return NULL;
	common->share = share;
	common->role = role;
	common->expr = bs_expr_copy(expr);
	common->kept = calloc(share->capacity, sizeof(uint16_t));
	common->holds = calloc(share->capacity, 1);
	common->errors = calloc(share->capacity, 1);
	common->unknown = calloc(share->capacity, 1);
	if (!common->kept || !common->holds || !common->errors || !common->unknown ||
		bs_expr_prepare(common->expr, share->capacity) != NULL)
	{
		common_free(common);
		return NULL;
	}
	return common;
}

/* Those of the roots, all of one hash and role, that compute what the first does. */
static void
share_alike(BsShare *share, Root *roots, uint32_t nroots)
{
	BsCommon *common = NULL;

	for (uint32_t i = 1; i < nroots; i++)
	{
		if (roots[i].expr->common != NULL || !bs_expr_equal(roots[0].expr, roots[i].expr))
			continue;
		if (common == NULL)
			common = common_create(share, roots[0].expr, roots[0].role);
		if (common == NULL)
			return;
		roots[i].expr->common = common;
	}
	if (common == NULL)
		return;
	roots[0].expr->common = common;
	share->commons[share->ncommons++] = common;
}

static void
find_trees(BsShare *share)
{
	Roots roots = {0};

	for (uint32_t p = 0; p < share->nprograms; p++)
		add_roots(&roots, share->programs[p]);
	share->commons = calloc(roots.n / 2 + 1, sizeof(*share->commons));
	roots.roots = calloc(roots.n + 1, sizeof(Root));
	if (share->commons == NULL || roots.roots == NULL)
	{
		free(roots.roots);
		return;
	}
	roots.n = 0;
	for (uint32_t p = 0; p < share->nprograms; p++)
		add_roots(&roots, share->programs[p]);
	qsort(roots.roots, roots.n, sizeof(Root), by_hash);
	for (uint32_t first = 0, next; first < roots.n; first = next)
	{
		for (next = first + 1; next < roots.n && by_hash(&roots.roots[first], &roots.roots[next]) == 0;)
			next++;
		for (uint32_t i = first; i < next; i++)
			if (roots.roots[i].expr->common == NULL)
				share_alike(share, &roots.roots[i], next - i);
	}
	free(roots.roots);
}

/* Evaluate the tree over all rows of the batch. */
static void
make(BsCommon *common, const BsBatch *batch)
{
	BsShare *share = common->share;
	BsEval eval = {.batch = batch, .errors = common->errors, .unknown_rows = common->unknown};
	BsRows all = {batch->nrows, share->all_rows};

	if (common->any_fault)
	{
		memset(common->errors, 0, share->capacity);
		memset(common->unknown, 0, share->capacity);
	}
	if (common->role == ROLE_VALUE)
		common->lane = bs_expr_evaluate(common->expr, &eval, all);
	else if (common->role == ROLE_WHERE)
		common->nkept = bs_expr_where(common->expr, &eval, all, common->kept);
	else
		common->nkept = bs_expr_filter(common->expr, &eval, all, common->kept);
	if (common->role == ROLE_FILTER)
		memset(common->holds, 0, batch->nrows);
	for (uint32_t i = 0; common->role == ROLE_FILTER && i < common->nkept; i++)
		common->holds[common->kept[i]] = 1;
	common->any_fault = eval.unknown_rate > 0;
	for (uint32_t row = 0; common->expr->can_fail && row < batch->nrows; row++)
		common->any_fault |= common->errors[row] != BS_ERROR_NONE;
	common->made_for = share->number;
}

/* What the tree met in these rows, into the program's own account; false: it must see for itself. */
static bool
take_faults(const BsCommon *common, BsEval *eval, BsRows rows)
{
	for (uint32_t i = 0; i < rows.nrows; i++)
		if (eval->errors[rows.rows[i]] != BS_ERROR_NONE)
			return false;
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];

		/* In this order: a record may fail after its rate was found to be unknown. */
		if (common->unknown[row])
			bs_note_unknown_rate(eval, row);
		eval->errors[row] = common->errors[row];
	}
	return true;
}

/* Is what the tree comes to there, or worth making for so many rows? */
static bool
usable(BsCommon *common, BsEval *eval, BsRows rows)
{
	BsShare *share = common->share;

	if (share->batch != eval->batch || rows.nrows == 0)
		return false;
	if (common->made_for != share->number)
	{
		if (rows.nrows < eval->batch->nrows / 4)
			return false;
		make(common, eval->batch);
	}
	return !common->any_fault || take_faults(common, eval, rows);
}

const BsLane *
bs_common_evaluate(BsCommon *common, BsEval *eval, BsRows rows)
{
	return usable(common, eval, rows) ? common->lane : NULL;
}

bool
bs_common_filter(BsCommon *common, BsEval *eval, BsRows rows, uint16_t *out, uint32_t *nkept)
{
	uint32_t n = 0;

	if (common->role == ROLE_WHERE && rows.nrows != eval->batch->nrows)
		return false;
	if (!usable(common, eval, rows))
		return false;
	*nkept = common->nkept;
	if (rows.nrows == eval->batch->nrows)
	{
		memcpy(out, common->kept, common->nkept * sizeof(uint16_t));
		return true;
	}
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint16_t row = rows.rows[i];

		out[n] = row;
		n += common->holds[row];
	}
	*nkept = n;
	return true;
}

/* ---- keys ------------------------------------------------------------------------------------- */

/* A program whose groups may be found together with others'. */
typedef struct Keyed
{
	uint64_t hash;
	uint32_t order; /* among the programs */
	BsProgram *program;
} Keyed;

static int
by_keys(const void *a, const void *b)
{
	const Keyed *x = a;
	const Keyed *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static bool
keys_equal(const BsProgram *a, const BsProgram *b)
{
	if (a->nkeys != b->nkeys || a->capacity != b->capacity)
		return false;
	for (uint32_t k = 0; k < a->nkeys; k++)
		if (!bs_expr_equal(a->keys[k].expr, b->keys[k].expr))
			return false;
	return true;
}

/* States that ring 2 makes are added by way of another partial, for each batch anew. */
static bool
has_common_keys(const BsProgram *program, uint64_t *hash)
{
	*hash = program->nkeys;
	for (uint32_t k = 0; k < program->nkeys; k++)
	{
		if (!may_be_shared(program->keys[k].expr))
			return false;
		*hash = *hash * 31 + bs_expr_hash(program->keys[k].expr);
	}
	return program->nkeys > 0 && program->layout.nforeign == 0;
}

bool
bs_share_same_filter(const BsProgram *a, const BsProgram *b)
{
	return a->where != NULL && b->where != NULL && may_be_shared(a->where) &&
		   bs_expr_equal(a->where, b->where);
}

bool
bs_share_same_keys(const BsProgram *a, const BsProgram *b)
{
	uint64_t hash_a;
	uint64_t hash_b;

	return has_common_keys(a, &hash_a) && has_common_keys(b, &hash_b) && keys_equal(a, b);
}

/* The followers of the first of these, in followers; returns their number. */
static uint32_t
followers_of(const Keyed *keyed, uint32_t n, BsProgram **followers)
{
	uint32_t nfollowers = 0;

	for (uint32_t i = 1; i < n && keyed[i].hash == keyed[0].hash && nfollowers < BS_MAX_FOLLOWERS; i++)
		if (keyed[i].program->groups == NULL && !keyed[i].program->leads &&
			keys_equal(keyed[0].program, keyed[i].program))
			followers[nfollowers++] = keyed[i].program;
	return nfollowers;
}

static bool
join_groups(BsShare *share, BsProgram *leader, BsProgram **followers, uint32_t n, size_t max_bytes)
{
	BsGroups *groups = bs_groups_create(n, leader->capacity, max_bytes);

	if (groups == NULL)
		return false;
	leader->groups = groups;
	for (uint32_t i = 0; i < n; i++)
	{
		followers[i]->groups = groups;
		followers[i]->follower = i;
	}
	share->groups[share->ngroups++] = groups;
	return true;
}

/* The programs that can have common keys, ordered so that equal ones stand together. */
static uint32_t
keyed_programs(const BsShare *share, Keyed *keyed)
{
	uint32_t n = 0;

	for (uint32_t p = 0; p < share->nprograms; p++)
		if (has_common_keys(share->programs[p], &keyed[n].hash))
		{
			keyed[n].order = p;
			keyed[n++].program = share->programs[p];
		}
	qsort(keyed, n, sizeof(Keyed), by_keys);
	return n;
}

/* Programs with equal keys, the memory divided among the sets of them. */
static void
find_keys(BsShare *share)
{
	BsProgram *followers[BS_MAX_FOLLOWERS];
	Keyed *keyed = calloc(share->nprograms, sizeof(Keyed));
	uint32_t n;
	uint32_t nsets = 0;

	share->groups = calloc(share->nprograms, sizeof(*share->groups));
	if (keyed == NULL || share->groups == NULL)
	{
		free(keyed);
		return;
	}
	n = keyed_programs(share, keyed);
	for (uint32_t i = 1, run = 0; i < n; i++)
	{
		run = keyed[i].hash == keyed[i - 1].hash ? run + 1 : 0;
		nsets += run % (BS_MAX_FOLLOWERS + 1) == 1;
	}
	for (uint32_t i = 0; i < n; i++)
	{
		uint32_t nfollowers;

		if (keyed[i].program->groups != NULL)
			continue;
		nfollowers = followers_of(&keyed[i], n - i, followers);
		if (nfollowers == 0)
			continue;
		if (!join_groups(share, keyed[i].program, followers, nfollowers, BS_SHARE_GROUPS_BYTES / nsets))
			break;
		keyed[i].program->leads = true;
	}
	free(keyed);
}

/* ---- panes ------------------------------------------------------------------------------------ */

static bool
same_tree(const BsExpr *a, const BsExpr *b, bool same_foreign)
{
	return bs_expr_equal(a, b) && (a == NULL || same_foreign || may_be_shared(a));
}

/* Are panes as wide, and do they begin at the same times? */
static bool
same_pane_times(const BsProgram *a, const BsProgram *b)
{
	if (a->windowed != b->windowed)
		return false;
	if (!a->windowed)
		return true;
	return a->time_column == b->time_column && bs_program_clock(a) == bs_program_clock(b) &&
		   a->windowing.pane_usec == b->windowing.pane_usec &&
		   bs_time_floor(a->windowing.origin, b->windowing.pane_usec, b->windowing.origin) ==
			   a->windowing.origin;
}

static bool
same_aggregate(const BsAggregate *a, const BsAggregate *b, bool same_foreign)
{
	return a->kind == b->kind && (a->kind != BS_AGG_FOREIGN || (same_foreign && a->foreign == b->foreign)) &&
		   a->type == b->type && a->set == b->set && same_tree(a->argument, b->argument, same_foreign) &&
		   same_tree(a->filter, b->filter, same_foreign);
}

static bool
same_set(const BsSet *a, const BsSet *b, bool same_foreign)
{
	return a->type == b->type && same_tree(a->argument, b->argument, same_foreign) &&
		   same_tree(a->filter, b->filter, same_foreign);
}

bool
bs_share_same_panes(const BsProgram *a, const BsProgram *b, bool same_foreign)
{
	if (!same_pane_times(a, b) || !same_tree(a->where, b->where, same_foreign) || a->nkeys != b->nkeys ||
		a->naggregates != b->naggregates || a->nsets != b->nsets || a->late_sum != b->late_sum ||
		a->capacity != b->capacity || a->hash_seed != b->hash_seed)
		return false;
	for (uint32_t k = 0; k < a->nkeys; k++)
		if (!same_tree(a->keys[k].expr, b->keys[k].expr, same_foreign))
			return false;
	for (uint32_t i = 0; i < a->naggregates; i++)
		if (!same_aggregate(&a->aggregates[i], &b->aggregates[i], same_foreign))
			return false;
	for (uint32_t i = 0; i < a->nsets; i++)
		if (!same_set(&a->sets[i], &b->sets[i], same_foreign))
			return false;
	return true;
}

/* ---- life ------------------------------------------------------------------------------------- */

int
bs_share_compare(const BsProgram *a, const BsProgram *b)
{
	/* Who adds every record to long panes knows most of the others' groups. */
	if ((a->where != NULL) != (b->where != NULL))
		return a->where != NULL ? 1 : -1;
	if (a->windowed != b->windowed)
		return a->windowed ? 1 : -1;
	if (a->windowing.pane_usec != b->windowing.pane_usec)
		return a->windowing.pane_usec > b->windowing.pane_usec ? -1 : 1;
	return 0;
}

BsShare *
bs_share_create(BsProgram *const *programs, uint32_t nprograms, bool with_groups)
{
	BsShare *share;

	if (nprograms == 0)
		return NULL;
	share = calloc(1, sizeof(BsShare));
	if (share == NULL)
		return NULL;
	share->capacity = programs[0]->capacity;
	share->nprograms = nprograms;
	share->programs = calloc(nprograms, sizeof(*share->programs));
	share->all_rows = calloc(share->capacity, sizeof(uint16_t));
	if (share->programs != NULL && share->all_rows != NULL)
	{
		memcpy(share->programs, programs, nprograms * sizeof(*share->programs));
		for (uint32_t row = 0; row < share->capacity; row++)
			share->all_rows[row] = (uint16_t) row;
		find_trees(share);
		if (with_groups)
			find_keys(share);
	}
	if (share->ncommons > 0 || share->ngroups > 0)
		return share;
	bs_share_free(share);
	return NULL;
}

static void
leave(BsProgram *program)
{
	program->groups = NULL;
	program->leads = false;
	if (program->where != NULL)
		program->where->common = NULL;
	for (uint32_t k = 0; k < program->nkeys; k++)
		program->keys[k].expr->common = NULL;
	for (uint32_t a = 0; a < program->naggregates; a++)
	{
		if (program->aggregates[a].argument != NULL)
			program->aggregates[a].argument->common = NULL;
		if (program->aggregates[a].filter != NULL)
			program->aggregates[a].filter->common = NULL;
	}
	for (uint32_t i = 0; i < program->nsets; i++)
	{
		program->sets[i].argument->common = NULL;
		if (program->sets[i].filter != NULL)
			program->sets[i].filter->common = NULL;
	}
}

void
bs_share_free(BsShare *share)
{
	if (share == NULL)
		return;
	for (uint32_t p = 0; share->programs != NULL && p < share->nprograms; p++)
		leave(share->programs[p]);
	for (uint32_t i = 0; i < share->ncommons; i++)
		common_free(share->commons[i]);
	for (uint32_t i = 0; i < share->ngroups; i++)
		bs_groups_free(share->groups[i]);
	free(share->programs);
	free(share->all_rows);
	free(share->commons);
	free(share->groups);
	free(share);
}

void
bs_share_begin(BsShare *share, const BsBatch *batch)
{
	share->batch = batch;
	share->number++;
	for (uint32_t i = 0; i < share->ngroups; i++)
		bs_groups_begin(share->groups[i]);
}

void
bs_share_end(BsShare *share)
{
	share->batch = NULL;
	for (uint32_t i = 0; i < share->ngroups; i++)
		bs_groups_end(share->groups[i]);
}

BsShareCounts
bs_share_counts(const BsShare *share)
{
	return (BsShareCounts){.trees = share->ncommons, .keys = share->ngroups};
}
