import { toHalf, type GpuBackend, type GpuKernel, type GpuKernelCall } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { given, readCall, smallTensors, uniformsOf, variantOf, type AttentionCall } from './call.ts';
import { clearAll, clearRows, copyExtra, packExtra, rowSumGroups, rowSumProgram, splitStatistics } from './extra.ts';
import { launch } from './launch.ts';
import { tileFor } from './tuned.ts';
import type { Variant } from './variant.ts';

const biasGrad: GpuKernel = { name: 'evenkeel/attentionBiasGrad', run: attentionBiasGrad };

/**
 * plainKernels, packedKernels, varlenKernels, generalKernels — exact attention in memory linear in the lengths, on WebGPU, in WGSL.
 *
 *     evenkeel/attention, attentionPacked, attentionGeneral, attentionVarlen → [out, lse]
 *     evenkeel/attentionStats, attentionPackedStats, attentionGeneralStats   → [out, lse, rowMax, entropy]
 *     evenkeel/attentionGrad, attentionGeneralGrad, attentionVarlenGrad      → [dq, dk, dv]
 *     evenkeel/attentionPackedGrad                                           → [dqkv]
 *     evenkeel/attentionBiasGrad                                             → dbias
 *
 * Inputs q `b t h d`, k and v `b s g d` (varlen: `n h d`, `m g d`), or qkv `b t (h+2g)·d`; alibiSlopes?, bias?, blockMask?, cuSeqlensQ and
 * cuSeqlensK; for gradients out, lse and dy. Heads have at most 256 channels. Rows of varlen tensors that belong to no sequence are 0, their
 * lse +Infinity; no sequence may be longer than maxSeqlenQ and maxSeqlenK say. With precision f16 q, k, v and dy are rounded to f16, and all
 * is computed from them in f32. Results do not depend on how the device schedules the work.
 */
export const plainKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/attention', run: attention }, { name: 'evenkeel/attentionStats', run: attentionStats }, { name: 'evenkeel/attentionGrad', run: attentionGrad }, biasGrad,
];
export const packedKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/attentionPacked', run: attention }, { name: 'evenkeel/attentionPackedStats', run: attentionStats },
  { name: 'evenkeel/attentionPackedGrad', run: attentionGrad }, biasGrad,
];
export const varlenKernels: readonly GpuKernel[] = [{ name: 'evenkeel/attentionVarlen', run: attention }, { name: 'evenkeel/attentionVarlenGrad', run: attentionGrad }];
export const generalKernels: readonly GpuKernel[] = [
  { name: 'evenkeel/attentionGeneral', run: attention }, { name: 'evenkeel/attentionGeneralStats', run: attentionStats },
  { name: 'evenkeel/attentionGeneralGrad', run: attentionGrad }, biasGrad,
];

function attention(kernelCall: GpuKernelCall): TensorInfo[] {
  const { backend } = kernelCall;
  const call = readCall(kernelCall);
  const { b, t, heads, queries, isVarlen } = call;
  const [out, lse] = [backend.allocate(outShape(call)), backend.allocate(isVarlen ? [heads, queries] : [b, heads, t])];
  forward(kernelCall, call, 'none', { out, lse });
  if (isVarlen) clearUnused(backend, call, [{ y: out, value: 0 }, { y: lse, value: Infinity, isLse: true }]);
  return [out, lse];
}

function attentionStats(kernelCall: GpuKernelCall): TensorInfo[] {
  const { backend } = kernelCall;
  const call = readCall(kernelCall);
  const { b, t, heads, bias } = call;
  const shape = [b, heads, t];
  const [out, lse, rowMax, entropy] = [backend.allocate(outShape(call)), backend.allocate(shape), backend.allocate(shape), backend.allocate(shape)];
  if (bias === undefined || smallTensors(call).length === 0) {
    forward(kernelCall, call, 'apart', { out, lse, rowMax, entropy });
  } else { // one binding is left for all three
    const joined = backend.temporary([3, ...shape]);
    forward(kernelCall, call, 'joined', { out, lse: joined });
    const count = b * heads * t;
    backend.dispatch(splitStatistics, { tensors: { x: joined, lse, rowMax, entropy }, uniforms: { count }, groups: backend.spread(Math.ceil(count / 64)) });
  }
  return [out, lse, rowMax, entropy];
}

const outShape = ({ b, t, heads, d, q, isPacked }: AttentionCall): readonly number[] => (isPacked ? [b, t, heads, d] : q.shape);

/** Writes the results of the forward pass to `results`, by the names of its bindings. */
function forward({ backend }: GpuKernelCall, call: AttentionCall, statistics: Variant['statistics'], results: Record<string, TensorInfo>): void {
  const { extra, places } = packExtra(backend, smallTensors(call));
  launch(backend, 'forward', call, tileFor(backend, 'forward', call), {
    tensors: { ...factors(backend, call), ...results, ...(extra && { extra }) }, uniforms: uniformsOf(call, places), statistics,
  });
}

