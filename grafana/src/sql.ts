// SPDX-License-Identifier: PostgreSQL
// Queries as Grafana's PostgreSQL data source takes them, and the pieces that many panels have in common.
//
// Macros are replaced as text: $__timeFilter(c), $__timeFrom(), $__timeTo(), $__interval_ms; no parentheses inside their
// arguments.  A query of a graph returns time (ascending), metric (the name of the series) and value.  Numbers that name
// something (AS, port, interface) are text, so that nobody takes them for values.
import * as cog from '@grafana/grafana-foundation-sdk/cog';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';

export const DATASOURCE: dashboard.DataSourceRef = { type: 'grafana-postgresql-datasource', uid: '${datasource}' };
export type Format = 'table' | 'time_series';

// What the data source keeps of a query; the SDK knows no PostgreSQL.
export interface PostgresQuery extends cog.Dataquery {
	refId: string;
	datasource: dashboard.DataSourceRef;
	editorMode: 'code';
	format: Format;
	rawQuery: true;
	rawSql: string;
}

export function query(format: Format, rawSql: string, refId = 'A'): cog.Builder<cog.Dataquery> {
	const built = { refId, datasource: DATASOURCE, editorMode: 'code', format, rawQuery: true, rawSql: tidy(rawSql) };

	// The method only marks the type; functions are no part of JSON.
	return { build: () => ({ ...built, _implementsDataqueryVariant: () => {} }) as PostgresQuery };
}

// Without the indentation that it has in the source, and without blank lines.
export function tidy(sql: string): string {
	const lines = sql.split('\n').filter((line) => line.trim() !== '');
	const indent = Math.min(...lines.map((line) => line.search(/\S/)));

	return lines.map((line) => line.slice(indent).replace(/\t/g, '  ').trimEnd()).join('\n');
}

// A view of the pack, in the schema that the dashboard has chosen.
export const view = (name: string, variable = 'schema') => `\${${variable}:doublequote}.${name}`;

// One of the chosen values of a variable, or all: its value for "All" is NULL, and the planner does away with the rest.
export const chosen = (variable: string, ...columns: string[]) =>
	`((\$${variable}) IS NULL OR ${columns.map((column) => `${column} IN (\$${variable})`).join(' OR ')})`;

// What PostgreSQL knows of exporters by name.
export const EXPORTER_NAMES = `
	names AS (
		SELECT exporter, min(name) AS name FROM backstream.exporters GROUP BY 1
	)`;

// The step of a graph: whole windows, near to what the screen can show.
export const step = (windowSeconds: number) => `make_interval(secs => ${windowSeconds} * ceil($__interval_ms / ${windowSeconds}000.0))`;
export const stepSeconds = (windowSeconds: number) => `(${windowSeconds} * ceil($__interval_ms / ${windowSeconds}000.0))`;

// Windows end ten seconds after their time (lateness); what is younger is not shown, as it still grows.
export const LATENESS_SECONDS = 10;

// From where the view begins to the last step that is complete.
const steps = (bucket: string) => `steps AS (
			SELECT generate_series(min(bucket), date_bin(${bucket}, least(now() - interval '${LATENESS_SECONDS} s', $__timeTo()), 'epoch') - ${bucket}, ${bucket}) AS bucket
			  FROM counted
		)`;

export interface Series {
	view: string; // what to read: FROM
	window: number; // seconds of its windows
	key: string; // SQL: what tells series apart
	label?: (key: string) => string; // SQL: the name of a series; else the key is
	amount: string; // SQL: an aggregate, of one step
	where?: string[]; // besides the time
	with?: string; // common table expressions for join
	join?: string; // after FROM
	largest?: number; // only so many series, and the rest together
	perSecond?: boolean; // else as it is
	missing?: string; // SQL: where there is no row; 0
}

// A graph of rates by name, for stacking: every series has a value at every step, 0 where nothing came; steps that are cut by the
// edge of the range or not complete yet are left out.  It begins where the view does.  Names are made of what has been added up:
// there may be a million rows before.
export function series(s: Series): string {
	const bucket = step(s.window);
	const amount = `coalesce(n.amount, ${s.missing ?? '0'})`;
	const value = s.perSecond === false ? amount : `${amount} / ${stepSeconds(s.window)}`;
	const where = ['$__timeFilter(time)', ...(s.where ?? [])].join('\n\t\t\t   AND ');
	const label = s.label ?? ((key) => key);
	const named = s.largest
		? `largest AS (
			SELECT key FROM counted GROUP BY 1 ORDER BY sum(amount) DESC NULLS LAST, 1 LIMIT ${s.largest}
		), named AS (
			SELECT bucket, coalesce(${label('l.key')}, 'others') AS metric, sum(amount) AS amount
			  FROM counted LEFT JOIN largest l USING (key) GROUP BY 1, 2
		)`
		: `named AS (
			SELECT bucket, ${label('key')} AS metric, amount FROM counted
		)`;

	return `
		WITH ${s.with ? `${s.with.trim()}, ` : ''}counted AS (
			SELECT date_bin(${bucket}, time, 'epoch') AS bucket, ${s.key} AS key, ${s.amount} AS amount
			  FROM ${s.view}${s.join ? ` ${s.join}` : ''}
			 WHERE ${where}
			 GROUP BY 1, 2
		), ${named}, ${steps(bucket)}
		SELECT s.bucket AS "time", m.metric, ${value} AS value
		  FROM steps s CROSS JOIN (SELECT DISTINCT metric FROM named) m
		  LEFT JOIN named n ON n.bucket = s.bucket AND n.metric = m.metric
		 WHERE s.bucket >= $__timeFrom()
		 ORDER BY 1, 2`;
}

// Several rates of everything together, each a column of its own.
export function totals(from: string, window: number, where: string[], columns: Record<string, string>): string {
	const bucket = step(window);
	const list = (each: (name: string, amount: string) => string) =>
		Object.entries(columns).map(([name, amount]) => each(`"${name}"`, amount)).join(', ');

	return `
		WITH counted AS (
			SELECT date_bin(${bucket}, time, 'epoch') AS bucket, ${list((name, amount) => `${amount} AS ${name}`)}
			  FROM ${from}
			 WHERE ${['$__timeFilter(time)', ...where].join('\n\t\t\t   AND ')}
			 GROUP BY 1
		), ${steps(bucket)}
		SELECT s.bucket AS "time", ${list((name) => `coalesce(n.${name}, 0) / ${stepSeconds(window)} AS ${name}`)}
		  FROM steps s LEFT JOIN counted n USING (bucket)
		 WHERE s.bucket >= $__timeFrom()
		 ORDER BY 1`;
}

export const BY_EXPORTER = {
	with: EXPORTER_NAMES,
	key: 'coalesce(names.name, host(exporter), \'unknown\')',
	join: 'LEFT JOIN names USING (exporter)',
};
export const asNumber = (key: string) => `'AS' || ${key}`;
