// SPDX-License-Identifier: PostgreSQL
// Numbers and colours, as the fields of a panel say: units, thresholds, mappings, overrides.
'use strict';

const COLORS = ['#73bf69', '#f2cc0c', '#5794f2', '#ff9830', '#f2495c', '#b877d9', '#37872d', '#fade2a', '#8ab8ff', '#c15c17', '#890f02', '#0a437c', '#6d1f62'];
const NAMED = { green: '#299c46', yellow: '#c8a415', orange: '#e0752d', red: '#c4162a', transparent: 'transparent' };

function prefixed(value, unit, base, prefixes) {
	let i = 0;
	while (Math.abs(value) >= base && i < prefixes.length - 1) {
		value /= base;
		i++;
	}
	return `${+value.toPrecision(3)} ${prefixes[i]}${unit}`.trim();
}

const SI = ['', 'k', 'M', 'G', 'T', 'P'];
const UNITS = {
	bps: (v) => prefixed(v, 'b/s', 1000, SI),
	pps: (v) => prefixed(v, 'p/s', 1000, SI),
	cps: (v) => prefixed(v, '/s', 1000, SI),
	decbytes: (v) => prefixed(v, 'B', 1000, SI),
	bytes: (v) => prefixed(v, 'iB', 1024, ['', 'K', 'M', 'G']),
	percent: (v) => `${+v.toFixed(v < 10 ? 2 : 1)} %`,
	s: (v) => (Math.abs(v) >= 3600 ? `${(v / 3600).toFixed(1)} h` : Math.abs(v) >= 60 ? `${(v / 60).toFixed(1)} min` : Math.abs(v) < 1 ? `${(v * 1000).toFixed(0)} ms` : `${v.toFixed(1)} s`),
	short: (v) => prefixed(v, '', 1000, ['', ' K', ' Mil', ' Bil']),
};

// What holds for a field: the panel's defaults and the overrides that match it, by property.
function properties(panel, name, numeric) {
	const defaults = panel.fieldConfig?.defaults ?? {};
	const found = { ...defaults, ...Object.fromEntries(Object.entries(defaults.custom ?? {}).map(([key, value]) => [`custom.${key}`, value])) };

	for (const { matcher, properties: list } of panel.fieldConfig?.overrides ?? []) {
		const hit =
			matcher.id === 'byName' ? matcher.options === name
			: matcher.id === 'byRegexp' ? new RegExp(matcher.options.replace(/^\/|\/$/g, '')).test(name)
			: matcher.id === 'byType' && (matcher.options === 'number') === numeric;

		if (hit) for (const { id, value } of list) found[id] = value;
	}
	return found;
}

const shown = (value, field) => (value === null ? '' : (UNITS[field.unit] ?? ((v) => String(+v.toPrecision(4))))(value));

function threshold(value, field) {
	const steps = field.thresholds?.steps ?? [];

	return NAMED[steps.filter((s) => s.value === null || s.value === undefined || value >= s.value).pop()?.color] ?? 'transparent';
}

// Text and colour that a mapping gives to a value, if one does.
function mapped(value, field) {
	for (const { type, options } of field.mappings ?? []) {
		if (type === 'value' && String(value) in options) return options[String(value)];
		if (type === 'range' && value >= options.from && value <= options.to) return options.result;
	}
	return undefined;
}

// From pale yellow to red.
function heat(share) {
	const s = Math.max(0, Math.min(1, share));

	return `hsl(${55 - 55 * s} ${70 + 20 * s}% ${62 - 30 * s}%)`;
}
