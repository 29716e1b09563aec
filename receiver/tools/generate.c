/* SPDX-License-Identifier: PostgreSQL */
/*
 * generate.c: builds datagrams from record images.  See generate.h.
 *
 * The way of a record: draw a flow and this export's counters, ask for the image's cache lines,
 * copy the image, patch counters and stamps, add to the totals.  Memory: 64 bytes per flow and
 * version (128 where records are longer), drawn for all flows at the start.
 */
#include "generate.h"

#include <stdlib.h>

#define CACHE_LINE           64
#define UPTIME_AT_START_MSEC (3600 * 1000)
#define NOT_EXPORTABLE       0xff

/* Record images of all flows in one version.  The last two bytes of an image say what it is. */
typedef struct BsImagePool
{
	const BsExportProtocol *protocol;
	BsLayout layouts[2]; /* IPv4, IPv6 */
	uint32_t nlayouts;
	uint32_t nrecords; /* in a full datagram */
	uint32_t stride;   /* CACHE_LINE or twice that */
	uint8_t *images;
} BsImagePool;

typedef struct BsStream
{
	const BsImagePool *pool;
	BsStreamTotals *totals;
	uint32_t exporter;
	uint32_t domain;
	uint32_t sequence;
	int64_t skew_msec;
	int64_t boot_msec;
	bool templates_sent;
	int64_t templates_usec; /* when they were sent last */
	/* Sums of the window of ten seconds that flows end in just now; not yet in the totals. */
	int64_t window_from_msec;
	int64_t window_to_msec;
	BsSums window;
} BsStream;

/* One export of a flow. */
typedef struct BsDraw
{
	const uint8_t *image;
	int64_t end_msec;
	uint32_t flow;
	uint32_t bytes;
	uint32_t packets;
	uint32_t duration_msec;
} BsDraw;

struct BsGenerator
{
	BsGenerateConfig config;
	BsPopulation *population;
	BsTotals *totals;
	BsRandom random;
	BsRandom loss_random;
	BsImagePool pools[BS_EXPORT_NVERSIONS];
	BsStream *streams;
	uint32_t nstreams;
	uint32_t turn;       /* the stream whose datagram is next */
	uint64_t nrecords;   /* made so far, lost ones too */
	uint64_t nburst;     /* how many of them are of the burst that is being made */
	int64_t burst_usec;  /* when that one is exported */
	uint64_t loss_below; /* a datagram is lost when a random number is below */
};

static inline uint32_t
image_len(const BsImagePool *pool, const uint8_t *image)
{
	return image[pool->stride - 2];
}

static inline uint32_t
image_layout(const BsImagePool *pool, const uint8_t *image)
{
	return image[pool->stride - 1];
}

/* Which layouts there are, and how many records of the longest one fit a datagram. */
static void
pool_layouts(BsImagePool *pool, const BsGenerateConfig *config)
{
	const BsExportProtocol *protocol = pool->protocol;
	uint32_t longest = 0;
	uint32_t overhead = protocol->header_len_bytes;

	for (uint32_t family = 0; family < 2; family++)
	{
		BsLayout *layout = &pool->layouts[pool->nlayouts];

		if (family == 0 ? config->population.ipv6_share >= 1 : config->population.ipv6_share <= 0)
			continue;
		if (!protocol->layout(config->template_kind, family == 1, layout) &&
			!protocol->layout(BS_TEMPLATE_WIDE, family == 1, layout))
			continue;
		pool->nlayouts++;
		if (layout->max_len_bytes > longest)
			longest = layout->max_len_bytes;
		if (protocol->set_header_len_bytes != 0)
			overhead += protocol->set_header_len_bytes + 3; /* padding */
	}
	if (longest == 0)
		return;
	pool->stride = longest + 2 <= CACHE_LINE ? CACHE_LINE : 2 * CACHE_LINE;
	pool->nrecords = (BS_EXPORT_PAYLOAD - overhead) / longest;
	if (protocol->max_records != 0 && pool->nrecords > protocol->max_records)
		pool->nrecords = protocol->max_records;
	if (pool->nrecords > BS_GENERATE_RECORDS)
		pool->nrecords = BS_GENERATE_RECORDS;
}

