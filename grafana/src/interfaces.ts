// SPDX-License-Identifier: PostgreSQL
// Interfaces: what comes in and goes out, against what they can carry.
import * as common from '@grafana/grafana-foundation-sdk/common';
import { background, lines, mirrored, page, rows, thresholds, unit } from './panels.js';
import { chosen, EXPORTER_NAMES, step, stepSeconds, tidy, view } from './sql.js';
import * as variables from './variables.js';
import { downtime } from './annotations.js';

const where = ['l.interface IS NOT NULL', chosen('exporter', 'l.exporter'), chosen('interface', 'l.interface')].join('\n\t\t   AND ');
const LABEL = "coalesce(n.name, host(exporter), 'unknown') || ' ' || coalesce(i.name, 'if ' || interface, 'unknown')";

// Whole minutes of each interface; a minute in which nothing passed is zero, as percentiles must know of it.
const minutes = `
	WITH ${EXPORTER_NAMES.trim()}, counted AS (
		SELECT l.time, l.exporter, l.interface, l.bytes_in * 8 / 60 AS bps_in, l.bytes_out * 8 / 60 AS bps_out, l.packets_in / 60 AS pps_in, l.packets_out / 60 AS pps_out
		  FROM ${view('interface_load')} l
		 WHERE $__timeFilter(l.time) AND l.time <= now() - interval '70 s'
		   AND ${where}
	), all_minutes AS (
		SELECT m.time, f.exporter, f.interface, coalesce(c.bps_in, 0) AS bps_in, coalesce(c.bps_out, 0) AS bps_out, coalesce(c.pps_in, 0) AS pps_in, coalesce(c.pps_out, 0) AS pps_out
		  FROM (SELECT DISTINCT time FROM counted) m CROSS JOIN (SELECT DISTINCT exporter, interface FROM counted) f
		  LEFT JOIN counted c ON c.time = m.time AND c.exporter = f.exporter AND c.interface = f.interface
	)`;

const summary = `${minutes}, summary AS (
		SELECT exporter, interface,
		       (array_agg(bps_in ORDER BY time DESC))[1] AS bps_in, (array_agg(bps_out ORDER BY time DESC))[1] AS bps_out,
		       percentile_cont(0.95) WITHIN GROUP (ORDER BY bps_in) AS p95_in, percentile_cont(0.95) WITHIN GROUP (ORDER BY bps_out) AS p95_out,
		       max(bps_in) AS max_in, max(bps_out) AS max_out, (array_agg(pps_in + pps_out ORDER BY time DESC))[1] AS pps
		  FROM all_minutes GROUP BY 1, 2
	)
	SELECT coalesce(n.name, host(exporter), 'unknown') AS "exporter", coalesce(i.name, 'if ' || interface, 'unknown') AS "interface", i.speed AS "speed",
	       s.bps_in AS "in", s.bps_out AS "out", 100.0 * s.bps_in / i.speed AS "in %", 100.0 * s.bps_out / i.speed AS "out %",
	       s.p95_in AS "p95 in", s.p95_out AS "p95 out", 100.0 * greatest(s.p95_in, s.p95_out) / i.speed AS "p95 %",
	       s.max_in AS "max in", s.max_out AS "max out", s.pps AS "packets/s"
	  FROM summary s LEFT JOIN names n USING (exporter) LEFT JOIN backstream.interface_config i USING (exporter, interface)
	 ORDER BY greatest(s.bps_in, s.bps_out) DESC, 1, 2 LIMIT 200`;

