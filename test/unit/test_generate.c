/* SPDX-License-Identifier: PostgreSQL */
/*
 * test_generate.c: what the generator writes is what its totals say.
 *
 * The datagrams are read by a small reader of its own, written from the RFCs and used nowhere else;
 * every sum of the totals (stream, window, flow, loss) must come out of it again.
 */
#include "../../receiver/tools/generate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define MAX_STREAMS   64
#define MAX_TEMPLATES 4
#define NOW_USEC      INT64_C(1790000000123456)

typedef struct ReadTemplate
{
	uint16_t id;
	uint32_t nfields;
	uint32_t scope_fields; /* options */
	bool options;
	struct
	{
		uint32_t enterprise;
		uint16_t element;
		uint16_t len;
	} fields[BS_EXPORT_MAX_FIELDS];
} ReadTemplate;

/* One exporter and domain, as a receiver sees it. */
typedef struct ReadStream
{
	uint32_t exporter;
	uint32_t domain;
	uint16_t version;
	BsSums sums;
	uint64_t datagrams;
	uint64_t template_datagrams;
	uint64_t option_records;
	uint64_t lost; /* records, or v9 datagrams */
	bool started;
	uint32_t next_sequence;
	uint32_t ntemplates;
	ReadTemplate templates[MAX_TEMPLATES];
	int64_t first_end_msec;
	int64_t last_end_msec;
} ReadStream;

typedef struct FlowName
{
	uint8_t src[16];
	uint8_t dst[16];
	uint32_t k;
} FlowName;

typedef struct Reader
{
	const BsGenerateConfig *config;
	BsTotals *totals; /* windows and sums per flow, as read */
	FlowName *names;
	uint32_t nnames;
	uint32_t nstreams;
	ReadStream streams[MAX_STREAMS];
	uint64_t sampling_seen;
} Reader;

/* A decoded record. */
typedef struct Record
{
	BsExportFlow flow;
	uint64_t bytes;
	uint64_t packets;
	int64_t start_msec;
	int64_t end_msec;
	uint32_t sampling_interval;
	uint32_t sampling_space;
	uint32_t sampling_packets;
	uint32_t nnames;
} Record;

/* The datagram that is being read. */
typedef struct Part
{
	const uint8_t *p;
	const uint8_t *end;
	int64_t header_msec; /* v5, v9: for stamps of the uptime */
	uint32_t uptime_msec;
} Part;

static uint64_t
number(const uint8_t *p, uint32_t len)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < len; i++)
		value = value << 8 | p[i];
	return value;
}

static uint64_t
next_number(Part *part, uint32_t len)
{
	const uint8_t *p = part->p;

	assert_true(part->end - p >= (ptrdiff_t) len);
	part->p += len;
	return number(p, len);
}

static int64_t
uptime_stamp(const Part *part, uint64_t stamp)
{
	return part->header_msec - (int32_t) (part->uptime_msec - (uint32_t) stamp);
}

static void
record_field(Record *record, const Part *part, uint32_t element, const uint8_t *p, uint32_t len)
{
	uint64_t value = len <= 8 ? number(p, len) : 0;

	switch (element)
	{
		case 1:
			record->bytes = value;
			break;
		case 2:
			record->packets = value;
			break;
		case 4:
			record->flow.proto = (uint8_t) value;
			break;
		case 7:
			record->flow.src_port = (uint16_t) value;
			break;
		case 11:
			record->flow.dst_port = (uint16_t) value;
			break;
		case 16:
			record->flow.src_as = (uint32_t) value;
			break;
		case 17:
			record->flow.dst_as = (uint32_t) value;
			break;
		case 8:
		case 27:
			record->flow.is_ipv6 = len == 16;
			memcpy(record->flow.src_addr, p, len);
			break;
		case 12:
		case 28:
			memcpy(record->flow.dst_addr, p, len);
			break;
		case 21:
			record->end_msec = uptime_stamp(part, value);
			break;
		case 22:
			record->start_msec = uptime_stamp(part, value);
			break;
		case 152:
			record->start_msec = (int64_t) value;
			break;
		case 153:
			record->end_msec = (int64_t) value;
			break;
		case 34:
			record->sampling_interval = (uint32_t) value;
			break;
		case 305:
			record->sampling_packets = (uint32_t) value;
			break;
		case 306:
			record->sampling_space = (uint32_t) value;
			break;
		case 82:
			record->flow.name_len = (uint8_t) len;
			memcpy(record->flow.name, p, len);
			record->nnames++;
			break;
		default:
			break;
	}
}

