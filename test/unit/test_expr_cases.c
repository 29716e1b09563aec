/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_expr_cases.c: native operations at the extremes of their types give what PostgreSQL gave.
 *
 * The cases are test/data/expr_cases.txt, written by a server (test/expr_oracle/cases.sql); run
 * from the root of the checkout.  expr_scalar.h must agree with them too.  Each group runs as one
 * batch over all its rows, over every third row, and line by line with the right argument as a
 * constant.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../expr_scalar.h"

#define MAX_LINES 1024
#define MAX_ARGS  3

static const struct
{
	const char *name;
	BsOp op;
} ops[] = {
	{"EQ", BS_OP_EQ},
	{"NE", BS_OP_NE},
	{"LT", BS_OP_LT},
	{"LE", BS_OP_LE},
	{"GT", BS_OP_GT},
	{"GE", BS_OP_GE},
	{"LEAST", BS_OP_LEAST},
	{"GREATEST", BS_OP_GREATEST},
	{"ADD", BS_OP_ADD},
	{"SUB", BS_OP_SUB},
	{"MUL", BS_OP_MUL},
	{"DIV", BS_OP_DIV},
	{"MOD", BS_OP_MOD},
	{"NEG", BS_OP_NEG},
	{"ABS", BS_OP_ABS},
	{"BIT_AND", BS_OP_BIT_AND},
	{"BIT_OR", BS_OP_BIT_OR},
	{"BIT_XOR", BS_OP_BIT_XOR},
	{"BIT_NOT", BS_OP_BIT_NOT},
	{"SHL", BS_OP_SHL},
	{"SHR", BS_OP_SHR},
	{"INT_CAST", BS_OP_INT_CAST},
	{"INT_TO_FLOAT", BS_OP_INT_TO_FLOAT},
	{"FLOAT_TO_INT", BS_OP_FLOAT_TO_INT},
	{"FLOAT_CAST", BS_OP_FLOAT_CAST},
	{"BOOL_TO_INT", BS_OP_BOOL_TO_INT},
	{"INT_TO_BOOL", BS_OP_INT_TO_BOOL},
	{"INET_SUB", BS_OP_INET_SUB},
	{"INET_SUBEQ", BS_OP_INET_SUBEQ},
	{"INET_SUP", BS_OP_INET_SUP},
	{"INET_SUPEQ", BS_OP_INET_SUPEQ},
	{"INET_OVERLAP", BS_OP_INET_OVERLAP},
	{"INET_NETWORK", BS_OP_INET_NETWORK},
	{"INET_BROADCAST", BS_OP_INET_BROADCAST},
	{"INET_NETMASK", BS_OP_INET_NETMASK},
	{"INET_HOSTMASK", BS_OP_INET_HOSTMASK},
	{"INET_MASKLEN", BS_OP_INET_MASKLEN},
	{"INET_FAMILY", BS_OP_INET_FAMILY},
	{"INET_SET_MASKLEN", BS_OP_INET_SET_MASKLEN},
	{"CIDR_SET_MASKLEN", BS_OP_CIDR_SET_MASKLEN},
	{"TIME_SUB_TIME", BS_OP_TIME_SUB_TIME},
	{"TIME_BIN", BS_OP_TIME_BIN},
	{"TIME_ADD_USEC", BS_OP_TIME_ADD_USEC},
	{"INTERVAL_ADD", BS_OP_INTERVAL_ADD},
	{"INTERVAL_SUB", BS_OP_INTERVAL_SUB},
	{"INTERVAL_NEG", BS_OP_INTERVAL_NEG},
};

static const struct
{
	const char *name;
	BsType type;
} types[] = {
	{"boolean", BS_BOOL},      {"int2", BS_INT2},       {"int4", BS_INT4},
	{"int8", BS_INT8},         {"float4", BS_FLOAT4},   {"float8", BS_FLOAT8},
	{"double", BS_FLOAT8},     {"inet", BS_INET},       {"timestamptz", BS_TIMESTAMPTZ},
	{"interval", BS_INTERVAL}, {"macaddr", BS_MACADDR}, {"count", BS_INT4},
	{"masklen", BS_INT4},      {"width", BS_INTERVAL},  {"origin", BS_TIMESTAMPTZ},
	{"shift", BS_INTERVAL},    {"cidr", BS_INET},
};

typedef struct Group
{
	BsOp op;
	BsType result;
	uint32_t nargs;
	BsType args[MAX_ARGS];
	uint32_t nlines;
	BsValue values[MAX_LINES][MAX_ARGS];
	BsValue expected[MAX_LINES];
	BsError errors[MAX_LINES];
	unsigned line_numbers[MAX_LINES];
} Group;

