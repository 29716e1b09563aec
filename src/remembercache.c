/* SPDX-License-Identifier: PostgreSQL */
/* remembercache.c: values by the bytes of their arguments, in bounded memory.  See remember.h. */
#include "backstream.h"

#include "common/hashfn.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "remember.h"

typedef struct Key
{
	const char *data;
	uint32 len;
	uint32 hash;
} Key;

typedef struct Entry
{
	Key key;
	char status; /* the table's */
	bool isnull;
	Datum value; /* by reference: in the generation's context */
	int64 until_usec;
} Entry;

static inline bool
same_key(Key a, Key b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

#define SH_PREFIX             remembered
#define SH_ELEMENT_TYPE       Entry
#define SH_KEY_TYPE           Key
#define SH_KEY                key
#define SH_HASH_KEY(table, k) (k).hash
#define SH_EQUAL(table, a, b) same_key(a, b)
#define SH_STORE_HASH
#define SH_GET_HASH(table, entry) (entry)->key.hash
#define SH_SCOPE                  static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

#define FIRST_ENTRIES 64

typedef struct Generation
{
	MemoryContext context; /* keys, values and the table */
	remembered_hash *table;
	Size bytes; /* of keys and values, about */
} Generation;

struct BsRememberCache
{
	int16 len;
	bool byval;
	Generation young;
	Generation old;
};

static void
generation_begin(Generation *generation)
{
	MemoryContextReset(generation->context);
	generation->table = remembered_create(generation->context, FIRST_ENTRIES, NULL);
	generation->bytes = 0;
}

BsRememberCache *
bs_remember_cache_create(MemoryContext parent, int16 len, bool byval)
{
	BsRememberCache *cache = MemoryContextAllocZero(parent, sizeof(BsRememberCache));

	cache->len = len;
	cache->byval = byval;
	cache->young.context =
		AllocSetContextCreate(parent, "BackStream remembered values", ALLOCSET_DEFAULT_SIZES);
	cache->old.context =
		AllocSetContextCreate(parent, "BackStream remembered values, old", ALLOCSET_DEFAULT_SIZES);
	generation_begin(&cache->young);
	generation_begin(&cache->old);
	return cache;
}

/* An allocation of that many bytes, with what PostgreSQL adds to it. */
static Size
allocated(Size bytes)
{
	return MAXALIGN(bytes) + 2 * sizeof(void *);
}

/* The table doubles before it is full: each entry takes room for two of them. */
static Size
generation_bytes(const Generation *generation)
{
	return generation->bytes + 2 * sizeof(Entry) * (Size) generation->table->members;
}

static void
make_room(BsRememberCache *cache)
{
	Size half = (Size) bs_setting_remember_memory_kb * 1024 / 2;
	Generation spare;

	if (generation_bytes(&cache->young) < half)
		return;
	spare = cache->old;
	cache->old = cache->young;
	cache->young = spare;
	generation_begin(&cache->young);
}

static void
set_value(BsRememberCache *cache, Generation *generation, Entry *entry, Datum value, bool isnull,
		  int64 until_usec)
{
	entry->isnull = true;
	entry->until_usec = until_usec;
	if (isnull)
		return;
	if (!cache->byval)
	{
		MemoryContext outer = MemoryContextSwitchTo(generation->context);

		value = datumCopy(value, false, cache->len);
		MemoryContextSwitchTo(outer);
		generation->bytes += allocated(datumGetSize(value, false, cache->len));
	}
	entry->value = value;
	entry->isnull = false;
}

static void
free_value(BsRememberCache *cache, Generation *generation, Entry *entry)
{
	if (cache->byval || entry->isnull)
		return;
	generation->bytes -= allocated(datumGetSize(entry->value, false, cache->len));
	pfree(DatumGetPointer(entry->value));
	entry->isnull = true;
}

static Entry *
put(BsRememberCache *cache, Key key, int64 until_usec, Datum value, bool isnull)
{
	Generation *generation = &cache->young;
	bool found;
	char *data;
	Entry *entry;

	make_room(cache);
	entry = remembered_lookup_hash(generation->table, key, key.hash);
	if (entry != NULL)
		free_value(cache, generation, entry);
	else
	{
		/* Before it is in the table: memory may be out. */
		data = MemoryContextAlloc(generation->context, Max(key.len, 1));
		memcpy(data, key.data, key.len);
		key.data = data;
		generation->bytes += allocated(key.len);
		entry = remembered_insert_hash(generation->table, key, key.hash, &found);
		entry->isnull = true;
		entry->until_usec = PG_INT64_MIN;
	}
	set_value(cache, generation, entry, value, isnull, until_usec);
	return entry;
}

static Key
key_of(const StringInfo bytes)
{
	return (Key){.data = bytes->data,
				 .len = (uint32) bytes->len,
				 .hash = hash_bytes((const unsigned char *) bytes->data, bytes->len)};
}

bool
bs_remember_cache_get(BsRememberCache *cache, const StringInfo bytes, int64 now_usec, Datum *value,
					  bool *isnull)
{
	Key key = key_of(bytes);
	Entry *entry = remembered_lookup_hash(cache->young.table, key, key.hash);

	if (entry == NULL)
	{
		entry = remembered_lookup_hash(cache->old.table, key, key.hash);
		/* Asked for again: to the young ones.  What makes room may throw away where it was. */
		if (entry != NULL && entry->until_usec > now_usec)
		{
			make_room(cache);
			entry = remembered_lookup_hash(cache->old.table, key, key.hash);
			if (entry != NULL)
				entry = put(cache, key, entry->until_usec, entry->value, entry->isnull);
		}
	}
	if (entry == NULL || entry->until_usec <= now_usec)
		return false;
	*value = entry->isnull ? (Datum) 0 : entry->value;
	*isnull = entry->isnull;
	return true;
}

void
bs_remember_cache_put(BsRememberCache *cache, const StringInfo bytes, int64 until_usec, Datum value,
					  bool isnull)
{
	(void) put(cache, key_of(bytes), until_usec, value, isnull);
}