static int
name_compare(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

/* The record must be one of the flows that the population have, in all that they say of it. */
static void
take_record(Reader *reader, ReadStream *stream, const Record *record,
			const BsPopulation *population)
{
	FlowName wanted = {0};
	const FlowName *found;
	BsExportFlow flow;
	BsSums one = {1, record->bytes, record->packets};

	memcpy(wanted.src, record->flow.src_addr, 16);
	memcpy(wanted.dst, record->flow.dst_addr, 16);
	found = bsearch(&wanted, reader->names, reader->nnames, sizeof(wanted), name_compare);
	assert_non_null(found);
	bs_population_flow(population, found->k, &flow);
	assert_int_equal(record->flow.src_as, flow.src_as);
	assert_int_equal(record->flow.dst_as, flow.dst_as);
	assert_int_equal(record->flow.src_port, flow.src_port);
	assert_int_equal(record->flow.dst_port, flow.dst_port);
	assert_int_equal(record->flow.proto, flow.proto);
	if (record->nnames > 0)
	{
		assert_int_equal(record->flow.name_len, flow.name_len);
		assert_memory_equal(record->flow.name, flow.name, flow.name_len);
	}
	assert_true(record->packets > 0 && record->bytes >= record->packets * 40);
	assert_in_range(record->end_msec - record->start_msec, 0, reader->config->duration_msec);

	bs_totals_flow(reader->totals, found->k, (uint32_t) record->bytes, (uint32_t) record->packets);
	bs_totals_add_window(reader->totals, record->end_msec, &one);
	if (stream->sums.records == 0 || record->end_msec < stream->first_end_msec)
		stream->first_end_msec = record->end_msec;
	if (stream->sums.records == 0 || record->end_msec > stream->last_end_msec)
		stream->last_end_msec = record->end_msec;
	stream->sums.records++;
	stream->sums.bytes += record->bytes;
	stream->sums.packets += record->packets;
}

static void
follow(ReadStream *stream, uint32_t sequence, uint32_t step, uint32_t first)
{
	if (!stream->started)
		assert_int_equal(sequence, first);
	else
	{
		assert_true((int32_t) (sequence - stream->next_sequence) >= 0);
		stream->lost += sequence - stream->next_sequence;
	}
	stream->started = true;
	stream->next_sequence = sequence + step;
}

static void
read_v5(Reader *reader, ReadStream *stream, Part *part, const BsPopulation *population)
{
	/* Element and length of each field, in order. */
	static const struct
	{
		uint16_t element;
		uint16_t len;
	} fields[] = {{8, 4},  {12, 4}, {15, 4}, {10, 2}, {14, 2}, {2, 4}, {1, 4},
				  {22, 4}, {21, 4}, {7, 2},  {11, 2}, {0, 1},  {6, 1}, {4, 1},
				  {5, 1},  {16, 2}, {17, 2}, {9, 1},  {13, 1}, {0, 2}};
	uint32_t count = (uint32_t) next_number(part, 2);
	uint64_t seconds;
	uint64_t nanoseconds;
	uint32_t sequence;
	uint32_t sampling;

	part->uptime_msec = (uint32_t) next_number(part, 4);
	seconds = next_number(part, 4);
	nanoseconds = next_number(part, 4);
	assert_true(nanoseconds < 1000000000);
	part->header_msec = (int64_t) (seconds * 1000 + nanoseconds / 1000000);
	sequence = (uint32_t) next_number(part, 4);
	assert_int_equal(next_number(part, 2), stream->domain);
	sampling = (uint32_t) next_number(part, 2);
	if (reader->config->sampling_rate != 0)
		assert_int_equal(sampling, 0x4000 | reader->config->sampling_rate);
	else
		assert_int_equal(sampling, 0);
	assert_int_equal(part->end - part->p, count * 48);
	follow(stream, sequence, count, reader->config->first_sequence);
	for (uint32_t i = 0; i < count; i++)
	{
		Record record = {0};

		for (uint32_t f = 0; f < sizeof(fields) / sizeof(fields[0]); f++)
		{
			record_field(&record, part, fields[f].element, part->p, fields[f].len);
			part->p += fields[f].len;
		}
		take_record(reader, stream, &record, population);
	}
}

/* A template, or an options template (RFC 3954, 5.2 and 6.1; RFC 7011, 3.4). */
static void
read_template(ReadStream *stream, Part *set, bool options)
{
	uint16_t id = (uint16_t) next_number(set, 2);
	uint32_t nfields = (uint32_t) next_number(set, 2);
	uint32_t scope = options ? (uint32_t) next_number(set, 2) : 0;
	ReadTemplate *template = NULL;

	assert_true(id >= 256);
	if (options && stream->version == 9)
	{
		/* Two lengths in bytes instead: scope and options. */
		uint32_t scope_bytes = nfields;

		nfields = scope_bytes / 4 + scope / 4;
		scope = scope_bytes / 4;
	}
	for (uint32_t i = 0; i < stream->ntemplates; i++)
		if (stream->templates[i].id == id)
			template = &stream->templates[i];
	if (template == NULL)
	{
		assert_true(stream->ntemplates < MAX_TEMPLATES);
		template = &stream->templates[stream->ntemplates++];
	}
	assert_true(nfields > 0 && nfields <= BS_EXPORT_MAX_FIELDS && scope <= nfields);
	template->id = id;
	template->nfields = nfields;
	template->options = options;
	template->scope_fields = scope;
	for (uint32_t i = 0; i < nfields; i++)
	{
		template->fields[i].element = (uint16_t) next_number(set, 2);
		template->fields[i].len = (uint16_t) next_number(set, 2);
		template->fields[i].enterprise = 0;
		if (stream->version == 10 && (template->fields[i].element & 0x8000) != 0)
			template->fields[i].enterprise = (uint32_t) next_number(set, 4);
	}
}

static void
read_record(const ReadTemplate *template, Part *set, Record *record)
{
	for (uint32_t f = 0; f < template->nfields; f++)
	{
		uint32_t len = template->fields[f].len;
		bool known = template->fields[f].enterprise == 0 && f >= template->scope_fields;

		/* RFC 7011, 7. */
		if (len == 0xffff)
		{
			len = (uint32_t) next_number(set, 1);
			if (len == 255)
				len = (uint32_t) next_number(set, 2);
		}
		assert_true(set->end - set->p >= (ptrdiff_t) len);
		if (known)
			record_field(record, set, template->fields[f].element, set->p, len);
		set->p += len;
	}
}

static uint32_t
shortest(const ReadTemplate *template)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < template->nfields; i++)
		len += template->fields[i].len == 0xffff ? 1 : template->fields[i].len;
	return len;
}