static uint64_t
parse_word(const char **hex, int nbytes)
{
	uint64_t word = 0;

	for (int i = 0; i < 2 * nbytes; i++, (*hex)++)
		word = word << 4 | (uint64_t) (**hex <= '9' ? **hex - '0' : **hex - 'a' + 10);
	return word;
}

/* A value as the type's send function writes it. */
static BsValue
parse_value(BsType type, const char *hex)
{
	BsValue value = {0};
	uint32_t word;
	float narrow;
	int nbytes;

	switch (type)
	{
		case BS_BOOL:
			value.i64 = (int64_t) parse_word(&hex, 1);
			break;
		case BS_INT2:
			value.i64 = (int16_t) parse_word(&hex, 2);
			break;
		case BS_INT4:
			value.i64 = (int32_t) parse_word(&hex, 4);
			break;
		case BS_FLOAT4:
			word = (uint32_t) parse_word(&hex, 4);
			memcpy(&narrow, &word, sizeof(word));
			value.f64 = (double) narrow;
			break;
		case BS_MACADDR:
			value.i64 = (int64_t) parse_word(&hex, 6);
			break;
		case BS_INTERVAL:
			value.interval.usec = (int64_t) parse_word(&hex, 8);
			value.interval.days = (int32_t) parse_word(&hex, 4);
			value.interval.months = (int32_t) parse_word(&hex, 4);
			break;
		case BS_INET:
			value.inet.family = parse_word(&hex, 1) == 2 ? 4 : 6;
			value.inet.bits = (uint8_t) parse_word(&hex, 1);
			parse_word(&hex, 1);
			nbytes = (int) parse_word(&hex, 1);
			for (int i = 0; i < nbytes; i++)
				value.inet.address[i] = (uint8_t) parse_word(&hex, 1);
			break;
		default:
			value.i64 = (int64_t) parse_word(&hex, 8);
			break;
	}
	return value;
}

static BsType
parse_type(const char *name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (strcmp(types[i].name, name) == 0)
			return types[i].type;
	fail_msg("unknown type %s", name);
	return BS_BOOL;
}

static void
parse_header(Group *group, char *line)
{
	char *word = strtok(line, " ");

	memset(group, 0, offsetof(Group, values));
	word = strtok(NULL, " ");
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++)
		if (strcmp(ops[i].name, word) == 0)
			group->op = ops[i].op;
	if (group->op == 0)
		fail_msg("unknown operation %s", word);
	group->result = parse_type(strtok(NULL, " "));
	for (word = strtok(NULL, " "); word != NULL; word = strtok(NULL, " "))
		group->args[group->nargs++] = parse_type(word);
}

static BsError
parse_error(const char *message)
{
	for (int error = 1; error < BS_NERRORS; error++)
		if (strncmp(bs_error_message((BsError) error), message,
					strlen(bs_error_message((BsError) error))) == 0)
			return (BsError) error;
	fail_msg("unknown error %s", message);
	return BS_ERROR_NONE;
}

static void
parse_line(Group *group, char *line, unsigned line_number)
{
	uint32_t at = group->nlines++;

	assert_true(at < MAX_LINES);
	group->line_numbers[at] = line_number;
	for (uint32_t i = 0; i < group->nargs; i++)
	{
		group->values[at][i] = parse_value(group->args[i], line);
		line = strchr(line, ' ') + 1;
	}
	group->errors[at] = *line == '!' ? parse_error(line + 1) : BS_ERROR_NONE;
	if (*line != '!')
		group->expected[at] = parse_value(group->result, line);
}

/* How many arguments are expressions, the others being parameters of the operation. */
static uint32_t
nlanes(const Group *group)
{
	return group->op == BS_OP_TIME_BIN || group->op == BS_OP_TIME_ADD_USEC ? 1 : group->nargs;
}

static BsExpr *
make_expr(const Group *group, uint32_t line, bool constant_right)
{
	BsExpr *args[MAX_ARGS];
	const BsValue *values = group->values[line];
	BsExpr *expr;

	for (uint32_t i = 0; i < nlanes(group); i++)
		args[i] = i > 0 && constant_right ? bs_expr_const(group->args[i], values[i])
										  : bs_expr_column(i, group->args[i]);
	expr = bs_expr_op(group->op, group->result, nlanes(group), args);
	assert_non_null(expr);
	if (nlanes(group) != group->nargs)
		expr->width_usec = values[1].interval.usec + values[1].interval.days * INT64_C(86400000000);
	if (group->op == BS_OP_TIME_BIN)
		expr->origin = values[2].i64;
	return expr;
}

