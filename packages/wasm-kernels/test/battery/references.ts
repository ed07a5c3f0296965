/** The kernels `evenkeel/…` once more, of tfjs ops as plain as possible: what the battery runs on tfjs' CPU backend. */
import { randomBits, vjp } from '@evenkeel/core-tensor';
import { attention64, type AttentionSizes64 } from '@evenkeel/testing/numbers';
import {
  add, addN, clipByValue, concat, div, equal, erf, exp, expandDims, fill, gather, greater, less, logSumExp, matMul, mean, mul, notEqual, onesLike, range, relu, relu6, reshape, scalar, scatterND, sigmoid, slice, split, squeeze, sqrt, stack, square, sub, sum,
  tanh, tensor, transpose, where, zeros, zerosLike, type Tensor,
} from '@tensorflow/tfjs-core';

/** Inputs — those of a kernel by name; an optional one may be absent. */
export type Inputs = Partial<Record<string, Tensor>>;
/** Attrs — the attributes of all these kernels; each has some of them. */
export type Attrs = {
  eps: number; approximate: 'none' | 'tanh'; rate: number; key0: number; key1: number; vocabSize: number;
  ignoreIndex: number; labelSmoothing: number; zLoss: number; causal: boolean; windowLeft: number; windowRight: number;
  learningRate: number; beta1: number; beta2: number; weightDecays: readonly number[]; correction1: number; correction2: number;
  softcap?: number; blockQ?: number; blockK?: number;
  keep: number; take: number; aheadKeep: number; aheadTake: number; sign: boolean; penalties?: readonly number[]; scales?: readonly number[]; columns: readonly number[];
  a: number; b: number; as?: readonly number[]; bs?: readonly number[]; activation?: keyof typeof activations; scale: number;
};
export type Reference = (inputs: Inputs, attrs: Attrs) => Tensor | Tensor[];

/** gradientOf — the gradient of a reference with respect to the inputs named, for the `dy` among the inputs. */
export function gradientOf(forward: (inputs: Inputs, attrs: Attrs) => Tensor, ...names: string[]): Reference {
  return (inputs, attrs) => vjp(() => forward(inputs, attrs), names.map((name) => inputs[name] as Tensor), inputs.dy as Tensor).grads;
}

export const linear: Reference = ({ x, weight, bias, residual }, { activation, scale = 1 }) => {
  const product = mul(matMul(x as Tensor, weight as Tensor, false, true), scale);
  const before = bias === undefined ? product : add(product, bias);
  if (activation === undefined) return residual === undefined ? before : add(before, residual);
  const after = activations[activation](before);
  return [residual === undefined ? after : add(after, residual), before];
};

const activations = {
  gelu: (x: Tensor) => gelu({ x }, { approximate: 'none' }), geluTanh: (x: Tensor) => gelu({ x }, { approximate: 'tanh' }), silu: (x: Tensor) => silu({ x }), relu, relu6,
};

/** `... c` → `n c` */
const flat = (x: Tensor | undefined): Tensor => {
  const { shape } = x as Tensor;
  return reshape(x as Tensor, [shape.slice(0, -1).reduce((rows, size) => rows * size, 1), shape.at(-1) as number]);
};

export const linearGradInput: Reference = ({ dy, weight }, { scale = 1 }) =>
  reshape(mul(matMul(flat(dy), weight as Tensor), scale), (dy as Tensor).shape.with(-1, (weight as Tensor).shape[1] as number));

export const linearGradParams: Reference = ({ x, dy }, { scale = 1 }) => [mul(matMul(flat(dy), flat(x), true), scale), sum(flat(dy), 0)];

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

export const addNorm = (norm: (inputs: Inputs, attrs: Attrs) => Tensor): Reference => ({ x, residual, ...params }, attrs) => {
  const sum = add(x as Tensor, residual as Tensor);
  return [norm({ x: sum, ...params }, attrs), sum];
};

