/* SPDX-License-Identifier: PostgreSQL */
/* pinned.c: settings under which a view's text and expressions mean the same everywhere.  See
 * pinned.h. */
#include "backstream.h"

#include "lib/stringinfo.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "pinned.h"

typedef struct Pin
{
	const char *setting;
	const char *text;       /* value for reading and writing the stored text */
	const char *evaluation; /* value for evaluating; NULL: the view's own, in the option... */
	const char *option;
	size_t offset; /* ... which lies here in BsViewOptions */
} Pin;

#define FIXED(setting, value)                                                                      \
	{                                                                                              \
		setting, value, value, NULL, 0                                                             \
	}
#define OWN(setting, value, option)                                                                \
	{                                                                                              \
		setting, value, NULL, #option, offsetof(BsViewOptions, option)                             \
	}

static const Pin pins[] = {
	OWN("TimeZone", "UTC", timezone),
	OWN("DateStyle", "ISO, YMD", datestyle),
	OWN("IntervalStyle", "postgres", intervalstyle),
	{"search_path", "", "pg_catalog, pg_temp", NULL, 0},
	FIXED("quote_all_identifiers", "off"),
	FIXED("standard_conforming_strings", "on"),
	FIXED("transform_null_equals", "off"),
	FIXED("array_nulls", "on"),
	FIXED("extra_float_digits", "1"),
	FIXED("bytea_output", "hex"),
	FIXED("xmlbinary", "base64"),
	FIXED("xmloption", "content"),
};

static void
pin(const char *setting, const char *value)
{
	(void) set_config_option(setting, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
							 false);
}

int
bs_pinned_enter_text(void)
{
	int level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(pins); i++)
		pin(pins[i].setting, pins[i].text);
	return level;
}

char *
bs_pinned_text_statements(void)
{
	StringInfoData statements;

	initStringInfo(&statements);
	for (size_t i = 0; i < lengthof(pins); i++)
		appendStringInfo(&statements, "SET %s = %s;", pins[i].setting, quote_literal_cstr(pins[i].text));
	return statements.data;
}

/* The value for evaluation under these options. */
static const char *
value_of(const Pin *pin_of, const BsViewOptions *options)
{
	const char *value = pin_of->evaluation;

	if (value == NULL)
		value = *(const char *const *) ((const char *) options + pin_of->offset);
	return value != NULL ? value : pin_of->text;
}

bool
bs_pinned_equal(const BsViewOptions *a, const BsViewOptions *b)
{
	for (size_t i = 0; i < lengthof(pins); i++)
		if (strcmp(value_of(&pins[i], a), value_of(&pins[i], b)) != 0)
			return false;
	return true;
}

int
bs_pinned_enter_evaluation(const BsViewOptions *options)
{
	int level = NewGUCNestLevel();

	for (size_t i = 0; i < lengthof(pins); i++)
		pin(pins[i].setting, value_of(&pins[i], options));
	return level;
}

void
bs_pinned_leave(int level)
{
	/* What code that ran meanwhile has set goes too, as if it had failed. */
	AtEOXact_GUC(false, level);
}

List *
bs_pinned_missing(List *options)
{
	List *missing = NIL;

	for (size_t i = 0; i < lengthof(pins); i++)
	{
		const Pin *p = &pins[i];

		if (p->option == NULL || bs_option_find(options, p->option) != NULL)
			continue;
		missing = lappend(
			missing,
			makeDefElem(pstrdup(p->option),
						(Node *) makeString(GetConfigOptionByName(p->setting, NULL, false)), -1));
	}
	return missing;
}
