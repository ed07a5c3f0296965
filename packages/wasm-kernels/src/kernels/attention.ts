import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { dropoutNumbers } from './dropout.ts';
import { floats, integers, optionalFloats, optionalIntegers, type KernelCall, type WasmKernel } from './kernel.ts';

/**
 * Exact attention in memory linear in the lengths. `evenkeel/attention` → [out, lse], `evenkeel/attentionStats` → [out, lse, rowMax, entropy],
 * `evenkeel/attentionGrad` → [dq, dk, dv]; with q, k and v in one tensor `qkv: b t (h+2g)·d` likewise `evenkeel/attentionPacked`,
 * `attentionPackedStats` and `attentionPackedGrad` → dqkv; with a soft cap and a block mask `attentionGeneral`, `attentionGeneralStats` and
 * `attentionGeneralGrad`. `evenkeel/attentionBiasGrad` gives the gradient of the bias for all. `evenkeel/attentionVarlen` → [out, lse] and
 * `attentionVarlenGrad` → [dq, dk, dv] stay within sequences of different lengths, which `cuSeqlensQ` and `cuSeqlensK` (int32) bound.
 */
export const attentionKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/attention', run: attention },
  { name: 'evenkeel/attentionStats', run: attentionStats },
  { name: 'evenkeel/attentionPacked', run: attention },
  { name: 'evenkeel/attentionPackedStats', run: attentionStats },
  { name: 'evenkeel/attentionGrad', run: attentionGrad },
  { name: 'evenkeel/attentionPackedGrad', run: attentionGrad },
  { name: 'evenkeel/attentionGeneral', run: attention },
  { name: 'evenkeel/attentionGeneralStats', run: attentionStats },
  { name: 'evenkeel/attentionGeneralGrad', run: attentionGrad },
  { name: 'evenkeel/attentionVarlen', run: attention },
  { name: 'evenkeel/attentionVarlenGrad', run: attentionGrad },
  { name: 'evenkeel/attentionBiasGrad', run: attentionBiasGrad },
];

/** Queries and keys per tile (BLOCK in assembly/attentionTile.ts). */
const BLOCK = 64;
/** Two transposed blocks of keys and values and two tiles must fit in a thread's scratch of 1 MiB. */
const MAX_HEAD_DIM = 1024;
/** Heads are cut into parts until the gradient has so many chunks: enough for that many threads. */
const MIN_CHUNKS = 16;

/** Layout — sizes, and where q, k and v (and likewise their gradients) lie: addresses in bytes, rows in floats. */
type Layout = {
  b: number; t: number; s: number; heads: number; kvHeads: number; d: number;
  qRow: number; kvRow: number;
  /** q, k and v as they were given: three tensors or one. */
  given: TensorInfo[];
  /** Bytes from the start of the one tensor to k and to v; absent for three. */
  offsets?: [k: number, v: number];
  /** Of sequences of different lengths, of which there are b; t and s are the longest. Absent for b of one length. */
  sequences?: { table: TensorInfo; rows: number; keyColumns: number };
};

function attention(call: KernelCall): TensorInfo[] {
  const layout = layoutOf(call);
  const results = outAndLse(call, layout);
  forward(call, layout, results);
  return results;
}

function attentionStats(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const layout = layoutOf(call);
  const { b, t, heads } = layout;
  const results = outAndLse(call, layout);
  const [rowMax, entropy] = [backend.allocate([b, heads, t]), backend.allocate([b, heads, t])];
  forward(call, layout, results, [backend.pointer(rowMax), backend.pointer(entropy)]);
  return [...results, rowMax, entropy];
}

function outAndLse({ backend }: KernelCall, { b, t, heads, d, sequences }: Layout): [out: TensorInfo, lse: TensorInfo] {
  if (sequences !== undefined) return [backend.allocate([sequences.rows, heads, d]), backend.allocate([heads, sequences.rows])];
  return [backend.allocate([b, t, heads, d]), backend.allocate([b, heads, t])];
}

/** Writes out and lse, and statistics where they have an address. */
function forward(call: KernelCall, layout: Layout, [out, lse]: [TensorInfo, TensorInfo], statistics: [rowMax: number, entropy: number] = [0, 0]): void {
  const { b, t, heads } = layout;
  call.backend.run('attention', b * heads * Math.ceil(t / BLOCK), ...numbers(call, layout, out, lse), ...statistics);
}

