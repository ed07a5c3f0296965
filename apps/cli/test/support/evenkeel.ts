import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll } from 'vitest';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Outcome — how a command ended, and what it said. */
export type Outcome = {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type RunOptions = { readonly cwd?: string; readonly imports?: readonly string[]; readonly env?: NodeJS.ProcessEnv };

/** launch — starts the real command line from source. */
export function launch(args: readonly string[], { cwd, imports = [], env }: RunOptions = {}): { child: ChildProcess; outcome: Promise<Outcome> } {
  const flags = ['--conditions=@evenkeel/source', ...imports.flatMap((module) => ['--import', module])];
  const child = spawn(process.execPath, [...flags, MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NODE_OPTIONS: '', ...env } });
  const said = { stdout: '', stderr: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => { said.stdout += chunk; });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => { said.stderr += chunk; });
  const outcome = new Promise<Outcome>((resolve) => child.on('close', (code, signal) => resolve({ code, signal, ...said })));
  return { child, outcome };
}

/** evenkeel — runs the real command line to its end. */
export function evenkeel(args: readonly string[], options?: RunOptions): Promise<Outcome> {
  return launch(args, options).outcome;
}

/** evenkeelJson — runs with `--json`; the result is what stands on the last line of standard output. */
export async function evenkeelJson(args: readonly string[], options?: RunOptions): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await evenkeel([...args, '--json'], options);
  if (code !== 0) throw new Error(`evenkeel ${args.join(' ')} ended with ${code}: ${stderr}`);
  return JSON.parse(stdout.split('\n').at(-2) ?? '') as Record<string, unknown>;
}

/** TINY — a model that trains in milliseconds. */
export const TINY = ['--device', 'wasm', '--depth', '1', '--dim', '16', '--num-heads', '2', '--context', '8', '--batch-size', '3'] as const;

/** scratch — a directory for the files of one test file, removed at its end; `write` puts a file there. */
export function scratch(): { readonly path: string; at(name: string): string; write(name: string, content: string | Uint8Array): string } {
  const path = mkdtempSync(join(tmpdir(), 'evenkeel-cli-'));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  const at = (name: string): string => join(path, name);
  return {
    path,
    at,
    write(name, content) {
      mkdirSync(join(at(name), '..'), { recursive: true });
      writeFileSync(at(name), content);
      return at(name);
    },
  };
}

/** sentences — a small text with something to learn, the same every time. */
export function sentences(count = 200): string {
  const [who, does, what] = [['the cat', 'a dog', 'my sister', 'nobody'], ['sees', 'hides', 'paints'], ['the moon', 'a river', 'seven boats', 'some bread', 'it']];
  return Array.from({ length: count }, (_, i) => `${who[(i * 7) % 4]} ${does[(i * 5) % 3]} ${what[(i * 3) % 5]}.\n`).join('');
}

/** metricsOf — the metrics of a run without what depends on the clock. */
export function metricsOf(directory: string): Record<string, unknown>[] {
  return readFileSync(join(directory, 'metrics.jsonl'), 'utf8').trimEnd().split('\n').map((line) => {
    const { msPerStep, tokensPerSecond, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (rest['kind'] === 'step' && !(Number(msPerStep) > 0 && Number(tokensPerSecond ?? 1) > 0)) throw new Error(`no timing in ${line}`);
    return rest;
  });
}