/* The data of one set; returns the number of records. */
static uint32_t
read_data(Reader *reader, ReadStream *stream, uint16_t id, Part *set,
		  const BsPopulation *population)
{
	const ReadTemplate *template = NULL;
	uint32_t n = 0;

	for (uint32_t i = 0; i < stream->ntemplates; i++)
		if (stream->templates[i].id == id)
			template = &stream->templates[i];
	assert_non_null(template); /* a template goes before its data */
	for (; set->end - set->p >= (ptrdiff_t) shortest(template); n++)
	{
		Record record = {0};

		read_record(template, set, &record);
		if (!template->options)
			take_record(reader, stream, &record, population);
		else
		{
			uint32_t rate = record.sampling_interval;

			if (record.sampling_packets != 0)
				rate = (record.sampling_packets + record.sampling_space) / record.sampling_packets;
			assert_int_equal(rate, reader->config->sampling_rate);
			reader->sampling_seen++;
			stream->option_records++;
		}
	}
	/* Padding is shorter than a record, at most three bytes here, and zero. */
	assert_true(set->end - set->p <= 3);
	while (set->p < set->end)
		assert_int_equal(*set->p++, 0);
	return n;
}

/* Sets up to the end; returns records in all, and of data (options data among them). */
static uint32_t
read_sets(Reader *reader, ReadStream *stream, Part *part, const BsPopulation *population,
		  uint32_t *ndata)
{
	uint32_t nrecords = 0;

	*ndata = 0;
	while (part->p < part->end)
	{
		uint16_t id = (uint16_t) next_number(part, 2);
		uint32_t len = (uint32_t) next_number(part, 2);
		Part set = *part;
		bool options = id == (stream->version == 9 ? 1 : 3);

		assert_int_equal(len % 4, 0);
		assert_true(len > 4 && part->end - part->p >= (ptrdiff_t) len - 4);
		part->p += len - 4;
		set.end = part->p;
		if (id >= 256)
		{
			uint32_t n = read_data(reader, stream, id, &set, population);

			nrecords += n;
			*ndata += n;
			continue;
		}
		assert_true(options || id == (stream->version == 9 ? 0 : 2));
		for (; set.end - set.p >= 8; nrecords++)
			read_template(stream, &set, options);
		if (!options)
			stream->template_datagrams++;
	}
	return nrecords;
}