export const layerNormGradOfSum: Reference = ({ dsum, ...inputs }, attrs) => {
  const [dx, ...rest] = gradientOf(layerNorm, 'x', 'weight', 'bias')(inputs, attrs) as Tensor[];
  return [add(dx as Tensor, dsum as Tensor), ...rest];
};

export function glu({ gate, value }: Inputs, { activation }: Attrs): Tensor {
  const gates = { ...activations, sigmoid: (x: Tensor) => sigmoid(x) };
  return mul(gates[activation as keyof typeof gates](gate as Tensor), value as Tensor);
}

/** gluGrad — bounded as `geluGrad` is. */
export const gluGrad: Reference = ({ gate, ...rest }, attrs) => {
  const isBounded = (attrs.activation as string) === 'geluTanh';
  const [dgate] = gradientOf(glu, 'gate')({ gate: isBounded ? clipByValue(gate as Tensor, -30, 30) : gate, ...rest }, attrs) as [Tensor];
  return [dgate, gradientOf(glu, 'value')({ gate, ...rest }, attrs) as Tensor].flat();
};

export const rotary: Reference = ({ x }, attrs) => {
  const { table, rotaryDim, interleaved, inverse } = attrs as unknown as { table: Float32Array; rotaryDim: number; interleaved: boolean; inverse: boolean };
  const [, T, H, D] = (x as Tensor).shape as [number, number, number, number];
  const values = Float64Array.from(read(x));
  const turned = Float64Array.from(values);
  for (let at = 0; at < values.length; at += D) {
    for (let i = 0; i < rotaryDim / 2; i++) {
      const angle = (Math.floor(at / D / H) % T) * rotaryDim + i;
      const [cos, sin] = [table[angle] as number, (table[angle + rotaryDim / 2] as number) * (inverse ? -1 : 1)];
      const [first, second] = interleaved ? [at + 2 * i, at + 2 * i + 1] : [at + i, at + i + rotaryDim / 2];
      const [a, b] = [values[first] as number, values[second] as number];
      turned[first] = a * cos - b * sin;
      turned[second] = b * cos + a * sin;
    }
  }
  return tensor(Float32Array.from(turned), (x as Tensor).shape);
};

