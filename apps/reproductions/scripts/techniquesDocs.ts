/** Trains every technique on every family of models for five steps, and writes docs/techniques.md. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { useDevice } from '@evenkeel/core-tensor';
import { wasm } from '@evenkeel/wasm-kernels';
import { techniquesMarkdown, tryAll } from './techniques/techniquesMarkdown.ts';

await useDevice('wasm', [wasm({ threads: 1 })]);
const tried = await tryAll();
for (const [{ row, name }, problem] of tried) if (problem !== undefined) process.stderr.write(`${row.name} on ${name}: ${problem}\n`);
const path = join(import.meta.dirname, '../../../docs/techniques.md');
writeFileSync(path, techniquesMarkdown(tried));
process.stdout.write(`${path}\n`);
process.exit([...tried.values()].some((problem) => problem !== undefined) ? 1 : 0);