function attentionGrad(kernelCall: GpuKernelCall): TensorInfo[] {
  const { backend } = kernelCall;
  const call = readCall(kernelCall);
  const { q, k, v, isVarlen, isPacked } = call;
  const { uniforms, ...tensors } = prepare(kernelCall, call);
  const dq = backend.allocate(q.shape);
  const [dk, dv] = isPacked ? [dq, dq] : [backend.allocate(k.shape), backend.allocate(v.shape)];
  launch(backend, 'query', call, tileFor(backend, 'query', call), { tensors: { ...tensors, dq }, uniforms });
  launch(backend, 'keyValue', call, tileFor(backend, 'keyValue', call), { tensors: { ...tensors, dk, ...(!isPacked && { dv }) }, uniforms });
  if (isVarlen) clearUnused(backend, call, [{ y: dq, value: 0 }, { y: dk, value: 0, isKeys: true }, { y: dv, value: 0, isKeys: true }]);
  return isPacked ? [dq] : [dq, dk, dv];
}

function attentionBiasGrad(kernelCall: GpuKernelCall): TensorInfo {
  const { backend } = kernelCall;
  const call = readCall(kernelCall);
  const bias = given(kernelCall, 'bias');
  const dbias = backend.allocate(bias.shape);
  if (bias.shape[3] === 1) { // each query's gradients of scores add up to 0
    const count = bias.shape.reduce((total, size) => total * size, 1);
    backend.dispatch(clearAll, { tensors: { y: dbias }, uniforms: { count }, groups: backend.spread(Math.ceil(count / 64)) });
    return dbias;
  }
  const { uniforms, ...tensors } = prepare(kernelCall, call);
  launch(backend, 'bias', call, tileFor(backend, 'bias', call), { tensors: { ...tensors, dbias }, uniforms });
  return dbias;
}

type Factors = { readonly q: TensorInfo; readonly k: TensorInfo; readonly v: TensorInfo };

/** q, k and v as the programs read them: float32, or copies in f16. */
function factors(backend: GpuBackend, { q, k, v, isPacked }: AttentionCall): Factors {
  if (backend.precision === 'f32') return { q, k, v };
  const half = toHalf(backend, q);
  return isPacked ? { q: half, k: half, v: half } : { q: half, k: toHalf(backend, k), v: toHalf(backend, v) };
}

type Prepared = Factors & { readonly dy: TensorInfo; readonly extra: TensorInfo; readonly uniforms: ReturnType<typeof uniformsOf> };

/** What the backward passes read: lse and rowsum(dy ∘ out) of every query, with the small tensors after them, and the uniforms that say where. */
function prepare(kernelCall: GpuKernelCall, call: AttentionCall): Prepared {
  const { backend } = kernelCall;
  const half = backend.precision === 'f16';
  const dy = half ? toHalf(backend, given(kernelCall, 'dy')) : given(kernelCall, 'dy');
  const rows = call.queries * call.heads;
  const small = smallTensors(call);
  const extra = backend.temporary([2 * rows + small.reduce((total, { shape }) => total + shape.reduce((a, c) => a * c, 1), 0)], 'int32');
  const uniforms = uniformsOf(call, copyExtra(backend, small, extra, 2 * rows));
  const variant = variantOf(call, { threads: 64, rows: 1, split: 1, keys: 4, lanes: false, half });
  backend.dispatch(rowSumProgram({ headDim: variant.headDim, tile: variant.tile } as typeof variant), {
    tensors: { out: given(kernelCall, 'out'), dy, lse: given(kernelCall, 'lse'), extra }, uniforms, groups: rowSumGroups(backend, rows),
  });
  return { ...factors(backend, call), dy, extra, uniforms };
}

type Unused = { readonly y: TensorInfo; readonly value: number; readonly isLse?: boolean; readonly isKeys?: boolean };

/** Rows after the last sequence, where the device alone knows whether there are any. */
function clearUnused(backend: GpuBackend, { attrs, b, heads, kvHeads, d, queries, keys, cuSeqlens }: AttentionCall, results: readonly Unused[]): void {
  if (attrs.boundaries !== undefined || cuSeqlens === undefined) return;
  for (const { y, value, isLse = false, isKeys = false } of results) {
    const rows = isKeys ? keys : queries;
    const columns = isLse ? heads : (isKeys ? kvHeads : heads) * d;
    const uniforms = { last: b, rows, columns, rowStride: isLse ? 1 : columns, columnStride: isLse ? queries : 1, value };
    backend.dispatch(clearRows, { tensors: { y, ends: cuSeqlens[isKeys ? 1 : 0] }, uniforms, groups: backend.spread(Math.ceil((rows * columns) / 64)) });
  }
}
