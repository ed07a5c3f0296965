import { fusedOp, runKernel, splitHeads, type PackedAttentionSizes } from '@evenkeel/core-tensor';
import { zerosLike, type Tensor } from '@tensorflow/tfjs-core';
import { packedKernels, plainKernels } from './kernels/index.ts';
import type { AttentionAttrs, AttentionInputs, AttentionTerms } from './options.ts';
import { referenceAttention } from './reference/attention.ts';

export type PackedInputs = AttentionTerms & { qkv: Tensor };
export type PackedAttrs = AttentionAttrs & Required<PackedAttentionSizes>;

/** Gradients of the terms: that of the bias is computed only if it is needed, and the slopes are constants (see `resolveOptions`). */
export const gradsOfTerms = (given: AttentionTerms & { [name: string]: Tensor | undefined }, attrs: object) => ({
  bias: () => runKernel('evenkeel/attentionBiasGrad', given, attrs),
  alibiSlopes: () => zerosLike(given.alibiSlopes as Tensor),
});

/**
 * fusedAttention — [out, lse]. Padding comes as a bias of −1e30 (keyPadding.ts): to a kernel a score like any other, so that a query that
 * sees nothing else has the mean of v and an lse of about −1e30.
 *
 * The kernel's backward pass knows the gradient of `out` only: for when nobody can ask for that of `lse`.
 */
export const fusedAttention = fusedOp<AttentionInputs, AttentionAttrs, Tensor[]>({
  name: 'evenkeel/attention',
  reference: referenceAttention,
  gpuKernels: plainKernels,
  gradient: {
    kernels: ['evenkeel/attentionGrad', 'evenkeel/attentionBiasGrad'],
    saveOutputs: [0, 1],
    run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
      const given = { ...inputs, out, lse, dy };
      const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionGrad', given, attrs);
      return { q: dq, k: dk, v: dv, ...gradsOfTerms(given, attrs) };
    },
  },
  differentiable: 'once',
});

/** fusedAttentionWithLse — the same kernel; gradients, also that of `lse`, go through the reference. */
export const fusedAttentionWithLse = fusedOp<AttentionInputs, AttentionAttrs, Tensor[]>({
  name: 'evenkeel/attention',
  reference: referenceAttention,
  differentiable: 'once',
});

/** fusedAttentionPacked — `fusedAttention` on q, k and v where they lie in `qkv: b t (h+2g)·d`; the gradient comes as one tensor too. */
export const fusedAttentionPacked = fusedOp<PackedInputs, PackedAttrs, Tensor[]>({
  name: 'evenkeel/attentionPacked',
  gpuKernels: packedKernels,
  reference: ({ qkv, ...terms }, attrs) => fusedAttention({ ...splitHeads(qkv, attrs), ...terms }, attrs),
  gradient: {
    kernels: ['evenkeel/attentionPackedGrad', 'evenkeel/attentionBiasGrad'],
    saveOutputs: [0, 1],
    run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
      const given = { ...inputs, out, lse, dy };
      const [dqkv] = runKernel<Tensor[]>('evenkeel/attentionPackedGrad', given, attrs);
      return { qkv: dqkv, ...gradsOfTerms(given, attrs) };
    },
  },
  differentiable: 'once',
});
