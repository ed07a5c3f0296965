/**
 * A training step of a GPT written by hand in plain tfjs operations: embedding by a product with one-hot rows,
 * since the WASM backend lacks the scatter that the gradient of a lookup needs; tokens in rows of a matrix, since the gradient of a product
 * that repeats the weights over the batch is wrong in tfjs. Clipping is by hand, and Adam stands in for AdamW, which tfjs lacks.
 */
import {
  add, cast, div, erf, logSoftmax, matMul, mean, minimum, mul, neg, oneHot, reshape, rsqrt, softmax, split, square, squaredDifference,
  sqrt, sub, sum, tensor, tensor1d, tensor2d, tidy, train, transpose, variable, variableGrads,
  type NamedTensorMap, type Scalar, type Tensor, type Tensor2D, type Variable,
} from '@tensorflow/tfjs-core';
import type { Run } from './serve.ts';
import { ADAM, BLOCK_TENSORS, gptTensors, tokenIds, type GptSizes } from './workloads.ts';

type Inputs = { readonly inputs: Tensor2D; readonly targets: Tensor2D; readonly mask: Tensor };

/** causalMask — what is added to the scores of `size` queries: a large negative number where the key comes later. */
export function causalMask(size: number): Tensor2D {
  return tensor2d(Float32Array.from({ length: size * size }, (_, i) => (i % size > Math.floor(i / size) ? -1e9 : 0)), [size, size]);
}

export function gptStep(sizes: GptSizes): Run {
  const params = gptTensors(sizes).map(({ shape, values }) => variable(tensor(values, shape)));
  const optimizer = train.adam(ADAM.learningRate, ADAM.beta1, ADAM.beta2, ADAM.epsilon);
  const [inputs, targets] = [1, 2].map((seed) => tidy(() => cast(oneHot(tensor1d(tokenIds(sizes, seed), 'int32'), sizes.vocabSize), 'float32')));
  const batch = { inputs, targets, mask: causalMask(sizes.contextLength) } as Inputs;
  return async () => {
    const result = tidy(() => {
      const { value, grads } = variableGrads(() => lossOf(params, batch, sizes), params);
      optimizer.applyGradients(clipped(grads));
      return value;
    });
    const [loss] = await result.data();
    result.dispose();
    return loss as number;
  };
}

function clipped(grads: NamedTensorMap): Record<string, Variable> {
  const squares = Object.values(grads).map((grad) => sum(square(grad)));
  const norm = sqrt(squares.reduce((a, b) => add(a, b))); // addN binds all of them at once, more than a GPU can
  const scale = minimum(div(1, norm), 1);
  return Object.fromEntries(Object.entries(grads).map(([name, grad]) => [name, mul(grad, scale)])) as never; // the optimiser reads them only
}

function lossOf(params: readonly Tensor[], { inputs, targets, mask }: Inputs, sizes: GptSizes): Scalar {
  const { batchSize, contextLength, depth, dim } = sizes;
  const [tokens, positions] = params as [Tensor, Tensor, ...Tensor[]];
  let x: Tensor = reshape(add(reshape(matMul(inputs, tokens), [batchSize, contextLength, dim]), positions), [-1, dim]);
  for (let i = 0; i < depth; i++) x = block(x, params.slice(2 + i * BLOCK_TENSORS, 2 + (i + 1) * BLOCK_TENSORS), mask, sizes);
  const [gain, bias] = params.slice(-2) as [Tensor, Tensor];
  const logits = matMul(normalised(x, gain, bias), tokens, false, true);
  return neg(mean(sum(mul(logSoftmax(logits), targets), 1)));
}

function block(x: Tensor, params: readonly Tensor[], mask: Tensor, { batchSize, contextLength, dim, numHeads }: GptSizes): Tensor {
  const [gain1, bias1, qkv, qkvBias, proj, projBias, gain2, bias2, up, upBias, down, downBias] = params as Tensor[] & { length: 12 };
  const headDim = dim / numHeads;
  const [q, k, v] = split(linear(normalised(x, gain1, bias1), qkv, qkvBias), 3, 1).map((part) =>
    reshape(transpose(reshape(part, [batchSize, contextLength, numHeads, headDim]), [0, 2, 1, 3]), [-1, contextLength, headDim])) as [Tensor, Tensor, Tensor];
  const weights = softmax(add(mul(matMul(q, k, false, true), 1 / Math.sqrt(headDim)), mask));
  const mixed = reshape(transpose(reshape(matMul(weights, v), [batchSize, numHeads, contextLength, headDim]), [0, 2, 1, 3]), [-1, dim]);
  const middle = add(x, linear(mixed, proj, projBias));
  return add(middle, linear(gelu(linear(normalised(middle, gain2, bias2), up, upBias)), down, downBias));
}

function linear(x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined): Tensor {
  return add(matMul(x, weight as Tensor), bias as Tensor);
}

function normalised(x: Tensor, gain: Tensor | undefined, bias: Tensor | undefined): Tensor {
  const middle = mean(x, 1, true);
  const variance = mean(squaredDifference(x, middle), 1, true);
  return add(mul(mul(sub(x, middle), rsqrt(add(variance, 1e-5))), gain as Tensor), bias as Tensor);
}

function gelu(x: Tensor): Tensor {
  return mul(mul(x, 0.5), add(erf(mul(x, Math.SQRT1_2)), 1));
}
