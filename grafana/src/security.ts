// SPDX-License-Identifier: PostgreSQL
// Security: what the signatures of detectors/ have found.
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { lines, numbers, page, rows, states, thresholds, to, link, unit, width } from './panels.js';
import { BY_EXPORTER, chosen, LATENESS_SECONDS, series, step } from './sql.js';
import * as variables from './variables.js';
import { alerts, downtime } from './annotations.js';

const which = chosen('detector', 'detector');
const minute = step(60);

// Each detector at each step, quiet ones too.  Detectors keep what they found for an hour.
const timeline = `
	WITH found AS (
		SELECT date_bin(${minute}, time, 'epoch') AS bucket, detector, count(DISTINCT (suspect, target)) AS n
		  FROM detectors.alerts
		 WHERE $__timeFilter(time)
		   AND ${which}
		 GROUP BY 1, 2
	), steps AS (
		SELECT generate_series(date_bin(${minute}, greatest($__timeFrom(), now() - interval '1 hour', least(v.since, (SELECT min(bucket) FROM found) - ${minute})), 'epoch') + ${minute},
		                       date_bin(${minute}, least(now() - interval '${LATENESS_SECONDS} s', $__timeTo()), 'epoch') - ${minute}, ${minute}) AS bucket
		  FROM backstream.views v WHERE v.view = 'detectors.probes'::regclass
	)
	SELECT s.bucket AS "time", d.detector AS metric, coalesce(f.n, 0) AS value
	  FROM steps s CROSS JOIN (SELECT DISTINCT detector FROM detectors.thresholds WHERE ${which}) d
	  LEFT JOIN found f ON f.bucket = s.bucket AND f.detector = d.detector
	 ORDER BY 1, 2`;

// What few hosts have, while they have it: bars where something was found, nothing where not.
const found = (where: string, metric: string, amount: string, window: number) => `
	WITH found AS (
		SELECT date_bin(${step(window)}, time, 'epoch') AS bucket, ${metric} AS metric, max(${amount}) AS amount
		  FROM detectors.alerts
		 WHERE $__timeFilter(time) AND ${where}
		   AND ${which}
		 GROUP BY 1, 2
	), largest AS (
		SELECT metric FROM found GROUP BY 1 ORDER BY max(amount) DESC, 1 LIMIT 12
	)
	SELECT bucket AS "time", metric, amount AS value FROM found WHERE metric IN (TABLE largest) ORDER BY 1, 2`;

const bars = (look: Parameters<typeof lines>[0], of: string, interval: string, sql: string) =>
	lines(look, of, interval, sql)
		.drawStyle(common.GraphDrawStyle.Bars)
		.fillOpacity(70)
		.barWidthFactor(0.9);

