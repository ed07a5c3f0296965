import type { AttentionSizes64 } from '@evenkeel/testing';

export type General64 = AttentionSizes64 & { softcap?: number; blockMask?: ArrayLike<number>; blockQ?: number; blockK?: number };
export type Results64 = Record<'out' | 'lse' | 'rowMax' | 'entropy' | 'dq' | 'dk' | 'dv' | 'dbias', Float64Array>;

/**
 * attentionWithGrads64 — attention in float64 with everything that kernels make of it, by the definitions: `out: b t h d`, statistics
 * `b h t`, and the gradients for the gradient `dy` of out.
 */
export function attentionWithGrads64(q: ArrayLike<number>, k: ArrayLike<number>, v: ArrayLike<number>, dy: ArrayLike<number>, sizes: General64): Results64 {
  const { batchSize: B, seqLen: T, kvLen: S, numHeads: H, numKvHeads: G = H, headDim: D, scale = 1 / Math.sqrt(D), slopes, bias, keep, softcap = 0 } = sizes;
  const zeros = (size: number) => new Float64Array(size);
  const made: Results64 = {
    out: zeros(B * T * H * D), lse: zeros(B * H * T), rowMax: zeros(B * H * T), entropy: zeros(B * H * T), dq: zeros(q.length), dk: zeros(k.length), dv: zeros(v.length),
    dbias: zeros(bias?.values.length ?? 0),
  };
  for (let b = 0; b < B; b++) for (let h = 0; h < H; h++) for (let t = 0; t < T; t++) {
    const row = (b * H + h) * T + t;
    const queryAt = ((b * T + t) * H + h) * D;
    const keyAt = (s: number) => ((b * S + s) * G + Math.floor((h * G) / H)) * D;
    const biasAt = (s: number) => bias!.shape.reduce((at, size, axis) => at * size + (size === 1 ? 0 : [b, h, t, s][axis]!), 0);
    const keys = Array.from({ length: S }, (_, s) => s).filter((s) => isVisible(t, s, sizes));
    const dot = (x: ArrayLike<number>, at: number, y: ArrayLike<number>, from: number) => {
      let sum = 0;
      for (let c = 0; c < D; c++) sum += x[at + c]! * y[from + c]!;
      return sum;
    };
    const capped = keys.map((s) => cap(scale * dot(q, queryAt, k, keyAt(s)), softcap));
    const scores = capped.map((y, n) => y - (slopes ? slopes[(b * H + h) % slopes.length]! * Math.abs(t + S - T - keys[n]!) : 0) + (bias ? bias.values[biasAt(keys[n]!)]! : 0));
    if (keys.length === 0) {
      [made.lse[row], made.rowMax[row]] = [Infinity, -Infinity];
      continue;
    }
    const top = scores.reduce((a, x) => Math.max(a, x), -Infinity);
    const lse = top + Math.log(scores.reduce((sum, x) => sum + Math.exp(x - top), 0));
    const p = scores.map((x) => Math.exp(x - lse));
    [made.lse[row], made.rowMax[row], made.entropy[row]] = [lse, top, -p.reduce((sum, weight) => sum + (weight > 0 ? weight * Math.log(weight) : 0), 0)];
    const kept = keys.map((s) => keep?.[row * S + s] ?? 1);
    keys.forEach((s, n) => { for (let c = 0; c < D; c++) made.out[queryAt + c]! += p[n]! * kept[n]! * v[keyAt(s) + c]!; });
    const rowSum = dot(dy, queryAt, made.out, queryAt);
    keys.forEach((s, n) => {
      const ds = p[n]! * (dot(dy, queryAt, v, keyAt(s)) * kept[n]! - rowSum);
      if (bias) made.dbias[biasAt(s)]! += ds;
      const slope = ds * scale * (softcap > 0 ? 1 - (capped[n]! / softcap) ** 2 : 1);
      for (let c = 0; c < D; c++) {
        made.dq[queryAt + c]! += slope * k[keyAt(s) + c]!;
        made.dk[keyAt(s) + c]! += slope * q[queryAt + c]!;
        made.dv[keyAt(s) + c]! += p[n]! * kept[n]! * dy[queryAt + c]!;
      }
    });
  }
  return made;
}

const cap = (x: number, softcap: number): number => (softcap > 0 ? softcap * Math.tanh(x / softcap) : x);

function isVisible(t: number, s: number, { seqLen, kvLen, causal = false, window = [-1, -1], blockMask, blockQ = 1, blockK = 1 }: General64): boolean {
  const offset = s - (t + kvLen - seqLen);
  if ((causal && offset > 0) || (window[0] >= 0 && offset < -window[0]) || (window[1] >= 0 && offset > window[1])) return false;
  return blockMask === undefined || blockMask[Math.floor(t / blockQ) * Math.ceil(kvLen / blockK) + Math.floor(s / blockK)] !== 0;
}
