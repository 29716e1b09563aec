/* SPDX-License-Identifier: PostgreSQL */
/* test_template.c: the template cache and its bounds, and those of exporters and domains. */
#include "decode_fixture.h"
#include "../../receiver/template.h"

static const BsField counters[] = {{1, 4, 0}, {2, 4, 0}};
static const BsField addresses[] = {{8, 4, 0}, {12, 4, 0}, {1, 4, 0}};

static BsTemplateDefinition
definition_of(uint32_t id, const BsField *fields, uint32_t nfields)
{
	return (BsTemplateDefinition){
		.id = (uint16_t) id, .nfields = (uint16_t) nfields, .fields = fields};
}

static void
finds_what_was_defined(void **state)
{
	BsTemplateCache cache = {0};
	BsTemplateBudget one = {.max_templates = 70000};
	BsTemplateBudget all = {.max_templates = 70000};

	(void) state;
	assert_null(bs_template_find(&cache, 256));
	for (uint32_t id = 256; id < 65536; id += 3)
	{
		BsTemplateDefinition definition = definition_of(id, counters, 2);

		assert_int_equal(bs_template_define(&cache, &one, &all, &definition, 0),
						 BS_TEMPLATE_STORED);
	}
	for (uint32_t id = 256; id < 65536; id++)
	{
		BsTemplate *tmpl = bs_template_find(&cache, (uint16_t) id);

		assert_int_equal(tmpl != NULL, (id - 256) % 3 == 0);
		assert_true(tmpl == NULL || tmpl->id == id);
	}
	assert_int_equal(cache.ntemplates, 21760);
	assert_int_equal(one.ntemplates, 21760);
	assert_int_equal(all.nfields, 2 * 21760);
	bs_template_cache_free(&cache);
}

static void
item_05_refuses_what_has_no_length(void **state)
{
	static const BsField zero[] = {{1, 0, 0}, {2, 0, 0}};
	static const BsField variable[] = {{82, BS_FIELD_VARIABLE, 0}};
	BsTemplateCache cache = {0};
	BsTemplateBudget one = {.max_templates = 10};
	BsTemplateBudget all = {.max_templates = 10};
	BsTemplateDefinition none = definition_of(256, zero, 0);
	BsTemplateDefinition empty = definition_of(256, zero, 2);
	BsTemplateDefinition some = definition_of(256, variable, 1);
	BsTemplateDefinition scope = definition_of(256, counters, 2);

	(void) state;
	scope.nscope = 3;
	assert_int_equal(bs_template_define(&cache, &one, &all, &none, 0), BS_TEMPLATE_INVALID);
	assert_int_equal(bs_template_define(&cache, &one, &all, &empty, 0), BS_TEMPLATE_INVALID);
	assert_int_equal(bs_template_define(&cache, &one, &all, &scope, 0), BS_TEMPLATE_INVALID);
	assert_int_equal(cache.ntemplates, 0);
	assert_int_equal(bs_template_define(&cache, &one, &all, &some, 0), BS_TEMPLATE_STORED);
	assert_int_equal(bs_template_find(&cache, 256)->len_bytes, 1);
	assert_int_equal(bs_template_define(&cache, &one, &all, &empty, 0), BS_TEMPLATE_INVALID);
	assert_non_null(bs_template_find(&cache, 256)); /* nonsense takes nothing away */
	bs_template_cache_free(&cache);
}

static void
item_09_identical_definitions_change_nothing(void **state)
{
	BsTemplateCache cache = {0};
	BsTemplateBudget one = {.max_templates = 10};
	BsTemplateBudget all = {.max_templates = 10};
	BsTemplateDefinition first = definition_of(256, counters, 2);
	BsTemplateDefinition second = definition_of(256, addresses, 3);
	BsWanted wanted = {.generation = 1};
	BsTemplate *tmpl;
	const BsCopyOp *ops;

	(void) state;
	assert_int_equal(bs_template_define(&cache, &one, &all, &first, 1), BS_TEMPLATE_STORED);
	tmpl = bs_template_find(&cache, 256);
	wanted.columns[BS_FLOW_BYTES] = true;
	assert_true(bs_copy_compile(&tmpl->plan, tmpl->fields, tmpl->nfields, &wanted));
	ops = tmpl->plan.ops;
	assert_int_equal(bs_template_define(&cache, &one, &all, &first, 2), BS_TEMPLATE_SAME);
	assert_ptr_equal(bs_template_find(&cache, 256), tmpl);
	assert_ptr_equal(tmpl->plan.ops, ops);
	assert_int_equal(tmpl->plan.generation, 1);
	assert_int_equal(tmpl->defined_usec, 2);
	assert_int_equal(bs_template_define(&cache, &one, &all, &second, 3), BS_TEMPLATE_STORED);
	tmpl = bs_template_find(&cache, 256);
	assert_int_equal(tmpl->plan.generation, 0); /* compiled for nothing yet */
	assert_int_equal(tmpl->nfields, 3);
	assert_int_equal(one.ntemplates, 1);
	assert_int_equal(one.nfields, 3);
	bs_template_cache_free(&cache);
}

