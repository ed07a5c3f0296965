/** Writes docs/reproductions.md from the verdicts in apps/reproductions/results. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { docsFromResults } from './docsFromResults.ts';

const path = join(import.meta.dirname, '../../../docs/reproductions.md');
writeFileSync(path, await docsFromResults());
process.stdout.write(`${path}\n`);
