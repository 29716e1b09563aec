/* SPDX-License-Identifier: PostgreSQL */
/*
 * literal.h: CREATE, ALTER and DROP CONTINUOUS VIEW as they are written.
 *
 * PostgreSQL's grammar has no place for the word CONTINUOUS.  With it blanked out the statement is
 * one that PostgreSQL knows, every other character stays where it was, and so error positions stay
 * true.  literaltext.c finds the words, literal.c runs the statement.
 */
#ifndef BS_LITERAL_H
#define BS_LITERAL_H

#include "ddl.h"

/* What the beginning of a statement says. */
typedef struct BsLiteralText
{
	const char *tag;          /* "CREATE CONTINUOUS VIEW", ...; static */
	int continuous_offset;    /* bytes before the word CONTINUOUS */
	int if_not_exists_offset; /* of IF NOT EXISTS after CREATE CONTINUOUS VIEW; -1: not there */
	int if_not_exists_len;
} BsLiteralText;

/*
 * Does the text begin, after white space and comments, with CREATE [OR REPLACE] | ALTER | DROP and
 * CONTINUOUS VIEW?  Allocates nothing and raises nothing.
 */
extern bool bs_literal_recognise(const char *text, BsLiteralText *result);

/* A palloc'd copy with the words that PostgreSQL does not know blanked out. */
extern char *bs_literal_blank(const char *text, const BsLiteralText *found);

/* Called once, when the library is loaded: installs the hook. */
extern void bs_literal_init(void);

#endif