// The busiest interfaces, two lines each: in above zero, out below.
function both(kind: 'bits' | 'packets' | 'share', largest: number): string {
	const amount = { bits: 'bytes_$ * 8', packets: 'packets_$', share: 'bytes_$ * 800.0 / i.speed' }[kind];
	const speed = kind === 'share' ? ' AND i.speed IS NOT NULL' : '';
	const bucket = step(60);
	const direction = (name: string) =>
		`SELECT bucket, metric || ' ${name}' AS metric, ${name === 'out' && kind !== 'share' ? '-' : ''}amount_${name} AS amount FROM counted`;

	return `
		WITH ${EXPORTER_NAMES.trim()}, counted AS (
			SELECT date_bin(${bucket}, l.time, 'epoch') AS bucket, ${LABEL} AS metric,
			       sum(${amount.replace('$', 'in')}) AS amount_in, sum(${amount.replace('$', 'out')}) AS amount_out
			  FROM ${view('interface_load')} l LEFT JOIN names n USING (exporter) LEFT JOIN backstream.interface_config i USING (exporter, interface)
			 WHERE $__timeFilter(l.time)
			   AND ${where}${speed}
			 GROUP BY 1, 2
		), largest AS (
			SELECT metric FROM counted GROUP BY 1 ORDER BY sum(amount_in + amount_out) DESC, 1 LIMIT ${largest}
		), directions AS (
			${direction('in')} WHERE metric IN (TABLE largest)
			UNION ALL
			${direction('out')} WHERE metric IN (TABLE largest)
		), steps AS (
			SELECT generate_series(min(bucket), date_bin(${bucket}, least(now() - interval '10 s', $__timeTo()), 'epoch') - ${bucket}, ${bucket}) AS bucket
			  FROM counted
		)
		SELECT s.bucket AS "time", m.metric, coalesce(d.amount, 0) / ${stepSeconds(60)} AS value
		  FROM steps s CROSS JOIN (SELECT metric FROM directions GROUP BY 1 HAVING sum(abs(amount)) > 0) m
		  LEFT JOIN directions d ON d.bucket = s.bucket AND d.metric = m.metric
		 WHERE s.bucket >= $__timeFrom()
		 ORDER BY 1, 2`;
}

const load: [number | null, string][] = [[null, 'transparent'], [70, 'yellow'], [85, 'orange'], [95, 'red']];

export const interfaces = page({
	uid: 'backstream-interfaces',
	title: 'BackStream / Interfaces',
	description: 'What comes in and goes out at each interface, against its speed.',
	from: 'now-1h',
	refresh: '1m',
	variables: [variables.datasource(), variables.schema(), variables.exporter(), variables.iface()],
	annotations: [downtime()],
	sections: [
		{
			title: 'Interfaces',
			panels: [
				rows(
					{
						title: 'Interfaces: last minute, 95th percentile and maximum of this range',
						description: 'Names and speeds are those of the table backstream.interface_config; without a speed there is no percentage. Percentiles are of minutes, those without traffic included. Above 70 %: plan; above 85 %: bursts are lost; above 95 %: full. Flows say what was forwarded, so drops at a full interface are not in it. An exporter that reports flows when they enter and again when they leave counts them twice.',
						width: 24,
						height: 12,
					},
					tidy(summary),
				)
					.unit('bps')
					.overrideByRegexp('/%$/', [unit('percent'), { id: 'decimals', value: 1 }, ...background(...load)])
					.overrideByName('packets/s', [unit('pps')]),
				mirrored(
					{
						title: 'In and out of the ten busiest, bits/s',
						description: 'In is above the line, out below. Traffic that comes in and does not go out anywhere is for the router itself, is discarded, or leaves by an interface that is not exported.',
						width: 24,
						height: 11,
					},
					'bps',
					'1m',
					both('bits', 10),
				)
					.overrideByRegexp('/ out$/', [{ id: 'custom.lineStyle', value: { fill: 'dash', dash: [6, 3] } }]),
				lines(
					{
						title: 'Share of the speed',
						description: 'Of interfaces whose speed is in backstream.interface_config. The lines are at 70 and 85 %.',
						width: 12,
						height: 9,
					},
					'percent',
					'1m',
					both('share', 10),
				)
					.axisSoftMax(100)
					.thresholds(thresholds([null, 'green'], [70, 'yellow'], [85, 'red']))
					.thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Dashed)),
				mirrored(
					{
						title: 'In and out, packets/s',
						description: 'In is above the line, out below. Small packets fill a router before they fill a link.',
						width: 12,
						height: 9,
					},
					'pps',
					'1m',
					both('packets', 10),
				),
			],
		},
	],
});
