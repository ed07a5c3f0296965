import type { GpuBackend, GpuProgram } from '@evenkeel/core-tensor';
import { FEW_ROWS, fewRowsColumns, fewRowsForm, fewRowsProgram } from './fewRows.ts';
import type { GemmForm } from './form.ts';
import { registerProgram, type RegisterTile } from './registerTile.ts';
import { workgroupBytes, workgroupProgram, type WorkgroupTile } from './workgroupTile.ts';

/** GemmSizes — a product of `batch` pairs: m × k times k × n. */
export type GemmSizes = { readonly m: number; readonly n: number; readonly k: number; readonly batch: number };

/** GemmLaunch — one way to compute a product: a program, the tiles it has, and into how many parts the sums are cut. */
export type GemmLaunch = {
  readonly program: (form: GemmForm) => GpuProgram;
  /** The form as the program takes it. */
  readonly formOf: (form: GemmForm) => GemmForm;
  readonly tilesM: number;
  readonly tilesN: number;
  readonly splits: number;
};

/** GemmVariant — a way to compute products, by its name in `webgpu({ tuning: { matMul: name } })`. */
export type GemmVariant = {
  readonly name: string;
  /** How the product is launched; undefined where this variant cannot or should never compute it. */
  readonly plan: (sizes: GemmSizes, form: GemmForm, device: Device) => GemmLaunch | undefined;
};

type Device = Pick<GpuBackend, 'features' | 'limits'>;

/** What cuts of k aim at: workgroups for a large GPU, steps that are worth a workgroup's start, and parts that are cheap to add up. */
const SPLIT = { workgroups: 256, steps: 64, parts: 16 };

/**
 * VARIANTS — every way to compute a product:
 *
 * - `register-…`: registers only, for adapters whose workgroup memory is slow (those on CPUs), and for small or narrow products;
 * - `tile-…`: slices in workgroup memory, for GPUs: 64 × 64 with 8 × 8 registers where there are enough of them to fill the GPU;
 * - `subgroup-…`: rows of A handed from lane to lane, where the device has subgroups;
 * - `…-split`: k in parts, which a second program adds up in their order, for small outputs of long sums;
 * - `few-rows`: at most four rows, bound by memory.
 *
 * Kept free for `subgroup-matrix`: the matrix units of a GPU through WGSL's subgroup_matrix, which is a draft (in Dawn
 * `chromium-experimental-subgroup-matrix`). It is one more entry whose `plan` asks `device.features`, and a program that takes a
 * GemmForm and ends with `finish4`; its tiles must be those of `adapter.info.subgroupMatrixConfigs`.
 */
export const VARIANTS: readonly GemmVariant[] = [
  fewRows(),
  ...register('register-4x4', { threadsM: 8, threadsN: 8, rows: 4, columns: 4 }),
  ...register('register-8x4', { threadsM: 8, threadsN: 8, rows: 8, columns: 4 }),
  ...register('register-8x8', { threadsM: 8, threadsN: 8, rows: 8, columns: 8 }),
  ...register('subgroup-8x4', { threadsM: 1, threadsN: 32, rows: 8, columns: 4, subgroups: true }),
  ...tile('tile-32x32', { threadsM: 8, threadsN: 8, rows: 4, columns: 4, steps: 32 }),
  ...tile('tile-64x64-4x4', { threadsM: 16, threadsN: 16, rows: 4, columns: 4, steps: 32 }),
  ...tile('tile-64x64', { threadsM: 8, threadsN: 8, rows: 8, columns: 8, steps: 16 }),
  ...tile('tile-128x64', { threadsM: 16, threadsN: 8, rows: 8, columns: 8, steps: 16 }),
];

/** VARIANT_NAMES — what `tuning: { matMul: … }` may be. */
export const VARIANT_NAMES: readonly string[] = VARIANTS.map(({ name }) => name);

function fewRows(): GemmVariant {
  return {
    name: 'few-rows',
    plan: ({ m, n }, form) => (m > FEW_ROWS ? undefined : {
      program: (its) => fewRowsProgram(m, its), formOf: fewRowsForm, tilesM: 1, tilesN: Math.ceil(n / fewRowsColumns(form)), splits: 1,
    }),
  };
}

function register(name: string, tile: RegisterTile): GemmVariant[] {
  return tiled(name, tile, (form) => registerProgram(tile, form), ({ features }) => tile.subgroups !== true || features.has('subgroups'));
}

function tile(name: string, tile: WorkgroupTile): GemmVariant[] {
  return tiled(name, tile, (form) => workgroupProgram(tile, form), ({ limits }) => workgroupBytes(tile) <= limits.maxComputeWorkgroupStorageSize);
}

/** A tile as it is, and with k in parts. */
function tiled(name: string, tile: RegisterTile, program: GemmLaunch['program'], isPossible: (device: Device) => boolean): GemmVariant[] {
  const plan = (split: boolean): GemmVariant['plan'] => (sizes, _, device) => {
    if (!isPossible(device) || tile.threadsM * tile.threadsN > device.limits.maxComputeInvocationsPerWorkgroup) return undefined;
    const tilesM = Math.ceil(sizes.m / (tile.threadsM * tile.rows));
    const tilesN = Math.ceil(sizes.n / (tile.threadsN * tile.columns));
    const splits = split ? splitsOf(sizes, tilesM * tilesN * sizes.batch, device) : 1;
    return split && splits < 2 ? undefined : { program, formOf: (form) => form, tilesM, tilesN, splits };
  };
  return [{ name, plan: plan(false) }, { name: `${name}-split`, plan: plan(true) }];
}

function splitsOf({ m, n, k, batch }: GemmSizes, workgroups: number, { limits }: Device): number {
  const mostParts = Math.floor(limits.maxStorageBufferBindingSize / (4 * m * n * batch));
  return Math.min(Math.ceil(SPLIT.workgroups / workgroups), Math.floor(k / SPLIT.steps), SPLIT.parts, mostParts);
}

/**
 * staticChoice — the names to try, best first, for a product that nobody has timed: a rule of thumb for either kind of adapter.
 * One that emulates a GPU on the CPU has no use for workgroup memory, and a few workgroups fill it; lanes there share what they read.
 */
export function staticChoice({ m, n, k, batch }: GemmSizes, isSoftware: boolean): readonly string[] {
  const tiles = (size: number): number => Math.ceil(m / size) * Math.ceil(n / size) * batch;
  if (m <= FEW_ROWS) return ['few-rows'];
  if (isSoftware) return [...(n >= 256 || n % 128 === 0 ? ['subgroup-8x4'] : []), m < 64 || n < 32 ? 'register-4x4' : 'register-8x4'];
  if (Math.min(m, n) <= 16) return k >= 1024 ? ['register-4x4-split', 'register-4x4'] : ['register-4x4'];
  if (tiles(64) >= 192) return ['tile-64x64', 'tile-64x64-4x4', 'tile-32x32'];
  if (tiles(32) >= 128 || k < 512) return ['tile-32x32', 'register-4x4'];
  return ['tile-32x32-split', 'tile-32x32', 'register-4x4'];
}
