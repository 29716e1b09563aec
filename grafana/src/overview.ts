// SPDX-License-Identifier: PostgreSQL
// Overview: how much, from whom, of what kind; where to look next.
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { bar, link, numbers, page, rows, stack, STATES, thresholds, to, unit } from './panels.js';
import { asNumber, BY_EXPORTER, chosen, series, totals, view } from './sql.js';
import * as variables from './variables.js';
import { alerts, downtime } from './annotations.js';

const measures = [
	{ name: 'Bits', amount: 'sum(bytes) * 8', unit: 'bps' },
	{ name: 'Packets', amount: 'sum(packets)', unit: 'pps' },
	{ name: 'Flows', amount: 'sum(flows)', unit: 'cps' },
];
const hint: Record<string, string> = {
	Bits: 'Bytes are scaled by the exporters\' sampling rates.',
	Packets: 'Many packets and few bits: floods of small packets, scans. Packets are scaled by the exporters\' sampling rates.',
	Flows: 'Many flows and few packets: scans, floods with forged sources. Flows are records as they came, not scaled.',
};

// Known by number to most who read this; the rest keep theirs.
const PROTOCOL = `coalesce(CASE proto WHEN 1 THEN 'ICMP' WHEN 2 THEN 'IGMP' WHEN 6 THEN 'TCP' WHEN 17 THEN 'UDP' WHEN 41 THEN 'IPv6'
			    WHEN 47 THEN 'GRE' WHEN 50 THEN 'ESP' WHEN 58 THEN 'ICMPv6' WHEN 132 THEN 'SCTP' ELSE 'protocol ' || proto END, 'unknown')`;

const exporters = measures.map((m) =>
	stack(
		{
			title: `${m.name}/s by exporter`,
			description: `${hint[m.name]} An exporter that falls to zero has stopped sending, or the way from it has: see Health. The last twenty seconds are not shown, as they still grow.`,
			width: 8,
			height: 9,
		},
		m.unit,
		'10s',
		series({ view: view('load'), window: 10, ...BY_EXPORTER, amount: m.amount, where: [chosen('exporter', 'exporter')], largest: 12 }),
	).dataLinks([new dashboard.DashboardLinkBuilder('Interfaces').type(dashboard.DashboardLinkType.Link).url(to('backstream-interfaces'))
		.icon('').tooltip('').tags([]).asDropdown(false).includeVars(false).keepTime(false).targetBlank(false)]),
);

const protocols = measures.map((m) =>
	stack(
		{
			title: `${m.name}/s by protocol`,
			description: `${hint[m.name]} UDP or ICMP that grows alone is seldom good news: see Security.`,
			width: 8,
			height: 8,
		},
		m.unit,
		'1m',
		series({ view: view('protocols'), window: 60, key: PROTOCOL, amount: m.amount, where: [chosen('exporter', 'exporter')], largest: 8 }),
	),
);

const systems = measures.map((m) =>
	stack(
		{
			title: `${m.name}/s by source AS (all exporters)`,
			description: `The ten autonomous systems that send most. ${hint[m.name]} AS numbers are those that exporters say; AS0 is their own or none. See Traffic matrix for who sends to whom.`,
			width: 8,
			height: 9,
		},
		m.unit,
		'1m',
		series({ view: view('sources_as'), window: 60, key: 'src_as', label: asNumber, amount: m.amount, largest: 10 }),
	),
);

const last = "time > $__timeTo()::timestamptz - interval '5 min'";