export const security = page({
	uid: 'backstream-security',
	title: 'BackStream / Security',
	description: 'Scans, worms, floods and the like, as the signatures in schema detectors find them.',
	from: 'now-1h',
	refresh: '1m',
	variables: [variables.datasource(), variables.schema(), variables.detector()],
	annotations: [downtime(), alerts(true, 'detector')],
	sections: [
		{
			title: 'Alerts',
			panels: [
				numbers(
					{
						title: 'Found in the last ten minutes',
						description: 'Different pairs of suspect and target, by signature. Zero everywhere: nothing above the thresholds, or no traffic: see Health.',
						width: 24,
						height: 4,
					},
					`
					SELECT d.detector AS metric, count(DISTINCT (a.suspect, a.target)) FILTER (WHERE a.detector IS NOT NULL) AS value
					  FROM (SELECT DISTINCT detector FROM detectors.thresholds WHERE ${which}) d
					  LEFT JOIN (SELECT * FROM detectors.alerts WHERE $__timeFilter(time) AND time > $__timeTo()::timestamptz - interval '10 min') a USING (detector)
					 GROUP BY 1 ORDER BY 1`,
				)
					.reduceOptions(new common.ReduceDataOptionsBuilder().values(true).calcs([]).fields(''))
					.colorMode(common.BigValueColorMode.Background)
					.thresholds(thresholds([null, 'green'], [1, 'red'])),
				states(
					{
						title: 'When',
						description: 'Each signature over time: how many pairs of suspect and target were found in each step. What was found is kept for an hour; a view over a detector keeps it for longer (docs/detectors.md).',
						width: 24,
						height: 10,
					},
					'1m',
					timeline,
				)
					.mappings([
						{ type: 'value', options: { '0': { text: 'quiet', color: 'green', index: 0 } } } as dashboard.ValueMap,
						{ type: 'range', options: { from: 1, to: 1e9, result: { color: 'red', index: 1 } } } as dashboard.RangeMap,
					])
					.thresholds(thresholds([null, 'green'], [1, 'red'])),
				rows(
					{
						title: 'Who did what to whom',
						description: 'One row for each signature, suspect and target; measure is what is compared with the threshold. What each signature takes for an attack by mistake is in docs/detectors.md; what is known to be harmless goes into detectors.exclusions.',
						width: 24,
						height: 8,
					},
					`
					SELECT max(a.time) AS "last seen", min(a.time) AS "first seen", a.detector AS "detector", host(a.suspect) AS "suspect", host(a.target) AS "target",
					       count(*) AS "windows", max(a.measure) AS "measure", min(t.value) AS "threshold",
					       (array_agg(a.details ORDER BY a.time DESC))[1]::text AS "details"
					  FROM detectors.alerts a
					  LEFT JOIN (SELECT DISTINCT ON (detector) detector, name, value FROM detectors.thresholds
					              ORDER BY detector, name NOT IN ('ports', 'hosts', 'syn_per_second', 'bits_per_second', 'bytes', 'peers', 'bits'), name) t USING (detector)
					 WHERE $__timeFilter(a.time)
					   AND ${chosen('detector', 'a.detector')}
					 GROUP BY a.detector, a.suspect, a.target ORDER BY 1 DESC, 3, 4, 5 LIMIT 200`,
				)
					.overrideByName('last seen', [width(170)])
					.overrideByName('first seen', [width(170)])
					.overrideByName('windows', [width(80)])
					.overrideByName('measure', [unit('short')])
					.overrideByName('threshold', [unit('short')])
					.overrideByName('target', [link('Overview of this time', to('backstream-overview'))]),
			],
		},
		{
			title: 'How much',
			panels: [
				bars(
					{
						title: 'Floods: bits/s to each target',
						description: 'Signatures ddos and reflection, by target, ten seconds each. What to do: ask upstream to filter or blackhole the target; for reflection the service (see details above) says which UDP source port to filter.',
						width: 12,
						height: 9,
					},
					'bps',
					'10s',
					found("detector IN ('ddos', 'reflection')", "host(target) || ' ' || detector", 'measure', 10),
				),
				bars(
					{
						title: 'SYN floods: packets/s to each target',
						description: 'Connections that are begun and not established, by target. What to do: SYN cookies at the target, a rate limit before it.',
						width: 12,
						height: 9,
					},
					'pps',
					'10s',
					found("detector = 'syn_flood'", 'host(target)', 'measure', 10),
				),
				bars(
					{
						title: 'Scans, worms, peer-to-peer: ports, hosts or peers of each suspect',
						description: 'How many ports (port_scan), hosts (host_scan), infected hosts (worm_spread) or peers (p2p) in a minute. A host of yours as suspect is to be looked at first.',
						width: 12,
						height: 9,
					},
					'short',
					'1m',
					found("detector IN ('port_scan', 'host_scan', 'worm_spread', 'p2p')", "host(suspect) || ' ' || detector", 'measure', 60),
				),
				lines(
					{
						title: 'Entropy of destinations, by exporter',
						description: 'In bits: falls when flows concentrate on few destinations (floods, flash crowds), rises when they disperse (scans, worms). The signature entropy compares with the hour before.',
						width: 12,
						height: 9,
					},
					'short',
					'1m',
					series({
						view: 'detectors.destination_entropy',
						window: 60,
						...BY_EXPORTER,
						amount: 'avg(bits)',
						perSecond: false,
						missing: 'NULL',
					}),
				),
			],
		},
		{
			title: 'Settings',
			panels: [
				rows(
					{
						title: 'Thresholds',
						description: 'From where on a signature reports: UPDATE detectors.thresholds acts at once. NULL: it reports nothing.',
						width: 24,
						height: 9,
					},
					`
					SELECT detector AS "detector", name AS "name", value AS "value", meaning AS "meaning" FROM detectors.thresholds
					 WHERE ${which} ORDER BY 1, 2 LIMIT 200`,
				).overrideByName('value', [unit('short')]),
			],
		},
	],
});