static bool
pool_fill(BsImagePool *pool, const BsPopulation *population)
{
	/* Images are copied in whole lines. */
	pool->images = aligned_alloc(CACHE_LINE, (size_t) population->nflows * pool->stride);
	if (pool->images == NULL)
		return false;
	for (uint32_t k = 0; k < population->nflows; k++)
	{
		uint8_t *slot = pool->images + (size_t) k * pool->stride;
		uint8_t image[BS_EXPORT_MAX_RECORD];
		BsExportFlow flow;
		uint32_t layout;
		uint32_t len;

		memset(slot, 0, pool->stride);
		bs_population_flow(population, k, &flow);
		layout = pool->nlayouts == 2 && flow.is_ipv6;
		if (flow.is_ipv6 && !pool->protocol->has_ipv6)
		{
			slot[pool->stride - 1] = NOT_EXPORTABLE;
			continue;
		}
		len = bs_layout_encode(&pool->layouts[layout], &flow, image);
		memcpy(slot, image, len);
		slot[pool->stride - 2] = (uint8_t) len;
		slot[pool->stride - 1] = (uint8_t) layout;
	}
	return true;
}

/* A v5 exporter of a mix draws until it has an IPv4 flow: there must be one. */
static bool
has_ipv4_flow(const BsPopulationConfig *config)
{
	BsPopulation population = {.config = *config};
	uint32_t k = 0;

	while (k < config->addresses && bs_population_is_ipv6(&population, k))
		k++;
	return k < config->addresses;
}

const char *
bs_generator_check(const BsGenerateConfig *config)
{
	if (config->nexporters < config->nversions)
		return "a mix of versions needs at least one exporter for each";
	if (config->population.as_pairs < 1 || config->population.as_pairs > BS_POPULATION_MAX ||
		config->population.addresses < 1 || config->population.addresses > BS_POPULATION_MAX)
		return "numbers of AS and address pairs must be from 1 to 8388608";
	if (config->duration_msec > UPTIME_AT_START_MSEC)
		return "flows can last an hour at most";
	if (config->burst_records > 0 && config->fixed_time && config->time_step_usec > 0)
		return "in bursts flows end at random within the interval: there is no time step";
	if (config->burst_records > 0 &&
		(config->burst_interval_usec < 1000 ||
		 config->burst_interval_usec > UPTIME_AT_START_MSEC * INT64_C(1000)))
		return "bursts can be from a millisecond to an hour apart";
	for (uint32_t i = 0; i < config->nversions; i++)
	{
		BsImagePool pool = {.protocol = bs_export_protocols[config->versions[i]]};

		if (config->template_kind == BS_TEMPLATE_VARLEN && config->nversions == 1 &&
			config->versions[i] != BS_EXPORT_IPFIX)
			return "only IPFIX has templates of variable length";
		if (config->versions[i] == BS_EXPORT_V5 && config->sampling_rate > 0x3fff)
			return "NetFlow v5 has room for sampling rates up to 16383 only";
		if (config->versions[i] == BS_EXPORT_V5 &&
			(uint64_t) config->first_domain + config->ndomains > 65536)
			return "NetFlow v5 has room for domains up to 65535 only";
		if ((config->versions[i] == BS_EXPORT_V5 || config->template_kind != BS_TEMPLATE_WIDE) &&
			config->population.as_base > 15)
			return "AS numbers of 16 bits leave room for a base of 15 at most";
		pool_layouts(&pool, config);
		if (pool.nlayouts == 0)
			return "NetFlow v5 has no IPv6";
		if (config->versions[i] == BS_EXPORT_V5 && config->nversions == 1 &&
			config->population.ipv6_share > 0)
			return "NetFlow v5 has no IPv6";
		if (config->versions[i] == BS_EXPORT_V5 && !has_ipv4_flow(&config->population))
			return "so few flows, and all are IPv6: NetFlow v5 has none to send";
		if (config->records_per_datagram > pool.nrecords)
			return "so many records do not fit a datagram of 1464 bytes";
	}
	return NULL;
}

