// SPDX-License-Identifier: PostgreSQL
// Template variables.  "All" is NULL in SQL: see chosen() in sql.ts.
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import { chosen, DATASOURCE, tidy, view } from './sql.js';

// Each node is a data source; Grafana keeps the last one that was chosen.
export const datasource = () =>
	new dashboard.DatasourceVariableBuilder('datasource')
		.label('Node')
		.description('The server that is asked: one data source for each')
		.type('grafana-postgresql-datasource')
		.regex('/BackStream/')
		.multi(false)
		.includeAll(false);

function asked(name: string, label: string, description: string, sql: string): dashboard.QueryVariableBuilder {
	return new dashboard.QueryVariableBuilder(name)
		.label(label)
		.description(description)
		.datasource(DATASOURCE)
		.query(tidy(sql))
		.refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
		.sort(dashboard.VariableSort.Disabled)
		.allowCustomValue(true);
}

const anyOf = (variable: dashboard.QueryVariableBuilder) =>
	variable
		.multi(true)
		.includeAll(true)
		.allValue('NULL')
		.current({ text: 'All', value: '$__all' });

// Schemas that have the pack, and that the role may read.
export const schema = (standard = 'traffic', variable = 'schema') =>
	asked(variable, 'Views', 'The schema in which pack overview is installed: of this server, or of a backbone', `
		SELECT DISTINCT n.nspname
		  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		 WHERE c.oid IN (SELECT backstream.pack_relations('overview', NULL)) AND has_table_privilege(c.oid, 'SELECT')
		 ORDER BY 1`)
		.refresh(dashboard.VariableRefresh.OnDashboardLoad)
		.multi(false)
		.includeAll(false)
		.current({ text: standard, value: standard });

const exporters = `
	SELECT coalesce(min(name) || ' (' || host(exporter) || ')', host(exporter)) AS __text, host(exporter) AS __value
	  FROM backstream.exporters GROUP BY exporter ORDER BY 1 LIMIT 1000`;

export const exporter = () => anyOf(asked('exporter', 'Exporter', 'Routers and probes that were heard since the server started', exporters));

export const as = () =>
	anyOf(asked('as', 'AS', 'The largest autonomous systems of the last five minutes; others can be typed in', `
		SELECT 'AS' || src_as AS __text, src_as::text AS __value
		  FROM ${view('sources_as')}
		 WHERE time > now() - interval '5 min' AND src_as IS NOT NULL
		 GROUP BY src_as ORDER BY sum(bytes) DESC LIMIT 200`));

export const iface = () =>
	anyOf(asked('interface', 'Interface', 'Interfaces of these exporters, seen in the last ten minutes', `
		SELECT DISTINCT coalesce(min(c.name), 'if ' || l.interface) AS __text, l.interface::text AS __value
		  FROM ${view('interface_load')} l LEFT JOIN backstream.interface_config c USING (exporter, interface)
		 WHERE l.time > now() - interval '10 min' AND l.interface IS NOT NULL AND ${chosen('exporter', 'l.exporter')}
		 GROUP BY l.interface ORDER BY 1 LIMIT 500`));

export const detector = () =>
	anyOf(asked('detector', 'Detector', 'Signatures; docs/detectors.md says what each finds', `
		SELECT DISTINCT detector FROM detectors.thresholds ORDER BY 1`).refresh(dashboard.VariableRefresh.OnDashboardLoad));

// Nodes of a backbone whose own views have been imported into a schema of the node's name.
export const node = () =>
	anyOf(asked('node', 'Node', 'Nodes whose views were imported into schemas of their names', `
		SELECT n.nspname
		  FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid
		  JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_foreign_server s ON s.oid = t.ftserver AND s.srvname = n.nspname
		 WHERE c.relname = 'load' AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1`)
		.refresh(dashboard.VariableRefresh.OnDashboardLoad));
