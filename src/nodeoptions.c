/* SPDX-License-Identifier: PostgreSQL */
/*
 * nodeoptions.c: options of nodes and of user mappings for them.  See node.h.
 *
 * libpq itself says which options it knows; what is secret, or says who one is, stands at the user mapping,
 * which others cannot read, and all else at the server.  As for postgres_fdw, who is no superuser must
 * connect with a password, which the mapping holds and the node asks for: else he would be whoever the
 * server's own operating system user is over there.
 */
#include "backstream.h"

#include <libpq-fe.h>

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "node.h"

/* Options of libpq that we set ourselves, or that cannot be. */
static const struct
{
	const char *name;
	const char *why; /* NULL: as if it did not exist */
} not_for_users[] = {
	{"client_encoding", NULL},
	{"fallback_application_name", NULL},
	{"replication", NULL},
	{"service",
	 "Give host, port and dbname themselves: libpq would look them up without a time limit."},
};

/* At a mapping; certificates may stand at the server, too. */
static const char *const certificate_options[] = {"sslcert", "sslkey"};

#define PASSWORD_REQUIRED "password_required"

/* ---------- what libpq knows ---------- */

static const PQconninfoOption *
libpq_options(void)
{
	static PQconninfoOption *options;

	if (options == NULL)
		options = PQconndefaults();
	if (options == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OUT_OF_MEMORY), errmsg("out of memory")));
	return options;
}

static const PQconninfoOption *
libpq_find(const char *name)
{
	for (const PQconninfoOption *option = libpq_options(); option->keyword != NULL; option++)
		if (strcmp(option->keyword, name) == 0)
			return strchr(option->dispchar, 'D') ? NULL : option;
	return NULL;
}

static bool
is_certificate(const char *name)
{
	for (size_t i = 0; i < lengthof(certificate_options); i++)
		if (strcmp(certificate_options[i], name) == 0)
			return true;
	return false;
}

/* Who one is. */
static bool
is_for_mapping(const PQconninfoOption *option)
{
	return strcmp(option->keyword, "user") == 0 || strchr(option->dispchar, '*') != NULL;
}

static void
refuse_option(const char *name, const char *why)
{
	ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					errmsg("option \"%s\" cannot be used for a node", name), errhint("%s", why)));
}

bool
bs_libpq_option_check(DefElem *def, Oid catalog)
{
	const PQconninfoOption *option = libpq_find(def->defname);
	bool at_mapping = catalog == UserMappingRelationId;

	for (size_t i = 0; i < lengthof(not_for_users); i++)
		if (strcmp(not_for_users[i].name, def->defname) == 0)
		{
			if (not_for_users[i].why != NULL)
				refuse_option(def->defname, not_for_users[i].why);
			return false;
		}
	if (option == NULL)
		return false;
	if (is_for_mapping(option) != at_mapping && !is_certificate(def->defname))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("option \"%s\" belongs to a %s", def->defname,
						at_mapping ? "server" : "user mapping"),
				 at_mapping
					 ? errhint("Use ALTER SERVER ... OPTIONS.")
					 : errhint("Use CREATE USER MAPPING ... OPTIONS: it is not shown to others.")));
	return true;
}

/* ---------- servers ---------- */

bool
bs_node_options_remote(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		if (strcmp(name, "nodes") == 0 || libpq_find(name) != NULL)
			return true;
	}
	return false;
}

static void
check_node_list(const char *text)
{
	List *names;
	ListCell *cell;
	List *seen = NIL;

	if (!SplitIdentifierString(pstrdup(text), ',', &names) || names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"nodes\" is no list of servers: \"%s\"", text),
				 errhint("Write names separated by commas, as in 'pop_rio, pop_sp, local'.")));
	foreach (cell, names)
	{
		String *name = makeString(lfirst(cell));

		if (list_member(seen, name))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
							errmsg("option \"nodes\" has server \"%s\" twice", strVal(name))));
		seen = lappend(seen, name);
	}
}

void
bs_node_server_check(List *options)
{
	BsServerOptions parsed;
	ListCell *cell;

	bs_server_options_parse(options, &parsed);
	if (parsed.nodes == NULL)
		return;
	check_node_list(parsed.nodes);
	foreach (cell, options)
	{
		const char *name = lfirst_node(DefElem, cell)->defname;

		if (libpq_find(name) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("a server with option \"nodes\" cannot have option \"%s\"", name),
					 errdetail("It is a group; each of its nodes has its own address.")));
	}
}

/* ---------- user mappings ---------- */

static bool
password_required(List *mapping_options)
{
	DefElem *def = bs_option_find(mapping_options, PASSWORD_REQUIRED);

	return def == NULL || defGetBoolean(def);
}

static void
require_superuser(bool wanted, const char *option, const char *what)
{
	if (wanted && !superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a superuser may set option \"%s\" of a user mapping%s", option,
							   what)));
}

void
bs_node_mapping_check(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, PASSWORD_REQUIRED) != 0 &&
			!bs_libpq_option_check(def, UserMappingRelationId))
			ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
							errmsg("a user mapping has no option \"%s\"", def->defname),
							errhint("Options are: user, password, sslpassword, sslcert, sslkey, "
									"password_required.")));
		/* A file that the server may read, and he perhaps not. */
		require_superuser(is_certificate(def->defname), def->defname, "");
	}
	require_superuser(!password_required(options), PASSWORD_REQUIRED, " to false");
}

/* ---------- connecting ---------- */

static bool
has_password(List *mapping_options)
{
	DefElem *def = bs_option_find(mapping_options, "password");

	return def != NULL && *defGetString(def) != '\0';
}

static void
add_parameters(List *options, const char **keywords, const char **values, int *n)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (libpq_find(def->defname) == NULL)
			continue;
		keywords[*n] = def->defname;
		values[(*n)++] = defGetString(def);
	}
}

void
bs_node_parameters(List *server_options, List *mapping_options, Oid user, const char *name,
				   const char ***keywords, const char ***values, bool *must_use_password)
{
	int room = list_length(server_options) + list_length(mapping_options) + 4;
	int n = 0;

	*must_use_password = !superuser_arg(user) && password_required(mapping_options);
	if (*must_use_password && !has_password(mapping_options))
		ereport(
			ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("password is required for node \"%s\"", name),
			 errdetail("Who is no superuser must give one in the user mapping."),
			 errhint("ALTER USER MAPPING ... OPTIONS (ADD password '...'), or let a superuser set "
					 "password_required to false.")));
	*keywords = palloc0(sizeof(char *) * (Size) room);
	*values = palloc0(sizeof(char *) * (Size) room);
	/* Kerberos would wait for its own servers as long as it likes; who wants it says so. */
	if (bs_option_find(server_options, "gssencmode") == NULL)
	{
		(*keywords)[n] = "gssencmode";
		(*values)[n++] = "disable";
	}
	add_parameters(server_options, *keywords, *values, &n);
	/* After the server's: a certificate of one's own counts. */
	add_parameters(mapping_options, *keywords, *values, &n);
	(*keywords)[n] = "fallback_application_name";
	(*values)[n++] = BS_EXTENSION;
	(*keywords)[n] = "client_encoding";
	(*values)[n++] = GetDatabaseEncodingName();
}
