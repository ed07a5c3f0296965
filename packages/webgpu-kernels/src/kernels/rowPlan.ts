import type { GpuBackend } from '@evenkeel/core-tensor';
import { rowsPerGroup } from '../wgsl/rowReduce.ts';

/** RowPlan — how a program goes through rows: `units` numbers each, or vec4fs where `wide`, with `threads` invocations side by side. */
export type RowPlan = { readonly wide: boolean; readonly units: number; readonly threads: number };

/** The most units that rows of so many threads have; more threads for longer rows. */
const THREADS = [[8, 8], [16, 16], [32, 32], [64, 128], [128, 512], [256, Infinity]] as const;

/** rowPlan — vec4fs wherever rows begin on their bounds. */
export function rowPlan(channels: number): RowPlan {
  const wide = channels % 4 === 0;
  const units = wide ? channels / 4 : channels;
  const [threads] = THREADS.find(([, most]) => units <= most) as (typeof THREADS)[number];
  return { wide, units, threads };
}

/** rowGroups — the workgroups of a program over so many rows. */
export const rowGroups = (backend: GpuBackend, rows: number, { threads }: RowPlan): [x: number, y: number] => backend.spread(Math.ceil(rows / rowsPerGroup(threads)));

/** elementOf — WGSL's type of a unit. */
export const elementOf = (wide: boolean): 'vec4f' | 'f32' => (wide ? 'vec4f' : 'f32');

/** lanes — for `declarations`: the sum of the numbers of a unit. */
export const lanes = (wide: boolean): string => `fn lanes(v: ${elementOf(wide)}) -> f32 { return ${wide ? 'dot(v, vec4f(1.0))' : 'v'}; }`;
