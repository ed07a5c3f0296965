import { UnsupportedError } from '@evenkeel/core-tensor';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { floats, type KernelCall, type WasmKernel } from './kernel.ts';

/** `evenkeel/attention` → [out, lse] and `evenkeel/attentionGrad` → [dq, dk, dv]: exact, in memory linear in the lengths. */
export const attentionKernels: readonly WasmKernel[] = [
  { name: 'evenkeel/attention', run: attention },
  { name: 'evenkeel/attentionGrad', run: attentionGrad },
];

/** Queries and keys per tile (BLOCK in assembly/attention.ts). */
const BLOCK = 64;
/** Two transposed blocks of keys and values and two tiles must fit in a thread's scratch of 1 MiB. */
const MAX_HEAD_DIM = 1024;

function attention(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const { q, k, v } = floats(call, 'attention', 'q', 'k', 'v');
  const [b, t, h] = q.shape as [number, number, number, number];
  const numbers = geometry(q, k, attrs);
  const out = backend.allocate(q.shape);
  const lse = backend.allocate([b, h, t]);
  backend.run('attention', b * h * Math.ceil(t / BLOCK), ...[q, k, v, out, lse].map((x) => backend.pointer(x)), ...numbers);
  return [out, lse];
}

function attentionGrad(call: KernelCall): TensorInfo[] {
  const { attrs, backend } = call;
  const { q, k, v, out, lse, dy } = floats(call, 'attentionGrad', 'q', 'k', 'v', 'out', 'lse', 'dy');
  const numbers = geometry(q, k, attrs);
  const grads = [q, k, v].map((x) => backend.allocate(x.shape));
  const chunks = (k.shape[0] as number) * (k.shape[2] as number);
  backend.run('attentionGrad', chunks, ...[q, k, v, out, lse, dy, ...grads].map((x) => backend.pointer(x)), ...numbers);
  return grads;
}

/**
 * t, s, heads, kvHeads, d, scale, keys visible to the left and right of the aligned position (−1: all). Windows are cut to t + s,
 * which sees every key from every query: the kernels add them to positions in 32-bit integers.
 */
function geometry(q: TensorInfo, k: TensorInfo, attrs: KernelCall['attrs']): number[] {
  const [, t, heads, d] = q.shape as [number, number, number, number];
  const [, s, kvHeads] = k.shape as [number, number, number, number];
  if (d > MAX_HEAD_DIM) throw new UnsupportedError(`attention: headDim must be at most ${MAX_HEAD_DIM} on this device, got ${d}`);
  const left = Math.min(attrs.windowLeft as number, t + s);
  const right = attrs.causal === true ? 0 : Math.min(attrs.windowRight as number, t + s);
  return [t, s, heads, kvHeads, d, attrs.scale as number, left, right];
}
