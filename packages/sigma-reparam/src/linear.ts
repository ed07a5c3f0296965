import { fusedOp, runKernel, type LinearEpilogue } from '@evenkeel/core-tensor';
import { add, erf, matMul, mul, pow, reshape, sigmoid, tanh, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';

type Activation = NonNullable<LinearEpilogue['activation']>;
type Inputs = { x: Tensor; weight: Tensor; bias?: Tensor; residual?: Tensor };
type Attrs = { activation?: Activation; scale: number };

const halfPlus = (x: Tensor, inner: Tensor): Tensor => mul(mul(x, 0.5), add(inner, 1));

const ACTIVATIONS: Readonly<Record<Activation, (x: Tensor) => Tensor>> = {
  gelu: (x) => halfPlus(x, erf(mul(x, Math.SQRT1_2))),
  geluTanh: (x) => halfPlus(x, tanh(mul(add(x, mul(pow(x, 3), 0.044715)), Math.sqrt(2 / Math.PI)))),
  silu: (x) => mul(x, sigmoid(x)),
};

/** activations — those that an epilogue may name. */
export const activations = Object.keys(ACTIVATIONS) as Activation[];

function reference({ x, weight, bias, residual }: Inputs, { activation, scale }: Attrs): Tensor {
  const [o, i] = weight.shape as [number, number];
  const product = mul(matMul(reshape(x, [-1, i]), weight as Tensor2D, false, true), scale); // n o
  const y = reshape(bias === undefined ? product : add(product, bias), x.shape.with(-1, o));
  const activated = activation === undefined ? y : ACTIVATIONS[activation](y);
  return residual === undefined ? activated : add(activated, residual);
}

function activationGrad(activation: Activation, x: Tensor, dy: Tensor): Tensor {
  if (activation === 'silu') return runKernel('evenkeel/siluGrad', { x, dy });
  return runKernel('evenkeel/geluGrad', { x, dy }, { approximate: activation === 'gelu' ? 'none' : 'tanh' });
}

/**
 * linear — activation(scale · x weightᵀ + bias) + residual, by the kernels of that name which backends have for every linear map: the
 * name, the inputs and the attributes are the contract (`layers` meets it, too, and this package knows nothing of that).
 */
export const linear = fusedOp<Inputs, Attrs>({
  name: 'evenkeel/linear', // outputs: y and, with an activation, what that was given
  reference,
  results: 1,
  gradient: {
    kernels: ['evenkeel/linearGradInput', 'evenkeel/linearGradParams', 'evenkeel/geluGrad', 'evenkeel/siluGrad'],
    saveOutputs: [1],
    readsInputs: ['x', 'weight'],
    run: ({ dy, inputs: { x, weight }, outputs: [before], attrs: { activation, scale } }) => {
      const inner = activation === undefined ? dy : activationGrad(activation, before as Tensor, dy);
      const [dweight, dbias] = runKernel<Tensor[]>('evenkeel/linearGradParams', { x, dy: inner }, { scale });
      return { x: () => runKernel('evenkeel/linearGradInput', { dy: inner, weight }, { scale }), weight: dweight, bias: dbias, residual: dy };
    },
  },
  differentiable: 'once',
});