static void
item_16_only_the_stale_make_way(void **state)
{
	BsTemplateCache cache = {0};
	BsTemplateCache other = {0};
	BsTemplateBudget one = {.max_templates = 4};
	BsTemplateBudget two = {.max_templates = 4};
	BsTemplateBudget all = {.max_templates = 6};
	BsTemplateDefinition definition;

	(void) state;
	for (uint32_t i = 0; i < 4; i++)
	{
		definition = definition_of(256 + i, counters, 2);
		assert_int_equal(bs_template_define(&cache, &one, &all, &definition, i),
						 BS_TEMPLATE_STORED);
	}
	definition = definition_of(300, counters, 2);
	assert_int_equal(bs_template_define(&cache, &one, &all, &definition, 10), BS_TEMPLATE_FULL);
	for (uint32_t i = 0; i < 2; i++)
	{
		definition = definition_of(256 + i, counters, 2);
		assert_int_equal(bs_template_define(&other, &two, &all, &definition, 10),
						 BS_TEMPLATE_STORED);
	}
	/* All are full now; another sender finds no room, however old the templates of the first are.
	 */
	definition = definition_of(300, counters, 2);
	assert_int_equal(
		bs_template_define(&other, &two, &all, &definition, BS_TEMPLATE_STALE_USEC - 5),
		BS_TEMPLATE_FULL);
	assert_int_equal(cache.ntemplates, 4);
	/* The first one's own stale templates make way for its new one, the one idle longest first. */
	bs_template_find(&cache, 256)->used_usec = BS_TEMPLATE_STALE_USEC;
	assert_int_equal(
		bs_template_define(&cache, &one, &all, &definition, BS_TEMPLATE_STALE_USEC + 100),
		BS_TEMPLATE_STORED);
	assert_non_null(bs_template_find(&cache, 256));
	assert_null(bs_template_find(&cache, 257));
	assert_non_null(bs_template_find(&cache, 258));
	assert_non_null(bs_template_find(&cache, 300));
	assert_int_equal(all.ntemplates, 6);
	bs_template_cache_free(&cache);
	bs_template_cache_free(&other);
}

static void
item_16_fields_are_bounded_too(void **state)
{
	static BsField many[BS_TEMPLATE_MAX_FIELDS + 1];
	BsTemplateCache cache = {0};
	BsTemplateBudget one = {.max_templates = 16}; /* 1024 fields */
	BsTemplateBudget all = {.max_templates = 1000};
	BsTemplateDefinition definition;

	(void) state;
	for (uint32_t i = 0; i <= BS_TEMPLATE_MAX_FIELDS; i++)
		many[i] = (BsField){1, 1, 0};
	definition = definition_of(256, many, BS_TEMPLATE_MAX_FIELDS + 1);
	assert_int_equal(bs_template_define(&cache, &one, &all, &definition, 0), BS_TEMPLATE_FULL);
	for (uint32_t i = 0; i < 2; i++)
	{
		definition = definition_of(256 + i, many, BS_TEMPLATE_MAX_FIELDS);
		assert_int_equal(bs_template_define(&cache, &one, &all, &definition, 0),
						 BS_TEMPLATE_STORED);
	}
	definition = definition_of(258, counters, 2);
	assert_int_equal(bs_template_define(&cache, &one, &all, &definition, 0), BS_TEMPLATE_FULL);
	/* A redefinition that cannot be held: its old form no longer describes the records. */
	definition = definition_of(257, many, BS_TEMPLATE_MAX_FIELDS + 1);
	assert_int_equal(bs_template_define(&cache, &one, &all, &definition, 0), BS_TEMPLATE_FULL);
	assert_null(bs_template_find(&cache, 257));
	assert_int_equal(one.nfields, BS_TEMPLATE_MAX_FIELDS);
	bs_template_cache_free(&cache);
}

static const BsBuildField plain[] = {{8, 4, 0}, {1, 4, 0}};

static void
send_template_and_record(Fixture *fixture)
{
	BEGIN_V9(fixture, 256, plain);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, 5);
	send_datagram(fixture);
}

