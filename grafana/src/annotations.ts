// SPDX-License-Identifier: PostgreSQL
// What is drawn over graphs: when nothing was counted, and what detectors have found.
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { chosen, DATASOURCE, tidy } from './sql.js';

// Grafana's own fields come first; the query is the data source's.
function annotation(name: string, color: string, enable: boolean, rawSql: string): dashboard.AnnotationQueryBuilder {
	const target = { refId: 'Anno', format: 'table', editorMode: 'code', rawQuery: true, rawSql: tidy(rawSql) };

	return new dashboard.AnnotationQueryBuilder()
		.name(name)
		.datasource(DATASOURCE)
		.enable(enable)
		.iconColor(color)
		.target({ build: () => ({ limit: 100, matchAny: false, tags: [], type: 'tags', ...target }) });
}

export const downtime = () =>
	annotation('Not counted', 'red', true, `
		SELECT down_since AS "time", up_since AS "timeend", 'BackStream was not running: nothing was counted' AS "text", 'backstream' AS "tags"
		  FROM backstream.checkpoint
		 WHERE $__timeFilter(up_since)`);

export const alerts = (enable: boolean, variable?: string) =>
	annotation('Alerts', 'orange', enable, `
		SELECT time AS "time", string_agg(DISTINCT detector || coalesce(' from ' || host(suspect), '') || coalesce(' to ' || host(target), ''), ', ') AS "text",
		       string_agg(DISTINCT detector, ',') AS "tags"
		  FROM (SELECT *, row_number() OVER (PARTITION BY time ORDER BY measure DESC) AS place FROM detectors.alerts
		         WHERE $__timeFilter(time)${variable ? ` AND ${chosen(variable, 'detector')}` : ''}) a
		 WHERE place <= 5
		 GROUP BY time ORDER BY 1 LIMIT 200`);
