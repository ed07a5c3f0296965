import { checkInteger, checkPositive, checkRange, ConfigError } from '@evenkeel/core-tensor';

export type SamplingOptions = {
  /** Divides the logits; 0 takes the most probable token. Default 1. */
  readonly temperature?: number;
  /** Draw only from the k most probable tokens. Default: all. */
  readonly topK?: number;
  /** Draw only from the most probable tokens that together reach this probability (arXiv:1904.09751). Default 1: all. */
  readonly topP?: number;
};

/** checkSampling — throws ConfigError if an option is out of range. */
export function checkSampling(fn: string, { temperature = 1, topK, topP = 1 }: SamplingOptions): void {
  if (temperature !== 0) checkPositive(fn, 'temperature', temperature);
  if (topK !== undefined) checkInteger(fn, 'topK', topK);
  checkPositive(fn, 'topP', topP);
  checkRange(fn, 'topP', topP, 0, 1);
}

/**
 * sampleToken — draws a token id from logits.
 *
 * @param logits   one finite number per token.
 * @param uniform  a number in [0, 1) that decides the draw.
 * @throws ConfigError  if a logit is NaN: a broken model must not choose tokens silently.
 */
export function sampleToken(logits: Float32Array, uniform: number, { temperature = 1, topK, topP = 1 }: SamplingOptions = {}): number {
  if (logits.some(Number.isNaN)) throw new ConfigError('sampleToken: logits must be numbers, got NaN');
  const order = Uint32Array.from(logits.keys()).sort((a, b) => (logits[b] as number) - (logits[a] as number) || a - b);
  const best = order[0] as number;
  if (temperature === 0) return best;
  const top = logits[best] as number;
  const weights: number[] = [];
  let total = 0;
  for (const id of order.subarray(0, topK ?? order.length)) {
    const weight = Math.exp(((logits[id] as number) - top) / temperature);
    weights.push(weight);
    total += weight;
  }
  const kept = nucleus(weights, total, topP);
  const threshold = uniform * kept.total;
  let sum = 0;
  for (let i = 0; i < kept.count; i++) {
    sum += weights[i] as number;
    if (sum > threshold) return order[i] as number;
  }
  return order[kept.count - 1] as number;
}

/** The shortest prefix of `weights` (in falling order) whose share of `total` reaches `topP`; never empty. */
function nucleus(weights: readonly number[], total: number, topP: number): { count: number; total: number } {
  let sum = 0;
  for (const [i, weight] of weights.entries()) {
    sum += weight;
    if (sum >= topP * total) return { count: i + 1, total: sum };
  }
  return { count: weights.length, total: sum };
}