export function gelu({ x }: Inputs, { approximate }: Pick<Attrs, 'approximate'>): Tensor {
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
export const attention: Reference = (inputs, attrs) => (attentionStats(inputs, attrs) as Tensor[]).slice(0, 2);

/** attentionStats — [out, lse, rowMax, entropy]. */
export const attentionStats: Reference = ({ q, k, v, blockMask }, attrs) => {
  const sizes = attentionSizes((q as Tensor).shape, (k as Tensor).shape, attrs, blockMask && read(blockMask));
  const { batchSize, seqLen, numHeads } = sizes;
  const { out, lse, rowMax, entropy } = attention64(...[q, k, v].map(read) as [Float32Array, Float32Array, Float32Array], sizes);
  return [tensor(Float32Array.from(out), (q as Tensor).shape), ...[lse, rowMax, entropy].map((each) => tensor(Float32Array.from(each), [batchSize, numHeads, seqLen]))];
};

/** attentionSizes — what the float64 oracle is told, from the shapes of q and k, the attributes, and the numbers of the block mask. */
export function attentionSizes(
  [batchSize, seqLen, numHeads, headDim]: readonly number[], [, kvLen, numKvHeads]: readonly number[],
  { scale, causal, windowLeft, windowRight, softcap = 0, blockQ = 1, blockK = 1 }: Pick<Attrs, 'scale' | 'causal' | 'windowLeft' | 'windowRight' | 'softcap' | 'blockQ' | 'blockK'>,
  blocks?: ArrayLike<number>,
): AttentionSizes64 {
  const sizes = { batchSize, seqLen, kvLen, numHeads, numKvHeads, headDim } as AttentionSizes64;
  const hides = (_b: number, t: number, s: number): boolean => blocks?.[Math.floor(t / blockQ) * Math.ceil(sizes.kvLen / blockK) + Math.floor(s / blockK)] === 0;
  return { ...sizes, scale, causal, window: [windowLeft, windowRight], softcap, hides };
}

/** attentionGrad — [dq, dk, dv] by the same loops, from the given `out` and `lse`. */
export function attentionGrad(inputs: Inputs, attrs: Attrs): Tensor[] {
  const { scale, causal, windowLeft, windowRight, softcap = 0 } = attrs;
  const [B, T, H, D] = (inputs.q as Tensor).shape as [number, number, number, number];
  const [, S, G] = (inputs.k as Tensor).shape as [number, number, number];
  const [q, k, v, out, lse, dy] = ['q', 'k', 'v', 'out', 'lse', 'dy'].map((name) => read(inputs[name])) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
  const { hides } = attentionSizes((inputs.q as Tensor).shape, (inputs.k as Tensor).shape, attrs, inputs.blockMask && read(inputs.blockMask));
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
    if ((windowLeft >= 0 && offset < -windowLeft) || (windowRight >= 0 && offset > windowRight) || (causal && offset > 0) || hides?.(b, t, s) === true) continue;
    const query = ((b * T + t) * H + h) * D;
    const key = ((b * S + s) * G + Math.floor((h * G) / H)) * D;
    const product = scale * dot(q, query, k, key);
    const tanh = softcap === 0 ? 0 : Math.tanh(product / softcap);
    const weight = Math.exp((softcap === 0 ? product : softcap * tanh) - (lse[(b * H + h) * T + t] as number));
    const slope = scale * (1 - tanh * tanh) * weight * (dot(dy, query, v, key) - dot(dy, query, out, query));
    addTo(dq, query, slope, k, key);
    addTo(dk, key, slope, q, query);
    addTo(dv, key, weight, dy, query);
  }
  return [dq, dk, dv].map((grad, i) => tensor(Float32Array.from(grad), [inputs.q, inputs.k, inputs.v][i]?.shape as number[]));
}

/** What lies one after another, `n h d` and lse `h n`, as the two sequences that it is: `1 t h d` and `1 h t` each. */
function sequencesOf({ cuSeqlensQ, cuSeqlensK: _, lse, ...rows }: Inputs): Inputs[] {
  const [, middle, end] = read(cuSeqlensQ) as unknown as [number, number, number];
  return [[0, middle], [middle, end]].map(([from, to]): Inputs => {
    const count = (to as number) - (from as number);
    const own = Object.entries(rows).map(([name, x]) => [name, expandDims(slice(x as Tensor, from as number, count), 0)] as const);
    return { ...Object.fromEntries(own), ...(lse && { lse: expandDims(slice(lse, [0, from as number], [-1, count]), 0) }) };
  });
}

const joinedOn = (axes: readonly number[], parts: readonly (readonly Tensor[])[]): Tensor[] => axes.map((axis, i) => concat(parts.map((part) => squeeze(part[i] as Tensor, [0])), axis));

/** attentionVarlen — [out, lse] of two sequences, each by itself. */
export const attentionVarlen: Reference = (inputs, attrs) => joinedOn([0, 1], sequencesOf(inputs).map((own) => attention(own, attrs) as Tensor[]));

export const attentionVarlenGrad: Reference = (inputs, attrs) => joinedOn([0, 0, 0], sequencesOf(inputs).map((own) => attentionGrad(own, attrs)));

type Packed = Attrs & { numHeads: number; numKvHeads: number };

/** `b t (h+2g)·d` to q, k and v of head width 8. */
function unpacked(qkv: Tensor | undefined, { numHeads, numKvHeads }: Packed): Inputs {
  const [B, T] = (qkv as Tensor).shape as [number, number, number];
  const counts = [numHeads, numKvHeads, numKvHeads];
  const [q, k, v] = split(qkv as Tensor, counts.map((count) => 8 * count), -1).map((part, i) => reshape(part, [B, T, counts[i] as number, 8]));
  return { q, k, v };
}

export const attentionPacked: Reference = ({ qkv }, attrs) => attention(unpacked(qkv, attrs as Packed), attrs);

