/* SPDX-License-Identifier: PostgreSQL */
/* literaltext.c: the words at the beginning of CREATE, ALTER and DROP CONTINUOUS VIEW. */
#include "backstream.h"

#include "literal.h"

/* Go over SQL's white space and comments, nested ones too; NULL if a comment does not end. */
static const char *
skip_space(const char *s)
{
	for (;;)
	{
		if (*s == ' ' || (*s >= '\t' && *s <= '\r'))
			s++;
		else if (s[0] == '-' && s[1] == '-')
			s += strcspn(s, "\r\n");
		else if (s[0] == '/' && s[1] == '*')
		{
			int depth = 0;

			do
			{
				if (*s == '\0')
					return NULL;
				if (s[0] == '/' && s[1] == '*')
				{
					depth++;
					s += 2;
				}
				else if (s[0] == '*' && s[1] == '/')
				{
					depth--;
					s += 2;
				}
				else
					s++;
			} while (depth > 0);
		}
		else
			return s;
	}
}

static bool
is_word_character(char c)
{
	return IS_HIGHBIT_SET(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		   (c >= '0' && c <= '9') || c == '_' || c == '$';
}

/* If the next word is this one, go behind it; *start is where it begins. */
static bool
take_word(const char **at, const char *word, const char **start)
{
	const char *s = skip_space(*at);
	size_t len = strlen(word);

	if (s == NULL || pg_strncasecmp(s, word, len) != 0 || is_word_character(s[len]))
		return false;
	*start = s;
	*at = s + len;
	return true;
}

bool
bs_literal_recognise(const char *text, BsLiteralText *result)
{
	const char *at = text;
	const char *start;
	bool create = false;
	bool replace = false;

	if (take_word(&at, "CREATE", &start))
	{
		create = true;
		result->tag = "CREATE CONTINUOUS VIEW";
		if (take_word(&at, "OR", &start))
		{
			replace = true;
			if (!take_word(&at, "REPLACE", &start))
				return false;
		}
	}
	else if (take_word(&at, "ALTER", &start))
		result->tag = "ALTER CONTINUOUS VIEW";
	else if (take_word(&at, "DROP", &start))
		result->tag = "DROP CONTINUOUS VIEW";
	else
		return false;

	if (!take_word(&at, "CONTINUOUS", &start))
		return false;
	result->continuous_offset = (int) (start - text);
	if (!take_word(&at, "VIEW", &start))
		return false;

	result->if_not_exists_offset = -1;
	result->if_not_exists_len = 0;
	if (create && !replace && take_word(&at, "IF", &start))
	{
		const char *word;

		if (take_word(&at, "NOT", &word) && take_word(&at, "EXISTS", &word))
		{
			result->if_not_exists_offset = (int) (start - text);
			result->if_not_exists_len = (int) (at - start);
		}
	}
	return true;
}

/* Line ends stay: the lines of an error report are true too. */
static void
blank(char *s, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (s[i] != '\n' && s[i] != '\r')
			s[i] = ' ';
	}
}

char *
bs_literal_blank(const char *text, const BsLiteralText *found)
{
	char *copy = pstrdup(text);

	blank(copy + found->continuous_offset, (int) strlen("CONTINUOUS"));
	if (found->if_not_exists_offset >= 0)
		blank(copy + found->if_not_exists_offset, found->if_not_exists_len);
	return copy;
}
