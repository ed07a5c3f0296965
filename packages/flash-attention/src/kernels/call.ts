import { dropThreshold, seedKey, type StepNumber, type GpuKernelCall } from '@evenkeel/core-tensor';
import { util, type TensorInfo } from '@tensorflow/tfjs-core';
import type { Tile } from './tile.ts';
import { blockRows } from './tile.ts';
import type { Variant } from './variant.ts';

/** What kernels are told: `AttentionAttrs`, those of single kernels, and numbers of the tile instead of the chosen ones, for tests. */
export type KernelAttrs = {
  readonly scale: number; readonly causal: boolean; readonly windowLeft: number; readonly windowRight: number;
  readonly dropout?: number; readonly seed?: number | StepNumber;
  readonly numHeads?: number; readonly numKvHeads?: number;
  readonly softcap?: number; readonly blockQ?: number; readonly blockK?: number;
  readonly maxSeqlenQ?: number; readonly maxSeqlenK?: number; readonly boundaries?: unknown;
  readonly tile?: Partial<Tile>;
};

/**
 * AttentionCall — sizes of a call, and the tensors where q, k and v lie: three, or the same one three times. `t` and `s` are the lengths, or
 * the greatest ones of sequences that lie one after another, of which there are `queries` and `keys` rows.
 */
export type AttentionCall = {
  readonly b: number; readonly t: number; readonly s: number; readonly heads: number; readonly kvHeads: number; readonly d: number;
  readonly queries: number; readonly keys: number;
  readonly q: TensorInfo; readonly k: TensorInfo; readonly v: TensorInfo;
  readonly isPacked: boolean; readonly isVarlen: boolean;
  readonly bias?: TensorInfo; readonly alibiSlopes?: TensorInfo; readonly blockMask?: TensorInfo; readonly cuSeqlens?: readonly [TensorInfo, TensorInfo];
  readonly attrs: KernelAttrs;
};

/** given — an input that the caller must have. */
export function given({ inputs }: GpuKernelCall, name: string): TensorInfo {
  const info = inputs[name];
  if (info === undefined) throw new Error(`attention: inputs must have ${name}, got ${Object.keys(inputs).join(', ')}`);
  return info;
}

/** readCall — what a kernel was given. */
export function readCall(call: GpuKernelCall): AttentionCall {
  const attrs = call.attrs as KernelAttrs;
  const { bias, alibiSlopes, blockMask, cuSeqlensQ, cuSeqlensK } = call.inputs;
  const terms = { ...(bias && { bias }), ...(alibiSlopes && { alibiSlopes }), ...(blockMask && { blockMask }), attrs };
  if (call.inputs.qkv !== undefined) return { ...packedSizes(call.inputs.qkv, attrs), ...terms };
  const [q, k, v] = [given(call, 'q'), given(call, 'k'), given(call, 'v')];
  const [heads, d] = q.shape.slice(-2) as [number, number];
  const kvHeads = k.shape.at(-2) as number;
  const tensors = { heads, kvHeads, d, q, k, v, isPacked: false, ...terms };
  if (cuSeqlensQ !== undefined && cuSeqlensK !== undefined) {
    const [queries, keys] = [q.shape[0] as number, k.shape[0] as number];
    const b = (cuSeqlensQ.shape[0] as number) - 1;
    return { ...tensors, b, t: attrs.maxSeqlenQ ?? queries, s: attrs.maxSeqlenK ?? keys, queries, keys, isVarlen: true, cuSeqlens: [cuSeqlensQ, cuSeqlensK] };
  }
  const [b, t] = q.shape as [number, number];
  const s = k.shape[1] as number;
  return { ...tensors, b, t, s, queries: b * t, keys: b * s, isVarlen: false };
}

function packedSizes(qkv: TensorInfo, { numHeads = 0, numKvHeads = 0 }: KernelAttrs): Omit<AttentionCall, 'attrs'> {
  const [b, t, width] = qkv.shape as [number, number, number];
  const d = width / (numHeads + 2 * numKvHeads);
  return { b, t, s: t, heads: numHeads, kvHeads: numKvHeads, d, queries: b * t, keys: b * t, q: qkv, k: qkv, v: qkv, isPacked: true, isVarlen: false };
}

