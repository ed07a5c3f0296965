/**
 * The laboratory of the matrix product: variants of its micro-kernel from naive to fast, compiled here, checked, then timed in turns.
 *
 *     node packages/wasm-kernels/bench/lab/run.ts [--rounds 40]
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

type Multiply = (a: number, b: number, c: number, n: number, scratch: number) => void;

/** Multiples of 24, which all tiles divide: edges are not the subject here. */
const SIZES = [120, 480, 960];
/** The slow ones are not asked for more than this. */
const LARGEST: Readonly<Record<string, number>> = { naive: 120, tile4x4: 480 };
const FLOATS = 960 * 960;

const rounds = Number(parseArgs({ options: { rounds: { type: 'string', default: '40' } } }).values.rounds);
const memory = new WebAssembly.Memory({ initial: 512, maximum: 512 });
const variants = await compile();
const [a, b, c, scratch] = [0, 1, 2, 3].map((i) => 65536 + i * FLOATS * 4) as [number, number, number, number];
for (const pointer of [a, b]) floats(pointer, FLOATS).forEach((_, i, all) => { all[i] = Math.sin(i * (pointer + 1)); });

const columns = (name: string, cells: readonly string[]): void => void process.stdout.write(`${name.padEnd(20)}${cells.map((cell) => cell.padStart(12)).join('')}\n`);
for (const variant of variants) check(variant, 120);
columns('GFLOP/s (median)', SIZES.map(String));
const rates = SIZES.map(timed);
variants.forEach(([name], i) => columns(`${i + 1} ${name}`, rates.map((of) => of[i]?.toFixed(1) ?? '—')));

async function compile(): Promise<[name: string, multiply: Multiply][]> {
  const { default: asc } = await import('assemblyscript/asc');
  const folder = join(import.meta.dirname, 'assembly');
  let binary: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main([
    'index.ts', '--outFile', 'lab.wasm', '--optimizeLevel', '3', '--noAssert', '--runtime', 'stub', '--use', 'abort=', '--importMemory',
    '--maximumMemory', '512', '--enable', 'simd', '--enable', 'relaxed-simd',
  ], {
    readFile: (name: string) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'utf8') : null),
    writeFile: (_: string, contents: unknown) => void (binary = contents as Uint8Array<ArrayBuffer>),
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(`${error?.message}\n${stderr.toString()}`);
  const { instance } = await WebAssembly.instantiate(binary, { env: { memory } });
  return Object.entries(instance.exports).filter(([, each]) => typeof each === 'function') as unknown as [string, Multiply][];
}

function floats(pointer: number, count: number): Float32Array {
  return new Float32Array(memory.buffer, pointer, count);
}

/** Every entry against float64 sums: nothing wrong is timed. */
function check([name, multiply]: readonly [string, Multiply], n: number): void {
  floats(c, n * n).fill(0);
  multiply(a, b, c, n, scratch);
  const [x, y, z] = [a, b, c].map((pointer) => floats(pointer, n * n)) as [Float32Array, Float32Array, Float32Array];
  for (let at = 0; at < n * n; at++) {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += (x[Math.floor(at / n) * n + k] as number) * (y[k * n + (at % n)] as number);
    if (!(Math.abs(sum - (z[at] as number)) < 1e-4)) throw new Error(`${name}: entry ${at} must be ${sum}, got ${z[at]}`);
  }
}

/** Each variant's median rate for one size, the variants in turns. By processor time, so that other programs disturb little. */
function timed(n: number): (number | undefined)[] {
  const work = 2 * n ** 3;
  const samples = variants.map((): number[] => []);
  for (let round = -2; round < rounds; round++) {
    variants.forEach(([name, multiply], i) => {
      if (n > (LARGEST[name] ?? Infinity)) return;
      const repeats = name === 'naive' ? 1 : Math.max(1, Math.round(1e8 / work));
      const before = process.cpuUsage();
      for (let j = 0; j < repeats; j++) multiply(a, b, c, n, scratch);
      const { user, system } = process.cpuUsage(before); // µs
      if (round >= 0) samples[i]?.push((repeats * work) / (user + system) / 1e3);
    });
  }
  return samples.map((rate) => rate.sort((left, right) => left - right)[rate.length >> 1]);
}
