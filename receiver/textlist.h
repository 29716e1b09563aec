/* SPDX-License-Identifier: PostgreSQL */
/*
 * textlist.h: the elements of a comma-separated setting, without the white space around them.
 *
 * Header-only; used by the parsers of listen.c and allow.c.
 */
#ifndef BS_TEXTLIST_H
#define BS_TEXTLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Where in a list we are.  start and len are the current element, not terminated. */
typedef struct BsTextList
{
	const char *rest; /* NULL: no element follows */
	const char *start;
	size_t len;
} BsTextList;

static inline bool
bs_text_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Start at the first element.  A list of white space alone has none. */
static inline void
bs_textlist_begin(BsTextList *list, const char *text)
{
	while (bs_text_is_space(*text))
		text++;
	list->rest = *text != '\0' ? text : NULL;
	list->start = text;
	list->len = 0;
}

/* Step to the next element, which may be empty ("a,,b" and "a," have one).  False at the end. */
static inline bool
bs_textlist_next(BsTextList *list)
{
	const char *comma;

	if (list->rest == NULL)
		return false;
	list->start = list->rest;
	comma = strchr(list->rest, ',');
	list->len = comma != NULL ? (size_t) (comma - list->rest) : strlen(list->rest);
	list->rest = comma != NULL ? comma + 1 : NULL;
	while (list->len > 0 && bs_text_is_space(list->start[0]))
	{
		list->start++;
		list->len--;
	}
	while (list->len > 0 && bs_text_is_space(list->start[list->len - 1]))
		list->len--;
	return true;
}

/* Copy a piece of text into out, terminated.  False when it does not fit. */
static inline bool
bs_text_copy(char *out, size_t size, const char *start, size_t len)
{
	if (len >= size)
		return false;
	memcpy(out, start, len);
	out[len] = '\0';
	return true;
}

#endif