static void
stream_init(BsGenerator *generator, BsStream *stream, uint32_t i)
{
	const BsGenerateConfig *config = &generator->config;
	uint32_t exporter = i % config->nexporters;
	uint64_t bits = bs_mix64(config->population.seed * 7 + exporter + 1) >> 32;

	stream->pool = &generator->pools[config->versions[exporter % config->nversions]];
	stream->totals = &generator->totals->streams[i];
	stream->exporter = exporter;
	stream->domain = config->first_domain + i / config->nexporters;
	stream->sequence = config->first_sequence;
	stream->skew_msec =
		(int64_t) bs_random_scale((uint32_t) bits, 2 * config->skew_msec + 1) - config->skew_msec;
	/* v9 says its boot time in whole seconds. */
	stream->boot_msec = (config->start_usec / 1000000 * 1000 - UPTIME_AT_START_MSEC) +
						stream->skew_msec / 1000 * 1000;
}

static bool
generator_init(BsGenerator *generator)
{
	const BsGenerateConfig *config = &generator->config;

	generator->nstreams = config->nexporters * config->ndomains;
	generator->random.state = bs_mix64(config->population.seed);
	generator->loss_random.state = bs_mix64(config->population.seed ^ UINT64_C(0x6c6f7373));
	generator->loss_below = config->loss >= 1 ? UINT64_MAX : (uint64_t) (config->loss * 0x1p64);
	generator->population = bs_population_create(&config->population);
	generator->streams = calloc(generator->nstreams, sizeof(*generator->streams));
	if (generator->population == NULL || generator->streams == NULL)
		return false;
	generator->totals =
		bs_totals_create(generator->nstreams, generator->population->nflows, config->by_flow);
	if (generator->totals == NULL)
		return false;
	for (uint32_t i = 0; i < config->nversions; i++)
	{
		BsImagePool *pool = &generator->pools[config->versions[i]];

		pool->protocol = bs_export_protocols[config->versions[i]];
		pool_layouts(pool, config);
		if (config->records_per_datagram != 0)
			pool->nrecords = config->records_per_datagram;
		if (!pool_fill(pool, generator->population))
			return false;
	}
	for (uint32_t i = 0; i < generator->nstreams; i++)
		stream_init(generator, &generator->streams[i], i);
	generator->burst_usec = config->start_usec + config->burst_interval_usec;
	return true;
}

BsGenerator *
bs_generator_create(const BsGenerateConfig *config)
{
	BsGenerator *generator = calloc(1, sizeof(*generator));

	if (generator == NULL)
		return NULL;
	generator->config = *config;
	if (!generator_init(generator))
	{
		bs_generator_free(generator);
		return NULL;
	}
	return generator;
}

void
bs_generator_free(BsGenerator *generator)
{
	if (generator == NULL)
		return;
	for (uint32_t i = 0; i < BS_EXPORT_NVERSIONS; i++)
		free(generator->pools[i].images);
	bs_population_free(generator->population);
	bs_totals_free(generator->totals);
	free(generator->streams);
	free(generator);
}

static void
window_flush(BsTotals *totals, BsStream *stream)
{
	bs_totals_add_window(totals, stream->window_from_msec, &stream->window);
	memset(&stream->window, 0, sizeof(stream->window));
}

static void
window_enter(BsTotals *totals, BsStream *stream, int64_t end_msec)
{
	const int64_t width = BS_TOTALS_WINDOW_SECS * 1000;
	int64_t rest = end_msec % width;

	window_flush(totals, stream);
	stream->window_from_msec = end_msec - (rest < 0 ? rest + width : rest);
	stream->window_to_msec = stream->window_from_msec + width;
}