static unsigned
check_rows(const Group *group, BsExpr *expr, const BsBatch *batch, BsRows rows)
{
	static uint8_t errors[MAX_LINES];
	BsEval eval = {.batch = batch, .errors = errors};
	const BsLane *lane;
	unsigned nfailed = 0;

	memset(errors, 0, sizeof(errors));
	assert_null(bs_expr_prepare(expr, MAX_LINES));
	lane = bs_expr_evaluate(expr, &eval, rows);
	for (uint32_t i = 0; i < rows.nrows; i++)
	{
		uint32_t row = rows.rows[i];
		Scalar got = scalar_from_lane(lane, row);
		bool same = errors[row] == group->errors[row] && !got.null;

		if (same && errors[row] == BS_ERROR_NONE)
			same = scalar_same(lane->type, &got.value, &group->expected[row]);
		if (!same)
			print_error("line %u differs: error \"%s\", word %016llx\n", group->line_numbers[row],
						bs_error_message((BsError) errors[row]),
						(unsigned long long) got.value.i64);
		nfailed += !same;
	}
	bs_expr_free(expr);
	return nfailed;
}

/* The oracle of the random trees is held to the server as well. */
static unsigned
check_oracle(const Group *group, const BsExpr *expr, const BsBatch *batch, uint32_t row)
{
	ScalarEval eval = {.batch = batch, .row = row};
	Scalar said = scalar_evaluate(expr, &eval);
	bool same = said.error == group->errors[row] && !said.null;

	if (same && said.error == BS_ERROR_NONE)
		same = scalar_same(group->result, &said.value, &group->expected[row]);
	if (!same)
		print_error("line %u: the oracle differs\n", group->line_numbers[row]);
	return !same;
}

static BsBatch *
make_batch(const Group *group)
{
	BsBatch *batch = bs_batch_create(group->args, group->nargs, NULL, MAX_LINES);

	assert_non_null(batch);
	batch->nrows = group->nlines;
	for (uint32_t row = 0; row < group->nlines; row++)
		for (uint32_t i = 0; i < group->nargs; i++)
			memcpy((char *) batch->columns[i].values + row * scalar_width(group->args[i]),
				   &group->values[row][i], scalar_width(group->args[i]));
	return batch;
}

static unsigned
check_group(const Group *group)
{
	BsBatch *batch = make_batch(group);
	uint16_t rows[MAX_LINES];
	uint32_t nthird = 0;
	unsigned nfailed = 0;

	if (nlanes(group) == group->nargs)
	{
		for (uint32_t row = 0; row < group->nlines; row++)
			rows[row] = (uint16_t) row;
		nfailed +=
			check_rows(group, make_expr(group, 0, false), batch, (BsRows){group->nlines, rows});
		for (uint32_t row = 1; row < group->nlines; row += 3)
			rows[nthird++] = (uint16_t) row;
		nfailed += check_rows(group, make_expr(group, 0, false), batch, (BsRows){nthird, rows});
	}
	for (uint32_t row = 0; row < group->nlines; row++)
	{
		uint16_t one = (uint16_t) row;
		BsExpr *expr = make_expr(group, row, true);

		nfailed += check_oracle(group, expr, batch, row);
		nfailed += check_rows(group, expr, batch, (BsRows){1, &one});
	}
	bs_batch_free(batch);
	return nfailed;
}

static void
cases_of_the_server(void **state)
{
	static Group group;
	char line[512];
	unsigned line_number = 0;
	unsigned ngroups = 0;
	unsigned nfailed = 0;
	FILE *file = fopen("test/data/expr_cases.txt", "r");

	(void) state;
	if (file == NULL)
		fail_msg("cannot read test/data/expr_cases.txt");
	while (fgets(line, sizeof(line), file) != NULL)
	{
		line_number++;
		line[strcspn(line, "\n")] = 0;
		if (line[0] == '#')
			continue;
		if (line[0] != '=')
		{
			parse_line(&group, line, line_number);
			continue;
		}
		nfailed += ngroups > 0 ? check_group(&group) : 0;
		parse_header(&group, line);
		ngroups++;
	}
	fclose(file);
	nfailed += check_group(&group);
	assert_true(ngroups > 100);
	assert_int_equal(nfailed, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_of_the_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
