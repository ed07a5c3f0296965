/** Hessian-vector products of every op of the package, and of a whole block, against differences of float64 oracles. */
import { valueAndGrad } from '@evenkeel/core-tensor';
import { crossEntropyPerToken, embedding, gelu, glu, linear, rotary, silu } from '@evenkeel/layers';
import { checkGrad, crossEntropy64, forEachBackend, gelu64, linear64, randomArray, randomTensor, silu64 } from '@evenkeel/testing';
import { add, dispose, mul, square, sum, tensor, tensor1d, type Tensor } from '@tensorflow/tfjs-core';
import { it } from 'vitest';
import { block64, makeBlock, makeParams, nest, type BlockSizes } from './blockOracle.ts';

type Tensors = Record<string, Tensor>;
type Numbers = Record<string, Float64Array>;
type Case = { title: string; op: (p: Tensors) => Tensor; oracle64: (p: Numbers) => Float64Array; inputs: () => Tensors };

const targets = Int32Array.of(0, 4, -100, 2);
const sizes: BlockSizes = { dim: 4, numHeads: 2, numKvHeads: 1, causal: true, placed: 'pre' };
const block = makeBlock(sizes);

const CASES: Case[] = [
  {
    title: 'linear', inputs: () => ({ x: randomTensor([3, 5]), weight: randomTensor([2, 5], { seed: 2 }), bias: randomTensor([2], { seed: 3 }) }),
    op: (p) => linear(p['x']!, { weight: p['weight']!, bias: p['bias']! }), oracle64: (p) => linear64(p['x']!, p['weight']!, p['bias'], 5),
  },
  {
    title: 'embedding', inputs: () => ({ weight: randomTensor([3, 4]) }),
    op: (p) => embedding(tensor1d([2, 0, 2], 'int32'), { weight: p['weight']! }),
    oracle64: (p) => Float64Array.from([2, 0, 2].flatMap((id) => Array.from(p['weight']!.slice(id * 4, id * 4 + 4)))),
  },
  { title: 'gelu', inputs: () => ({ x: randomTensor([9]) }), op: (p) => gelu(p['x']!), oracle64: (p) => gelu64(p['x']!, 'none') },
  { title: 'gelu (tanh)', inputs: () => ({ x: randomTensor([9]) }), op: (p) => gelu(p['x']!, { approximate: 'tanh' }), oracle64: (p) => gelu64(p['x']!, 'tanh') },
  { title: 'silu', inputs: () => ({ x: randomTensor([9]) }), op: (p) => silu(p['x']!), oracle64: (p) => silu64(p['x']!) },
  {
    title: 'glu', inputs: () => ({ gate: randomTensor([9]), value: randomTensor([9], { seed: 2 }) }),
    op: (p) => glu(p['gate']!, p['value']!, { activation: 'silu' }), oracle64: (p) => silu64(p['gate']!).map((each, i) => each * p['value']![i]!),
  },
  {
    title: 'rotary', inputs: () => ({ x: randomTensor([1, 3, 1, 2]) }), op: (p) => rotary(p['x']!),
    oracle64: (p) => p['x']!.map((each, i, x) => each * Math.cos(i >> 1) + (i % 2 === 0 ? -x[i + 1]! : x[i - 1]!) * Math.sin(i >> 1)),
  },
  {
    title: 'crossEntropyPerToken', inputs: () => ({ x: randomTensor([4, 5]) }),
    op: (p) => crossEntropyPerToken(p['x']!, tensor1d(targets, 'int32'), { labelSmoothing: 0.1, zLoss: 0.1 }),
    oracle64: (p) => crossEntropy64(p['x']!, targets, 5, { labelSmoothing: 0.1, zLoss: 0.1 }),
  },
  {
    title: 'transformerBlock', inputs: () => ({ x: randomTensor([1, 3, 4], { seed: 99 }), ...makeParams(block) }),
    op: ({ x, ...flat }) => block.apply(x!, nest(block, flat)), oracle64: ({ x, ...flat }) => block64(x!, flat, 3, sizes),
  },
];

forEachBackend(() => {
  it.each(CASES)('the second derivatives of $title match finite differences', async ({ op, oracle64, inputs: make }) => {
    const inputs = make();
    const y = op(inputs);
    const cotangent = randomArray(y.size, { seed: 7 });
    const directions = Object.fromEntries(Object.entries(inputs).map(([name, x], i) => [name, randomArray(x.size, { seed: 20 + i })]));
    // L = Σ c·y²/2, so that no input enters it linearly; the oracle of ⟨∇L, d⟩ is its difference quotient along d.
    const loss = (p: Tensors) => {
      const out = op(p);
      return sum(mul(square(out), tensor(cotangent.map((c) => c / 2), out.shape)));
    };
    const loss64 = (p: Numbers) => oracle64(p).reduce((total, out, i) => total + (cotangent[i]! * out * out) / 2, 0);
    const moved = (p: Numbers, step: number) =>
      Object.fromEntries(Object.entries(p).map(([name, x]) => [name, x.map((value, i) => value + step * directions[name]![i]!)]));
    const { value, grads } = valueAndGrad((outer: Tensors) => {
      const first = valueAndGrad(loss, outer).grads as Tensors;
      return Object.entries(first).map(([name, gradient]) => sum(mul(gradient, tensor(directions[name]!, gradient.shape)))).reduce((a, b) => add(a, b));
    }, inputs);
    await checkGrad<string>({
      loss64: (p) => (loss64(moved(p, 1e-3)) - loss64(moved(p, -1e-3))) / 2e-3,
      inputs, gradients: grads as Tensors, step: 1e-3, rtol: 2e-3, directions: 2,
    });
    dispose([y, value, grads as Tensors, inputs]);
  });
});
