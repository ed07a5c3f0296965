/** The kernels `evenkeel/…` once more, of tfjs ops as plain as possible: what the battery runs on tfjs' CPU backend. */
import { randomBits, vjp } from '@evenkeel/core-tensor';
import { attention64 } from '@evenkeel/testing';
import {
  add, clipByValue, div, equal, erf, expandDims, fill, gather, logSumExp, matMul, mean, mul, notEqual, range, reshape, scatterND, sigmoid, sqrt, square, sub, sum,
  tanh, tensor, where, zerosLike, type Tensor,
} from '@tensorflow/tfjs-core';

/** Inputs — those of a kernel by name; an optional one may be absent. */
export type Inputs = Partial<Record<string, Tensor>>;
/** Attrs — the attributes of all these kernels; each has some of them. */
export type Attrs = {
  eps: number; approximate: 'none' | 'tanh'; rate: number; key0: number; key1: number; vocabSize: number;
  ignoreIndex: number; labelSmoothing: number; zLoss: number; scale: number; causal: boolean; windowLeft: number; windowRight: number;
  learningRate: number; beta1: number; beta2: number; weightDecay: number; correction1: number; correction2: number;
};
export type Reference = (inputs: Inputs, attrs: Attrs) => Tensor | Tensor[];

/** gradientOf — the gradient of a reference with respect to the inputs named, for the `dy` among the inputs. */
export function gradientOf(forward: (inputs: Inputs, attrs: Attrs) => Tensor, ...names: string[]): Reference {
  return (inputs, attrs) => vjp(() => forward(inputs, attrs), names.map((name) => inputs[name] as Tensor), inputs.dy as Tensor).grads;
}

export function linear({ x, weight, bias }: Inputs): Tensor {
  const y = matMul(x as Tensor, weight as Tensor, false, true);
  return bias === undefined ? y : add(y, bias);
}

export function layerNorm({ x, weight, bias }: Inputs, { eps }: Attrs): Tensor {
  const centred = sub(x as Tensor, mean(x as Tensor, -1, true));
  const y = div(centred, sqrt(add(mean(square(centred), -1, true), eps)));
  const scaled = weight === undefined ? y : mul(y, weight);
  return bias === undefined ? scaled : add(scaled, bias);
}

export function rmsNorm({ x, weight }: Inputs, { eps }: Attrs): Tensor {
  const y = div(x as Tensor, sqrt(add(mean(square(x as Tensor), -1, true), eps)));
  return weight === undefined ? y : mul(y, weight);
}

export function gelu({ x }: Inputs, { approximate }: Attrs): Tensor {
  const z = x as Tensor;
  const cube = mul(square(z), z);
  const inner = approximate === 'tanh' ? tanh(mul(add(z, mul(cube, 0.044715)), Math.sqrt(2 / Math.PI))) : erf(mul(z, Math.SQRT1_2));
  return mul(mul(z, 0.5), add(inner, 1));
}

/** geluGrad — of the approximation where x is infinite as at ±30: its formula there has ∞ · 0. */
export const geluGrad: Reference = ({ x, dy }, attrs) => {
  const bounded = attrs.approximate === 'tanh' ? clipByValue(x as Tensor, -30, 30) : x;
  return gradientOf(gelu, 'x')({ x: bounded, dy }, attrs);
};

export function silu({ x }: Inputs): Tensor {
  return mul(x as Tensor, sigmoid(x as Tensor));
}

export function dropout({ x }: Inputs, { rate, key0, key1 }: Attrs): Tensor {
  const keep = Float32Array.from(randomBits(key1 * 2 ** 32 + key0, (x as Tensor).size), (bits) => (bits >= rate * 2 ** 32 ? 1 / (1 - rate) : 0));
  return mul(x as Tensor, tensor(keep, (x as Tensor).shape));
}

export function embedding({ weight, ids }: Inputs): Tensor {
  return gather(weight as Tensor, ids as Tensor);
}

export function embeddingGrad({ dy, ids }: Inputs, { vocabSize }: Attrs): Tensor {
  return scatterND(expandDims(ids as Tensor, 1), dy as Tensor, [vocabSize, (dy as Tensor).shape[1] as number]);
}

