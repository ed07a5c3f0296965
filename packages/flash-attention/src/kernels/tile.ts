import { UnsupportedError, type GpuBackend } from '@evenkeel/core-tensor';

/** Pass — what a program computes: `forward`, dq (`query`), dk and dv (`keyValue`), or the bias's gradient (`bias`). */
export type Pass = 'forward' | 'query' | 'keyValue' | 'bias';

/**
 * Tile — how a workgroup divides its work. Each thread has `rows` rows in registers (queries, or keys where their gradient is made),
 * and of each the channels of one of `split` parts; `keys` rows of the other side lie in workgroup memory at a time.
 * With `lanes` the first eight lanes of a subgroup read half a vec4 each of four rows and hand them to all, where otherwise every thread
 * reads all four: for adapters that compute on the CPU, to which a read by all threads at one place is as many reads as threads.
 * With `half` q, k, v and dy are f16, in workgroup memory as well; products of two of them are exact, and all else is f32.
 */
export type Tile = { readonly threads: number; readonly rows: number; readonly split: number; readonly keys: number; readonly lanes: boolean; readonly half: boolean };

/** Widest head that fits: a step of keys and values, and the parts of their products, in 16 KiB. */
export const MAX_HEAD_DIM = 256;

/** vec4s of a row that one thread holds, per tensor: a thread has 2 of them in the forward pass, up to 4 in the backward pass. */
const CHUNKS: Readonly<Record<Pass, number>> = { forward: 8, query: 8, keyValue: 4, bias: 8 };
/** The same where a CPU computes, in long calls: heads of 64 in whole rows, a quarter faster than in halves. */
const NARROW_CHUNKS = 16;
const THREADS = 64;
/** Of those adapters in long calls: as fast, and blocks of fewer rows see less beyond a window. */
const NARROW_THREADS = 32;
/** Most that a tile may have. */
const MOST_THREADS = 128;
/** Rows up to which workgroups are small. */
const SHORT = 16;
/** Rows from which each thread has two of them: there are workgroups enough. */
const LONG = 256;
/** Enough for every device; more would leave room for fewer workgroups at a time. */
const WORKGROUP_BYTES = 16384;

/** TileLimits — what a device allows, whether its subgroups are as narrow as the vectors of a CPU, and whether factors are f16. */
export type TileLimits = Pick<GpuBackend['limits'], 'maxComputeInvocationsPerWorkgroup' | 'maxComputeWorkgroupSizeX' | 'maxComputeWorkgroupStorageSize'> & { readonly isNarrow?: boolean; readonly half?: boolean };

/** blockRows — rows of a workgroup. */
export const blockRows = ({ threads, rows, split }: Tile): number => (threads / split) * rows;

/** chunksOf — vec4s of a row that each thread holds. */
export const chunksOf = (headDim: number, { split }: Tile): number => Math.ceil(Math.ceil(headDim / 4) / split);

/** workgroupBytes — what a program of this tile takes of workgroup memory. */
export function workgroupBytes(pass: Pass, headDim: number, tile: Tile): number {
  const { threads, rows, split, keys, half } = tile;
  const tiles = 2 * keys * chunksOf(headDim, tile) * split * (half ? 8 : 16);
  const statistics = pass === 'keyValue' ? 8 * keys : 0;
  const parts = split > 1 ? (pass === 'forward' ? 1 : 2) * (keys / 4) * rows * threads * 16 : 0;
  const sums = pass === 'bias' ? threads * 16 : 0;
  return tiles + statistics + parts + sums;
}

/**
 * chooseTile — the tile for heads of this width on a device with these limits; `wanted` overrides single numbers.
 *
 * @param length  rows to divide among workgroups: few rows get small workgroups.
 * @throws UnsupportedError  if heads are wider than 256, or nothing fits the device.
 */
export function chooseTile(pass: Pass, headDim: number, length: number, limits: TileLimits, wanted: Partial<Tile> = {}): Tile {
  if (headDim > MAX_HEAD_DIM) throw new UnsupportedError(`attention: headDim must be at most ${MAX_HEAD_DIM} on this device, got ${headDim}`);
  const tile = findTile(pass, headDim, length, limits, wanted);
  if (tile !== undefined) return tile;
  throw new UnsupportedError(`attention: a tile of heads of width ${headDim} must fit ${roomOf(limits)} bytes of workgroup memory, got none that does`);
}

const roomOf = ({ maxComputeWorkgroupStorageSize }: TileLimits): number => Math.min(WORKGROUP_BYTES, maxComputeWorkgroupStorageSize);
const mostThreads = ({ maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX }: TileLimits): number => Math.min(maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX);