static void
totals_add(BsTotals *totals, BsStream *stream, const BsDraw *draw)
{
	if (draw->end_msec >= stream->window_to_msec || draw->end_msec < stream->window_from_msec)
		window_enter(totals, stream, draw->end_msec);
	stream->window.records++;
	stream->window.bytes += draw->bytes;
	stream->window.packets += draw->packets;
	bs_totals_flow(totals, draw->flow, draw->bytes, draw->packets);
}

/* What time the exporters have, by their own clocks were they right. */
static int64_t
export_usec(const BsGenerator *generator, int64_t now_usec)
{
	const BsGenerateConfig *config = &generator->config;

	if (config->burst_records > 0)
		return generator->burst_usec;
	if (config->fixed_time)
		return config->start_usec + (int64_t) generator->nrecords * config->time_step_usec;
	return now_usec;
}

/* A flow that ended before the burst, and not before the one before it. */
static int64_t
draw_burst_end(BsGenerator *generator)
{
	uint32_t interval_msec = (uint32_t) (generator->config.burst_interval_usec / 1000);
	uint32_t bits = (uint32_t) (bs_random(&generator->random) >> 32);

	return generator->burst_usec / 1000 - 1 - bs_random_scale(bits, interval_msec);
}

/* Draw n exports and have their images fetched; returns the time of the export. */
static int64_t
draw_records(BsGenerator *generator, const BsStream *stream, int64_t now_usec, BsDraw *draws,
			 uint32_t n)
{
	const BsGenerateConfig *config = &generator->config;
	const BsImagePool *pool = stream->pool;
	bool bursts = config->burst_records > 0;
	int64_t end_usec = export_usec(generator, now_usec);
	int64_t step_usec = config->fixed_time ? config->time_step_usec : 0;

	for (uint32_t i = 0; i < n; i++)
	{
		BsDraw *draw = &draws[i];
		uint64_t bits = bs_random(&generator->random);

		do
		{
			draw->flow = bs_population_draw(generator->population, &generator->random);
			draw->image = pool->images + (size_t) draw->flow * pool->stride;
			if (pool->stride > CACHE_LINE)
				__builtin_prefetch(draw->image + CACHE_LINE);
			__builtin_prefetch(draw->image);
			/* A v5 exporter of a mix takes the next IPv4 flow instead. */
		} while (!pool->protocol->has_ipv6 && config->population.ipv6_share > 0 &&
				 image_layout(pool, draw->image) == NOT_EXPORTABLE);
		draw->packets = 1 + (bits & 63);
		draw->bytes = draw->packets * (40 + bs_random_scale((uint32_t) (bits >> 32), 1461));
		draw->duration_msec =
			bs_random_scale((uint32_t) (bits >> 8) & 0xffffff00u, config->duration_msec + 1);
		draw->end_msec = (bursts ? draw_burst_end(generator) : end_usec / 1000) + stream->skew_msec;
		end_usec += step_usec;
	}
	return bursts ? generator->burst_usec / 1000 + stream->skew_msec : draws[n - 1].end_msec;
}

static void
patch_record(uint8_t *record, const BsLayout *layout, const BsDraw *draw, int64_t boot_msec)
{
	uint8_t *bytes = record + layout->bytes_at;
	uint8_t *packets = record + layout->packets_at;
	uint8_t *start = record + layout->start_at;
	uint8_t *end = record + layout->end_at;

	bs_put32(&bytes, draw->bytes);
	bs_put32(&packets, draw->packets);
	if (layout->epoch_stamps)
	{
		bs_put64(&start, (uint64_t) (draw->end_msec - draw->duration_msec));
		bs_put64(&end, (uint64_t) draw->end_msec);
	}
	else
	{
		bs_put32(&start, (uint32_t) (draw->end_msec - draw->duration_msec - boot_msec));
		bs_put32(&end, (uint32_t) (draw->end_msec - boot_msec));
	}
}

