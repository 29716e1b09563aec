// SPDX-License-Identifier: PostgreSQL
// How panels look: one place for legends, colours and thresholds, so that all dashboards are alike.
import * as bargauge from '@grafana/grafana-foundation-sdk/bargauge';
import * as cog from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as statetimeline from '@grafana/grafana-foundation-sdk/statetimeline';
import * as table from '@grafana/grafana-foundation-sdk/table';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import { DATASOURCE, query } from './sql.js';

export type Property = dashboard.DynamicConfigValue;
export interface Look {
	title: string;
	description: string; // what it means, and what to do
	width: number; // of 24
	height: number;
}

export const thresholds = (...steps: [number | null, string][]) =>
	new dashboard.ThresholdsConfigBuilder()
		.mode(dashboard.ThresholdsMode.Absolute)
		.steps(steps.map(([value, color]) => ({ value, color })));

export const legend = () =>
	new common.VizLegendOptionsBuilder()
		.displayMode(common.LegendDisplayMode.Table)
		.placement(common.LegendPlacement.Right)
		.showLegend(true)
		.calcs(['lastNotNull', 'max']);
const tooltip = () =>
	new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending);

// What all builders of panels have.
interface PanelBuilder extends cog.Builder<dashboard.Panel> {
	id(id: number): this;
	gridPos(gridPos: dashboard.GridPos): this;
	title(title: string): this;
	description(description: string): this;
	datasource(datasource: typeof DATASOURCE): this;
	span(width: number): this;
	height(height: number): this;
}

const begin = <Builder extends PanelBuilder>(panel: Builder, look: Look): Builder =>
	panel.title(look.title).description(look.description).datasource(DATASOURCE).span(look.width).height(look.height);

// Lines over time, above and below zero.
export function mirrored(look: Look, unit: string, interval: string, sql: string): timeseries.PanelBuilder {
	return begin(new timeseries.PanelBuilder(), look)
		.interval(interval)
		.maxDataPoints(500)
		.unit(unit)
		.lineWidth(1)
		.fillOpacity(10)
		.showPoints(common.VisibilityMode.Never)
		.legend(legend())
		.tooltip(tooltip())
		.withTarget(query('time_series', sql));
}

// Lines over time that begin at zero.
export const lines = (look: Look, unit: string, interval: string, sql: string) => mirrored(look, unit, interval, sql).min(0);

// The same, one on top of the other.
export function stack(look: Look, unit: string, interval: string, sql: string): timeseries.PanelBuilder {
	return lines(look, unit, interval, sql)
		.fillOpacity(60)
		.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'));
}

// Numbers of this moment; the last value where there is a time.
export function numbers(look: Look, sql: string, format: 'table' | 'time_series' = 'table'): stat.PanelBuilder {
	return begin(new stat.PanelBuilder(), look)
		.interval('10s')
		.maxDataPoints(200)
		.reduceOptions(new common.ReduceDataOptionsBuilder().values(false).calcs(['lastNotNull']).fields(''))
		.colorMode(common.BigValueColorMode.Value)
		.graphMode(format === 'table' ? common.BigValueGraphMode.None : common.BigValueGraphMode.Area)
		.textMode(common.BigValueTextMode.Auto)
		.noValue('none')
		.withTarget(query(format, sql));
}

export function rows(look: Look, sql: string): table.PanelBuilder {
	return begin(new table.PanelBuilder(), look)
		.showHeader(true)
		.cellHeight(common.TableCellHeight.Sm)
		.align(common.FieldTextAlignment.Auto)
		.filterable(true)
		.withTarget(query('table', sql));
}

export function states(look: Look, interval: string, sql: string): statetimeline.PanelBuilder {
	return begin(new statetimeline.PanelBuilder(), look)
		.interval(interval)
		.maxDataPoints(200)
		.mergeValues(true)
		.rowHeight(0.85)
		.lineWidth(0)
		.fillOpacity(80)
		.showValue(common.VisibilityMode.Auto)
		.legend(new common.VizLegendOptionsBuilder().showLegend(false).displayMode(common.LegendDisplayMode.List)
			.placement(common.LegendPlacement.Bottom).calcs([]))
		.withTarget(query('time_series', sql));
}

export function bars(look: Look, unit: string, sql: string): bargauge.PanelBuilder {
	return begin(new bargauge.PanelBuilder(), look)
		.unit(unit)
		.min(0)
		.orientation(common.VizOrientation.Horizontal)
		.displayMode(common.BarGaugeDisplayMode.Gradient)
		.reduceOptions(new common.ReduceDataOptionsBuilder().values(true).calcs([]).fields(''))
		.withTarget(query('table', sql));
}

