/**
 * `pnpm bench:peers` — Evenkeel on WASM and PyTorch in one run: the contenders take turns, each in a process that stays alive, never
 * two at a time.
 *
 *     pnpm bench:peers [--only reference,matmul-512] [--rounds 3] [--json]
 */
import { execFileSync, spawn } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

type Contender = { readonly name: string; readonly ask: (request: object) => Promise<number[]>; readonly end: () => void };

/** Samples per contender and round: more of what is short. */
const WORKLOADS: Readonly<Record<string, { warmup: number; samples: number }>> = {
  reference: { warmup: 5, samples: 15 }, 'gpt-10m': { warmup: 1, samples: 3 }, 'matmul-512': { warmup: 5, samples: 30 },
  'matmul-1024': { warmup: 3, samples: 15 }, attention: { warmup: 3, samples: 10 },
};

const { values: flags } = parseArgs({
  options: { only: { type: 'string', default: Object.keys(WORKLOADS).join() }, rounds: { type: 'string', default: '3' }, json: { type: 'boolean' } },
});
const names = flags.only.split(',');
const unknown = names.find((name) => !(name in WORKLOADS));
if (unknown !== undefined) throw new Error(`bench:peers: --only must name ${Object.keys(WORKLOADS).join(', ')}, got ${unknown}`);
const rounds = Number(flags.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`bench:peers: --rounds must be a positive integer, got ${flags.rounds}`);

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const cores = availableParallelism();
const python = ['python3', '/usr/bin/python3'].find((each) => runs(each, ['-c', 'import torch']));
if (python === undefined) process.stdout.write('PyTorch is left out: no python3 here can import torch.\n');
const threads = [...new Set([1, cores])];
const contenders = [
  start(`Evenkeel, ${cores} threads`, process.execPath, ['--conditions=@evenkeel/source', here('ours.ts'), String(cores)]),
  ...(python === undefined ? [] : threads.map((count) => start(`PyTorch, ${count} thread${count === 1 ? '' : 's'}`, python, [here('pytorch.py'), String(count)]))),
];
process.stdout.write(`${cpus()[0]?.model}, ${cores} cores, Node ${process.version}\n`);
process.stdout.write(`${'ms'.padEnd(36)} ${'median'.padStart(9)} ${'p10'.padStart(9)} ${'p90'.padStart(9)} ${'× ours'.padStart(8)}\n`);
const rows: object[] = [];
for (const workload of names) await compare(workload);
for (const { end } of contenders) end();
if (flags.json) process.stdout.write(`${JSON.stringify(rows)}\n`);

async function compare(workload: string): Promise<void> {
  const times = contenders.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { ask }] of contenders.entries()) times[i]?.push(...await ask({ workload, ...WORKLOADS[workload] }));
  }
  const ours = quantile(times[0] as number[], 0.5);
  for (const [i, { name }] of contenders.entries()) {
    const [median, p10, p90] = [0.5, 0.1, 0.9].map((share) => quantile(times[i] as number[], share)) as [number, number, number];
    rows.push({ workload, contender: name, median, p10, p90, ratio: median / ours });
    const numbers = [median, p10, p90].map((ms) => ms.toFixed(2).padStart(9)).join(' ');
    process.stdout.write(`${workload.padEnd(14)} ${name.padEnd(21)} ${numbers} ${(median / ours).toFixed(2).padStart(8)}\n`);
  }
}

function quantile(values: readonly number[], share: number): number {
  return [...values].sort((a, b) => a - b)[Math.floor(share * (values.length - 1))] as number;
}

function runs(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** Starts a contender; one that ends before it has answered fails the whole run. */
function start(name: string, command: string, args: string[]): Contender {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    name,
    async ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`bench:peers: ${name} must answer, got its end`);
      return (JSON.parse(value) as { times: number[] }).times;
    },
    end: () => child.stdin.end(),
  };
}