/* Write the records of one layout, as a set where the version has sets. */
static uint8_t *
put_set(BsGenerator *generator, BsStream *stream, uint32_t which, const BsDraw *draws, uint32_t n,
		uint8_t *p)
{
	const BsImagePool *pool = stream->pool;
	const BsLayout *layout = &pool->layouts[which];
	bool has_set = pool->protocol->set_header_len_bytes != 0;
	uint8_t *set = p;
	uint8_t *first;

	if (has_set)
	{
		bs_put16(&p, layout->template_id);
		bs_put16(&p, 0);
	}
	first = p;
	for (uint32_t i = 0; i < n; i++)
	{
		const uint8_t *image = draws[i].image;

		if (pool->nlayouts > 1 && image_layout(pool, image) != which)
			continue;
		memcpy(p, image, CACHE_LINE);
		if (pool->stride > CACHE_LINE)
			memcpy(p + CACHE_LINE, image + CACHE_LINE, CACHE_LINE);
		patch_record(p, layout, &draws[i], stream->boot_msec);
		totals_add(generator->totals, stream, &draws[i]);
		p += image_len(pool, image);
	}
	if (p == first)
		return set;
	return has_set ? bs_set_close(set, p) : p;
}

/* The datagram that ends at p is complete but for its header. */
static void
finish_datagram(BsGenerator *generator, BsStream *stream, BsOutgoing *out, const uint8_t *end,
				BsExportHeader *header, uint32_t nsequenced)
{
	const BsExportProtocol *protocol = stream->pool->protocol;
	BsStreamTotals *totals = stream->totals;

	out->len_bytes = (uint32_t) (end - out->data);
	out->exporter = stream->exporter;
	header->boot_msec = stream->boot_msec;
	header->domain = stream->domain;
	header->sequence = stream->sequence;
	header->sampling_rate = generator->config.sampling_rate;
	protocol->header(out->data, out->len_bytes, header);
	stream->sequence += protocol->sequence_step(nsequenced);
	totals->datagrams++;
	totals->payload_bytes += out->len_bytes;
	/* What was lost before shows now. */
	totals->records_lost += totals->records_lost_tail;
	totals->datagrams_lost += totals->datagrams_lost_tail;
	totals->records_lost_tail = 0;
	totals->datagrams_lost_tail = 0;
}

/* What says when templates are due again. */
static int64_t
templates_clock(const BsGenerator *generator, int64_t now_usec)
{
	return generator->config.burst_records > 0 ? generator->burst_usec : now_usec;
}

static void
make_templates(BsGenerator *generator, BsStream *stream, int64_t now_usec, BsOutgoing *out)
{
	const BsImagePool *pool = stream->pool;
	const BsGenerateConfig *config = &generator->config;
	BsExportHeader header = {0};
	uint16_t noptions;
	uint8_t *end;

	header.export_msec = export_usec(generator, now_usec) / 1000 + stream->skew_msec;
	end = pool->protocol->templates(out->data + pool->protocol->header_len_bytes, pool->layouts,
									pool->nlayouts, config->sampling_rate, stream->domain,
									&header.nrecords, &noptions);
	finish_datagram(generator, stream, out, end, &header, noptions);
	out->nrecords = 0;
	stream->totals->option_records += noptions;
	stream->totals->template_datagrams++;
	stream->templates_sent = true;
	stream->templates_usec = templates_clock(generator, now_usec);
}

