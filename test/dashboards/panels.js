// SPDX-License-Identifier: PostgreSQL
// Panels by kind: time series by uPlot, the others as HTML.  A result is { columns, types, rows }, times are text.
'use strict';

const CELL = 30; // pixels of a row of the grid, beside its gap
const element = (kind, parent, className, text) => {
	const e = document.createElement(kind);

	if (className) e.className = className;
	if (text !== undefined) e.textContent = text;
	parent.append(e);
	return e;
};
const isNumber = (type) => /^(smallint|integer|bigint|numeric|real|double)/.test(type);
const seconds = (text) => Date.parse(text.replace(' ', 'T').replace(/([+-]\d\d)$/, '$1:00')) / 1000;
const columnOf = (result, name) => result.columns.indexOf(name);

// { times, series: [{ name, values }] } of a result with a column time; a text column named metric names the series.
function seriesOf(result) {
	const time = columnOf(result, 'time');
	const metric = columnOf(result, 'metric');
	const times = [...new Set(result.rows.map((row) => seconds(row[time])))];
	const at = new Map(times.map((t, i) => [t, i]));
	const all = new Map();

	for (const row of result.rows) {
		result.columns.forEach((column, i) => {
			if (i === time || i === metric) return;
			const name = metric >= 0 ? row[metric] : column;

			if (!all.has(name)) all.set(name, times.map(() => null));
			all.get(name)[at.get(seconds(row[time]))] = row[i] === null ? null : Number(row[i]);
		});
	}
	return { times, series: [...all].map(([name, values]) => ({ name, values })) };
}

function timeseries(panel, result, box, data) {
	const { times, series } = seriesOf(result);
	const visible = series.filter((s) => !properties(panel, s.name, true)['custom.hideFrom']?.viz);
	const field = properties(panel, '', true);
	const stacked = field['custom.stacking']?.mode === 'normal';
	const sums = times.map(() => 0);
	const drawn = visible.map((s) => ({ ...s, values: s.values.map((v, i) => (stacked ? (sums[i] += v ?? 0) : v)) }));
	const graph = element('div', box, 'graph');
	const plot = element('div', graph);
	const list = element('div', graph, 'legend');
	const options = drawn.map((s, i) => ({
		label: s.name,
		stroke: COLORS[i % COLORS.length],
		width: 1,
		fill: stacked || field['custom.drawStyle'] === 'bars' ? `${COLORS[i % COLORS.length]}b0` : `${COLORS[i % COLORS.length]}18`,
		points: { show: false },
		dash: properties(panel, s.name, true)['custom.lineStyle']?.dash,
		paths: field['custom.drawStyle'] === 'bars' ? uPlot.paths.bars({ size: [0.9, 12] }) : field['custom.lineInterpolation'] === 'stepAfter' ? uPlot.paths.stepped({ align: 1 }) : undefined,
	}));
	// The one below is drawn last, over those that it carries.
	if (stacked) [drawn, options].forEach((a) => a.reverse());
	const axis = { stroke: '#8e8ea0', grid: { stroke: '#2a2d34', width: 1 }, ticks: { stroke: '#2a2d34' }, font: '10px sans-serif' };

	new uPlot(
		{
			width: Math.floor(box.clientWidth * 0.71),
			height: box.clientHeight - 30,
			legend: { show: false },
			cursor: { show: false },
			scales: { x: { range: () => [data.from, data.to] }, y: { range: (u, low, high) => [Math.min(low ?? 0, 0), (high || 1) * 1.05] } },
			axes: [axis, { ...axis, size: 62, values: (u, ticks) => ticks.map((v) => shown(v, field)) }],
			series: [{}, ...options],
		},
		[times, ...drawn.map((s) => s.values)],
		plot,
	);
	visible.forEach((s, i) => {
		const line = element('div', list);

		element('b', line).style.background = COLORS[i % COLORS.length];
		const known = s.values.filter((v) => v !== null);
		element('i', line, '', shown(Math.max(...known.map(Math.abs)), field));
		line.append(s.name);
	});
}

function stat(panel, result, box) {
	const all = panel.options?.reduceOptions?.values;
	const numeric = result.columns.map((c, i) => i).filter((i) => isNumber(result.types[i]));
	const list = element('div', box, 'stats');
	const one = (name, value) => {
		const field = properties(panel, name, true);
		const map = mapped(value, field);
		const color = NAMED[map?.color] ?? threshold(value, field);
		const item = element('div', list, 'stat');

		element('span', item, '', name);
		const number = element('strong', item, '', value === null ? (field.noValue ?? '') : (map?.text ?? shown(value, field)));
		if (panel.options.colorMode === 'background') item.style.background = color;
		else number.style.color = color === 'transparent' ? '#73bf69' : color;
	};

	if (all) for (const row of result.rows) one(row[result.types.findIndex((t) => !isNumber(t))], Number(row[numeric[0]]));
	else
		for (const i of numeric) {
			const known = result.rows.map((row) => row[i]).filter((v) => v !== null);
			one(result.columns[i], known.length ? Number(known[known.length - 1]) : null);
		}
}

