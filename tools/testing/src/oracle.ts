/**
 * Float64 oracles: the plainest possible loops over flat, row-major arrays, shared by the tests of several packages.
 * Rows are always the last axis; its length is the second argument. Nothing here is fast, and nothing is shared with `src/`.
 */

export type MatMulSizes = { m: number; k: number; n: number; transposeA?: boolean; transposeB?: boolean };

/** matMul64 — `m k, k n → m n` of one pair of matrices; a transposed operand is stored `k m` or `n k`. */
export function matMul64(a: ArrayLike<number>, b: ArrayLike<number>, { m, k, n, transposeA, transposeB }: MatMulSizes): Float64Array {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let p = 0; p < k; p++) sum += a[transposeA ? p * m + i : i * k + p]! * b[transposeB ? j * k + p : p * n + j]!;
      y[i * n + j] = sum;
    }
  }
  return y;
}

/** linear64 — `... i` times `o i` transposed, plus bias `o`. */
export function linear64(x: ArrayLike<number>, weight: ArrayLike<number>, bias: ArrayLike<number> | undefined, inDim: number): Float64Array {
  const [m, n] = [x.length / inDim, weight.length / inDim];
  const y = matMul64(x, weight, { m, k: inDim, n, transposeB: true });
  return bias === undefined ? y : y.map((value, i) => value + bias[i % n]!);
}

/** logSumExp64 — one number per row. */
export function logSumExp64(x: ArrayLike<number>, columns: number): Float64Array {
  return Float64Array.from({ length: x.length / columns }, (_, r) => {
    const row = rowOf(x, r, columns);
    const top = Math.max(...row);
    return top + Math.log(row.reduce((sum, value) => sum + Math.exp(value - top), 0));
  });
}

/** softmax64 — rows that add up to 1. */
export function softmax64(x: ArrayLike<number>, columns: number): Float64Array {
  const lse = logSumExp64(x, columns);
  return Float64Array.from({ length: x.length }, (_, i) => Math.exp(x[i]! - lse[Math.floor(i / columns)]!));
}

export type NormOptions64 = { weight?: ArrayLike<number>; bias?: ArrayLike<number>; eps: number };

/** layerNorm64 — (x − mean) / √(variance + eps) per row, then weight and bias. */
export function layerNorm64(x: ArrayLike<number>, columns: number, { weight, bias, eps }: NormOptions64): Float64Array {
  return mapRows(x, columns, (row) => {
    const mean = row.reduce((sum, value) => sum + value, 0) / columns;
    const variance = row.reduce((sum, value) => sum + (value - mean) ** 2, 0) / columns;
    return row.map((value, c) => ((value - mean) / Math.sqrt(variance + eps)) * (weight?.[c] ?? 1) + (bias?.[c] ?? 0));
  });
}

/** rmsNorm64 — x / √(mean x² + eps) per row, then weight. */
export function rmsNorm64(x: ArrayLike<number>, columns: number, { weight, eps }: Omit<NormOptions64, 'bias'>): Float64Array {
  return mapRows(x, columns, (row) => {
    const rms = Math.sqrt(row.reduce((sum, value) => sum + value ** 2, 0) / columns + eps);
    return row.map((value, c) => (value / rms) * (weight?.[c] ?? 1));
  });
}

/** erf64 — the error function to about 1e-15: e^(−x²) times a series of positive terms. */
export function erf64(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

/** gelu64 — x·Φ(x), or Hendrycks & Gimpel's tanh form of it. */
export function gelu64(x: ArrayLike<number>, approximate: 'none' | 'tanh' = 'none'): Float64Array {
  return Float64Array.from(x, (value) => (approximate === 'none'
    ? 0.5 * value * (1 + erf64(value / Math.SQRT2))
    : 0.5 * value * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3)))));
}

/** silu64 — x / (1 + e^(−x)). */
export function silu64(x: ArrayLike<number>): Float64Array {
  return Float64Array.from(x, (value) => value / (1 + Math.exp(-value)));
}

export type AttentionSizes64 = {
  batchSize: number; seqLen: number; kvLen: number; numHeads: number; numKvHeads?: number; headDim: number;
  scale?: number; causal?: boolean;
  /** Tokens to the left and right of the aligned key that are visible; −1 = unlimited. */
  window?: readonly [number, number];
  /** ALiBi's slopes, `h` or `b h`: each lowers the scores of its head by slope · |t + S − T − s|. */
  slopes?: ArrayLike<number>;
  /** Added to the scores: `b h t s`, each axis full or 1. */
  bias?: { values: ArrayLike<number>; shape: readonly number[] };
  /** Factors of the weights, `b h t s`: 0 where dropout drops one. */
  keep?: ArrayLike<number>;
  /** c > 0: the scaled products become c · tanh(product / c). */
  softcap?: number;
  /** Hides more keys than the masks: of sequence b, query t and key s. */
  hides?: (b: number, t: number, s: number) => boolean;
};