// ---------- columns of tables ----------

export const unit = (value: string): Property => ({ id: 'unit', value });
export const width = (value: number): Property => ({ id: 'custom.width', value });
export const decimals = (value: number): Property => ({ id: 'decimals', value });
export const link = (title: string, url: string): Property => ({ id: 'links', value: [{ title, url, targetBlank: false }] });

export const background = (...steps: [number | null, string][]): Property[] => [
	{ id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
	{ id: 'color', value: { mode: 'thresholds' } },
	{ id: 'thresholds', value: { mode: 'absolute', steps: steps.map(([value, color]) => ({ value, color })) } },
];

export const bar = (max?: number): Property[] => [
	{ id: 'custom.cellOptions', value: { type: 'gauge', mode: 'basic', valueDisplayMode: 'text' } },
	{ id: 'color', value: { mode: 'continuous-BlPu' } },
	{ id: 'min', value: 0 },
	...(max === undefined ? [] : [{ id: 'max', value: max }]),
];

// Words that stand for something being well or not.
export const words = (colors: Record<string, string>): Property[] => [
	{ id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
	{
		id: 'mappings',
		value: [{ type: 'value', options: Object.fromEntries(Object.entries(colors).map(([word, color], index) => [word, { color, index }])) }],
	},
];

export const STATES = { ok: 'green', look: 'yellow', lossy: 'orange', broken: 'red' };

// ---------- dashboards ----------

// A link to another dashboard of this folder: the range and the variables go with it, but for those that are said.
export const to = (uid: string, variables: Record<string, string> = {}) =>
	`/d/${uid}?` +
	[
		'${__url_time_range}',
		...['datasource', 'schema'].filter((name) => !(name in variables)).map((name) => `\${${name}:queryparam}`),
		...Object.entries(variables).map(([name, value]) => `var-${name}=${value}`),
	].join('&');

const WIDTH = 24;

// Where the next panel goes: as high as it fits, then as far left; skyline is how high each column is filled.
function place(skyline: number[], w: number, h: number): dashboard.GridPos {
	const tops = skyline.slice(0, WIDTH - w + 1).map((_, x) => Math.max(...skyline.slice(x, x + w)));
	const y = Math.min(...tops);
	const x = tops.indexOf(y);

	skyline.fill(y + h, x, x + w);
	return { x, y, w, h };
}

export interface Page {
	uid: string;
	title: string;
	description: string;
	from: string;
	refresh: string;
	variables: cog.Builder<dashboard.VariableModel>[];
	annotations?: cog.Builder<dashboard.AnnotationQuery>[];
	sections: { title: string; panels: PanelBuilder[] }[];
}

export function page(p: Page): dashboard.Dashboard {
	const builder = new dashboard.DashboardBuilder(p.title)
		.uid(p.uid)
		.description(p.description)
		.tags(['backstream'])
		.timezone('browser')
		.time({ from: p.from, to: 'now' })
		.refresh(p.refresh)
		.timepicker(new dashboard.TimePickerBuilder().refreshIntervals(['10s', '30s', '1m', '5m', '15m']))
		.tooltip(dashboard.DashboardCursorSync.Crosshair)
		.variables(p.variables)
		.annotations(p.annotations ?? [])
		.link(
			new dashboard.DashboardLinkBuilder('BackStream')
				.type(dashboard.DashboardLinkType.Dashboards)
				.tags(['backstream'])
				.icon('external link')
				.tooltip('')
				.url('')
				.asDropdown(false)
				.includeVars(true)
				.keepTime(true)
				.targetBlank(false),
		);
	const skyline: number[] = Array(WIDTH).fill(0);
	let id = 0;

	for (const section of p.sections) {
		builder.withRow(new dashboard.RowBuilder(section.title).id(++id).gridPos(place(skyline, WIDTH, 1)));
		for (const panel of section.panels) {
			const { w, h } = panel.build().gridPos!;

			builder.withPanel(panel.id(++id).gridPos(place(skyline, w, h)));
		}
	}
	const built = builder.build();

	// The SDK gives every variable what those of intervals have.
	for (const variable of built.templating?.list ?? []) {
		for (const name of ['auto', 'auto_min', 'auto_count', 'skipUrlSync'] as const) delete (variable as unknown as Record<string, unknown>)[name];
	}
	return built;
}
