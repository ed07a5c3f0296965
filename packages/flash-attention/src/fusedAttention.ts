import { fusedOp, runKernel, splitHeads, type FusedGradient, type PackedAttentionSizes } from '@evenkeel/core-tensor';
import { zerosLike, type Tensor } from '@tensorflow/tfjs-core';
import type { Wanted } from './attend.ts';
import { packedKernels, plainKernels } from './kernels/index.ts';
import type { AttentionAttrs, AttentionInputs, AttentionTerms } from './options.ts';
import { referenceAttention, referenceStats } from './reference/attention.ts';

export type PackedInputs = AttentionTerms & { qkv: Tensor };
export type PackedAttrs = AttentionAttrs & Required<PackedAttentionSizes>;

/** Gradients of the terms: that of the bias is computed only if it is needed, and the slopes are constants (see `resolveOptions`). */
export const gradsOfTerms = (given: AttentionTerms & { [name: string]: Tensor | undefined }, attrs: object) => ({
  bias: () => runKernel('evenkeel/attentionBiasGrad', given, attrs),
  alibiSlopes: () => zerosLike(given.alibiSlopes as Tensor),
});

const differentiable = 'once';

/** Of `out` alone: for when nobody can ask for that of `lse`. */
const gradient: FusedGradient<AttentionInputs, AttentionAttrs> = {
  kernels: ['evenkeel/attentionGrad', 'evenkeel/attentionBiasGrad'],
  saveOutputs: [0, 1],
  run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
    const given = { ...inputs, out, lse, dy };
    const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionGrad', given, attrs);
    return { q: dq, k: dk, v: dv, ...gradsOfTerms(given, attrs) };
  },
};

/**
 * fusedAttention — `out` and `lse`: [out, lse], by the kernel `evenkeel/attention`; `stats`: [out, lse, rowMax, entropy], by
 * `evenkeel/attentionStats`. Both kernels must give the same bits of out and lse, so that a run that is watched is the run that is not.
 *
 * Of `out` and `stats` the first output alone has a gradient, that of the kernels; the gradients of `lse` go through the reference.
 * Padding comes as a bias of −1e30 (keyPadding.ts): to a kernel a score like any other, so that a query that sees nothing else has the
 * mean of v and an lse of about −1e30.
 */
export const fusedAttention: Record<Wanted, (inputs: AttentionInputs, attrs: AttentionAttrs) => Tensor[]> = {
  out: fusedOp<AttentionInputs, AttentionAttrs, Tensor[]>({ name: 'evenkeel/attention', reference: referenceAttention, gpuKernels: plainKernels, gradient, differentiable }),
  lse: fusedOp<AttentionInputs, AttentionAttrs, Tensor[]>({ name: 'evenkeel/attention', reference: referenceAttention, differentiable }),
  stats: fusedOp<AttentionInputs, AttentionAttrs, Tensor[]>({ name: 'evenkeel/attentionStats', reference: referenceStats, gradient, differentiable }),
};

const packedGradient: FusedGradient<PackedInputs, PackedAttrs> = {
  kernels: ['evenkeel/attentionPackedGrad', 'evenkeel/attentionBiasGrad'],
  saveOutputs: [0, 1],
  run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
    const given = { ...inputs, out, lse, dy };
    const [dqkv] = runKernel<Tensor[]>('evenkeel/attentionPackedGrad', given, attrs);
    return { qkv: dqkv, ...gradsOfTerms(given, attrs) };
  },
};

/** packedOp — `fusedAttention` on q, k and v where they lie in `qkv: b t (h+2g)·d`; the gradient comes as one tensor too. */
const packedOp = (name: string, wanted: 'out' | 'stats') => fusedOp<PackedInputs, PackedAttrs, Tensor[]>({
  name, gpuKernels: packedKernels, gradient: packedGradient, differentiable,
  reference: ({ qkv, ...terms }, attrs) => fusedAttention[wanted]({ ...splitHeads(qkv, attrs), ...terms }, attrs),
});

export const fusedAttentionPacked = {
  out: packedOp('evenkeel/attentionPacked', 'out'),
  stats: packedOp('evenkeel/attentionPackedStats', 'stats'),
};