static void
read_v9(Reader *reader, ReadStream *stream, Part *part, const BsPopulation *population)
{
	uint32_t count = (uint32_t) next_number(part, 2);
	uint32_t ndata;

	part->uptime_msec = (uint32_t) next_number(part, 4);
	part->header_msec = (int64_t) next_number(part, 4) * 1000;
	follow(stream, (uint32_t) next_number(part, 4), 1, reader->config->first_sequence);
	assert_int_equal(next_number(part, 4), stream->domain);
	assert_int_equal(read_sets(reader, stream, part, population, &ndata), count);
}

static void
read_ipfix(Reader *reader, ReadStream *stream, Part *part, const BsPopulation *population)
{
	uint32_t sequence;
	uint32_t ndata;

	assert_int_equal(next_number(part, 2), part->end - part->p + 2);
	next_number(part, 4);
	sequence = (uint32_t) next_number(part, 4);
	assert_int_equal(next_number(part, 4), stream->domain);
	read_sets(reader, stream, part, population, &ndata);
	follow(stream, sequence, ndata, reader->config->first_sequence);
}

static ReadStream *
stream_of(Reader *reader, uint32_t exporter, uint32_t domain)
{
	ReadStream *stream;

	for (uint32_t i = 0; i < reader->nstreams; i++)
		if (reader->streams[i].exporter == exporter && reader->streams[i].domain == domain)
			return &reader->streams[i];
	assert_true(reader->nstreams < MAX_STREAMS);
	stream = &reader->streams[reader->nstreams++];
	stream->exporter = exporter;
	stream->domain = domain;
	return stream;
}

static void
read_datagram(Reader *reader, const BsOutgoing *out, const BsPopulation *population)
{
	Part part = {out->data, out->data + out->len_bytes, 0, 0};
	uint16_t version = (uint16_t) next_number(&part, 2);
	uint32_t domain = version == 5   ? (uint32_t) number(out->data + 20, 2)
					  : version == 9 ? (uint32_t) number(out->data + 16, 4)
									 : (uint32_t) number(out->data + 12, 4);
	ReadStream *stream = stream_of(reader, out->exporter, domain);

	assert_true(out->len_bytes <= BS_EXPORT_PAYLOAD);
	stream->version = version;
	stream->datagrams++;
	if (version == 5)
		read_v5(reader, stream, &part, population);
	else if (version == 9)
		read_v9(reader, stream, &part, population);
	else
	{
		assert_int_equal(version, 10);
		read_ipfix(reader, stream, &part, population);
	}
	assert_ptr_equal(part.p, part.end);
}

static Reader *
reader_create(const BsGenerateConfig *config, const BsPopulation *population)
{
	Reader *reader = calloc(1, sizeof(*reader));

	assert_non_null(reader);
	reader->config = config;
	reader->totals = bs_totals_create(1, population->nflows, true);
	reader->nnames = population->nflows;
	reader->names = calloc(population->nflows, sizeof(*reader->names));
	for (uint32_t k = 0; k < population->nflows; k++)
	{
		BsExportFlow flow;

		bs_population_flow(population, k, &flow);
		memcpy(reader->names[k].src, flow.src_addr, 16);
		memcpy(reader->names[k].dst, flow.dst_addr, 16);
		reader->names[k].k = k;
	}
	qsort(reader->names, reader->nnames, sizeof(*reader->names), name_compare);
	/* As many address pairs as were asked for. */
	for (uint32_t k = 1; k < reader->nnames; k++)
		assert_int_not_equal(name_compare(&reader->names[k - 1], &reader->names[k]), 0);
	return reader;
}

static void
reader_free(Reader *reader)
{
	bs_totals_free(reader->totals);
	free(reader->names);
	free(reader);
}

