import { fusedOp, runKernel } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import { gradsOfTerms } from './fusedAttention.ts';
import { varlenKernels } from './kernels/index.ts';
import { referenceVarlen } from './reference/varlen.ts';
import type { VarlenAttrs, VarlenInputs } from './varlenOptions.ts';

/**
 * `evenkeel/attentionVarlen` → [out: n h d, lse: h n], `evenkeel/attentionVarlenGrad` → [dq, dk, dv]: attention within sequences that lie
 * one after another. Inputs q, k, v, alibiSlopes?, cuSeqlensQ, cuSeqlensK (int32), and for the gradient out, lse, dy; attrs are
 * `VarlenAttrs`. Every row is written: queries without keys, and those beyond the last boundary, have out 0, lse +Infinity and dq 0; keys
 * that no query sees have dk = dv = 0.
 */
const name = 'evenkeel/attentionVarlen';

/** fusedVarlen — [out, lse], of which `out` has a gradient. */
export const fusedVarlen = fusedOp<VarlenInputs, VarlenAttrs, Tensor[]>({
  name,
  reference: referenceVarlen,
  gpuKernels: varlenKernels,
  gradient: {
    kernels: ['evenkeel/attentionVarlenGrad'],
    saveOutputs: [0, 1],
    run: ({ dy, inputs, outputs: [out, lse], attrs }) => {
      const given = { ...inputs, out, lse, dy };
      const [dq, dk, dv] = runKernel<Tensor[]>('evenkeel/attentionVarlenGrad', given, attrs);
      return { q: dq, k: dk, v: dv, alibiSlopes: gradsOfTerms(given, attrs).alibiSlopes };
    },
  },
  differentiable: 'once',
});

/** fusedVarlenWithLse — the same kernel; gradients, also that of `lse`, go through the reference. */
export const fusedVarlenWithLse = fusedOp<VarlenInputs, VarlenAttrs, Tensor[]>({ name, reference: referenceVarlen, differentiable: 'once' });
