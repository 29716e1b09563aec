// SPDX-License-Identifier: PostgreSQL
// Writes the dashboards as JSON into the folder that is named (default: dashboards).
import { mkdirSync, writeFileSync } from 'node:fs';
import { backbone } from './backbone.js';
import { health } from './health.js';
import { interfaces } from './interfaces.js';
import { matrix } from './matrix.js';
import { overview } from './overview.js';
import { security } from './security.js';

const folder = process.argv[2] ?? 'dashboards';

mkdirSync(folder, { recursive: true });
for (const dashboard of [overview, matrix, interfaces, security, health, backbone]) {
	const name = dashboard.uid!.replace('backstream-', '');

	writeFileSync(`${folder}/${name}.json`, `${JSON.stringify(dashboard, null, '\t')}\n`);
}
