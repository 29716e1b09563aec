// SPDX-License-Identifier: PostgreSQL
// Backbone: all nodes as one, each by itself, and whether all have answered.
import * as common from '@grafana/grafana-foundation-sdk/common';
import { background, legend, link, lines, numbers, page, rows, stack, thresholds, to, unit, width, words } from './panels.js';
import { asNumber, LATENESS_SECONDS, series, stepSeconds, totals, view } from './sql.js';
import * as variables from './variables.js';
import { downtime } from './annotations.js';

const united = (name: string) => view(name, 'backbone');
const settled = `window_start + interval '${10 + LATENESS_SECONDS} s' < now()`;

export const backbone = page({
	uid: 'backstream-backbone',
	title: 'BackStream / Backbone',
	description: 'Views over many nodes: united, node by node, and complete or not.',
	from: 'now-1h',
	refresh: '1m',
	variables: [
		variables.datasource().label('Reader').description('The server that has the backbone: the one where views over its stream were made'),
		variables.schema('backbone', 'backbone'),
		variables.node(),
	],
	annotations: [downtime()],
	sections: [
		{
			title: 'Nodes',
			panels: [
				rows(
					{
						title: 'Nodes, asked now',
						description: 'Unreachable: the server or the network between. Out of step: SELECT * FROM backstream.sync(...) makes its views again. Misfit: another version. No user mapping: this data source\'s role has none for it. Clock ahead: more than a second puts records into other windows; set up NTP. A node name leads to its own Overview, where a data source has that name.',
						width: 24,
						height: 6,
					},
					`
					SELECT node AS "node", state AS "state", problem AS "problem", extract(epoch FROM latency) AS "latency", extract(epoch FROM clock_ahead) AS "clock ahead",
					       extract(epoch FROM now() - watermark) AS "open since", views_in_step AS "in step", views AS "views", version AS "version", last_contact AS "last contact"
					  FROM backstream.nodes ORDER BY 1 LIMIT 200`,
				)
					.overrideByName('node', [link('Overview of this node', to('backstream-overview', { datasource: '${__value.text}', schema: 'traffic' }))])
					.overrideByName('state', [
						width(140),
						...words({ 'in step': 'green', 'out of step': 'orange', unreachable: 'red', misfit: 'red', refused: 'red', 'no user mapping': 'yellow' }),
					])
					.overrideByName('latency', [unit('s'), ...background([null, 'transparent'], [0.5, 'yellow'], [2, 'red'])])
					.overrideByName('clock ahead', [unit('s'), ...background([null, 'red'], [-5, 'yellow'], [-1, 'transparent'], [1, 'yellow'], [5, 'red'])])
					.overrideByName('open since', [unit('s')]),
				numbers(
					{
						title: 'Complete',
						description: 'Of the windows in this range: nodes that have answered and have counted since the window began, of all nodes. Below 100 %: the united panels lack a part; the table above says whose.',
						width: 6,
						height: 8,
					},
					`
					SELECT 100.0 * sum(nodes_answered) / nullif(sum(nodes_expected), 0) AS "complete", 100.0 * min(nodes_answered::numeric / nullif(nodes_expected, 0)) AS "worst window"
					  FROM backstream.windows('${united('load')}')
					 WHERE $__timeFilter(window_start) AND ${settled}`,
				)
					.unit('percent')
					.decimals(1)
					.thresholds(thresholds([null, 'red'], [90, 'yellow'], [100, 'green'])),
				lines(
					{
						title: 'Nodes in each window',
						description: 'Answered and expected, the lowest of each step. Where the lines part, the united graphs are too low.',
						width: 18,
						height: 8,
					},
					'short',
					'10s',
					`
					SELECT to_timestamp(floor(extract(epoch FROM window_start) / ${stepSeconds(10)}) * ${stepSeconds(10)}) AS "time",
					       min(nodes_answered) AS "answered", min(nodes_expected) AS "expected"
					  FROM backstream.windows('${united('load')}')
					 WHERE $__timeFilter(window_start) AND ${settled}
					 GROUP BY 1 ORDER BY 1`,
				)
					.legend(legend().placement(common.LegendPlacement.Bottom).displayMode(common.LegendDisplayMode.List))
					.lineInterpolation(common.LineInterpolation.StepAfter)
					.decimals(0),
			],
		},
		{
			title: 'United',
			panels: [
				stack(
					{
						title: 'Bits/s by exporter, all nodes',
						description: 'Merged from all nodes, exactly. A router that sends to two nodes counts twice: docs/backbone.md says how to count what enters only.',
						width: 12,
						height: 9,
					},
					'bps',
					'10s',
					series({ view: united('load'), window: 10, key: "coalesce(host(exporter), 'unknown')", amount: 'sum(bytes) * 8', largest: 12 }),
				),
				stack(
					{
						title: 'Bits/s by source AS, all nodes',
						description: 'The ten autonomous systems that send most into or over the whole backbone.',
						width: 12,
						height: 9,
					},
					'bps',
					'1m',
					series({ view: united('sources_as'), window: 60, key: 'src_as', label: asNumber, amount: 'sum(bytes) * 8', largest: 10 }),
				),
				rows(
					{
						title: 'Largest pairs of systems, all nodes, last five minutes',
						description: 'The traffic matrix of the whole backbone; dashboard Traffic matrix shows it in full when its variable Views is set to this schema.',
						width: 24,
						height: 9,
					},
					`
					SELECT coalesce('AS' || src_as, 'others') AS "from", coalesce('AS' || dst_as, 'others') AS "to", sum(bytes) AS "bytes", sum(packets) AS "packets", sum(flows) AS "flows"
					  FROM ${united('matrix_as')}
					 WHERE $__timeFilter(time) AND time > $__timeTo()::timestamptz - interval '5 min'
					 GROUP BY 1, 2 ORDER BY 3 DESC NULLS LAST, 1, 2 LIMIT 50`,
				)
					.unit('short')
					.overrideByName('bytes', [unit('decbytes')])
					.overrideByName('from', [link('Traffic matrix of the backbone', to('backstream-matrix', { schema: '${backbone}' }))]),
			],
		},
		{
			title: 'Node by node',
			panels: [
				lines(
					{
						title: '$node',
						description: 'What this node counts by itself, read from it. An error here and not in others: this node does not answer.',
						width: 12,
						height: 7,
					},
					'bps',
					'10s',
					totals(view('load', 'node'), 10, [], { 'Bits/s': 'sum(bytes) * 8' }),
				)
					.repeat('node')
					.repeatDirection('h')
					.maxPerRow(3),
			],
		},
	],
});