export function crossEntropy({ logits, targets }: Inputs, { ignoreIndex, labelSmoothing, zLoss }: Attrs): [loss: Tensor, lse: Tensor] {
  const [rows, columns] = (logits as Tensor).shape as [number, number];
  const isTarget = equal(reshape(targets as Tensor, [rows, 1]), reshape(range(0, columns, 1, 'int32'), [1, columns]));
  const lse = logSumExp(logits as Tensor, 1);
  const ofTarget = sum(where(isTarget, logits as Tensor, zerosLike(logits as Tensor)), 1);
  const sharp = mul(sub(lse, ofTarget), 1 - labelSmoothing);
  const smooth = labelSmoothing === 0 ? sharp : add(sharp, mul(sub(lse, mean(logits as Tensor, 1)), labelSmoothing));
  const loss = add(smooth, mul(square(lse), zLoss));
  return [where(notEqual(targets as Tensor, fill([rows], ignoreIndex, 'int32')), loss, zerosLike(loss)), lse];
}

/** attention — of the float64 oracle, in which a hidden key's NaN is hidden too. */
export function attention({ q, k, v }: Inputs, attrs: Attrs): [out: Tensor, lse: Tensor] {
  const [batchSize, seqLen, numHeads, headDim] = (q as Tensor).shape as [number, number, number, number];
  const [, kvLen, numKvHeads] = (k as Tensor).shape as [number, number, number];
  const { out, lse } = attention64(...[q, k, v].map(read) as [Float32Array, Float32Array, Float32Array], {
    batchSize, seqLen, kvLen, numHeads, numKvHeads, headDim, scale: attrs.scale, causal: attrs.causal, window: [attrs.windowLeft, attrs.windowRight],
  });
  return [tensor(Float32Array.from(out), (q as Tensor).shape), tensor(Float32Array.from(lse), [batchSize, numHeads, seqLen])];
}

/** attentionGrad — [dq, dk, dv] by the same loops, from the given `out` and `lse`. */
export function attentionGrad(inputs: Inputs, { scale, causal, windowLeft, windowRight }: Attrs): Tensor[] {
  const [B, T, H, D] = (inputs.q as Tensor).shape as [number, number, number, number];
  const [, S, G] = (inputs.k as Tensor).shape as [number, number, number];
  const [q, k, v, out, lse, dy] = ['q', 'k', 'v', 'out', 'lse', 'dy'].map((name) => read(inputs[name])) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
  const [dq, dk, dv] = [q, k, v].map(({ length }) => new Float64Array(length)) as [Float64Array, Float64Array, Float64Array];
  const dot = (x: Float32Array, i: number, y: Float32Array, j: number): number => {
    let total = 0;
    for (let d = 0; d < D; d++) total += (x[i + d] as number) * (y[j + d] as number);
    return total;
  };
  const addTo = (to: Float64Array, i: number, factor: number, from: Float32Array, j: number): void => {
    for (let d = 0; d < D; d++) to[i + d] = (to[i + d] as number) + factor * (from[j + d] as number);
  };
  for (let b = 0; b < B; b++) for (let t = 0; t < T; t++) for (let h = 0; h < H; h++) for (let s = 0; s < S; s++) {
    const offset = s - (t + S - T);
    if ((windowLeft >= 0 && offset < -windowLeft) || (windowRight >= 0 && offset > windowRight) || (causal && offset > 0)) continue;
    const query = ((b * T + t) * H + h) * D;
    const key = ((b * S + s) * G + Math.floor((h * G) / H)) * D;
    const weight = Math.exp(scale * dot(q, query, k, key) - (lse[(b * H + h) * T + t] as number));
    const slope = scale * weight * (dot(dy, query, v, key) - dot(dy, query, out, query));
    addTo(dq, query, slope, k, key);
    addTo(dk, key, slope, q, query);
    addTo(dv, key, weight, dy, query);
  }
  return [dq, dk, dv].map((grad, i) => tensor(Float32Array.from(grad), [inputs.q, inputs.k, inputs.v][i]?.shape as number[]));
}

const read = (x: Tensor | undefined): Float32Array => (x as Tensor).dataSync() as Float32Array;

export function adamw({ param, grad, mu, nu }: Inputs, { learningRate, beta1, beta2, eps, weightDecay, correction1, correction2 }: Attrs): Tensor[] {
  const newMu = add(mul(mu as Tensor, beta1), mul(grad as Tensor, 1 - beta1));
  const newNu = add(mul(nu as Tensor, beta2), mul(square(grad as Tensor), 1 - beta2));
  const direction = div(div(newMu, correction1), add(sqrt(div(newNu, correction2)), eps));
  return [mul(add(direction, mul(param as Tensor, weightDecay)), -learningRate), newMu, newNu];
}

