import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { directoryStore } from '@evenkeel/training';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { metricsOf } from './helpers.ts';

const fixture = join(import.meta.dirname, 'fixtures', 'killedRun.ts');
const HIDDEN = 4001; // parameters and moments of about 300 KB: writing them takes long enough to be hit

let folder = '';
beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'evenkeel-training-')); });
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const commandOf = (directory: string, seed: number): string[] => ['--conditions=@evenkeel/source', fixture, directory, String(seed), String(HIDDEN)];

/** Runs until the end, or is killed with SIGKILL `delayMs` after it printed its `lines`-th line. */
async function runUntil(directory: string, seed: number, lines = Infinity, delayMs = 0): Promise<{ output: string[]; signal: NodeJS.Signals | null }> {
  const child = spawn(process.execPath, commandOf(directory, seed), { stdio: ['ignore', 'pipe', 'inherit'] });
  const output: string[] = [];
  let rest = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const parts = (rest + chunk.toString()).split('\n');
    rest = parts.pop() as string;
    const isReached = output.length < lines && output.length + parts.length >= lines;
    output.push(...parts);
    if (isReached) setTimeout(() => child.kill('SIGKILL'), delayMs);
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.on('close', (_, by) => resolve(by)));
  return { output, signal };
}

describe('train(options) in a directory', () => {
  it('killed again and again and resumed writes the metrics of an uninterrupted run, bit for bit', async () => {
    const whole = join(folder, 'whole');
    expect((await runUntil(whole, 1)).output.at(-1)).toBe('done 0');
    const killed = join(folder, 'killed');
    // The third line is the first checkpoint: from there on the first values, here those of another seed, must not matter.
    const plan = [[3, 0], [9, 1], [4, 3], [2, 0], [14, 2]] as const;
    for (const [round, [lines, delayMs]] of plan.entries()) {
      const { output, signal } = await runUntil(killed, round + 1, lines, delayMs);
      expect([signal, output.find((line) => line.startsWith('error'))]).toEqual(['SIGKILL', undefined]);
    }
    const { output } = await runUntil(killed, 99);
    expect(output[0]).toMatch(/^resumed \d+$/);
    expect(output.at(-1)).toMatch(/^done [1-9]/);
    expect(await metricsOf(directoryStore(killed))).toEqual(await metricsOf(directoryStore(whole)));
    expect(readdirSync(join(killed, 'state')).sort()).toEqual(readdirSync(join(whole, 'state')).sort());
  });

  it('on a disk without space ends with one clear line and keeps what was whole', async (context) => {
    // A file system of 700 KB in a mount namespace of its own: room for one checkpoint of 290 KB, not for the third beside two.
    const script = `mount -t tmpfs -o size=700k tmpfs "$0" && "$@"; ls "$0/state"; rm -f "$0"/state/step-00000002.safetensors; "$@" | head -n 1`;
    const probe = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs tmpfs "$0"', folder]);
    if (probe.status !== 0) context.skip('this machine lets nobody mount a small file system');
    const { stdout } = spawnSync('unshare', ['-rm', 'sh', '-c', script, folder, process.execPath, ...commandOf(folder, 1)], { encoding: 'utf8' });
    const lines = stdout.trim().split('\n');
    const error = lines.find((line) => line.startsWith('error: '));
    expect(error).toMatch(/^error: writeSafetensors: .*step-0000000\d\.safetensors must be writable, got no space left on device \(ENOSPC\)$/);
    const [left, resumed] = [lines.slice(lines.indexOf(error!) + 1, -1), lines.at(-1)];
    expect(left).toEqual(['step-00000002.safetensors', 'step-00000004.safetensors']);
    expect(resumed).toBe('resumed 4');
  });
});
