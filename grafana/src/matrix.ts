// SPDX-License-Identifier: PostgreSQL
// Traffic matrix: who sends to whom.
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { bar, lines, link, page, rows, stack, to, unit, width } from './panels.js';
import { asNumber, chosen, series, view } from './sql.js';
import * as variables from './variables.js';
import { alerts, downtime } from './annotations.js';

const LARGEST = 16;
const known = 'src_as IS NOT NULL AND dst_as IS NOT NULL';
const either = chosen('as', 'src_as', 'dst_as');

// Ten whole minutes, or what the range has of them.
const ends = "date_bin('1 min', least($__timeTo(), now() - interval '10 s'), 'epoch')";
const begins = `greatest(${ends} - interval '10 min', date_bin('1 min', $__timeFrom()::timestamptz, 'epoch'))`;

// A square of the largest systems: cells without traffic are 0, not absent, so that the table is always whole.  Windows are
// merged where they are kept: there may be a million pairs in them.
const heat = `
	WITH counted AS (
		SELECT src_as, dst_as, bytes * 8 AS bits
		  FROM backstream.merged(NULL::${view('matrix_as')}, ${begins}, ${ends})
		 WHERE ${known} AND ${either}
	), span AS (
		SELECT extract(epoch FROM ${ends} - greatest(${begins}, min(time))) AS seconds
		  FROM ${view('load')}
		 WHERE $__timeFilter(time)
	), largest AS (
		SELECT system, sum(bits) AS bits
		  FROM (SELECT src_as AS system, bits FROM counted UNION ALL SELECT dst_as, bits FROM counted) both_ways
		 GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${LARGEST}
	)
	SELECT 'AS' || s.system AS "from", 'AS' || d.system AS "to", coalesce(c.bits, 0) / nullif(span.seconds, 0) AS "bps"
	  FROM span, largest s CROSS JOIN largest d
	  LEFT JOIN counted c ON c.src_as = s.system AND c.dst_as = d.system
	 ORDER BY s.bits DESC, s.system, d.bits DESC, d.system`;

const pairs = `
	pairs AS (
		SELECT src_as, dst_as
		  FROM backstream.merged(NULL::${view('matrix_as')}, $__timeFrom(), $__timeTo())
		 WHERE ${known} AND ${either}
		 ORDER BY bytes DESC, 1, 2 LIMIT 10
	)`;

export const matrix = page({
	uid: 'backstream-matrix',
	title: 'BackStream / Traffic matrix',
	description: 'Who sends to whom: autonomous systems, networks.',
	from: 'now-30m',
	refresh: '1m',
	variables: [variables.datasource(), variables.schema(), variables.as()],
	annotations: [downtime(), alerts(false)],
	sections: [
		{
			title: 'Autonomous systems',
			panels: [
				rows(
					{
						title: `AS to AS: the largest ${LARGEST}, mean of the last ten minutes`,
						description: 'A row sends to a column; the darker the more. A dark row: one source for many, an upstream or content network. A dark column: what you deliver to, or what is being flooded. With an AS chosen, only its rows and columns.',
						width: 24,
						height: 13,
					},
					heat,
				)
					.filterable(false)
					.transformations([
						{ id: 'groupingToMatrix', options: { rowField: 'from', columnField: 'to', valueField: 'bps', emptyValue: 'null' } },
					])
					.unit('bps')
					.decimals(1)
					.withOverride({
						matcher: { id: 'byType', options: 'number' },
						properties: [
							{ id: 'custom.cellOptions', value: { type: 'color-background', mode: 'basic' } },
							{ id: 'color', value: { mode: 'continuous-YlRd' } },
							{ id: 'min', value: 0 },
							{ id: 'custom.align', value: 'right' },
						],
					})
					.overrideByName('from\\to', [width(110)]),
				lines(
					{
						title: 'Largest pairs over time',
						description: 'The ten pairs with most bits in this range. A pair that appears from nothing is a change of routing or an attack; one that ends may be a session that went down.',
						width: 24,
						height: 10,
					},
					'bps',
					'1m',
					series({
						view: view('matrix_as'),
						window: 60,
						with: pairs,
						join: 'JOIN pairs USING (src_as, dst_as)',
						key: "'AS' || src_as || ' > AS' || dst_as",
						amount: 'sum(bytes) * 8',
					}),
				),
				stack(
					{
						title: 'From the chosen systems, by destination',
						description: 'To whom the chosen AS send (all: to whom anybody does).',
						width: 12,
						height: 9,
					},
					'bps',
					'1m',
					series({ view: view('matrix_as'), window: 60, key: 'dst_as', label: asNumber, amount: 'sum(bytes) * 8', where: [chosen('as', 'src_as')], largest: 10 }),
				),
				stack(
					{
						title: 'To the chosen systems, by source',
						description: 'From whom the chosen AS get (all: from whom anybody does).',
						width: 12,
						height: 9,
					},
					'bps',
					'1m',
					series({ view: view('matrix_as'), window: 60, key: 'src_as', label: asNumber, amount: 'sum(bytes) * 8', where: [chosen('as', 'dst_as')], largest: 10 }),
				),
			],
		},
		{
			title: 'Networks',
			panels: [
				rows(
					{
						title: 'Largest pairs of networks (/24 and /48), last five minutes',
						description: 'What makes up a pair of systems above. Kept for half an hour.',
						width: 24,
						height: 10,
					},
					`
					SELECT src_net::text AS "from", dst_net::text AS "to", sum(bytes) AS "bytes", sum(packets) AS "packets", sum(flows) AS "flows",
					       100 * sum(bytes) / nullif(sum(sum(bytes)) OVER (), 0) AS "share"
					  FROM ${view('matrix_prefix')}
					 WHERE $__timeFilter(time) AND time > $__timeTo()::timestamptz - interval '5 min'
					 GROUP BY src_net, dst_net ORDER BY 3 DESC NULLS LAST, 1, 2 LIMIT 50`,
				)
					.overrideByName('bytes', [unit('decbytes')])
					.overrideByName('packets', [unit('short')])
					.overrideByName('flows', [unit('short')])
					.overrideByName('share', [unit('percent'), ...bar(100)])
					.overrideByName('to', [link('Security', to('backstream-security'))]),
			],
		},
	],
}) satisfies dashboard.Dashboard;
