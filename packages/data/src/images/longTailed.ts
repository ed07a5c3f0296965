import { checkInteger, checkRange, ConfigError, foldSeed, randomBits } from '@evenkeel/core-tensor';

/**
 * longTailedCounts — how many images each class keeps, falling from `largest` to `ratio` times that.
 *
 *     n_i = ⌊largest · ratio^(i/(C − 1))⌋        i = 0 … C − 1
 *
 * @param options  `largest`: of class 0; `numClasses` C; `ratio`: of the last class to the first, 0.01 for an "imbalance factor" of 100.
 * @throws ConfigError  if a number is out of range.
 *
 * Source: Cui et al. 2019, arXiv:1901.05555, §5.1; as used in arXiv:2404.02900.
 */
export function longTailedCounts({ largest, numClasses, ratio }: { largest: number; numClasses: number; ratio: number }): number[] {
  checkInteger('longTailedCounts', 'largest', largest);
  checkInteger('longTailedCounts', 'numClasses', numClasses, 2);
  checkRange('longTailedCounts', 'ratio', ratio, Number.MIN_VALUE, 1);
  return Array.from({ length: numClasses }, (_, i) => Math.floor(largest * ratio ** (i / (numClasses - 1)) + 1e-9)); // 5000 · 0.01^1 is 50
}

/**
 * longTailedIndices — which images make up a data set with so many per class: drawn at random within each class, in the order of the data set.
 *
 * @param labels  the class of each image.
 * @param counts  how many to keep of each class, by `longTailedCounts`.
 * @throws ConfigError  if a class has fewer images; names it.
 */
export function longTailedIndices(labels: ArrayLike<number>, counts: readonly number[], { seed }: { seed: number }): Uint32Array {
  const byClass: number[][] = counts.map(() => []);
  for (let i = 0; i < labels.length; i++) byClass[labels[i] as number]?.push(i);
  const chosen = counts.flatMap((count, label) => {
    const all = byClass[label] as number[];
    if (all.length < count) throw new ConfigError(`longTailedIndices: labels must have ${count} images of class ${label}, got ${all.length}`);
    const bits = randomBits(foldSeed(seed, 'class', label), all.length);
    const order = all.map((_, i) => i).sort((a, b) => (bits[a] as number) - (bits[b] as number) || a - b);
    return order.slice(0, count).map((i) => all[i] as number);
  });
  return Uint32Array.from(chosen).sort();
}
