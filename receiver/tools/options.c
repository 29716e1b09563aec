/* SPDX-License-Identifier: PostgreSQL */
/* options.c: command line options by table.  See options.h. */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 48
#define HELP_OPTION 1

bool
bs_option_text(void *target, const char *text)
{
	*(const char **) target = text;
	return true;
}

bool
bs_option_flag(void *target, const char *text)
{
	(void) text;
	*(bool *) target = true;
	return true;
}

bool
bs_option_u64(void *target, const char *text)
{
	char *end;
	unsigned long long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end != '\0' || errno != 0)
		return false;
	*(uint64_t *) target = value;
	return true;
}

bool
bs_option_u32(void *target, const char *text)
{
	uint64_t value;

	if (!bs_option_u64(&value, text) || value > UINT32_MAX)
		return false;
	*(uint32_t *) target = (uint32_t) value;
	return true;
}

bool
bs_option_double(void *target, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !isfinite(value) || value < 0)
		return false;
	*(double *) target = value;
	return true;
}

static void
print_help(const BsCommand *command)
{
	printf("%s\n\nUsage: %s %s\n\n", command->help, command->name, command->synopsis);
	for (const BsOption *option = command->options; option->name != NULL; option++)
	{
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", option->name, option->argument ? "=" : "",
				 option->argument ? option->argument : "");
		printf("  %-26s %s", left, option->help);
		if (option->preset != NULL)
			printf(" (%s)", option->preset);
		putchar('\n');
	}
	printf("  %-26s %s\n", "--help", "this text; defaults are in brackets");
}

static bool
set_presets(const BsCommand *command)
{
	for (const BsOption *option = command->options; option->name != NULL; option++)
		if (option->preset != NULL && !option->set(option->target, option->preset))
		{
			fprintf(stderr, "%s: the default of --%s is no good\n", command->name, option->name);
			return false;
		}
	return true;
}

int
bs_options_parse(const BsCommand *command, int argc, char **argv)
{
	struct option rows[MAX_OPTIONS + 2] = {0};
	int n = 0;
	int row;
	int got;

	if (!set_presets(command))
		return 2;
	for (; command->options[n].name != NULL && n < MAX_OPTIONS; n++)
	{
		rows[n].name = command->options[n].name;
		rows[n].has_arg = command->options[n].argument != NULL ? required_argument : no_argument;
	}
	rows[n].name = "help";
	rows[n].val = HELP_OPTION;
	while ((got = getopt_long(argc, argv, "", rows, &row)) != -1)
	{
		if (got == HELP_OPTION)
		{
			print_help(command);
			return 0;
		}
		if (got != 0)
		{
			fprintf(stderr, "Try \"%s --help\".\n", command->name);
			return 2;
		}
		if (!command->options[row].set(command->options[row].target, optarg))
		{
			fprintf(stderr, "%s: --%s can not be \"%s\"\n", command->name, rows[row].name, optarg);
			return 2;
		}
	}
	return -1;
}
