import { fusedOp, unrecorded } from '@evenkeel/core-tensor';
import { div, matMul, mul, norm, reshape, sum, tidy, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';
import { powerIterationKernel } from './kernels/powerIteration.ts';
import { matrixOf } from './matrixOf.ts';

/** SingularVectors — unit vectors `u: o` and `v: i` near the leading singular pair of a matrix `o i`. */
export type SingularVectors = { u: Tensor; v: Tensor };

const unit = (x: Tensor): Tensor1D => reshape(div(x, norm(x)), [x.size]);

const fusedPowerIteration = fusedOp<{ weight: Tensor; v: Tensor }, object, Tensor[]>({
  name: 'evenkeel/powerIteration', // outputs: u, v
  reference: ({ weight, v }) => {
    const matrix = matrixOf(weight); // o i
    const u = unit(matMul(matrix, reshape(v, [-1, 1])));
    return [u, unit(matMul(matrix, reshape(u, [-1, 1]), true, false))];
  },
  gpuKernels: [powerIterationKernel],
  differentiable: 'twice',
});

/**
 * powerIteration — one step towards the leading singular pair, beside whatever gradient is being recorded.
 *
 *     u = W v / ‖W v‖        v′ = Wᵀ u / ‖Wᵀ u‖
 */
export function powerIteration(weight: Tensor, v: Tensor): SingularVectors {
  return unrecorded(() => {
    const [u, next] = fusedPowerIteration({ weight, v }, {}) as [Tensor, Tensor];
    return { u, v: next };
  });
}

/** sigmaOf — uᵀ W v, a scalar: the spectral norm where u and v are the leading pair. Never through a matrix product, which may round its factors to f16. */
export function sigmaOf(weight: Tensor, { u, v }: SingularVectors): Tensor {
  return tidy('sigmaOf', () => sum(mul(sum(mul(matrixOf(weight), v), 1), u)));
}
