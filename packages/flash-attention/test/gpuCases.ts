import { runKernel } from '@evenkeel/core-tensor';
import { randomArray } from '@evenkeel/testing';
import { tensor, type Tensor } from '@tensorflow/tfjs-core';
import { attentionWithGrads64, type General64, type Results64 } from './attention64.ts';
import { makeCase, withTerms, type Terms } from './cases.ts';

/** GpuCase — sizes, terms and numbers of the tile that are forced. */
export type GpuCase = Terms & { title: string; sizes?: Partial<General64>; tile?: object };
export type GpuGiven = { inputs: Record<string, Tensor>; attrs: object; dy: Tensor; expected: Results64 };

/** base — the sizes of cases that say nothing else. */
export const base: General64 = { batchSize: 2, seqLen: 65, kvLen: 65, numHeads: 2, headDim: 8 };

/** maskOf — a block mask without a third of its blocks. */
export const maskOf = (t: number, s: number, blockQ: number, blockK: number) => ({
  blockMask: Int32Array.from({ length: Math.ceil(t / blockQ) * Math.ceil(s / blockK) }, (_, i) => (i * 7 + Math.floor(i / 3)) % 3 === 0 ? 0 : 1), blockQ, blockK,
});

/** makeGiven — inputs of the kernels, the gradient of the output, and what float64 makes of them after `round` of q, k, v and dy. */
export function makeGiven({ sizes: extra, tile, title: _, ...terms }: GpuCase, round: (x: number) => number = (x) => x): GpuGiven {
  const sizes = { ...base, ...extra };
  const made = withTerms(makeCase(sizes), terms);
  const dyValues = randomArray(made.q.size, { seed: 5 });
  const { scale = 1 / Math.sqrt(sizes.headDim), causal = false, window = [-1, -1], softcap = 0, blockMask, blockQ = 1, blockK = 1 } = sizes;
  const maskShape = [Math.ceil(sizes.seqLen / blockQ), Math.ceil(sizes.kvLen / blockK)];
  const full: General64 = { ...made.sizes, softcap, blockMask, blockQ, blockK };
  return {
    inputs: { q: made.q, k: made.k, v: made.v, ...made.terms as Record<string, Tensor>, ...(blockMask && { blockMask: tensor(Int32Array.from(blockMask), maskShape, 'int32') }) },
    attrs: { scale, causal, windowLeft: window[0], windowRight: window[1], dropout: terms.dropout ?? 0, seed: 12345, softcap, blockQ, blockK, ...(tile && { tile }) },
    dy: tensor(dyValues, made.q.shape), expected: attentionWithGrads64(made.values.q.map(round), made.values.k.map(round), made.values.v.map(round), dyValues.map(round), full),
  };
}

/** runAll — all results of the general kernels, in the order of `Results64`. */
export function runAll({ inputs, attrs, dy }: Pick<GpuGiven, 'inputs' | 'attrs' | 'dy'>): Partial<Record<keyof Results64, Tensor>> {
  const [out, lse, rowMax, entropy] = runKernel<Tensor[]>('evenkeel/attentionGeneralStats', inputs, attrs) as [Tensor, Tensor, Tensor, Tensor];
  const given = { ...inputs, out, lse, dy };
  const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionGeneralGrad', given, attrs) as [Tensor, Tensor, Tensor];
  return { out, lse, rowMax, entropy, dq, dk, dv, ...(inputs.bias && { dbias: runKernel('evenkeel/attentionBiasGrad', given, attrs) }) };
}

/** norm — the Euclidean length of the finite ones. */
export const norm = (values: ArrayLike<number>): number => Math.sqrt(Array.from(values).reduce((sum, x) => sum + (Number.isFinite(x) ? x * x : 0), 0));