function attentionGrad(call: KernelCall): TensorInfo[] {
  const { backend } = call;
  const layout = layoutOf(call);
  const { b, t, s, heads, kvHeads, d, qRow, sequences } = layout;
  const given = backwardNumbers(call, layout);
  const grads = layout.given.map((x) => backend.allocate(x.shape));
  const parts = Math.max(1, Math.min(Math.ceil(MIN_CHUNKS / (b * kvHeads)), Math.ceil(s / BLOCK)));
  const rows = sequences?.rows ?? b * t;
  const partSize = rows * heads * d;
  const dqParts = backend.intermediate(4 * (parts - 1) * partSize);
  const [dq, dk, dv] = pointers(call, layout, grads);
  backend.run('attentionGrad', b * kvHeads * parts, ...given, dq, dk, dv, parts, dqParts.pointer, partSize);
  if (parts > 1) backend.run('addParts', Math.ceil(rows / BLOCK), dq, dqParts.pointer, parts - 1, rows, heads * d, qRow);
  backend.release(dqParts);
  return grads;
}

function attentionBiasGrad(call: KernelCall): TensorInfo {
  const { backend } = call;
  const layout = layoutOf(call);
  const { bias } = floats(call, 'attentionBiasGrad', 'bias');
  const given = backwardNumbers(call, layout);
  const dbias = backend.allocate(bias.shape);
  const [b, heads, t, s] = bias.shape as [number, number, number, number];
  backend.run('attentionBiasGrad', b * heads * Math.ceil(t / BLOCK) * Math.ceil(s / BLOCK), ...given, backend.pointer(dbias), layout.b);
  return dbias;
}

/** The sizes of a call on q, k and v, or on the one tensor that holds them. */
function layoutOf(call: KernelCall): Layout {
  const { qkv, cuSeqlensQ } = call.inputs;
  const layout = cuSeqlensQ !== undefined ? varlen(call) : qkv === undefined ? separate(call) : packed(call);
  if (layout.d > MAX_HEAD_DIM) throw new UnsupportedError(`attention: headDim must be at most ${MAX_HEAD_DIM} on this device, got ${layout.d}`);
  return layout;
}

function separate(call: KernelCall): Layout {
  const { q, k, v } = floats(call, 'attention', 'q', 'k', 'v');
  const [b, t, heads, d] = q.shape as [number, number, number, number];
  const [, s, kvHeads] = k.shape as [number, number, number];
  return { b, t, s, heads, kvHeads, d, qRow: heads * d, kvRow: kvHeads * d, given: [q, k, v] };
}

function packed(call: KernelCall): Layout {
  const { qkv } = floats(call, 'attention', 'qkv');
  const [b, t, row] = qkv.shape as [number, number, number];
  const { numHeads: heads, numKvHeads: kvHeads } = call.attrs as { numHeads: number; numKvHeads: number };
  const d = row / (heads + 2 * kvHeads);
  const offsets: [number, number] = [4 * heads * d, 4 * (heads + kvHeads) * d];
  return { b, t, s: t, heads, kvHeads, d, qRow: row, kvRow: row, given: [qkv], offsets };
}

function varlen(call: KernelCall): Layout {
  const { q, k, v } = floats(call, 'attentionVarlen', 'q', 'k', 'v');
  const [rows, heads, d] = q.shape as [number, number, number];
  const [keyRows, kvHeads] = k.shape as [number, number];
  const table = sequencesOf(call, rows, keyRows);
  const longest = (at: 0 | 2): number => Math.max(...table.map((sequence) => sequence[at + 1] as number - (sequence[at] as number)));
  const sequences = { table: call.backend.temporary(call.backend.makeTensorInfo([table.length, 4], 'int32', Int32Array.from(table.flat()))), rows, keyColumns: call.attrs.maxSeqlenK as number };
  return { b: table.length, t: longest(0), s: longest(2), heads, kvHeads, d, qRow: heads * d, kvRow: kvHeads * d, given: [q, k, v], sequences };
}