function findTile(pass: Pass, headDim: number, length: number, limits: TileLimits, wanted: Partial<Tile>): Tile | undefined {
  const chunks = Math.ceil(headDim / 4);
  // A CPU has no registers to run out of, but takes its time to compile: short calls are not worth it.
  const mostChunks = limits.isNarrow === true && length > LONG ? NARROW_CHUNKS : CHUNKS[pass];
  let split = 1;
  while (chunks / split > mostChunks) split *= 2;
  split = wanted.split ?? split;
  const rows = pass === 'bias' ? 1 : wanted.rows ?? (length <= LONG ? 1 : 2);
  const usual = limits.isNarrow === true && length > LONG ? NARROW_THREADS : THREADS;
  const enough = (length <= SHORT ? 16 : usual / split) * split; // few sizes only: each is a program of its own
  const threads = wanted.threads ?? Math.min(mostThreads(limits), Math.max(8 * split, Math.min(THREADS, enough)));
  const lanes = wanted.lanes ?? (limits.isNarrow === true && threads % (8 * split) === 0);
  const half = wanted.half ?? limits.half === true;
  const sizes = wanted.keys !== undefined ? [wanted.keys] : [...(pass === 'bias' ? [] : [32]), 16, 8, 4];
  const tiles = [rows, Math.min(rows, wanted.rows ?? 1)].flatMap((each) => sizes.map((keys): Tile => ({ threads, rows: each, split, keys, lanes, half })));
  return tiles.find((each) => workgroupBytes(pass, headDim, each) <= roomOf(limits));
}

/** rangeOf — lengths that have the same tiles: the longest of them. */
export const rangeOf = (length: number): number => [SHORT, LONG].find((most) => length <= most) ?? Infinity;

/** tileName — of the numbers that may be chosen; what depends on the adapter is not among them. */
export const tileName = ({ threads, rows, split, keys }: Tile): string => `threads${threads}-rows${rows}-split${split}-keys${keys}`;

/** candidateTiles — the tile by rule of thumb, and those that differ from it in one number and fit the device too, by name. */
export function candidateTiles(pass: Pass, headDim: number, length: number, limits: TileLimits): ReadonlyMap<string, Tile> {
  const usual = chooseTile(pass, headDim, length, limits);
  const { threads, split, keys } = usual;
  const changes: Partial<Tile>[] = [
    { rows: 1 }, { rows: 2 }, { threads: threads / 2 }, { threads: 2 * threads }, { split: split / 2, threads }, { split: 2 * split, threads }, { keys: keys / 2 }, { keys: 2 * keys },
  ];
  const others = changes.flatMap((change) => findTile(pass, headDim, length, limits, change) ?? []).filter((tile) => isSound(pass, headDim, limits, tile));
  return new Map([usual, ...others].map((tile) => [tileName(tile), tile]));
}

/** Most that a name may say; more would be slow at best. */
const MOST_ROWS = 4;
const MOST_KEYS = 256;

/**
 * possibleTiles — the tile by rule of thumb, and every other that fits the device, by name: threads a multiple of 8 up to 128, rows up to 4
 * (1 for the bias), split a power of two up to threads / 8, keys a multiple of 4. Thousands for narrow heads: for what is asked once.
 */
export function possibleTiles(pass: Pass, headDim: number, length: number, limits: TileLimits): ReadonlyMap<string, Tile> {
  const steps = (step: number, most: number): number[] => Array.from({ length: Math.floor(most / step) }, (_, i) => step * (i + 1));
  const usual = chooseTile(pass, headDim, length, limits);
  const splits = [1, 2, 4, 8, 16].filter((split) => isSplit(pass, headDim, limits, split));
  const numbers = splits.flatMap((split) => steps(8, Math.min(MOST_THREADS, mostThreads(limits))).flatMap((threads) =>
    steps(1, pass === 'bias' ? 1 : MOST_ROWS).flatMap((rows) => steps(4, MOST_KEYS).map((keys) => ({ threads, rows, split, keys })))));
  const tiles = numbers.flatMap((wanted) => findTile(pass, headDim, length, limits, wanted) ?? []).filter((tile) => isSound(pass, headDim, limits, tile));
  return new Map([usual, ...tiles].map((tile) => [tileName(tile), tile]));
}

/** Whole rows, rows for all threads of a subgroup, registers for what a thread holds. */
function isSound(pass: Pass, headDim: number, limits: TileLimits, { threads, split, keys }: Tile): boolean {
  const isWhole = Number.isInteger(split) && keys % 4 === 0 && threads % split === 0 && threads >= 8 * split && threads <= Math.min(MOST_THREADS, mostThreads(limits));
  return isWhole && isSplit(pass, headDim, limits, split);
}

const isSplit = (pass: Pass, headDim: number, { isNarrow }: TileLimits, split: number): boolean =>
  split <= Math.ceil(headDim / 4) && chunksOf(headDim, { split } as Tile) <= (isNarrow === true ? NARROW_CHUNKS : 2 * CHUNKS[pass]);

/** tileLimits — of a backend: subgroups that always have 8 lanes are the vectors of a CPU. */
export function tileLimits(backend: GpuBackend): TileLimits {
  const { limits, subgroupSize, precision } = backend;
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize } = limits;
  return {
    maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX, maxComputeWorkgroupStorageSize, isNarrow: subgroupSize === 8, half: precision === 'f16',
  };
}
