/* SPDX-License-Identifier: PostgreSQL */
/*
 * faultlog.c: lines in the log about faults of traffic.  See faultlog.h.
 *
 * Every minute each counter of faults is compared with what it was; for each kind of fault that has
 * grown there is one line, which names the exporter where it grew most.
 */
#include "backstream.h"

#include "utils/builtins.h"

#include "catalog/pg_type.h"
#include "faultlog.h"
#include "lanes.h"
#include "registry.h"

#define LOOK_USEC (INT64CONST(60) * USECS_PER_SEC)
#define FIRST_LOOK_USEC (INT64CONST(5) * USECS_PER_SEC)

typedef struct Fault
{
	Size counter; /* offset in BsExporterStats */
	const char *what;
	const char *hint;
	uint64 seen; /* of all exporters together */
} Fault;

static Fault faults[] = {
	{offsetof(BsExporterStats, unknown_template), "sets of an unknown template",
	 "Exporters send templates by time or by count; until then their records cannot be decoded.", 0},
	{offsetof(BsExporterStats, decode_errors), "malformed datagrams or sets", NULL, 0},
	{offsetof(BsExporterStats, template_errors), "malformed templates", NULL, 0},
	{offsetof(BsExporterStats, templates_refused_full), "templates for which there was no room",
	 "See backstream.max_templates.", 0},
};

static uint64 refused_seen;
static TimestampTz look_at;

static uint64
counter_of(const BsExporterStats *stats, const Fault *fault)
{
	return *(const uint64 *) ((const char *) stats + fault->counter);
}

static void
say(const Fault *fault, uint64 grown, const BsExporterStats *worst)
{
	BsValue value = {.inet = worst->exporter};
	Datum address = bs_value_to_datum(BS_INET, &value, INETOID);
	char *text = DatumGetCString(DirectFunctionCall1(inet_out, address));

	ereport(LOG, (errmsg("backstream has counted " UINT64_FORMAT " more %s", grown, fault->what),
				  errdetail("Most of all such came from %s, observation domain " INT64_FORMAT
							", %s: see backstream.exporters.",
							text, worst->obs_domain,
							bs_flow_type_name((BsFlowType) worst->flow_type)),
				  fault->hint != NULL ? errhint("%s", fault->hint) : 0));
	pfree(text);
	pfree(DatumGetPointer(address));
}

static void
look_for(Fault *fault, const BsExporterStats *exporters, bool quiet)
{
	const BsExporterStats *worst = NULL;
	uint64 sum = 0;

	for (int i = 0; i < bs_setting_max_exporters; i++)
	{
		if (exporters[i].flow_type == BS_FLOW_TYPE_NONE)
			continue;
		sum += counter_of(&exporters[i], fault);
		if (worst == NULL || counter_of(&exporters[i], fault) > counter_of(worst, fault))
			worst = &exporters[i];
	}
	/* What a predecessor has counted it has also said. */
	if (sum > fault->seen && worst != NULL && !quiet)
		say(fault, sum - fault->seen, worst);
	fault->seen = sum;
}

void
bs_faults_log(int worker, const BsDecoderStats *decoder)
{
	TimestampTz now = GetCurrentTimestamp();
	bool first = look_at == 0;

	if (now < look_at)
		return;
	look_at = now + (first ? FIRST_LOOK_USEC : LOOK_USEC);
	for (size_t i = 0; i < lengthof(faults); i++)
		look_for(&faults[i], bs_shared_exporters(worker), first);
	if (decoder->exporters_refused > refused_seen)
		ereport(LOG, (errmsg("backstream has refused " UINT64_FORMAT " datagrams of exporters for which "
							 "there was no room",
							 decoder->exporters_refused - refused_seen),
					  errhint("Raise backstream.max_exporters, or say in backstream.allow who may export.")));
	refused_seen = decoder->exporters_refused;
}
