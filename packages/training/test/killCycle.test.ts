import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const fixture = join(import.meta.dirname, 'fixtures', 'killedCycle.ts');

/** Runs until the end, or is killed with SIGKILL after it printed its `lines`-th line. */
async function runUntil(directory: string, lines = Infinity): Promise<{ output: string[]; signal: NodeJS.Signals | null }> {
  const child = spawn(process.execPath, ['--conditions=@evenkeel/source', fixture, directory], { stdio: ['ignore', 'pipe', 'inherit'] });
  const output: string[] = [];
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() as string;
    output.push(...parts);
    if (output.length >= lines) child.kill('SIGKILL');
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, by) => resolve(by)));
  return { output, signal };
}

const lossesOf = (directory: string): Record<string, (number | undefined)[]> => Object.fromEntries(readdirSync(join(directory, 'stages')).sort().map((stage) => {
  const lines = readFileSync(join(directory, 'stages', stage, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return [stage, lines.map((line) => (JSON.parse(line) as { loss?: number }).loss)];
}));

it('multilevelTrain killed again and again, within stages and between them, ends with the parameters and losses of an uninterrupted cycle', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'evenkeel-multilevel-'));
  try {
    const [whole, killed] = [join(folder, 'whole'), join(folder, 'killed')];
    const expected = (await runUntil(whole)).output.at(-1);
    expect(expected).toMatch(/^done -?\d/);
    for (const lines of [1, 3, 8, 12, 5, 20]) {
      const { output, signal } = await runUntil(killed, lines);
      expect([signal, output.find((line) => line.startsWith('error'))]).toEqual(['SIGKILL', undefined]);
    }
    const { output } = await runUntil(killed);
    expect(output.some((line) => line.startsWith('resumed 0 at 3'))).toBe(true);
    expect(output.at(-1)).toBe(expected);
    expect(lossesOf(killed)).toEqual(lossesOf(whole));
    expect(Object.keys(lossesOf(whole))).toEqual(['0-level0-down', '1-level1-down', '2-level2-bottom', '3-level1-up', '4-level0-up']);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
