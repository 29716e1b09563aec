/* SPDX-License-Identifier: PostgreSQL */
/* options.h: command line options as a table of rows, from which --help is written too. */
#ifndef BS_OPTIONS_H
#define BS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct BsOption
{
	const char *name;     /* without the dashes; NULL ends the table */
	const char *argument; /* its name in --help; NULL: none */
	const char *preset;   /* the default, set before the command line is read; NULL: none */
	const char *help;
	bool (*set)(void *target, const char *text); /* false: no such value */
	void *target;
} BsOption;

typedef struct BsCommand
{
	const char *name;
	const char *synopsis;
	const char *help;
	const BsOption *options;
} BsCommand;

/*
 * Set defaults, then what argv says.  Returns -1 to go on (optind is the first operand), else the
 * status to exit with: 0 after --help, 2 after a mistake that was reported on standard error.
 */
extern int bs_options_parse(const BsCommand *command, int argc, char **argv);

/* Setters.  Numbers are not negative. */
extern bool bs_option_text(void *target, const char *text); /* const char * */
extern bool bs_option_flag(void *target, const char *text); /* bool */
extern bool bs_option_u32(void *target, const char *text);
extern bool bs_option_u64(void *target, const char *text);
extern bool bs_option_double(void *target, const char *text);

#endif