export const attentionPackedStats: Reference = ({ qkv }, attrs) => attentionStats(unpacked(qkv, attrs as Packed), attrs);

export const attentionPackedGrad: Reference = ({ qkv, ...rest }, attrs) => {
  const [B, T] = (qkv as Tensor).shape as [number, number, number];
  return concat(attentionGrad({ ...unpacked(qkv, attrs as Packed), ...rest }, attrs).map((grad) => reshape(grad, [B, T, (grad.shape[2] as number) * 8])), -1);
};

/** With as many key heads as query heads, every query seeing every key. */
export function attentionWithBias({ q, k, v, bias }: Inputs, { scale }: Attrs): Tensor {
  const [queries, keys, values] = [q, k, v].map((x) => transpose(x as Tensor, [0, 2, 1, 3])) as [Tensor, Tensor, Tensor];
  const scores = add(mul(matMul(queries, keys, false, true), scale), bias as Tensor);
  const weights = exp(sub(scores, logSumExp(scores, -1, true)));
  return transpose(matMul(weights, values), [0, 2, 1, 3]);
}

const read = (x: Tensor | undefined): Float32Array => (x as Tensor).dataSync() as Float32Array;

/** listOf — the inputs `name.0`, `name.1`, … */
export function listOf(inputs: Inputs, name: string): Tensor[] {
  return Object.keys(inputs).filter((key) => key.startsWith(`${name}.`)).map((key) => inputs[key] as Tensor);
}

export const adamw: Reference = (inputs, { learningRate, beta1, beta2, eps, weightDecays, scales, correction1, correction2 }) => {
  const [params, grads, mus, nus] = ['param', 'grad', 'mu', 'nu'].map((name) => listOf(inputs, name)) as [Tensor[], Tensor[], Tensor[], Tensor[]];
  const newMus = mus.map((mu, i) => add(mul(mu, beta1), mul(grads[i] as Tensor, 1 - beta1)));
  const newNus = nus.map((nu, i) => add(mul(nu, beta2), mul(square(grads[i] as Tensor), 1 - beta2)));
  const updates = params.map((param, i) => {
    const direction = div(div(newMus[i] as Tensor, correction1), add(sqrt(div(newNus[i] as Tensor, correction2)), eps));
    const decay = weightDecays[i] as number;
    return mul(decay === 0 ? direction : add(direction, mul(param, decay)), -learningRate * (scales?.[i] ?? 1));
  });
  return [...updates, ...newMus, ...newNus];
};

/** Number i of a tensor of numbers, or 1 without one. */
const numberAt = (numbers: Tensor | undefined, i: number): Tensor | number => (numbers === undefined ? 1 : slice(numbers, [numbers.size === 1 ? 0 : i], [1]));

export const momentum: Reference = (inputs, { learningRate, keep, take, aheadKeep, aheadTake, sign, weightDecays, penalties, scales }) => {
  const [params, grads, mus] = ['param', 'grad', 'mu'].map((name) => listOf(inputs, name)) as [Tensor[], Tensor[], Tensor[]];
  const plus = (x: Tensor, share: number, param: Tensor) => (share === 0 ? x : add(x, mul(param, share)));
  const steps = params.map((param, i) => {
    const grad = mul(plus(grads[i] as Tensor, penalties?.[i] ?? 0, param), numberAt(inputs['factor.0'], i));
    const ahead = add(mul(mus[i] as Tensor, aheadKeep), mul(grad, aheadTake));
    const signs = where(greater(ahead, 0), onesLike(ahead), where(less(ahead, 0), mul(onesLike(ahead), -1), ahead));
    const step = plus(mul(sign ? signs : ahead, numberAt(inputs['outFactor.0'], i)), weightDecays[i] as number, param);
    return { update: mul(step, -learningRate * (scales?.[i] ?? 1)), mu: add(mul(mus[i] as Tensor, keep), mul(grad, take)) };
  });
  return [...steps.map(({ update }) => update), ...steps.map(({ mu }) => mu)];
};

