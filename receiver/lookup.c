/* SPDX-License-Identifier: PostgreSQL */
/* lookup.c: look names up in the background.  See lookup.h. */
#define _GNU_SOURCE 1 /* getaddrinfo_a */
#include "lookup.h"

#include <stdlib.h>
#include <string.h>

struct BsLookup
{
	struct BsLookup *next; /* put aside */
	struct gaicb request;
	struct addrinfo hints;
	char name[]; /* terminated */
};

static BsLookup *put_aside;

static bool
may_free(BsLookup *lookup)
{
	return gai_error(&lookup->request) != EAI_INPROGRESS ||
		   gai_cancel(&lookup->request) != EAI_NOTCANCELED;
}

static void
sweep(void)
{
	BsLookup **link = &put_aside;

	while (*link != NULL)
	{
		BsLookup *lookup = *link;

		if (may_free(lookup))
		{
			*link = lookup->next;
			if (lookup->request.ar_result != NULL)
				freeaddrinfo(lookup->request.ar_result);
			free(lookup);
		}
		else
			link = &lookup->next;
	}
}

void
bs_lookup_free(BsLookup *lookup)
{
	if (lookup == NULL)
		return;
	lookup->next = put_aside;
	put_aside = lookup;
	sweep();
}

BsLookup *
bs_lookup_begin(const char *name, int socktype)
{
	size_t size = strlen(name) + 1;
	BsLookup *lookup;
	struct gaicb *request;

	sweep();
	lookup = calloc(1, sizeof(BsLookup) + size);
	if (lookup == NULL)
		return NULL;
	memcpy(lookup->name, name, size);
	lookup->hints.ai_socktype = socktype;
	request = &lookup->request;
	request->ar_name = lookup->name;
	request->ar_request = &lookup->hints;
	if (getaddrinfo_a(GAI_NOWAIT, &request, 1, NULL) == 0)
		return lookup;
	free(lookup);
	return NULL;
}

bool
bs_lookup_done(BsLookup *lookup, int *status, const struct addrinfo **found)
{
	*status = gai_error(&lookup->request);
	*found = *status == 0 ? lookup->request.ar_result : NULL;
	return *status != EAI_INPROGRESS;
}
