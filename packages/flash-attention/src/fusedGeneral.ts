import { fusedOp, runKernel, type FusedGradient } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Wanted } from './attend.ts';
import { gradsOfTerms } from './fusedAttention.ts';
import { generalKernels } from './kernels/index.ts';
import type { GeneralAttrs, GeneralInputs } from './options.ts';
import { referenceGeneral, referenceGeneralStats } from './reference/general.ts';

/** Of `out` alone: for when nobody can ask for that of the others. */
const gradient: FusedGradient<GeneralInputs, GeneralAttrs> = {
  kernels: ['evenkeel/attentionGeneralGrad', 'evenkeel/attentionBiasGrad'],
  saveOutputs: [0, 1],
  run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
    const given = { ...inputs, out, lse, dy };
    const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionGeneralGrad', given, attrs);
    return { q: dq, k: dk, v: dv, ...gradsOfTerms(given, attrs) };
  },
};

const differentiable = 'once';

/**
 * fusedGeneral — `fusedAttention` with a soft cap and a block mask, by `evenkeel/attentionGeneral` → [out, lse], `attentionGeneralStats` →
 * [out, lse, rowMax, entropy] and `attentionGeneralGrad` → [dq, dk, dv].
 *
 * Inputs q, k, v, alibiSlopes?, bias?, blockMask? (int32), and for the gradient out, lse, dy; attrs are `GeneralAttrs`. Tiles of the mask
 * count from query 0 and key 0. A query that sees no key has out 0, lse +Infinity, rowMax −Infinity, entropy 0, and no gradient. The cap
 * multiplies the error of tanh: reference/softcap.ts says what to do about it. The bias's gradient is `evenkeel/attentionBiasGrad`'s: a
 * backend that has the kernels here has one of it that knows cap and mask.
 */
export const fusedGeneral: Record<Wanted, (inputs: GeneralInputs, attrs: GeneralAttrs) => Tensor[]> = {
  out: fusedOp<GeneralInputs, GeneralAttrs, Tensor[]>({ name: 'evenkeel/attentionGeneral', reference: referenceGeneral, gpuKernels: generalKernels, gradient, differentiable }),
  lse: fusedOp<GeneralInputs, GeneralAttrs, Tensor[]>({ name: 'evenkeel/attentionGeneral', reference: referenceGeneral, differentiable }),
  stats: fusedOp<GeneralInputs, GeneralAttrs, Tensor[]>({ name: 'evenkeel/attentionGeneralStats', reference: referenceGeneralStats, gradient, differentiable }),
};
