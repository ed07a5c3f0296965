/**
 * `pnpm bench:peers` — Evenkeel, TensorFlow.js, jax-js and (on the CPU) PyTorch in one run on WASM or on WebGPU: the contenders take
 * turns, each in a process that stays alive, never two at a time.
 *
 *     pnpm bench:peers [--device wasm] [--only reference,matmul-512] [--rounds 3] [--json]
 */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { median } from 'd3-array';
import { contender, type Contender } from './contender.ts';
import { HEADER, lineOf, rowOf, type Row } from './table.ts';
import { ADAM, STEP_SIZES, PLANS, RECORD, type Device, type Plan } from './workloads.ts';

const USAGE = `Usage: pnpm bench:peers [--device wasm|webgpu] [--only <workloads>] [--rounds 3] [--json]
Workloads: ${Object.entries(PLANS).map(([name, plans]) => `${name}: ${Object.keys(plans).join()}`).join('; ')}`;

/** A round of one contender should not take longer than this; what is slower gets fewer samples. */
const ROUND_MS = { wasm: 8000, webgpu: 3000 } as const;

/** PyTorch gives large tensors back to the system, which costs more than it computes where page faults are slow; glibc can keep them. */
const KEEP_MEMORY = ['MALLOC_MMAP_THRESHOLD_=4294967296', 'MALLOC_TRIM_THRESHOLD_=4294967296', 'MALLOC_TOP_PAD_=268435456'];

const flags = readFlags();
if (flags.help) {
  process.stdout.write(`${USAGE}\n`);
  process.exit(0);
}
const say = (line: string): void => void (flags.json ? process.stderr : process.stdout).write(`${line}\n`);
const { device } = flags;
if (device !== 'wasm' && device !== 'webgpu') fail(`--device must be wasm or webgpu, got ${device}`);
const plans = PLANS[device];
const names = flags.only?.split(',') ?? Object.keys(plans);
const unknown = names.find((name) => !Object.hasOwn(plans, name));
if (unknown !== undefined) fail(`--only must name ${Object.keys(plans).join(', ')}, got ${unknown}`);
const rounds = Number(flags.rounds);
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds must be a positive integer, got ${flags.rounds}`);

const cores = availableParallelism();
const machine = { cpu: cpus()[0]?.model.trim() ?? 'unknown', cores, node: process.version, load: loadavg()[0] as number };
say(`${machine.cpu}, ${cores} cores, Node ${machine.node}`);
if (machine.load > 0.3 * cores) say(`The machine is busy (load ${machine.load.toFixed(1)}): times will be too long.`);
const contenders = listContenders();
const about = new Map<string, string>();
const rows: Row[] = [];
say(HEADER);
for (const workload of names) rows.push(...await compare(workload, plans[workload] as Plan));
for (const { end } of contenders) end();
say('');
if (names.includes('record')) say(`record: ${RECORD.launches} launches handed over and not waited for, so ms are µs per launch`);
for (const [name, text] of about) say(`${name}: ${text}`);
for (const row of rows) if (row.reason !== undefined) say(`— ${row.workload}, ${row.contender}: ${row.reason}`);
if (flags.json) process.stdout.write(`${JSON.stringify({ command: 'bench:peers', device, machine, contenders: Object.fromEntries(about), rows })}\n`);

/** All contenders with one workload, in turns; one that fails once is not asked again. */
async function compare(workload: string, plan: Plan): Promise<Row[]> {
  const states = contenders.filter(({ only }, i) => (i === 0 || plan.oursOnly !== true) && only?.includes(workload) !== false).map((each) => ({ contender: each, times: [] as number[], plan, reason: undefined as string | undefined, peakBytes: undefined as number | undefined }));
  for (let round = 0; round < rounds; round++) {
    for (const state of states) {
      if (round === 0) {
        // The first runs compile and check; the second says how many samples there is time for.
        const first = await ask(state, { warmup: 1, samples: 1 });
        state.plan = fitted(plan, first[0] ?? 0);
      }
      state.times.push(...await ask(state, state.plan));
    }
  }
  const ours = states[0]?.reason === undefined ? median(states[0]?.times ?? []) : undefined;
  return states.map((state) => {
    const row = rowOf(workload, state.contender.name, state.times, ours, state);
    say(lineOf(row));
    return row;
  });

  async function ask(state: (typeof states)[number], { warmup, samples }: Plan): Promise<number[]> {
    if (state.reason !== undefined) return [];
    const answer = await state.contender.ask({ workload, warmup, samples, sizes: STEP_SIZES[workload], adam: ADAM });
    if ('error' in answer) {
      state.reason = answer.error;
      return [];
    }
    about.set(state.contender.name, answer.about);
    state.peakBytes = answer.peakBytes ?? undefined;
    return answer.times;
  }
}

function fitted({ warmup, samples }: Plan, ms: number): Plan {
  const affordable = Math.max(1, Math.floor(ROUND_MS[device as Device] / Math.max(ms, 1e-3)));
  return { warmup: Math.min(warmup, Math.floor(affordable / 3)), samples: Math.min(samples, affordable) };
}

function listContenders(): Contender[] {
  const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
  const node = (file: string, ...args: string[]): string[] => [process.execPath, '--conditions=@evenkeel/source', here(file), ...args];
  if (device === 'webgpu') {
    return [
      contender('Evenkeel WebGPU', node('ours.ts', 'webgpu', 'eager')), contender('Evenkeel, captured', node('ours.ts', 'webgpu', 'captured'), ['reference', 'record']),
      contender('tfjs WebGPU', node('tfjs.ts', 'webgpu')), contender('jax-js WebGPU', node('jaxJs.ts', 'webgpu')),
    ];
  }
  const threads = [...new Set([cores, 1])];
  const label = (name: string, count: number): string => `${name}, ${count} thread${count === 1 ? '' : 's'}`;
  const python = ['python3', '/usr/bin/python3'].find((each) => runs(each, ['-c', 'import torch']));
  if (python === undefined) say('PyTorch is left out: no python3 here can import torch.');
  return [
    ...threads.map((count) => contender(label('Evenkeel', count), node('ours.ts', 'wasm', String(count)))),
    contender('tfjs WASM', node('tfjs.ts', 'wasm')),
    contender('jax-js WASM', node('jaxJs.ts', 'wasm')),
    ...(python === undefined ? [] : threads.map((count) => contender(label('PyTorch', count), ['env', ...KEEP_MEMORY, python, here('pytorch.py'), String(count)]))),
  ];
}

function runs(command: string, args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function fail(message: string): never {
  process.stderr.write(`error: bench:peers: ${message}. ${USAGE}\n`);
  process.exit(2);
}

/** The flags, or one line on what is wrong with them. */
function readFlags() {
  try {
    return parseArgs({
      options: {
        device: { type: 'string', default: 'wasm' }, only: { type: 'string' }, rounds: { type: 'string', default: '3' },
        json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false },
      },
    }).values;
  } catch (error) {
    return fail(error instanceof Error ? error.message.split('. ')[0] as string : String(error));
  }
}
