/* SPDX-License-Identifier: PostgreSQL */
/*
 * compile.c: the fields of a template and the wanted columns into a list of copy operations.
 *
 * Each column takes the operations of its rules in elements.c, as far as the template has their
 * elements; what it lacks is one operation that writes NULLs.  Operations that read what others
 * have written (ICMP from the destination port, the time of the event) come last.
 */
#include "template.h"

#include <stdlib.h>
#include <string.h>

typedef struct Compiler
{
	BsCopyPlan *plan;
	const BsWanted *wanted;
	bool needed[BS_FLOW_NCOLUMNS];
	BsFieldRef found[BS_MAX_ELEMENT]; /* the first usable field of each element */
	uint16_t position[BS_MAX_ELEMENT];
	bool family_done;
	uint32_t nops;
	BsCopyOp ops[BS_MAX_COPY_OPS];
} Compiler;

static BsCopyOp *
emit(Compiler *compiler, BsCopyKind kind, BsFlowColumn column)
{
	/* The last slot takes what would not fit; it cannot happen with the rules there are. */
	uint32_t slot = compiler->nops < BS_MAX_COPY_OPS ? compiler->nops++ : BS_MAX_COPY_OPS - 1;

	compiler->ops[slot] = (BsCopyOp){.kind = (uint8_t) kind, .column = (uint8_t) column};
	return &compiler->ops[slot];
}

/* Where the elements lie.  Of one that stands twice the first counts (item 8). */
static void
locate_fields(Compiler *compiler, const BsField *fields, uint32_t nfields)
{
	uint16_t anchor = 0;
	uint32_t offset = 0;

	for (uint32_t i = 0; i < nfields && anchor < BS_MAX_ANCHORS; i++)
	{
		const BsField *field = &fields[i];
		bool usable = field->enterprise == 0 && field->element < BS_MAX_ELEMENT && field->width > 0;

		if (usable && compiler->found[field->element].width == 0)
		{
			compiler->found[field->element] =
				(BsFieldRef){.anchor = anchor, .width = field->width, .offset = offset};
			compiler->position[field->element] = (uint16_t) i;
		}
		if (field->width == BS_FIELD_VARIABLE)
		{
			anchor++;
			offset = 0;
		}
		else
			offset += field->width;
	}
}

static bool
has_element(const Compiler *compiler, const BsElementRule *rule)
{
	uint16_t width = compiler->found[rule->element].width;

	if (width == 0)
		return false;
	return width == BS_FIELD_VARIABLE || bs_form_accepts((BsForm) rule->form, width);
}

static bool
is_fixed(BsFieldRef ref)
{
	return ref.width != 0 && ref.width != BS_FIELD_VARIABLE;
}

/* The field at a fixed width that its rule can read, or none. */
static BsFieldRef
fixed_field(const Compiler *compiler, uint16_t element, BsForm form)
{
	BsFieldRef ref = compiler->found[element];

	return is_fixed(ref) && bs_form_accepts(form, ref.width) ? ref : (BsFieldRef){0};
}

/* Before the first operation that chooses between IPv4 and IPv6. */
static void
emit_family(Compiler *compiler)
{
	BsCopyPlan *plan = compiler->plan;

	if (compiler->family_done)
		return;
	compiler->family_done = true;
	plan->src4 = fixed_field(compiler, 8, BS_FORM_ADDRESS4);
	plan->src6 = fixed_field(compiler, 27, BS_FORM_ADDRESS6);
	plan->dst4 = fixed_field(compiler, 12, BS_FORM_ADDRESS4);
	plan->dst6 = fixed_field(compiler, 28, BS_FORM_ADDRESS6);
	plan->ip_version = fixed_field(compiler, BS_IE_IP_VERSION, BS_FORM_UINT);
	plan->six_first = compiler->position[27] < compiler->position[8];
	emit(compiler, BS_COPY_FAMILY, BS_FLOW_SRC_ADDR);
}

/* The operation of one rule: a plain load where width and range allow it. */
static BsCopyKind
kind_of(const BsElementRule *rule, uint16_t width, BsMerge fill, uint64_t limit)
{
	uint64_t most = width >= 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
	bool whole = rule->shift == 0 && (rule->mask == 0 || rule->mask >= most);

	if (width == BS_FIELD_VARIABLE)
		return rule->form == BS_FORM_ADDRESS4 || rule->form == BS_FORM_ADDRESS6 ? BS_COPY_ADDRESS
																				: BS_COPY_VALUE;
	if (rule->form == BS_FORM_ADDRESS4)
		return BS_COPY_ADDRESS4;
	if (rule->form == BS_FORM_ADDRESS6)
		return BS_COPY_ADDRESS6;
	if (fill != BS_MERGE_NONE)
		return BS_COPY_VALUE;
	if (rule->form == BS_FORM_UPTIME && width == 4)
		return BS_COPY_UPTIME32;
	if (rule->form == BS_FORM_MILLISECONDS && width == 8)
		return BS_COPY_MILLISECONDS64;
	if (rule->form != BS_FORM_UINT || !whole)
		return BS_COPY_VALUE;
	if (width == 8 && limit == INT64_MAX)
		return BS_COPY_U64;
	if (most > limit)
		return BS_COPY_VALUE;
	return width == 1   ? BS_COPY_U8
		   : width == 2 ? BS_COPY_U16
		   : width == 4 ? BS_COPY_U32
						: BS_COPY_VALUE;
}

