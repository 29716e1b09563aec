/* SPDX-License-Identifier: PostgreSQL */
/*
 * noderesolve.c: addresses of nodes that are given by name, without waiting for a slow resolver.
 *
 * libpq connects without blocking, but looks names up by getaddrinfo(), which may take half a minute.  Here they
 * are looked up in the background (receiver/lookup.h); libpq gets the addresses as hostaddr, and the name as host,
 * by which certificates are checked.
 */
#include "backstream.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>

#include "lib/stringinfo.h"

#include "../receiver/lookup.h"
#include "nodeconn.h"

#define MAX_ADDRESSES 8 /* of one name */

/* malloc'ed: it goes with a connection, which no memory context does. */
struct BsResolve
{
	int nnames;
	char **names;       /* [nnames] of host, in order */
	BsLookup **lookups; /* [nnames]; NULL: no look-up is needed */
};

/* ---------- memory ---------- */

void
bs_resolve_free(BsResolve *resolve)
{
	if (resolve == NULL)
		return;
	for (int i = 0; i < resolve->nnames; i++)
	{
		bs_lookup_free(resolve->lookups[i]);
		free(resolve->names[i]);
	}
	free(resolve->names);
	free(resolve->lookups);
	free(resolve);
}

/* ---------- names ---------- */

static const char *
value_of(const char *const *keywords, const char *const *values, const char *keyword)
{
	const char *value = NULL;

	for (int i = 0; keywords[i] != NULL; i++)
		if (strcmp(keywords[i], keyword) == 0)
			value = values[i];
	return value != NULL && *value != '\0' ? value : NULL;
}

/* A path, or an address as it is. */
static bool
needs_lookup(const char *name)
{
	unsigned char address[sizeof(struct in6_addr)];

	return *name != '\0' && *name != '/' && *name != '@' &&
		   inet_pton(AF_INET, name, address) != 1 && inet_pton(AF_INET6, name, address) != 1;
}

/* The elements of a list as libpq has them: separated by commas, nothing else. */
static int
count_elements(const char *list)
{
	int n = 1;

	for (; *list != '\0'; list++)
		n += *list == ',';
	return n;
}

static const char *
element(const char *list, int i, int *len)
{
	while (i > 0)
		if (*list++ == ',')
			i--;
	*len = (int) strcspn(list, ",");
	return list;
}

/* Begin the look-ups that are needed.  False when memory is out. */
static bool
begin_lookups(BsResolve *resolve, const char *hosts, bool *any)
{
	*any = false;
	for (int i = 0; i < resolve->nnames; i++)
	{
		int len;
		const char *name = element(hosts, i, &len);

		resolve->names[i] = strndup(name, (size_t) len);
		if (resolve->names[i] == NULL)
			return false;
		if (!needs_lookup(resolve->names[i]))
			continue;
		resolve->lookups[i] = bs_lookup_begin(resolve->names[i], SOCK_STREAM);
		if (resolve->lookups[i] == NULL)
			return false;
		*any = true;
	}
	return resolve->nnames > 0;
}

BsResolve *
bs_resolve_begin(const char **keywords, const char **values)
{
	const char *hosts = value_of(keywords, values, "host");
	BsResolve *resolve;
	bool any;

	if (hosts == NULL || value_of(keywords, values, "hostaddr") != NULL)
		return NULL;
	resolve = calloc(1, sizeof(BsResolve));
	if (resolve == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	resolve->nnames = count_elements(hosts);
	resolve->names = calloc((size_t) resolve->nnames, sizeof(char *));
	resolve->lookups = calloc((size_t) resolve->nnames, sizeof(BsLookup *));
	if (resolve->names == NULL || resolve->lookups == NULL)
		resolve->nnames = 0;
	if (!begin_lookups(resolve, hosts, &any))
	{
		bs_resolve_free(resolve);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
						errdetail("Failed to look up addresses of nodes.")));
	}
	if (any)
		return resolve;
	bs_resolve_free(resolve);
	return NULL;
}

bool
bs_resolve_done(BsResolve *resolve, const char **error)
{
	bool any = false;

	*error = NULL;
	for (int i = 0; i < resolve->nnames; i++)
	{
		const struct addrinfo *found;
		int status = 0;

		if (resolve->lookups[i] != NULL && !bs_lookup_done(resolve->lookups[i], &status, &found))
			return false;
		if (status == 0)
			any = true;
		else
			*error = gai_strerror(status);
	}
	/* Of several hosts one will do. */
	if (any)
		*error = NULL;
	return true;
}

/* ---------- addresses ---------- */

typedef struct Lists
{
	StringInfoData host;
	StringInfoData hostaddr;
	StringInfoData port;
} Lists;

static void
lists_add(Lists *lists, const char *name, const char *address, const char *port, int port_len)
{
	const char *comma = lists->host.len > 0 ? "," : "";

	appendStringInfo(&lists->host, "%s%s", comma, name);
	appendStringInfo(&lists->hostaddr, "%s%s", comma, address);
	appendStringInfo(&lists->port, "%s%.*s", comma, port_len, port);
}

static void
lists_add_name(Lists *lists, const BsResolve *resolve, int i, const char *port, int port_len)
{
	const struct addrinfo *found = NULL;
	int status;
	int n = 0;

	if (resolve->lookups[i] == NULL)
		lists_add(lists, resolve->names[i], "", port, port_len);
	else
		(void) bs_lookup_done(resolve->lookups[i], &status, &found);
	for (; found != NULL && n < MAX_ADDRESSES; found = found->ai_next)
	{
		char address[NI_MAXHOST];

		if (getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0,
						NI_NUMERICHOST) != 0)
			continue;
		lists_add(lists, resolve->names[i], address, port, port_len);
		n++;
	}
}

void
bs_resolve_apply(BsResolve *resolve, const char ***keywords, const char ***values)
{
	const char *ports = value_of(*keywords, *values, "port");
	int nports = ports != NULL ? count_elements(ports) : 0;
	Lists lists;
	int n = 0;
	const char **new_keywords;
	const char **new_values;

	initStringInfo(&lists.host);
	initStringInfo(&lists.hostaddr);
	initStringInfo(&lists.port);
	for (int i = 0; i < resolve->nnames; i++)
	{
		int len = 0;
		const char *port =
			nports > 0 ? element(ports, nports > 1 ? Min(i, nports - 1) : 0, &len) : "";

		lists_add_name(&lists, resolve, i, port, len);
	}
	while ((*keywords)[n] != NULL)
		n++;
	new_keywords = palloc0(sizeof(char *) * (Size) (n + 4));
	new_values = palloc0(sizeof(char *) * (Size) (n + 4));
	memcpy(new_keywords, *keywords, sizeof(char *) * (Size) n);
	memcpy(new_values, *values, sizeof(char *) * (Size) n);
	/* The last one of a keyword counts. */
	new_keywords[n] = "host";
	new_values[n++] = lists.host.data;
	new_keywords[n] = "hostaddr";
	new_values[n++] = lists.hostaddr.data;
	if (nports > 0)
	{
		new_keywords[n] = "port";
		new_values[n++] = lists.port.data;
	}
	*keywords = new_keywords;
	*values = new_values;
}