export const scaledSums: Reference = (inputs, { a, as, b = 1, bs }) => listOf(inputs, 'x').map((x, i) => {
  const factor = inputs['factor.0'];
  const scaled = mul(x, mul(factor?.rank === 0 ? factor : numberAt(factor, i), a * (as?.[i] ?? 1)));
  const share = b * (bs?.[i] ?? 0);
  return share === 0 ? scaled : add(scaled, mul(listOf(inputs, 'y')[i] as Tensor, share));
});

export const addScaled: Reference = (inputs, { a, b }) => listOf(inputs, 'x').map((x, i) => add(mul(x, a), mul(listOf(inputs, 'y')[i] as Tensor, b)));

export const globalNorm: Reference = (inputs) => sqrt(addN(listOf(inputs, 'x').map((x) => sum(square(x)))));

/** `o …` → `o i` */
const matrix = (x: Tensor | undefined): Tensor => reshape(x as Tensor, [(x as Tensor).shape[0] as number, (x as Tensor).shape.slice(1).reduce((product, size) => product * size, 1)]);

const unitVector = (x: Tensor): Tensor => reshape(div(x, sqrt(sum(square(x)))), [-1]);

export const powerIteration: Reference = ({ weight, v }) => {
  const u = unitVector(sum(mul(matrix(weight), v as Tensor), 1));
  return [u, unitVector(sum(mul(matrix(weight), reshape(u, [-1, 1])), 0))];
};

const sigmaOf = ({ weight, u, v }: Inputs): Tensor => sum(mul(sum(mul(matrix(weight), v as Tensor), 1), u as Tensor));

export const sigmaReparam: Reference = (inputs) => {
  const sigma = sigmaOf(inputs);
  return [mul(inputs.weight as Tensor, div(reshape(inputs.gamma as Tensor, []), sigma)), sigma];
};

export const sigmaReparamGrad: Reference = ({ weight, gamma, u, v, sigma, dy }) => {
  const along = div(sum(mul(dy as Tensor, weight as Tensor)), sigma as Tensor);
  const outer = mul(reshape(u as Tensor, [-1, 1]), v as Tensor);
  return [reshape(mul(sub(matrix(dy), mul(outer, along)), div(gamma as Tensor, sigma as Tensor)), (weight as Tensor).shape), reshape(along, [1])];
};

const meanOf = (x: Tensor): Tensor => (x.size === 0 ? scalar(0) : mean(x));

export const means: Reference = (inputs) => stack(listOf(inputs, 'x').map((x) => meanOf(x)));

export const meanSquares: Reference = (inputs) => stack(listOf(inputs, 'x').map((x, i) => {
  const { 'centre.0': centre, 'unless.0': unless } = inputs;
  if (unless !== undefined && unless.dataSync()[i] !== 0) return scalar(0);
  return meanOf(square(centre === undefined ? x : sub(x, numberAt(centre, i))));
}));

const asMatrices = (inputs: Inputs, columns: readonly number[]): Tensor[] => listOf(inputs, 'x').map((x, i) => reshape(x, [columns[i] === 0 ? 0 : x.size / columns[i]!, columns[i]!]));

export const rowColumnSquares: Reference = (inputs, { columns, eps }) =>
  [1, 0].flatMap((axis) => asMatrices(inputs, columns).map((x) => add(x.size === 0 ? zeros([x.shape[1 - axis]!]) : mean(square(x), axis), eps)));

export const factoredRoots: Reference = (inputs, { columns }) => asMatrices(inputs, columns).map((x, i) => {
  const [row, column] = [listOf(inputs, 'row')[i] as Tensor, listOf(inputs, 'column')[i] as Tensor];
  const roots = mul(sqrt(div(expandDims(row, 1), numberAt(inputs['mean.0'], i))), sqrt(expandDims(column, 0)));
  return reshape(div(x, roots), (listOf(inputs, 'x')[i] as Tensor).shape);
});