/** smallTensors — what goes to the shaders in `extra`. */
export function smallTensors({ cuSeqlens, blockMask, alibiSlopes }: AttentionCall): TensorInfo[] {
  return [...(cuSeqlens ?? []), ...(blockMask ? [blockMask] : []), ...(alibiSlopes ? [alibiSlopes] : [])];
}

/** variantOf — what is baked into the program for a call. `sides` are the rows of a tile along queries and along keys. */
export function variantOf(call: AttentionCall, tile: Tile, { statistics = 'none', isOverQueries = false, isCounted = false }: { statistics?: Variant['statistics']; isOverQueries?: boolean; isCounted?: boolean } = {}): Variant {
  const { d, alibiSlopes, bias, blockMask, isVarlen, isPacked, attrs } = call;
  const [alongQueries, alongKeys] = isOverQueries ? [tile.keys, blockRows(tile)] : [blockRows(tile), tile.keys];
  const isAligned = (attrs.blockQ ?? 1) % alongQueries === 0 && (attrs.blockK ?? 1) % alongKeys === 0;
  return {
    headDim: d, tile, slopes: alibiSlopes !== undefined, bias: bias !== undefined, dropout: (attrs.dropout ?? 0) > 0, softcap: (attrs.softcap ?? 0) > 0,
    mask: blockMask === undefined ? 'none' : isAligned ? 'tiles' : 'elements', varlen: isVarlen, statistics, packed: isPacked && isOverQueries,
    queryAxis: (bias?.shape[2] ?? 1) > 1, counted: isCounted,
  };
}

/** uniformsOf — the numbers of a call; `places` are those of `smallTensors` in `extra`. */
export function uniformsOf(call: AttentionCall, places: readonly number[]): Record<string, number | StepNumber> {
  const { b, t, s, heads, kvHeads, d, queries, keys, isPacked, isVarlen, bias, alibiSlopes, blockMask, attrs } = call;
  const { causal, windowLeft, windowRight, dropout = 0, seed = 0 } = attrs;
  const widest = isVarlen ? queries + keys : t + s; // sees every key from every query
  const side = (tokens: number): number => (tokens < 0 ? widest : Math.min(tokens, widest));
  const [qRow, kRow] = isPacked ? [(heads + 2 * kvHeads) * d, (heads + 2 * kvHeads) * d] : [heads * d, kvHeads * d];
  const [biasB, biasH, biasI, biasJ] = broadcastStrides(bias);
  const [key0, key1] = seedKey(seed);
  const [cuQAt = 0, cuKAt = 0] = isVarlen ? places : [];
  return {
    t, s, left: side(windowLeft), right: causal ? 0 : side(windowRight), heads, group: heads / kvHeads, batches: b, scale: attrs.scale, softcap: attrs.softcap ?? 0,
    qRow, kRow, oRow: heads * d, ...(isVarlen ? { qBatch: 0, kBatch: 0, oBatch: 0 } : { qBatch: t * qRow, kBatch: s * kRow, oBatch: t * heads * d }),
    kAt: isPacked ? heads * d : 0, vAt: isPacked ? (heads + kvHeads) * d : 0,
    ...(isVarlen ? { lseHead: queries, lseBatch: 0 } : { lseHead: t, lseBatch: heads * t }), rowCount: queries * heads,
    slopesAt: places.at(-1) ?? 0, slopesBatch: alibiSlopes?.shape.length === 2 ? heads : 0,
    biasB, biasH, biasI, biasJ, biasHeads: bias?.shape[1] ?? 1,
    maskAt: places[0] ?? 0, maskRow: blockMask?.shape[1] ?? 0, blockQ: attrs.blockQ ?? 1, blockK: attrs.blockK ?? 1, cuQAt, cuKAt,
    blocks: 0, owners: 0, groups: 0, // each pass has its own: see `launch`
    threshold: dropThreshold(dropout), dropKeys: s, keepScale: 1 / (1 - dropout), key0, key1, infinity: Infinity, nan: NaN,
  };
}

/** Elements from one index to the next on each axis; 0 on an axis of one element, which stands for all. */
function broadcastStrides(bias: TensorInfo | undefined): [number, number, number, number] {
  const shape = bias?.shape ?? [1, 1, 1, 1];
  return shape.map((size, axis) => (size === 1 ? 0 : util.sizeFromShape(shape.slice(axis + 1)))) as [number, number, number, number];
}