static void
item_16_new_senders_never_push_out_working_ones(void **state)
{
	BsDecoderConfig config = {.max_exporters = 8, .max_templates = 4};
	Fixture *fixture = fixture_create(&config);

	(void) state;
	send_template_and_record(fixture);
	for (uint32_t i = 0; i < 1000; i++)
	{
		fixture->exporter = ipv4(0xC0000000 + i);
		BEGIN_V9(fixture, 256, plain);
		bs_build_end(&fixture->build);
		assert_int_equal(send_as_is(fixture), i < 7 ? BS_DECODED : BS_DECODE_REFUSED);
	}
	assert_int_equal(bs_decoder_stats(fixture->decoder)->exporters_refused, 993);
	assert_int_equal(fixture->stats[3].templates, 1);
	assert_int_equal(fixture->stats[4].templates, 0); /* no room for more templates */
	assert_int_equal(fixture->stats[4].templates_refused_full, 1);
	fixture->exporter = ipv4(0x0A000001);
	bs_build_v9(&fixture->build, 100000, EXPORT_SECONDS, 2, 7);
	bs_build_set(&fixture->build, 256);
	bs_build_u64(&fixture->build, 6);
	send_datagram(fixture);
	assert_int_equal(value(fixture, 1, BS_FLOW_BYTES), 6);
	fixture_free(fixture);
}

/* One address cannot take all slots by making up domains. */
static void
item_16_domains_of_one_exporter_are_bounded(void **state)
{
	static BsExporterStats stats[512];
	BsDecoderConfig config = {.stats = stats, .max_exporters = 512};
	Fixture *fixture = fixture_create(NULL);
	uint32_t ndecoded = 0;

	(void) state;
	bs_decoder_free(fixture->decoder);
	fixture->decoder = bs_decoder_create(&config);
	for (uint32_t domain = 0; domain < 1000; domain++)
	{
		bs_build_v9(&fixture->build, 1, EXPORT_SECONDS, 0, domain);
		ndecoded += send_as_is(fixture) == BS_DECODED;
	}
	assert_int_equal(ndecoded, 128);
	fixture->exporter = ipv4(0x0A000002);
	assert_int_equal(send_as_is(fixture), BS_DECODED);
	fixture_free(fixture);
}

static void
a_successor_takes_over_the_slots(void **state)
{
	Fixture *fixture = *state;
	BsDecoderConfig config = {.stats = fixture->stats, .max_exporters = FIXTURE_SLOTS, .worker = 3};

	send_template_and_record(fixture);
	fixture->exporter = ipv4(0x0A000002);
	send_template_and_record(fixture);
	bs_decoder_free(fixture->decoder);
	fixture->decoder = bs_decoder_create(&config);
	send_template_and_record(fixture);
	assert_int_equal(fixture->stats[1].records, 2);
	assert_int_equal(fixture->stats[1].datagrams, 2);
	assert_int_equal(fixture->stats[0].templates, 0); /* held by nobody now */
	assert_int_equal(fixture->stats[1].templates, 1);
	assert_int_equal(fixture->stats[1].worker, 3);
	assert_int_equal(fixture->stats[2].flow_type, BS_FLOW_TYPE_NONE);
	assert_int_equal(fixture->stats[1].datagrams_lost, 0);
}

static bool
note_template(void *context, const BsTemplateInfo *info)
{
	BsTemplateInfo *last = context;

	*last = *info;
	return !info->options;
}

static void
templates_can_be_listed(void **state)
{
	Fixture *fixture = *state;
	BsTemplateInfo info = {0};

	send_template_and_record(fixture);
	bs_decoder_templates(fixture->decoder, note_template, &info);
	assert_int_equal(info.template_id, 256);
	assert_int_equal(info.nfields, 2);
	assert_int_equal(info.obs_domain, 7);
	assert_int_equal(info.flow_type, BS_NETFLOW_V9);
	assert_false(info.options);
	assert_true(info.last_seen_usec == ARRIVAL_USEC);
	assert_memory_equal(&info.exporter, &fixture->exporter, sizeof(BsInet));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_defined),
		cmocka_unit_test(item_05_refuses_what_has_no_length),
		cmocka_unit_test(item_09_identical_definitions_change_nothing),
		cmocka_unit_test(item_16_only_the_stale_make_way),
		cmocka_unit_test(item_16_fields_are_bounded_too),
		cmocka_unit_test(item_16_new_senders_never_push_out_working_ones),
		cmocka_unit_test(item_16_domains_of_one_exporter_are_bounded),
		fixture_test(a_successor_takes_over_the_slots),
		fixture_test(templates_can_be_listed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