static void
assert_sums_equal(const BsSums *a, const BsSums *b)
{
	assert_int_equal(a->records, b->records);
	assert_int_equal(a->bytes, b->bytes);
	assert_int_equal(a->packets, b->packets);
}

static void
assert_windows_equal(const BsTotals *a, const BsTotals *b, uint32_t width_secs)
{
	uint32_t na;
	uint32_t nb;
	BsWindowSums *left = bs_totals_windows(a, width_secs, &na);
	BsWindowSums *right = bs_totals_windows(b, width_secs, &nb);

	assert_int_equal(na, nb);
	assert_true(na > 0);
	for (uint32_t i = 0; i < na; i++)
	{
		assert_int_equal(left[i].start_secs % width_secs, 0);
		assert_int_equal(left[i].start_secs, right[i].start_secs);
		assert_sums_equal(&left[i].sums, &right[i].sums);
	}
	free(left);
	free(right);
}

static void
assert_stream(const BsStreamInfo *info, const BsStreamTotals *told, const ReadStream *read)
{
	static const struct
	{
		uint16_t version;
		const char *flow_type;
	} types[] = {{5, "netflow_v5"}, {9, "netflow_v9"}, {10, "ipfix"}};

	for (uint32_t i = 0; i < 3; i++)
		if (types[i].version == read->version)
			assert_string_equal(types[i].flow_type, info->flow_type);
	assert_sums_equal(&told->sums, &read->sums);
	assert_int_equal(told->datagrams, read->datagrams);
	assert_int_equal(told->option_records, read->option_records);
	assert_int_equal(told->template_datagrams, read->template_datagrams);
	assert_int_equal(read->version == 9 ? told->datagrams_lost : told->records_lost, read->lost);
	assert_int_equal(told->first_end_msec, read->first_end_msec);
	assert_int_equal(told->last_end_msec, read->last_end_msec);
}

static void
assert_totals(const BsGenerator *generator, const BsTotals *told, Reader *reader)
{
	BsStreamTotals sum;

	assert_int_equal(told->nstreams, reader->nstreams);
	for (uint32_t i = 0; i < told->nstreams; i++)
	{
		BsStreamInfo info = bs_generator_stream(generator, i);

		assert_stream(&info, &told->streams[i], stream_of(reader, info.exporter, info.domain));
	}
	assert_windows_equal(told, reader->totals, BS_TOTALS_WINDOW_SECS);
	assert_windows_equal(told, reader->totals, BS_TOTALS_LONG_SECS);
	for (uint32_t k = 0; k < told->nflows; k++)
		assert_sums_equal(&told->by_flow[k], &reader->totals->by_flow[k]);
	assert_memory_equal(told->seen, reader->totals->seen, (told->nflows / 32 + 1) * 4);
	bs_totals_sum(told, &sum);
	/* Every record is accounted for. */
	assert_int_equal(sum.sums.records + sum.records_lost + sum.records_lost_tail, 5000);
}

static BsGenerateConfig
base_config(void)
{
	return (BsGenerateConfig){
		.versions = {BS_EXPORT_V5},
		.nversions = 1,
		.nexporters = 1,
		.ndomains = 1,
		.start_usec = NOW_USEC,
		.duration_msec = 10000,
		.population = {.as_pairs = 300, .addresses = 700, .seed = 42},
		.by_flow = true,
	};
}

/* Make 5000 records while the clock runs at 1000 records/s, read them, compare everything. */
static void
check(const BsGenerateConfig *config)
{
	BsGenerator *generator;
	Reader *reader;
	uint64_t made = 0;

	assert_null(bs_generator_check(config));
	generator = bs_generator_create(config);
	assert_non_null(generator);
	reader = reader_create(config, bs_generator_population(generator));
	while (made < 5000)
	{
		/* Of its own, so that a byte too many is seen. */
		uint8_t *buffer = malloc(BS_GENERATE_BUFFER);
		BsOutgoing out = {.data = buffer};

		bs_generator_next(generator, NOW_USEC + (int64_t) made * 1000, (uint32_t) (5000 - made),
						  &out);
		made += out.nrecords;
		if (out.len_bytes > 0)
			read_datagram(reader, &out, bs_generator_population(generator));
		free(buffer);
	}
	assert_int_equal(made, 5000);
	assert_totals(generator, bs_generator_totals(generator), reader);
	if (config->sampling_rate != 0 && config->versions[0] != BS_EXPORT_V5)
		assert_true(reader->sampling_seen > 0);
	reader_free(reader);
	bs_generator_free(generator);
}