/**
 * attention64 — (keep ∘ softmax(cap(scale · q kᵀ) − slope · distance + bias + mask)) v with a T×S matrix: q `b t h d`, k and v `b s g d`
 * → `b t h d`, and lse, the largest score and the entropy of the softmax of each row, `b h t`.
 * Masks are aligned bottom-right; a row that sees no key is 0 with lse +Infinity, largest score −Infinity and entropy 0.
 */
export function attention64(
  q: ArrayLike<number>, k: ArrayLike<number>, v: ArrayLike<number>, sizes: AttentionSizes64,
): { out: Float64Array; lse: Float64Array; rowMax: Float64Array; entropy: Float64Array } {
  const { batchSize, seqLen, kvLen, numHeads, numKvHeads = numHeads, headDim, scale = 1 / Math.sqrt(headDim), slopes = [0], keep, softcap = 0, hides } = sizes;
  const out = new Float64Array(batchSize * seqLen * numHeads * headDim);
  const [lse, rowMax, entropy] = [0, 1, 2].map(() => new Float64Array(batchSize * numHeads * seqLen)) as [Float64Array, Float64Array, Float64Array];
  for (let b = 0; b < batchSize; b++) for (let h = 0; h < numHeads; h++) for (let t = 0; t < seqLen; t++) {
    const group = Math.floor((h * numKvHeads) / numHeads);
    const query = ((b * seqLen + t) * numHeads + h) * headDim;
    const keyAt = (s: number) => ((b * kvLen + s) * numKvHeads + group) * headDim;
    const keys = Array.from({ length: kvLen }, (_, s) => s)
      .filter((s) => visible(s - (t + kvLen - seqLen), sizes) && hides?.(b, t, s) !== true);
    const scores = keys.map((s) => {
      let sum = 0;
      for (let d = 0; d < headDim; d++) sum += q[query + d]! * k[keyAt(s) + d]!;
      const slope = slopes[(b * numHeads + h) % slopes.length]!;
      const product = softcap === 0 ? scale * sum : softcap * Math.tanh((scale * sum) / softcap);
      return product - slope * Math.abs(t + kvLen - seqLen - s) + biasOf(sizes, [b, h, t, s]);
    });
    const total = keys.length === 0 ? Infinity : logSumExp64(scores, scores.length)[0]!;
    const row = (b * numHeads + h) * seqLen + t;
    lse[row] = total;
    rowMax[row] = Math.max(...scores);
    entropy[row] = -scores.reduce((all, score) => all + (score === -Infinity ? 0 : Math.exp(score - total) * (score - total)), 0);
    keys.forEach((s, j) => {
      const weight = Math.exp(scores[j]! - total) * (keep?.[row * kvLen + s] ?? 1);
      for (let d = 0; d < headDim; d++) out[query + d]! += weight * v[keyAt(s) + d]!;
    });
  }
  return { out, lse, rowMax, entropy };
}

function biasOf({ bias }: AttentionSizes64, index: readonly number[]): number {
  if (bias === undefined) return 0;
  return bias.values[bias.shape.reduce((at, size, axis) => at * size + (size === 1 ? 0 : index[axis]!), 0)]!;
}

function visible(offset: number, { causal = false, window = [-1, -1] }: AttentionSizes64): boolean {
  if (causal && offset > 0) return false;
  return (window[0] < 0 || offset >= -window[0]) && (window[1] < 0 || offset <= window[1]);
}

export type CrossEntropyOptions64 = { ignoreIndex?: number; labelSmoothing?: number; zLoss?: number };

/** crossEntropy64 — (1−ε)(lse − x_t) + ε(lse − mean x) + z·lse² per row, 0 where the target is ignored. */
export function crossEntropy64(
  logits: ArrayLike<number>, targets: ArrayLike<number>, columns: number,
  { ignoreIndex = -100, labelSmoothing = 0, zLoss = 0 }: CrossEntropyOptions64 = {},
): Float64Array {
  const lse = logSumExp64(logits, columns);
  return lse.map((total, r) => {
    const target = targets[r]!;
    if (target === ignoreIndex) return 0;
    const row = rowOf(logits, r, columns);
    const mean = row.reduce((sum, value) => sum + value, 0) / columns;
    return (1 - labelSmoothing) * (total - row[target]!) + labelSmoothing * (total - mean) + zLoss * total ** 2;
  });
}

function rowOf(x: ArrayLike<number>, r: number, columns: number): number[] {
  return Array.from({ length: columns }, (_, c) => x[r * columns + c]!);
}

function mapRows(x: ArrayLike<number>, columns: number, f: (row: number[]) => number[]): Float64Array {
  return Float64Array.from(Array.from({ length: x.length / columns }, (_, r) => f(rowOf(x, r, columns))).flat());
}
