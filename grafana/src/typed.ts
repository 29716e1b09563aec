// SPDX-License-Identifier: PostgreSQL
// Writes the JSON of dashboards as TypeScript that compiles only if it is what @grafana/schema says dashboards are: each panel with
// the options and the field configuration of its own kind, nothing misspelled, nothing that is not there.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

const [, , from = 'dashboards', into = 'build/typed-json'] = process.argv;
const RAW = '@grafana/schema/dist/esm/raw';
const KINDS: Record<string, string> = {
	bargauge: 'bargauge/panelcfg/x/BarGaugePanelCfg_types.gen',
	stat: 'stat/panelcfg/x/StatPanelCfg_types.gen',
	statetimeline: 'statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen',
	table: 'table/panelcfg/x/TablePanelCfg_types.gen',
	timeseries: 'timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen',
};

// JSON has no enums: where the schema has one, its values as text are taken.
const HEAD = `
import type * as dashboard from '${RAW}/dashboard/x/dashboard_types.gen.d.ts';
import type { TableFieldOptions } from '@grafana/schema';
${Object.entries(KINDS).map(([kind, path]) => `import type * as ${kind} from '${RAW}/composable/${path}.d.ts';`).join('\n')}

type Plain<T> = unknown extends T ? T
	: T extends string ? \`\${T}\`
	: T extends number | boolean | null | undefined ? T
	: T extends (infer U)[] ? Plain<U>[]
	: T extends object ? { [K in keyof T]: Plain<T[K]> }
	: T;
type Config = Omit<dashboard.FieldConfigSource, 'defaults'> & { defaults: Omit<dashboard.FieldConfig, 'custom'> };
type Of<Options, Custom> = Plain<Omit<dashboard.Panel, 'options' | 'fieldConfig'>> & { options: Plain<Partial<Options>>; fieldConfig: Plain<Config> & { defaults: { custom?: Plain<Partial<Custom>> } } };
// What an annotation asks is its data source's; the schema knows Grafana's own alone.
type Asked = { refId: string; format: 'table'; editorMode: 'code'; rawQuery: boolean; rawSql: string };
type Annotation = Omit<Plain<dashboard.AnnotationQuery>, 'target'> & { target?: Plain<dashboard.AnnotationTarget> & Asked };
type Head = Omit<Plain<dashboard.Dashboard>, 'panels' | 'annotations'> & { annotations: { list: Annotation[] } };
type Row = Plain<dashboard.RowPanel>;
`;
const CUSTOM: Record<string, string> = {
	bargauge: '{}',
	stat: '{}',
	statetimeline: 'statetimeline.FieldConfig',
	table: 'TableFieldOptions',
	timeseries: 'timeseries.FieldConfig',
};

mkdirSync(into, { recursive: true });
for (const file of readdirSync(from).filter((name) => name.endsWith('.json'))) {
	const { panels, ...head } = JSON.parse(readFileSync(`${from}/${file}`, 'utf8'));
	const parts = [HEAD, `export const head: Head = ${JSON.stringify(head, null, '\t')};`];

	panels.forEach((panel: { type: string }, i: number) => {
		const kind = panel.type.replace('-', '');
		const type = panel.type === 'row' ? 'Row' : `Of<${kind}.Options, ${CUSTOM[kind]}>`;

		if (panel.type !== 'row' && !(kind in KINDS)) throw new Error(`${file}: what is a panel of type ${panel.type}?`);
		parts.push(`export const panel${i}: ${type} = ${JSON.stringify(panel, null, '\t')};`);
	});
	writeFileSync(`${into}/${file.replace('.json', '.ts')}`, `${parts.join('\n')}\n`);
}
writeFileSync(
	`${into}/tsconfig.json`,
	JSON.stringify({ extends: '../../tsconfig.json', compilerOptions: { rootDir: '.', noEmit: true, noUnusedLocals: false, types: [] }, include: ['*.ts'], exclude: [] }),
);