/** Of each sequence the first query row, that after its last one, and the same of its keys. Rows beyond the last sequence are queries that see no key, and keys that no query sees. */
function sequencesOf(call: KernelCall, rows: number, keyRows: number): [number, number, number, number][] {
  const { cuSeqlensQ, cuSeqlensK } = integers(call, 'attentionVarlen', 'cuSeqlensQ', 'cuSeqlensK');
  const { maxSeqlenQ, maxSeqlenK } = call.attrs as { maxSeqlenQ: number; maxSeqlenK: number };
  const queries = boundariesOf(call, 'Q', cuSeqlensQ, rows, maxSeqlenQ);
  const keys = boundariesOf(call, 'K', cuSeqlensK, keyRows, maxSeqlenK);
  const table = Array.from({ length: queries.length - 1 }, (_, i) => [queries[i], queries[i + 1], keys[i], keys[i + 1]] as [number, number, number, number]);
  const [end, keyEnd] = [queries.at(-1), keys.at(-1)] as [number, number];
  if (end < rows) table.push([end, rows, 0, 0]);
  if (keyEnd < keyRows) table.push([0, 0, keyEnd, keyRows]);
  return table;
}

/** The numbers in a tensor, checked: kernels do not check addresses. */
function boundariesOf({ backend }: KernelCall, side: 'Q' | 'K', cuSeqlens: TensorInfo, rows: number, longest: number): Int32Array {
  const values = backend.readSync(cuSeqlens.dataId as object) as Int32Array;
  const fail = (expected: string, got: string): never => { throw new ConfigError(`flashAttentionVarlen: cuSeqlens${side} must ${expected}, got ${got}`); };
  if (values[0] !== 0) fail('start at 0', String(values[0]));
  for (let i = 1; i < values.length; i++) {
    const [start, end] = [values[i - 1], values[i]] as [number, number];
    if (end < start || end > rows) fail(`not decrease and end at the ${rows} rows at most`, `${end} after ${start}`);
    if (end - start > longest) fail(`have sequences of at most maxSeqlen${side} = ${longest} rows`, String(end - start));
  }
  return values;
}

/** Addresses of q, k and v, or of the gradients that lie like them. */
function pointers({ backend }: KernelCall, { offsets }: Layout, tensors: readonly TensorInfo[]): [number, number, number] {
  const all = tensors.map((x) => backend.pointer(x));
  if (offsets === undefined) return all as [number, number, number];
  const [start] = all as [number];
  return [start, start + offsets[0], start + offsets[1]];
}

/** The arguments that all kernels share, as assembly/attentionTile.ts numbers them. */
function numbers(call: KernelCall, layout: Layout, out: TensorInfo, lse: TensorInfo): number[] {
  const { attrs, backend } = call;
  const { t, s, heads, kvHeads, d, qRow, kvRow, given, sequences } = layout;
  const { dropout = 0, seed = 0, softcap = 0, blockQ = 1, blockK = 1 } = attrs as { dropout?: number; seed?: number; softcap?: number; blockQ?: number; blockK?: number };
  const { alibiSlopes, bias } = optionalFloats(call, 'attention', 'alibiSlopes', 'bias');
  const { blockMask } = optionalIntegers(call, 'attention', 'blockMask');
  // Windows are cut to t + s, which sees every key from every query: the kernels add them to positions in 32-bit integers.
  const left = Math.min(attrs.windowLeft as number, t + s);
  const right = attrs.causal === true ? 0 : Math.min(attrs.windowRight as number, t + s);
  return [
    ...pointers(call, layout, given), backend.pointer(out), backend.pointer(lse),
    t, s, heads, kvHeads, d, attrs.scale as number, left, right, qRow, kvRow,
    backend.pointerOrZero(alibiSlopes), alibiSlopes?.shape.length === 2 ? heads : 0,
    backend.pointerOrZero(bias), ...broadcastStrides(bias),
    ...dropoutNumbers(dropout, seed),
    softcap, backend.pointerOrZero(blockMask), blockQ, blockK, blockMask?.shape[1] ?? 0,
    backend.pointerOrZero(sequences?.table), sequences?.rows ?? t, sequences?.keyColumns ?? s, 0, 0,
  ];
}

function backwardNumbers(call: KernelCall, layout: Layout): number[] {
  const { out, lse, dy } = floats(call, 'attentionGrad', 'out', 'lse', 'dy');
  return [...numbers(call, layout, out, lse), call.backend.pointer(dy)];
}

/** Floats from one index to the next on each axis; 0 on an axis of one element, which stands for all. */
function broadcastStrides(bias: TensorInfo | undefined): number[] {
  const shape = bias?.shape ?? [1, 1, 1, 1];
  return shape.map((size, axis) => (size === 1 ? 0 : shape.slice(axis + 1).reduce((product, each) => product * each, 1)));
}