// Grouping to matrix: rows and columns in the order in which they come.
function pivot(result, { rowField, columnField, valueField }) {
	const [r, c, v] = [rowField, columnField, valueField].map((name) => columnOf(result, name));
	const columns = [...new Set(result.rows.map((row) => row[c]))];
	const rows = [...new Set(result.rows.map((row) => row[r]))];
	const cells = new Map(result.rows.map((row) => [`${row[r]} ${row[c]}`, row[v]]));

	return {
		columns: [`${rowField}\\${columnField}`, ...columns],
		types: ['text', ...columns.map(() => result.types[v])],
		rows: rows.map((row) => [row, ...columns.map((column) => cells.get(`${row} ${column}`) ?? null)]),
	};
}

function table(panel, result, box) {
	const matrix = panel.transformations?.find((t) => t.id === 'groupingToMatrix');
	const shownResult = matrix ? pivot(result, matrix.options) : result;
	const body = element('table', box);
	const head = element('tr', body);
	const numbers = shownResult.types.map(isNumber);
	const largest = Math.max(1, ...shownResult.rows.flatMap((row) => row.filter((v, i) => numbers[i] && v !== null).map(Number)));

	shownResult.columns.forEach((name, i) => element('th', head, numbers[i] ? 'number' : '', name));
	for (const row of shownResult.rows.slice(0, 40)) {
		const line = element('tr', body);

		row.forEach((text, i) => {
			const field = properties(panel, shownResult.columns[i], numbers[i]);
			const value = numbers[i] && text !== null ? Number(text) : text;
			const isTime = /^timestamp/.test(shownResult.types[i]);
			const cell = element('td', line, numbers[i] ? 'number' : '', numbers[i] ? shown(value, field) : isTime ? (text ?? '').slice(0, 19) : text);
			const look = field['custom.cellOptions'] ?? {};

			if (look.type === 'gauge' && value !== null) element('span', cell, 'gauge').style.width = `${(80 * value) / (field.max ?? 100)}px`;
			if (look.type === 'color-background' && value !== null) {
				const color = mapped(value, field)?.color;

				cell.style.background = color ? NAMED[color] : numbers[i] && field.color?.mode?.startsWith('continuous') ? heat(value / largest) : numbers[i] ? threshold(value, field) : '';
				if (matrix && numbers[i]) cell.style.color = value / largest > 0.5 ? '#fff' : '#181b1f';
			}
		});
	}
}

function statetimeline(panel, result, box, data) {
	const { times, series } = seriesOf(result);
	const list = element('div', box, 'states');
	const step = times.length > 1 ? times[1] - times[0] : 60;
	const place = (t) => (100 * (t - data.from)) / (data.to - data.from);

	list.style.height = `${box.clientHeight - 32}px`;
	for (const { name, values } of series) {
		const field = properties(panel, name, true);

		element('div', list, 'name', name);
		const line = element('div', list, 'line');
		values.forEach((value, i) => {
			if (value === null) return;
			const map = mapped(value, field);
			const span = element('span', line, '', map?.text === undefined && value > 0 ? String(value) : '');

			span.style.left = `${place(times[i])}%`;
			span.style.width = `${place(times[i] + step) - place(times[i])}%`;
			span.style.background = NAMED[map?.color] ?? threshold(value, field);
		});
	}
}

function bargauge(panel, result, box) {
	const list = element('div', box, 'bars');
	const text = result.types.findIndex((t) => !isNumber(t));
	const number = result.types.findIndex(isNumber);
	const largest = Math.max(1, ...result.rows.map((row) => Number(row[number])));

	for (const row of result.rows) {
		element('div', list, 'name', row[text]);
		element('div', element('div', list), 'gauge').style.width = `${(100 * Number(row[number])) / largest}%`;
		element('div', list, '', shown(Number(row[number]), properties(panel, result.columns[number], true)));
	}
}

const KINDS = { timeseries, stat, table, 'state-timeline': statetimeline, bargauge };

function renderDashboard(data) {
	const { dashboard, results } = data;
	const main = document.querySelector('main');
	const header = document.querySelector('header');
	let bottom = 0;

	element('span', header, '', dashboard.title);
	element('small', header, '', 'the queries of grafana/dashboards, drawn by a test page (not Grafana), over generated traffic');
	for (const panel of dashboard.panels) {
		const { x, y, w, h } = panel.gridPos;
		const box = element('section', main, panel.type === 'row' ? 'row' : 'panel');

		Object.assign(box.style, { left: `${8 + x * 57.6}px`, top: `${y * (CELL + 2)}px`, width: `${w * 57.6 - 6}px`, height: `${h * (CELL + 2) - 6}px` });
		bottom = Math.max(bottom, (y + h) * (CELL + 2));
		if (panel.type === 'row') {
			box.textContent = panel.title;
			continue;
		}
		const result = results[panel.id];
		element('h2', box, '', panel.title.replace('$node', data.node ?? '$node'));
		if (!result.rows.length) element('div', box, 'none', 'No data');
		else KINDS[panel.type](panel, result, box, data);
	}
	main.style.height = `${bottom}px`;
}