export const overview = page({
	uid: 'backstream-overview',
	title: 'BackStream / Overview',
	description: 'How much traffic, from which exporters and systems, of what kind.',
	from: 'now-1h',
	refresh: '30s',
	variables: [variables.datasource(), variables.schema(), variables.exporter()],
	annotations: [downtime(), alerts(false)],
	sections: [
		{
			title: 'Now',
			panels: [
				numbers(
					{
						title: 'Traffic',
						description: 'All that these exporters report, as rates. No number: nothing has come in this range; look at Health.',
						width: 12,
						height: 4,
					},
					totals(view('load'), 10, [chosen('exporter', 'exporter')], {
						'Bits/s': 'sum(bytes) * 8',
						'Packets/s': 'sum(packets)',
						'Flows/s': 'sum(flows)',
					}),
					'time_series',
				)
					.overrideByName('Bits/s', [unit('bps')])
					.overrideByName('Packets/s', [unit('pps')])
					.overrideByName('Flows/s', [unit('cps')]),
				numbers(
					{
						title: 'Health',
						description: 'The worst row of backstream.health. Anything but ok: the Health dashboard says what, and where to look.',
						width: 4,
						height: 4,
					},
					`
					SELECT max(CASE state WHEN 'ok' THEN 0 WHEN 'look' THEN 1 WHEN 'lossy' THEN 2 ELSE 3 END) AS "Health"
					  FROM backstream.health`,
				)
					.colorMode(common.BigValueColorMode.Background)
					.mappings([
						{
							type: 'value',
							options: Object.fromEntries(
								Object.entries(STATES).map(([text, color], index) => [String(index), { text, color, index }]),
							),
						} as dashboard.ValueMap,
					]),
				numbers(
					{
						title: 'Exporters heard, and silent',
						description: 'Heard in the last five minutes, and known but silent since. Silent ones are listed on Health.',
						width: 4,
						height: 4,
					},
					`
					SELECT count(DISTINCT exporter) FILTER (WHERE last_seen >= now() - interval '5 min') AS "heard",
					       count(DISTINCT exporter) FILTER (WHERE last_seen < now() - interval '5 min') AS "silent"
					  FROM backstream.exporters
					 WHERE ${chosen('exporter', 'exporter')}`,
				).overrideByName('silent', [
					{ id: 'thresholds', value: thresholds([null, 'green'], [1, 'orange']).build() },
				]),
				numbers(
					{
						title: 'Records lost',
						description: 'In this range, by the exporters\' sequence numbers. More than a few in a thousand: rates here are too low; see Health.',
						width: 4,
						height: 4,
					},
					`
					SELECT 100.0 * sum(records_lost) / nullif(sum(records + records_lost), 0) AS "lost"
					  FROM backstream.windows('${view('load')}')
					 WHERE $__timeFilter(window_start)`,
				)
					.unit('percent')
					.thresholds(thresholds([null, 'green'], [0.1, 'yellow'], [1, 'red'])),
			],
		},
		{ title: 'By exporter', panels: exporters },
		{ title: 'By protocol', panels: protocols },
		{ title: 'By autonomous system', panels: systems },
		{
			title: 'Who and what',
			panels: [
				rows(
					{
						title: 'Top talkers: hosts that send most, last five minutes',
						description: 'One host with a large share: a backup, a server in demand, or a flood: look at its flows in a live tail (SELECT ... FROM backstream.flow WHERE src_addr = ...).',
						width: 12,
						height: 10,
					},
					`
					SELECT host(src_addr) AS "source", sum(bytes) AS "bytes", sum(packets) AS "packets", sum(flows) AS "flows",
					       100 * sum(bytes) / nullif(sum(sum(bytes)) OVER (), 0) AS "share"
					  FROM ${view('sources')}
					 WHERE $__timeFilter(time) AND ${last}
					 GROUP BY src_addr ORDER BY 2 DESC NULLS LAST, 1 LIMIT 20`,
				)
					.overrideByName('bytes', [unit('decbytes')])
					.overrideByName('packets', [unit('short')])
					.overrideByName('flows', [unit('short')])
					.overrideByName('share', [unit('percent'), ...bar(100)]),
				rows(
					{
						title: 'Top services, last five minutes',
						description: 'By protocol and the lower port of the two, which is nearly always that of the service.',
						width: 12,
						height: 10,
					},
					`
					SELECT CASE proto WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' ELSE coalesce('protocol ' || proto, 'others') END || coalesce('/' || port, '') AS "service",
					       sum(bytes) AS "bytes", sum(packets) AS "packets", sum(flows) AS "flows",
					       100 * sum(bytes) / nullif(sum(sum(bytes)) OVER (), 0) AS "share"
					  FROM ${view('services')}
					 WHERE $__timeFilter(time) AND ${last}
					 GROUP BY 1 ORDER BY 2 DESC NULLS LAST, 1 LIMIT 20`,
				)
					.overrideByName('bytes', [unit('decbytes')])
					.overrideByName('packets', [unit('short')])
					.overrideByName('flows', [unit('short')])
					.overrideByName('share', [unit('percent'), ...bar(100)])
					.overrideByName('service', [link('Security', to('backstream-security'))]),
			],
		},
	],
});