static void
each_version(void (*change)(BsGenerateConfig *config))
{
	for (uint32_t v = 0; v <= BS_EXPORT_NVERSIONS; v++)
	{
		BsGenerateConfig config = base_config();

		config.versions[0] = (BsExportVersion) v;
		if (v == BS_EXPORT_NVERSIONS)
		{
			config.nversions = BS_EXPORT_NVERSIONS;
			config.nexporters = 7;
			for (uint32_t i = 0; i < BS_EXPORT_NVERSIONS; i++)
				config.versions[i] = (BsExportVersion) i;
		}
		change(&config);
		check(&config);
	}
}

/* The cases -------------------------------------------------------------------------------------
 */

static void
change_nothing(BsGenerateConfig *config)
{
	(void) config;
}

static void
change_exporters(BsGenerateConfig *config)
{
	config->nexporters = 5;
	config->ndomains = 3;
	config->first_domain = 100;
}

static void
change_sampling(BsGenerateConfig *config)
{
	config->sampling_rate = 1000;
	config->template_interval_usec = 300000;
}

static void
change_loss(BsGenerateConfig *config)
{
	config->loss = 0.3;
	config->nexporters += 2;
	config->sampling_rate = 10;
	config->template_interval_usec = 300000;
}

static void
change_time(BsGenerateConfig *config)
{
	config->fixed_time = true;
	config->time_step_usec = 123457;
	config->skew_msec = 30000;
	config->nexporters += 2;
}

/* An hour per record: the uptime's 32 bits of milliseconds wrap every 49.7 days. */
static void
change_uptime_wrap(BsGenerateConfig *config)
{
	config->fixed_time = true;
	config->start_usec = INT64_C(1000000000000000);
	config->time_step_usec = INT64_C(3600) * 1000000;
	/* Records of one datagram may not be 24 days apart. */
	config->records_per_datagram = 10;
}

static void
change_sequence_wrap(BsGenerateConfig *config)
{
	config->first_sequence = UINT32_MAX - 50;
	config->loss = 0.1;
}

static void
change_single_records(BsGenerateConfig *config)
{
	config->records_per_datagram = 1;
}

static void
change_narrow(BsGenerateConfig *config)
{
	config->template_kind = BS_TEMPLATE_NARROW;
}

static void
change_zipf(BsGenerateConfig *config)
{
	config->population.order = BS_ORDER_ZIPF;
	config->population.zipf_exponent = 1.1;
}

static void
change_sequential(BsGenerateConfig *config)
{
	config->population.order = BS_ORDER_SEQUENTIAL;
}

