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
  const variant = variantOf(call, tile, { statistics, isOverQueries: pass === 'keyValue' });
  const [blocks, others] = groupsOf(pass, call, tile, variant);
  const groups = blocks * others;
  backend.dispatch(PROGRAMS[pass](variant), {
    tensors: { ...tensors, ...(bias && { bias }) }, uniforms: { ...uniforms, blocks, groups }, groups: backend.spread(groups),
  });
}

/** Blocks of rows, which are next to one another, and of how many heads and sequences there are that many. */
function groupsOf(pass: Pass, { b, t, s, heads, kvHeads, bias }: AttentionCall, tile: Tile, { queryAxis }: Variant): [blocks: number, others: number] {
  const blocks = (rows: number): number => Math.ceil(rows / blockRows(tile));
  if (pass === 'keyValue') return [blocks(s), kvHeads * b];
  if (pass !== 'bias') return [blocks(t), heads * b];
  const [sequences = 1, biasHeads = 1] = bias?.shape ?? [];
  return [Math.ceil(s / tile.keys), (queryAxis ? blocks(t) : 1) * biasHeads * sequences];
}