static void
make_data(BsGenerator *generator, BsStream *stream, int64_t now_usec, uint32_t n, BsOutgoing *out)
{
	const BsImagePool *pool = stream->pool;
	BsStreamTotals *totals = stream->totals;
	BsDraw draws[BS_GENERATE_RECORDS];
	BsExportHeader header = {.nrecords = (uint16_t) n};
	uint8_t *p = out->data + pool->protocol->header_len_bytes;

	header.export_msec = draw_records(generator, stream, now_usec, draws, n);
	for (uint32_t which = 0; which < pool->nlayouts; which++)
		p = put_set(generator, stream, which, draws, n, p);
	finish_datagram(generator, stream, out, p, &header, n);
	if (totals->sums.records == 0)
		totals->first_end_msec = draws[0].end_msec;
	totals->sums.records += n;
	for (uint32_t i = 0; i < n; i++)
	{
		totals->sums.bytes += draws[i].bytes;
		totals->sums.packets += draws[i].packets;
		if (draws[i].end_msec < totals->first_end_msec)
			totals->first_end_msec = draws[i].end_msec;
		if (draws[i].end_msec > totals->last_end_msec)
			totals->last_end_msec = draws[i].end_msec;
	}
}

/* A datagram that the network lost: the stream moves on as if it had been sent. */
static void
lose_data(BsStream *stream, uint32_t n, BsOutgoing *out)
{
	stream->sequence += stream->pool->protocol->sequence_step(n);
	stream->totals->records_lost_tail += n;
	stream->totals->datagrams_lost_tail++;
	out->exporter = stream->exporter;
	out->len_bytes = 0;
}

static bool
templates_due(const BsGenerator *generator, const BsStream *stream, int64_t now_usec)
{
	if (stream->pool->protocol->templates == NULL)
		return false;
	if (!stream->templates_sent)
		return true;
	return generator->config.template_interval_usec > 0 &&
		   templates_clock(generator, now_usec) - stream->templates_usec >=
			   generator->config.template_interval_usec;
}

/* No datagram has records of two bursts. */
static uint32_t
left_of_burst(BsGenerator *generator, uint32_t max_records)
{
	const BsGenerateConfig *config = &generator->config;
	uint64_t left;

	if (config->burst_records == 0)
		return max_records;
	if (generator->nburst == config->burst_records)
	{
		generator->nburst = 0;
		generator->burst_usec += config->burst_interval_usec;
	}
	left = config->burst_records - generator->nburst;
	return left < max_records ? (uint32_t) left : max_records;
}

void
bs_generator_next(BsGenerator *generator, int64_t now_usec, uint32_t max_records, BsOutgoing *out)
{
	BsStream *stream = &generator->streams[generator->turn];
	uint32_t n = left_of_burst(generator, max_records);

	if (n > stream->pool->nrecords)
		n = stream->pool->nrecords;
	if (templates_due(generator, stream, now_usec))
	{
		make_templates(generator, stream, now_usec, out);
		return;
	}
	if (++generator->turn == generator->nstreams)
		generator->turn = 0;
	out->nrecords = n;
	/* A stream's first datagram is never lost: nobody could know of it. */
	if (generator->loss_below != 0 && stream->totals->datagrams > 0 &&
		bs_random(&generator->loss_random) < generator->loss_below)
		lose_data(stream, n, out);
	else
		make_data(generator, stream, now_usec, n, out);
	generator->nrecords += n;
	generator->nburst += n;
}

void
bs_generator_end_loss(BsGenerator *generator)
{
	generator->loss_below = 0;
}

const BsTotals *
bs_generator_totals(BsGenerator *generator)
{
	for (uint32_t i = 0; i < generator->nstreams; i++)
		window_flush(generator->totals, &generator->streams[i]);
	return generator->totals;
}

const BsPopulation *
bs_generator_population(const BsGenerator *generator)
{
	return generator->population;
}

BsStreamInfo
bs_generator_stream(const BsGenerator *generator, uint32_t i)
{
	const BsStream *stream = &generator->streams[i];

	return (BsStreamInfo){
		.flow_type = stream->pool->protocol->flow_type,
		.exporter = stream->exporter,
		.domain = stream->domain,
		.skew_msec = stream->skew_msec,
	};
}
