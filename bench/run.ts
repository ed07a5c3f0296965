/**
 * `pnpm bench` — the numbers that the goals of the project are stated in, taken in one run on this machine: the product of
 * matrices on one thread and on all, and a training step of nanoGPT's CPU configuration.
 *
 *     pnpm bench [--device wasm] [--steps 30] [--json]
 *
 * Every benchmark runs in a process of its own. With `--json` the last line of standard output is one JSON object.
 */
import { execFileSync, spawn } from 'node:child_process';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';

const USAGE = 'Usage: pnpm bench [--device auto|wasm|webgpu|cpu] [--steps 30] [--json]';
const { values } = readFlags();
if (values.help) {
  process.stdout.write(`${USAGE}\n`);
  process.exit(0);
}
const root = fileURLToPath(new URL('..', import.meta.url));
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);

const machine = {
  node: process.version,
  cpu: cpus()[0]?.model.trim() ?? 'unknown',
  cores: availableParallelism(),
  memoryBytes: totalmem(),
  load: loadavg()[0] as number,
  commit: commit(),
};
say(`${machine.cpu}, ${machine.cores} cores, ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, Node ${machine.node}, commit ${machine.commit}`);
if (machine.load > 0.3 * machine.cores) say(`The machine is busy (load ${machine.load.toFixed(1)}): times will be too long.`);

const device = ['--device', values.device];
const results = [
  await measure('Matrix product, one thread', ['bench', 'matmul', ...device, '--threads', '1']),
  await measure('Matrix product, all threads', ['bench', 'matmul', ...device]),
  await measure('Training step', ['bench', 'gpt-step', ...device, '--steps', values.steps]),
];
if (values.json) process.stdout.write(`${JSON.stringify({ command: 'bench', machine, results })}\n`);

/** Runs one command of the CLI; what it says to people is passed on. */
async function measure(title: string, args: readonly string[]): Promise<unknown> {
  say(`\n${title}`);
  const cli = spawn(process.execPath, ['--conditions=@evenkeel/source', 'apps/cli/src/main.ts', ...args, '--json'], { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  cli.stdout.setEncoding('utf8').on('data', (chunk: string) => { output += chunk; });
  cli.stderr.setEncoding('utf8').on('data', (chunk: string) => void (values.json ? process.stderr : process.stdout).write(chunk.replace(/^(?=.)/gm, '  ')));
  const code = await new Promise<number | null>((resolve) => cli.on('close', resolve));
  if (code !== 0) process.exit(code ?? 1);
  return JSON.parse(output.trimEnd().split('\n').at(-1) as string);
}

function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return 'unknown';
  }
}

/** The flags, or one line on what is wrong with them. */
function readFlags() {
  try {
    return parseArgs({
      options: {
        device: { type: 'string', default: 'auto' }, steps: { type: 'string', default: '30' },
        json: { type: 'boolean', default: false }, help: { type: 'boolean', short: 'h', default: false },
      },
    });
  } catch (error) {
    process.stderr.write(`error: ${error instanceof Error ? error.message.split('. ')[0] : String(error)}. ${USAGE}\n`);
    process.exit(2);
  }
}
