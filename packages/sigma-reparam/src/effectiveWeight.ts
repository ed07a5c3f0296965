import { checkDtype, checkMinRank, checkShape, fusedOp, runKernel } from '@evenkeel/core-tensor';
import { div, matMul, mul, reshape, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { effectiveWeightKernels } from './kernels/effectiveWeight.ts';
import { matrixOf, matrixShape } from './matrixOf.ts';
import type { SingularVectors } from './powerIteration.ts';

type Inputs = { weight: Tensor; gamma: Tensor; u: Tensor; v: Tensor };

function referenceWeight({ weight, gamma, u, v }: Inputs): Tensor {
  const sigma = matMul(reshape(u, [1, -1]), matMul(matrixOf(weight), reshape(v, [-1, 1]))); // 1 1
  return mul(weight, div(gamma, reshape(sigma, [1])));
}

const fusedWeight = fusedOp<Inputs, object>({
  name: 'evenkeel/sigmaReparam', // outputs: the weight and sigma
  reference: referenceWeight,
  results: 1,
  gradient: {
    kernels: ['evenkeel/sigmaReparamGrad'],
    saveOutputs: [1],
    run: ({ dy, inputs, outputs: [sigma] }) => {
      const [weight, gamma] = runKernel<Tensor[]>('evenkeel/sigmaReparamGrad', { ...inputs, sigma, dy });
      return { weight, gamma };
    },
  },
  gpuKernels: effectiveWeightKernels,
  differentiable: 'once',
});

/**
 * effectiveWeight — what a reparametrised layer multiplies by: the direction of W at the spectral norm |gamma|.
 *
 *     Ŵ = (gamma / sigma) · W        sigma = uᵀ W v
 *
 * u and v are constants, W in sigma is not: with G = dL/dŴ the gradients are dL/dgamma = ⟨G, W⟩/sigma and
 * dL/dW = (gamma/sigma)·(G − (⟨G, W⟩/sigma)·u vᵀ), which is orthogonal to W for any u and v.
 *
 * @param params   `weight: o …`, read as a matrix of o rows; `gamma: 1`.
 * @param vectors  `u: o` and `v`, as long as a row: unit vectors near the leading singular pair of W.
 * @returns        a tensor of the shape of `weight`, owned by the caller.
 * @throws ShapeError  if a tensor is not float32 or does not fit `weight`.
 *
 * Source: Zhai et al. 2023, arXiv:2303.06296, §3.2.
 */
export function effectiveWeight({ weight, gamma }: { weight: Tensor; gamma: Tensor }, { u, v }: SingularVectors): Tensor {
  checkMinRank('effectiveWeight', 'weight', weight, 2);
  const [outDim, inDim] = matrixShape(weight.shape);
  checkShape('effectiveWeight', 'gamma', gamma, [1]);
  checkShape('effectiveWeight', 'u', u, [outDim]);
  checkShape('effectiveWeight', 'v', v, [inDim]);
  for (const [name, tensor] of Object.entries({ weight, gamma, u, v })) checkDtype('effectiveWeight', name, tensor, 'float32');
  return tidy('effectiveWeight', () => fusedWeight({ weight, gamma, u, v }, {}));
}