#define VERSION_TEST(name)                                                                         \
	static void test_##name(void **state)                                                          \
	{                                                                                              \
		(void) state;                                                                              \
		each_version(change_##name);                                                               \
	}

VERSION_TEST(nothing)
VERSION_TEST(exporters)
VERSION_TEST(sampling)
VERSION_TEST(loss)
VERSION_TEST(time)
VERSION_TEST(uptime_wrap)
VERSION_TEST(sequence_wrap)
VERSION_TEST(single_records)
VERSION_TEST(narrow)
VERSION_TEST(zipf)
VERSION_TEST(sequential)

static void
test_ipv6(void **state)
{
	(void) state;
	for (uint32_t v = BS_EXPORT_V9; v <= BS_EXPORT_IPFIX; v++)
		for (uint32_t kind = 0; kind < BS_TEMPLATE_NKINDS; kind++)
			for (uint32_t share = 1; share <= 2; share++)
			{
				BsGenerateConfig config = base_config();

				if (v == BS_EXPORT_V9 && kind == BS_TEMPLATE_VARLEN)
					continue;
				config.versions[0] = (BsExportVersion) v;
				config.template_kind = (BsTemplateKind) kind;
				config.population.ipv6_share = share / 2.0;
				config.sampling_rate = 7;
				config.loss = 0.05;
				check(&config);
			}
}

/* v5 exporters beside others take the IPv4 flows. */
static void
test_ipv6_mix(void **state)
{
	BsGenerateConfig config = base_config();

	(void) state;
	config.nversions = 3;
	config.versions[1] = BS_EXPORT_V9;
	config.versions[2] = BS_EXPORT_IPFIX;
	config.nexporters = 3;
	config.population.ipv6_share = 0.5;
	config.template_kind = BS_TEMPLATE_VARLEN;
	check(&config);
}

/* The windows are where the options say, not only where the datagrams say. */
static void
test_windows_are_known(void **state)
{
	BsGenerateConfig config = base_config();
	BsGenerator *generator;
	uint8_t buffer[BS_GENERATE_BUFFER];
	BsOutgoing out = {.data = buffer};
	BsWindowSums *windows;
	uint64_t made = 0;
	uint32_t n;

	(void) state;
	config.fixed_time = true;
	config.start_usec = INT64_C(1790000000) * 1000000; /* a multiple of 10 s, not of 5 min */
	config.time_step_usec = 100000;
	generator = bs_generator_create(&config);
	for (; made < 1000; made += out.nrecords)
		bs_generator_next(generator, NOW_USEC, (uint32_t) (1000 - made), &out);
	windows = bs_totals_windows(bs_generator_totals(generator), 10, &n);
	assert_int_equal(n, 10);
	for (uint32_t i = 0; i < n; i++)
	{
		assert_int_equal(windows[i].start_secs, 1790000000 + 10 * i);
		assert_int_equal(windows[i].sums.records, 100);
	}
	free(windows);
	windows = bs_totals_windows(bs_generator_totals(generator), 300, &n);
	/* 1790000000 is 200 s after a multiple of 300. */
	assert_int_equal(n, 1);
	assert_int_equal(windows[0].start_secs, 1789999800);
	free(windows);
	bs_generator_free(generator);
}

static void
test_same_seed_same_bytes(void **state)
{
	BsGenerateConfig config = base_config();
	BsGenerator *a;
	BsGenerator *b;
	uint32_t different = 0;

	(void) state;
	config.versions[0] = BS_EXPORT_IPFIX;
	config.loss = 0.1;
	a = bs_generator_create(&config);
	b = bs_generator_create(&config);
	for (uint32_t i = 0; i < 200; i++)
	{
		uint8_t left[BS_GENERATE_BUFFER];
		uint8_t right[BS_GENERATE_BUFFER];
		BsOutgoing first = {.data = left};
		BsOutgoing second = {.data = right};

		bs_generator_next(a, NOW_USEC, 1000, &first);
		bs_generator_next(b, NOW_USEC, 1000, &second);
		assert_int_equal(first.len_bytes, second.len_bytes);
		assert_memory_equal(left, right, first.len_bytes);
	}
	bs_generator_free(b);
	config.population.seed++;
	b = bs_generator_create(&config);
	for (uint32_t i = 0; i < 20; i++)
	{
		uint8_t left[BS_GENERATE_BUFFER];
		uint8_t right[BS_GENERATE_BUFFER];
		BsOutgoing first = {.data = left};
		BsOutgoing second = {.data = right};

		bs_generator_next(a, NOW_USEC, 1000, &first);
		bs_generator_next(b, NOW_USEC, 1000, &second);
		different +=
			first.len_bytes != second.len_bytes || memcmp(left, right, first.len_bytes) != 0;
	}
	assert_true(different > 15);
	bs_generator_free(a);
	bs_generator_free(b);
}

/* Once per round each, and no two rounds alike. */
static void
test_sequential_rounds(void **state)
{
	const uint32_t sizes[] = {1, 2, 3, 7, 64, 1000, 45000};

	(void) state;
	for (uint32_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++)
	{
		BsPopulationConfig config = {
			.order = BS_ORDER_SEQUENTIAL, .as_pairs = sizes[s], .addresses = 1, .seed = 5};
		BsPopulation *population = bs_population_create(&config);
		BsRandom random = {1};
		uint32_t *before = calloc(sizes[s], sizeof(*before));
		uint32_t fixed = 0;
		uint32_t ascending = 0;

		for (uint32_t round = 1; round <= 3; round++)
		{
			uint8_t *seen = calloc(sizes[s], 1);
			uint32_t last = 0;

			for (uint32_t i = 0; i < sizes[s]; i++)
			{
				uint32_t k = bs_population_draw(population, &random);

				assert_true(k < sizes[s]);
				assert_int_equal(seen[k], 0);
				seen[k] = 1;
				fixed += round > 1 && before[i] == k;
				ascending += k == last + 1;
				before[i] = last = k;
			}
			free(seen);
		}
		if (sizes[s] >= 1000)
		{
			assert_true(fixed < sizes[s] / 50);
			assert_true(ascending < sizes[s] / 50);
		}
		free(before);
		bs_population_free(population);
	}
}

static void
test_zipf_shares(void **state)
{
	BsPopulationConfig config = {.order = BS_ORDER_ZIPF,
								 .zipf_exponent = 1.2,
								 .as_pairs = 1000,
								 .addresses = 1000,
								 .seed = 9};
	BsPopulation *population = bs_population_create(&config);
	BsRandom random = {3};
	uint32_t counts[1000] = {0};
	const uint32_t ndraws = 1000000;
	double sum = 0;

	(void) state;
	for (uint32_t i = 0; i < ndraws; i++)
		counts[bs_population_draw(population, &random)]++;
	for (uint32_t k = 0; k < 1000; k++)
		sum += pow(k + 1, -1.2);
	for (uint32_t k = 0; k < 1000; k++)
	{
		double expected = ndraws * pow(k + 1, -1.2) / sum;

		/* Six standard deviations. */
		assert_true(fabs(counts[k] - expected) < 6 * sqrt(expected));
	}
	bs_population_free(population);
}

/* As many distinct pairs as asked for, of both kinds and both families. */
static void
test_pairs_are_distinct(void **state)
{
	BsPopulationConfig config = {
		.as_pairs = 45000, .addresses = 65536, .ipv6_share = 0.25, .seed = 2};
	BsPopulation *population = bs_population_create(&config);
	uint64_t *pairs = calloc(45000, sizeof(*pairs));
	uint32_t nipv6 = 0;

	(void) state;
	for (uint32_t k = 0; k < 65536; k++)
	{
		BsExportFlow flow;

		bs_population_flow(population, k, &flow);
		nipv6 += flow.is_ipv6;
		assert_in_range(flow.src_as, 1, 65535);
		assert_in_range(flow.dst_as, 1, 65535);
		if (k < 45000)
			pairs[k] = (uint64_t) flow.src_as << 32 | flow.dst_as;
		else
			assert_true(pairs[k - 45000] == ((uint64_t) flow.src_as << 32 | flow.dst_as));
	}
	assert_in_range(nipv6, 65536 / 4 - 1000, 65536 / 4 + 1000);
	for (uint32_t i = 0; i < 45000; i++)
	{
		/* A grid of 213 by 213: compare within rows and columns through a set of bits. */
		static uint8_t seen[65536 * 8];
		uint32_t bit = (uint32_t) (bs_mix64(pairs[i]) & (65536 * 64 - 1));

		if (seen[bit / 8] >> (bit % 8) & 1)
			for (uint32_t j = 0; j < i; j++)
				assert_true(pairs[j] != pairs[i]);
		seen[bit / 8] = (uint8_t) (seen[bit / 8] | 1 << (bit % 8));
	}
	free(pairs);
	bs_population_free(population);
}

static void
test_refused(void **state)
{
	BsGenerateConfig config = base_config();

	(void) state;
	config.records_per_datagram = 31;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.population.ipv6_share = 0.1;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.sampling_rate = 16384;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.template_kind = BS_TEMPLATE_VARLEN;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.population.addresses = 0;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.population.as_base = 16;
	assert_non_null(bs_generator_check(&config));
	config = base_config();
	config.first_domain = 65536;
	assert_non_null(bs_generator_check(&config));
	/* One flow, IPv6: the v5 exporter of a mix would look for another for ever. */
	config = base_config();
	config.nversions = 2;
	config.versions[1] = BS_EXPORT_V9;
	config.nexporters = 2;
	config.population.addresses = config.population.as_pairs = 1;
	config.population.ipv6_share = 0.999999;
	assert_non_null(bs_generator_check(&config));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_exporters),
		cmocka_unit_test(test_sampling),
		cmocka_unit_test(test_loss),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_uptime_wrap),
		cmocka_unit_test(test_sequence_wrap),
		cmocka_unit_test(test_single_records),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_zipf),
		cmocka_unit_test(test_sequential),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv6_mix),
		cmocka_unit_test(test_windows_are_known),
		cmocka_unit_test(test_same_seed_same_bytes),
		cmocka_unit_test(test_sequential_rounds),
		cmocka_unit_test(test_zipf_shares),
		cmocka_unit_test(test_pairs_are_distinct),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
