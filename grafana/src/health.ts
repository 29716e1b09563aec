// SPDX-License-Identifier: PostgreSQL
// Health: is what the other dashboards show complete?
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { background, bar, bars, lines, link, numbers, page, rows, states, STATES, thresholds, to, unit, width, words } from './panels.js';
import { BY_EXPORTER, chosen, series, stepSeconds, view } from './sql.js';
import * as variables from './variables.js';
import { downtime } from './annotations.js';

const some = background([null, 'transparent'], [1, 'orange']);
const which = chosen('exporter', 'exporter');

// Counters of windows, gathered into the steps of the graph: per step, not per second.
const windows = (columns: Record<string, string>) => `
	SELECT to_timestamp(floor(extract(epoch FROM window_start) / ${stepSeconds(10)}) * ${stepSeconds(10)}) AS "time",
	       ${Object.entries(columns).map(([name, column]) => `sum(${column}) AS "${name}"`).join(', ')}
	  FROM backstream.windows('${view('load')}')
	 WHERE $__timeFilter(window_start)
	 GROUP BY 1 ORDER BY 1`;

export const health = page({
	uid: 'backstream-health',
	title: 'BackStream / Health',
	description: 'Who is heard, what was lost, what is late, and whether there is room.',
	from: 'now-1h',
	refresh: '30s',
	variables: [variables.datasource(), variables.schema(), variables.exporter()],
	annotations: [downtime()],
	sections: [
		{
			title: 'Is all well?',
			panels: [
				rows(
					{
						title: 'Everything that can be wrong, since the server started',
						description: 'ok; look: may be as it should; lossy: results lack something; broken: something does not work. The last column names the view of schema backstream that says more. Counters begin anew when the server starts: an old loss stays until then, so look at the graphs below for when it was.',
						width: 12,
						height: 15,
					},
					`
					SELECT state AS "state", subject AS "subject", count AS "count", meaning AS "meaning", 'backstream.' || see AS "see"
					  FROM backstream.health LIMIT 100`,
				)
					.overrideByName('state', [width(80), ...words(STATES)])
					.overrideByName('count', [width(110), unit('short')]),
				numbers(
					{
						title: 'Exporters heard, and silent',
						description: 'Heard within the last five minutes, and known but silent since. A silent one: is it up, does its export point here, did its address change? tcpdump on the port says whether anything arrives.',
						width: 6,
						height: 5,
					},
					`
					SELECT count(DISTINCT exporter) FILTER (WHERE last_seen >= now() - interval '5 min') AS "heard",
					       count(DISTINCT exporter) FILTER (WHERE last_seen < now() - interval '5 min') AS "silent"
					  FROM backstream.exporters WHERE ${which}`,
				).overrideByName('silent', [{ id: 'thresholds', value: thresholds([null, 'green'], [1, 'orange']).build() }]),
				numbers(
					{
						title: 'Memory used',
						description: 'Of backstream.memory. Above 90 %: new groups will soon find no room; shorten retain, group by less, or raise the setting (a restart). By view below.',
						width: 6,
						height: 5,
					},
					'SELECT 100.0 * used / nullif(total, 0) AS "used", 100.0 * peak / nullif(total, 0) AS "peak" FROM backstream.memory',
				)
					.unit('percent')
					.decimals(1)
					.thresholds(thresholds([null, 'green'], [75, 'yellow'], [90, 'red'])),
				numbers(
					{
						title: 'Received, and behind',
						description: 'Receivers that run, and how old the newest record is that the views have: seconds at most. More: the receiver is busy or has stopped, or nothing comes.',
						width: 6,
						height: 5,
					},
					`
					SELECT count(pid) AS "receivers", greatest(extract(epoch FROM now() - min(applied_until)), 0) AS "behind"
					  FROM backstream.receivers`,
				).overrideByName('behind', [unit('s'), { id: 'thresholds', value: thresholds([null, 'green'], [10, 'yellow'], [60, 'red']).build() }]),
				numbers(
					{
						title: 'Kernel drops, rejected',
						description: 'Datagrams, since the server started. Drops: the socket\'s buffer was full: raise backstream.receive_buffer and net.core.rmem_max, or backstream.workers. Rejected: senders that backstream.allow does not name.',
						width: 6,
						height: 5,
					},
					'SELECT sum(kernel_drops) AS "drops", sum(rejected + not_export) AS "rejected" FROM backstream.listeners',
				)
					.unit('short')
					.thresholds(thresholds([null, 'green'], [1, 'orange'])),
				bars(
					{
						title: 'Memory by view',
						description: 'The ten views that take most of backstream.memory. What to do: shorter retain, fewer keys, a smaller max_groups.',
						width: 12,
						height: 5,
					},
					'decbytes',
					'SELECT view::text AS "view", memory_bytes AS "bytes" FROM backstream.views ORDER BY memory_bytes DESC NULLS LAST, 1 LIMIT 10',
				),
			],
		},
		{
			title: 'Exporters',
			panels: [
				states(
					{
						title: 'Heard and silent, over time',
						description: 'From the flows that ended at each time, of the forty exporters that send most. A gap in one: it, or the way from it. A gap in all: this server, or the network before it.',
						width: 12,
						height: 10,
					},
					'1m',
					series({ view: view('load'), window: 10, ...BY_EXPORTER, amount: 'sum(flows)', perSecond: false, where: [which], largest: 40 }),
				)
					.mappings([
						{ type: 'value', options: { '0': { text: 'silent', color: 'red', index: 0 } } } as dashboard.ValueMap,
						{ type: 'range', options: { from: 1, to: 1e15, result: { text: 'heard', color: 'green', index: 1 } } } as dashboard.RangeMap,
					])
					.thresholds(thresholds([null, 'red'], [1, 'green'])),
				lines(
					{
						title: 'Lost, per step',
						description: 'By sequence numbers: v5 and IPFIX count records, v9 and sFlow datagrams. Dropped here: datagrams that found no room in a socket, the same loss as this server sees it: never add them. Dropped here: raise backstream.receive_buffer and net.core.rmem_max, or backstream.workers. Lost and not dropped here: look at the network.',
						width: 12,
						height: 10,
					},
					'short',
					'10s',
					windows({ 'records lost': 'records_lost', 'datagrams lost': 'datagrams_lost', 'dropped here': 'datagrams_dropped' }),
				).drawStyle(common.GraphDrawStyle.Bars),
				rows(
					{
						title: 'Exporters',
						description: 'One row for each sender, observation domain and kind. Loss: of its records, since the server started. Unknown templates: sets that came before their template; when it goes on growing, the template is not sent: set a template timeout at the exporter. Skew: its clock against ours; above 10 s set up NTP there, as its records count as late or future. Sampling empty: unknown, so nothing is scaled; see backstream.exporter_config.',
						width: 24,
						height: 7,
					},
					`
					SELECT host(exporter) AS "exporter", coalesce(name, '') AS "name", flow_type AS "kind", obs_domain::text AS "domain",
					       extract(epoch FROM now() - last_seen) AS "silent for", records AS "records",
					       100.0 * records_lost / nullif(records + records_lost, 0) AS "loss", records_lost AS "records lost", datagrams_lost AS "datagrams lost",
					       unknown_template AS "unknown template", decode_errors + template_errors AS "malformed",
					       extract(epoch FROM clock_skew) AS "skew", sampling_rate AS "sampling", views_held AS "views held", extract(epoch FROM largest_lateness) AS "lateness"
					  FROM backstream.exporters
					 WHERE ${which}
					 ORDER BY last_seen, 1, 3, 4 LIMIT 500`,
				)
					.unit('short')
					.overrideByName('exporter', [link('Interfaces', to('backstream-interfaces', { exporter: '${__value.text}' }))])
					.overrideByName('silent for', [unit('s'), ...background([null, 'transparent'], [60, 'yellow'], [300, 'red'])])
					.overrideByName('loss', [unit('percent'), ...background([null, 'transparent'], [0.1, 'yellow'], [1, 'red'])])
					.overrideByName('unknown template', some)
					.overrideByName('malformed', some)
					.overrideByName('skew', [unit('s'), ...background([null, 'red'], [-60, 'yellow'], [-10, 'transparent'], [10, 'yellow'], [60, 'red'])])
					.overrideByName('lateness', [unit('s')]),
			],
		},
		{
			title: 'Views',
			panels: [
				lines(
					{
						title: 'Left out of the answer, per step',
						description: 'Late: came after their window was closed (raise lateness, or mend a slow exporter). Overflowed: no room for a new group (max_groups, memory). Errors: the query failed on them. Counted for the view load.',
						width: 12,
						height: 10,
					},
					'short',
					'10s',
					windows({ late: 'late', overflowed: 'overflowed', errors: 'errors' }),
				).drawStyle(common.GraphDrawStyle.Bars),
				rows(
					{
						title: 'Who holds windows open',
						description: 'Windows close when every exporter that is alive has gone past them. One that lags holds them, and all that waits for closed windows (views over views, alerts, archives). Idle ones and those far behind are not waited for.',
						width: 12,
						height: 10,
					},
					`
					SELECT view::text AS "view", coalesce(name, host(exporter), 'unknown') AS "exporter", state AS "state", windows_held AS "windows held",
					       extract(epoch FROM now() - time_reached) AS "behind", extract(epoch FROM largest_lateness) AS "lateness"
					  FROM backstream.view_exporters
					 WHERE ${which}
					 ORDER BY windows_held DESC NULLS LAST, time_reached, 1, 2 LIMIT 100`,
				)
					.overrideByName('state', words({ alive: 'green', idle: 'yellow', behind: 'orange' }))
					.overrideByName('windows held', some)
					.overrideByName('behind', [unit('s')])
					.overrideByName('lateness', [unit('s')]),
				rows(
					{
						title: 'What became of the records offered to each view',
						description: 'received = records + filtered + late + future + untimed + overflowed + errors. Suspended: its code took too long or failed; last_error in backstream.views says why, backstream.resume() lets it go on. Open since: the start of the oldest window that is not closed yet.',
						width: 24,
						height: 11,
					},
					`
					SELECT view::text AS "view", state AS "state", records AS "records", late AS "late", future AS "future", untimed AS "untimed", overflowed AS "overflowed",
					       errors AS "errors", skipped AS "skipped", unknown_rate AS "unknown rate", windows AS "windows", groups AS "groups", memory_bytes AS "memory",
					       100.0 * memory_bytes / nullif((SELECT total FROM backstream.memory), 0) AS "share", extract(epoch FROM now() - closed_before) AS "open since"
					  FROM backstream.views ORDER BY memory_bytes DESC NULLS LAST, 1 LIMIT 256`,
				)
					.unit('short')
					.overrideByName('state', words({ active: 'green', 'on nodes': 'green', suspended: 'red', 'not counted': 'orange' }))
					.overrideByRegexp('/^(late|future|untimed|overflowed|errors|skipped)$/', some)
					.overrideByName('memory', [unit('decbytes')])
					.overrideByName('share', [unit('percent'), ...bar(100)])
					.overrideByName('open since', [unit('s')]),
			],
		},
		{
			title: 'In and out',
			panels: [
				rows(
					{
						title: 'Sockets',
						description: 'One row for each address and receiver. Buffer: what the kernel granted; less than backstream.receive_buffer: raise net.core.rmem_max.',
						width: 12,
						height: 7,
					},
					`
					SELECT address AS "address", worker::text AS "worker", state AS "state", datagrams AS "datagrams", kernel_drops AS "drops", rejected AS "rejected",
					       not_export AS "no export", truncated AS "truncated", receive_errors AS "errors", receive_buffer_bytes AS "buffer", error AS "error"
					  FROM backstream.listeners ORDER BY 1, 2 LIMIT 200`,
				)
					.unit('short')
					.overrideByName('state', words({ open: 'green', failed: 'red' }))
					.overrideByRegexp('/^(drops|rejected|no export|truncated|errors)$/', some)
					.overrideByName('buffer', [unit('bytes')]),
				rows(
					{
						title: 'Notifications, archives, copies for other collectors',
						description: 'What views hand on when windows close, and where datagrams are forwarded to. Missed: windows or datagrams that were not handed on.',
						width: 12,
						height: 7,
					},
					`
					SELECT output AS "what", view::text AS "from", target AS "to", rows AS "done", rows_failed + windows_missed AS "missed", last_error AS "error" FROM backstream.outputs
					UNION ALL
					SELECT 'forward', 'worker ' || worker, target, datagrams, dropped + looped, error FROM backstream.forwards
					 ORDER BY 1, 2, 3 LIMIT 200`,
				)
					.unit('short')
					.overrideByName('missed', some),
			],
		},
	],
});
