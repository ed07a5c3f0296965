/**
 * A training step of a GPT written by hand for jax-js, compiled as one function: loss, gradients, clipping and AdamW. jax-js' package of
 * optimisers cannot be installed from the registry, so AdamW is written out.
 */
import { jit, nn, numpy as np, valueAndGrad } from '@jax-js/jax';
import type { Run } from './serve.ts';
import { ADAM, BLOCK_TENSORS, gptTensors, tokenIds, type GptSizes } from './workloads.ts';

type State = { readonly params: np.Array[]; readonly first: np.Array[]; readonly second: np.Array[] };

export function gptStep(sizes: GptSizes): Run {
  const tensors = gptTensors(sizes);
  const zeros = (): np.Array[] => tensors.map(({ shape }) => np.zeros(shape));
  let state: State = { params: tensors.map(({ shape, values }) => np.array(values).reshape(shape)), first: zeros(), second: zeros() };
  const [inputs, targets] = [1, 2].map((seed) => oneHot(tokenIds(sizes, seed), sizes.vocabSize)) as [np.Array, np.Array];
  const step = jit((old: State, x: np.Array, y: np.Array, correction1: np.Array, correction2: np.Array) => {
    const [loss, grads] = valueAndGrad((params: np.Array[], a: np.Array, b: np.Array) => lossOf(params, a, b, sizes))(old.params.map((each) => each.ref), x, y);
    return { loss, state: updated(old, grads as np.Array[], correction1, correction2) };
  });
  let count = 0;
  return async () => {
    count++;
    const corrections = [ADAM.beta1, ADAM.beta2].map((beta) => np.array([1 / (1 - beta ** count)])) as [np.Array, np.Array];
    const result = step(state as never, inputs.ref, targets.ref, ...corrections) as { loss: np.Array; state: State };
    state = result.state;
    return (await result.loss.data())[0] as number;
  };
}

/** One-hot rows: a lookup and its gradient are products with them. */
function oneHot(ids: Int32Array, vocabSize: number): np.Array {
  const values = new Float32Array(ids.length * vocabSize);
  ids.forEach((id, i) => { values[i * vocabSize + id] = 1; });
  return np.array(values).reshape([ids.length, vocabSize]);
}

function updated({ params, first, second }: State, grads: np.Array[], correction1: np.Array, correction2: np.Array): State {
  const { learningRate, beta1, beta2, epsilon, weightDecay } = ADAM;
  const norm = np.sqrt(grads.map((grad) => np.square(grad.ref).sum()).reduce((a, b) => a.add(b)));
  const scale = np.minimum(np.reciprocal(norm), 1);
  const result: State = { params: [], first: [], second: [] };
  for (const [i, each] of grads.entries()) {
    const grad = each.mul(scale.ref);
    const m = (first[i] as np.Array).mul(beta1).add(grad.ref.mul(1 - beta1));
    const v = (second[i] as np.Array).mul(beta2).add(np.square(grad).mul(1 - beta2));
    const move = m.ref.mul(correction1.ref).div(np.sqrt(v.ref.mul(correction2.ref)).add(epsilon));
    result.params.push((params[i] as np.Array).mul(1 - learningRate * weightDecay).sub(move.mul(learningRate)));
    result.first.push(m);
    result.second.push(v);
  }
  for (const used of [scale, correction1, correction2]) used.dispose();
  return result;
}

function lossOf(params: np.Array[], inputs: np.Array, targets: np.Array, { batchSize, contextLength, depth, dim, numHeads }: GptSizes): np.Array {
  const [tokens, positions] = params as [np.Array, np.Array];
  const count = batchSize * contextLength;
  let x = np.matmul(inputs, tokens.ref).reshape([batchSize, contextLength, dim]).add(positions).reshape([count, dim]);
  for (let i = 0; i < depth; i++) {
    const [gain1, bias1, qkv, qkvBias, proj, projBias, gain2, bias2, up, upBias, down, downBias] =
      params.slice(2 + i * BLOCK_TENSORS, 2 + (i + 1) * BLOCK_TENSORS) as [A, A, A, A, A, A, A, A, A, A, A, A];
    const parts = np.split(linear(normalised(x.ref, gain1, bias1), qkv, qkvBias), 3, 1);
    const [q, k, v] = parts.map((part) => part.reshape([batchSize, contextLength, numHeads, dim / numHeads])) as [A, A, A];
    x = x.add(linear(nn.dotProductAttention(q, k, v, { isCausal: true }).reshape([count, dim]), proj, projBias));
    x = x.ref.add(linear(nn.gelu(linear(normalised(x, gain2, bias2), up, upBias), { approximate: false }), down, downBias));
  }
  const [gain, bias] = params.slice(-2) as [A, A];
  const logits = np.matmul(normalised(x, gain, bias), tokens.transpose());
  return nn.logSoftmax(logits).mul(targets).sum().mul(-1 / count);
}

type A = np.Array;

const linear = (x: A, weight: A, bias: A): A => np.matmul(x, weight).add(bias);

const normalised = (x: A, gain: A, bias: A): A => nn.standardize(x).mul(gain).add(bias);
