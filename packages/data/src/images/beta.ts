import { foldSeed, normalValues, uniformValues } from '@evenkeel/core-tensor';

/** betaValue — one draw from Beta(alpha, alpha), as a ratio of two gamma values. */
export function betaValue(alpha: number, seed: number): number {
  const [a, b] = [gammaValue(alpha, foldSeed(seed, 'a')), gammaValue(alpha, foldSeed(seed, 'b'))];
  return a + b === 0 ? 0.5 : a / (a + b);
}

/** One draw from Gamma(alpha, 1). Source: Marsaglia & Tsang 2000, "A simple method for generating gamma variables", §6 for alpha < 1. */
function gammaValue(alpha: number, seed: number): number {
  if (alpha < 1) return gammaValue(alpha + 1, foldSeed(seed, 'more')) * (1 - (uniformValues(1, foldSeed(seed, 'power'))[0] as number)) ** (1 / alpha);
  const d = alpha - 1 / 3;
  for (let attempt = 0; ; attempt++) {
    const x = normalValues(1, foldSeed(seed, 'normal', attempt))[0] as number;
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    const u = 1 - (uniformValues(1, foldSeed(seed, 'accept', attempt))[0] as number);
    if (v > 0 && Math.log(u) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}
