import type { GpuBackend, GpuProgram } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { backwardKeyValueProgram } from './backwardKeyValue.ts';
import { backwardQueryProgram } from './backwardQuery.ts';
import { biasGradProgram } from './biasGrad.ts';
import { variantOf, type AttentionCall, type uniformsOf } from './call.ts';
import { forwardProgram } from './forward.ts';
import { blockRows, type Pass, type Tile } from './tile.ts';
import type { Variant } from './variant.ts';

/** PassArgs — what a pass is given: tensors by the names of its bindings, the bias apart, and the numbers of the call. */
export type PassArgs = {
  readonly tensors: Readonly<Record<string, TensorInfo>>;
  readonly uniforms: ReturnType<typeof uniformsOf>;
  /** Forward: whether the statistics are made as well. Default none. */
  readonly statistics?: Variant['statistics'];
};

const PROGRAMS: Readonly<Record<Pass, (variant: Variant) => GpuProgram>> = {
  forward: forwardProgram, query: backwardQueryProgram, keyValue: backwardKeyValueProgram, bias: biasGradProgram,
};

/** launch — runs one pass of attention with a tile. */
export function launch(backend: GpuBackend, pass: Pass, call: AttentionCall, tile: Tile, { tensors, uniforms, statistics = 'none' }: PassArgs): void {
  const { bias } = call;
  const places = placesOf(pass, call, tile);
  const isCounted = Math.max(...places) > backend.limits.maxComputeWorkgroupsPerDimension;
  const variant = variantOf(call, tile, { statistics, isOverQueries: pass === 'keyValue', isCounted });
  const [blocks, owners, rest] = places;
  const groups = blocks * owners * rest;
  backend.dispatch(PROGRAMS[pass](variant), {
    tensors: { ...tensors, ...(bias && { bias }) }, uniforms: { ...uniforms, blocks, owners, groups }, groups: isCounted ? backend.spread(groups) : places,
  });
}

/** What workgroups there are, as each program says: `place` is one of them. */
function placesOf(pass: Pass, { b, t, s, heads, kvHeads, bias }: AttentionCall, tile: Tile): [blocks: number, owners: number, rest: number] {
  const blocks = (rows: number): number => Math.ceil(rows / blockRows(tile));
  if (pass === 'keyValue') return [blocks(s), kvHeads, b];
  if (pass !== 'bias') return [blocks(t), heads, b];
  const [sequences = 1, biasHeads = 1, queries = 1] = bias?.shape ?? [];
  return [Math.ceil(s / tile.keys), queries > 1 ? blocks(t) : 1, biasHeads * sequences];
}