static void
emit_rule(Compiler *compiler, const BsElementRule *rule, BsMerge fill)
{
	BsFieldRef ref = compiler->found[rule->element];
	BsFieldRef init = fixed_field(compiler, BS_IE_SYSTEM_INIT_TIME, BS_FORM_MILLISECONDS);
	uint64_t limit = bs_column_limit((BsFlowColumn) rule->column);
	BsCopyKind kind = kind_of(rule, ref.width, fill, limit);
	BsCopyOp *op;

	if (kind == BS_COPY_UPTIME32 && init.width != 0)
		kind = BS_COPY_VALUE;
	op = emit(compiler, kind, (BsFlowColumn) rule->column);
	op->form = rule->form;
	op->fill = (uint8_t) fill;
	op->shift = rule->shift;
	op->mask = rule->mask;
	op->limit = limit;
	op->ref = ref;
	if (rule->form == BS_FORM_UPTIME)
		op->other = init;
}

/* Both families are in the template: which one counts is up to each record. */
static void
emit_pick(Compiler *compiler, const BsElementRule *four, const BsElementRule *six)
{
	BsCopyOp *op;

	emit_family(compiler);
	op = emit(compiler, four->form == BS_FORM_ADDRESS4 ? BS_COPY_ADDRESS_PICK : BS_COPY_MASK_PICK,
			  (BsFlowColumn) four->column);
	op->limit = bs_column_limit((BsFlowColumn) four->column);
	op->ref = compiler->found[four->element];
	op->other = compiler->found[six->element];
}

/* A rule that fills where an earlier one left NULL or zero; the pair of a family, where both are
 * fixed. */
static void
emit_further(Compiler *compiler, const BsElementRule *first, const BsElementRule *rule)
{
	if (rule->merge == BS_MERGE_NONE)
		return;
	if (rule->merge != BS_MERGE_FAMILY)
	{
		emit_rule(compiler, rule, (BsMerge) rule->merge);
		return;
	}
	if (!is_fixed(compiler->found[first->element]) || !is_fixed(compiler->found[rule->element]))
		return;
	compiler->nops--; /* the first rule's own operation */
	emit_pick(compiler, first, rule);
}

static void
emit_column(Compiler *compiler, BsFlowColumn column)
{
	uint32_t nrules;
	const BsElementRule *rules = bs_element_rules(column, &nrules);
	const BsElementRule *first = NULL;

	for (uint32_t i = 0; i < nrules; i++)
	{
		if (!has_element(compiler, &rules[i]))
			continue;
		if (first != NULL)
			emit_further(compiler, first, &rules[i]);
		else
		{
			first = &rules[i];
			emit_rule(compiler, first, BS_MERGE_NONE);
		}
	}
	if (first == NULL)
		emit(compiler, BS_COPY_NULLS, column);
}

/* Columns that come from the datagram or from other columns, not from an element. */
static BsCopyKind
special_kind(BsFlowColumn column)
{
	switch (column)
	{
		case BS_FLOW_TIME_RECEIVED:
		case BS_FLOW_TIME_EXPORT:
		case BS_FLOW_EXPORTER:
		case BS_FLOW_OBS_DOMAIN:
		case BS_FLOW_FLOW_TYPE:
			return BS_COPY_CONSTANT;
		case BS_FLOW_TIME_EVENT:
			return BS_COPY_EVENT_TIME;
		case BS_FLOW_SAMPLING_RATE:
			return BS_COPY_SAMPLING;
		default:
			return 0;
	}
}

static void
find_needed(Compiler *compiler)
{
	const bool *wanted = compiler->wanted->columns;
	bool *needed = compiler->needed;

	memcpy(needed, wanted, sizeof(compiler->needed));
	if (wanted[BS_FLOW_TIME_EVENT] ||
		(wanted[BS_FLOW_TIME_FLOW_START] && compiler->wanted->longest_flow))
		needed[BS_FLOW_TIME_FLOW_END] = true;
	if (wanted[BS_FLOW_ICMP_TYPE] || wanted[BS_FLOW_ICMP_CODE])
		needed[BS_FLOW_PROTO] = needed[BS_FLOW_DST_PORT] = true;
}

