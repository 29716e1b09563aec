/* SPDX-License-Identifier: PostgreSQL */
/*
 * generate_reader.h: a small reader of what the generator writes, written from the RFCs and used nowhere else: the
 * sums of each stream, window and flow, and what is lost.
 */
#ifndef BS_GENERATE_READER_H
#define BS_GENERATE_READER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow_names.h"

#define MAX_STREAMS   64
#define MAX_TEMPLATES 4

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

static inline uint64_t
number(const uint8_t *p, uint32_t len)
{
	uint64_t value = 0;

	for (uint32_t i = 0; i < len; i++)
		value = value << 8 | p[i];
	return value;
}

static inline uint64_t
next_number(Part *part, uint32_t len)
{
	const uint8_t *p = part->p;

	assert_true(part->end - p >= (ptrdiff_t) len);
	part->p += len;
	return number(p, len);
}

static inline int64_t
uptime_stamp(const Part *part, uint64_t stamp)
{
	return part->header_msec - (int32_t) (part->uptime_msec - (uint32_t) stamp);
}

static inline void
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

/* The record must be one of the flows that the population have, in all that they say of it. */
static inline void
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

static inline void
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

static inline void
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
static inline void
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

static inline void
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

static inline uint32_t
shortest(const ReadTemplate *template)
{
	uint32_t len = 0;

	for (uint32_t i = 0; i < template->nfields; i++)
		len += template->fields[i].len == 0xffff ? 1 : template->fields[i].len;
	return len;
}

/* The data of one set; returns the number of records. */
static inline uint32_t
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
static inline uint32_t
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

static inline void
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

static inline void
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

static inline ReadStream *
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

static inline void
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

static inline Reader *
reader_create(const BsGenerateConfig *config, const BsPopulation *population)
{
	Reader *reader = calloc(1, sizeof(*reader));

	assert_non_null(reader);
	reader->config = config;
	reader->totals = bs_totals_create(1, population->nflows, true);
	reader->nnames = population->nflows;
	reader->names = names_of(population);
	/* As many address pairs as were asked for. */
	for (uint32_t k = 1; k < reader->nnames; k++)
		assert_int_not_equal(name_compare(&reader->names[k - 1], &reader->names[k]), 0);
	return reader;
}

static inline void
reader_free(Reader *reader)
{
	bs_totals_free(reader->totals);
	free(reader->names);
	free(reader);
}

#endif