/* What reads columns that are there by now. */
static void
emit_derived(Compiler *compiler)
{
	static const BsFlowColumn icmp[] = {BS_FLOW_ICMP_TYPE, BS_FLOW_ICMP_CODE};
	static const BsFlowColumn counters[] = {BS_FLOW_BYTES, BS_FLOW_PACKETS};
	BsFieldRef nat_event = fixed_field(compiler, BS_IE_NAT_EVENT, BS_FORM_UINT);

	for (int i = 0; i < 2; i++)
		if (compiler->needed[icmp[i]])
			emit(compiler, BS_COPY_ICMP, icmp[i]);
	for (int i = 0; i < 2; i++)
		if (compiler->needed[counters[i]] && nat_event.width != 0)
			emit(compiler, BS_COPY_NAT_EVENT, counters[i])->ref = nat_event;
	if (compiler->needed[BS_FLOW_TIME_FLOW_START] && compiler->wanted->longest_flow)
		emit(compiler, BS_COPY_LONGEST, BS_FLOW_TIME_FLOW_START);
	if (compiler->needed[BS_FLOW_TIME_EVENT])
		emit(compiler, BS_COPY_EVENT_TIME, BS_FLOW_TIME_EVENT);
	if (compiler->needed[BS_FLOW_TIME_FLOW_END] && compiler->plan->has_end)
		emit(compiler, BS_COPY_UNTIMED, BS_FLOW_TIME_FLOW_END);
}

/* Facts about the template that hold whatever is wanted. */
static void
find_facts(Compiler *compiler)
{
	static const uint16_t elements[BS_NSAMPLING_FIELDS] = {
		[BS_SAMPLING_INTERVAL] = BS_IE_SAMPLING_INTERVAL,
		[BS_SAMPLER_INTERVAL] = BS_IE_SAMPLER_INTERVAL,
		[BS_PACKET_INTERVAL] = BS_IE_SAMPLING_PACKET_INTERVAL,
		[BS_PACKET_SPACE] = BS_IE_SAMPLING_PACKET_SPACE,
		[BS_SAMPLE_SIZE] = BS_IE_SAMPLING_SIZE,
		[BS_SAMPLE_POPULATION] = BS_IE_SAMPLING_POPULATION,
		[BS_SAMPLER_ID] = BS_IE_SAMPLER_ID,
		[BS_SELECTOR_ID] = BS_IE_SELECTOR_ID,
		[BS_SAMPLED_INTERFACE] = BS_IE_INGRESS_INTERFACE,
	};
	uint32_t nrules;
	const BsElementRule *rules = bs_element_rules(BS_FLOW_TIME_FLOW_END, &nrules);

	for (uint32_t i = 0; i < BS_NSAMPLING_FIELDS; i++)
	{
		compiler->plan->sampling[i] = fixed_field(compiler, elements[i], BS_FORM_UINT);
		if (i != BS_SAMPLED_INTERFACE && compiler->plan->sampling[i].width != 0)
			compiler->plan->has_sampling = true;
	}
	for (uint32_t i = 0; i < nrules; i++)
		compiler->plan->has_end |= has_element(compiler, &rules[i]);
	for (BsFlowColumn column = BS_FLOW_BYTES; column <= BS_FLOW_PACKETS; column++)
	{
		rules = bs_element_rules(column, &nrules);
		if (!has_element(compiler, &rules[0]) && has_element(compiler, &rules[1]))
			compiler->plan->totals_used = true;
	}
}

bool
bs_copy_compile(BsCopyPlan *plan, const struct BsField *fields, uint32_t nfields,
				const BsWanted *wanted)
{
	Compiler compiler = {.plan = plan, .wanted = wanted};
	BsCopyOp *ops;

	bs_copy_plan_free(plan);
	locate_fields(&compiler, fields, nfields);
	find_needed(&compiler);
	find_facts(&compiler);
	for (uint32_t column = 0; column < BS_FLOW_NCOLUMNS; column++)
	{
		BsCopyKind special = special_kind((BsFlowColumn) column);

		if (!compiler.needed[column] || special == BS_COPY_EVENT_TIME)
			continue;
		plan->uses_scratch |= !wanted->columns[column];
		if (special != 0)
			emit(&compiler, special, (BsFlowColumn) column);
		else
			emit_column(&compiler, (BsFlowColumn) column);
	}
	emit_derived(&compiler);
	ops = malloc((compiler.nops > 0 ? compiler.nops : 1) * sizeof(BsCopyOp));
	if (ops == NULL)
		return false;
	memcpy(ops, compiler.ops, compiler.nops * sizeof(BsCopyOp));
	plan->ops = ops;
	plan->nops = compiler.nops;
	plan->generation = wanted->generation;
	return true;
}

void
bs_copy_plan_free(BsCopyPlan *plan)
{
	free(plan->ops);
	*plan = (BsCopyPlan){0};
}
