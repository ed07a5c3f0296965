import { checkPositive, ConfigError } from '@evenkeel/core-tensor';

/** LearningRatePoint — the final loss of a run with that peak learning rate; NaN or Infinity if it diverged. */
export type LearningRatePoint = { readonly learningRate: number; readonly loss: number };

export type LrSensitivityOptions = {
  /** Ranges of the learning rate, ends included; the smallest sensitivity over them counts. Default: all points as one. */
  readonly windows?: readonly (readonly [from: number, to: number])[];
};

/**
 * lrSensitivity — how much is lost, on average, by not knowing the best learning rate.
 *
 *     mean over η of min(loss(η), initialLoss) − min over η of the same
 *
 * A run that diverged counts as one that learned nothing. Never read it alone: where nothing is learned at any η it is 0. It means nothing
 * for techniques that give the learning rate another meaning.
 *
 * @param points       one per learning rate, evenly spaced in its logarithm: 3e-4, 1e-3, … 3e-1 in the paper.
 * @param initialLoss  the loss before training.
 * @param options      `windows`: where a technique moves the best learning rate, give windows of the same width and compare the best ones.
 * @throws ConfigError  if there is no window or no point in one, a learning rate is not above 0, a loss is no number, or `initialLoss` is not finite.
 *
 * Source: Wortsman et al. 2023, arXiv:2309.14322, §2.2. Departs from the paper: the best loss, too, is at most `initialLoss`, so that the
 * result is never negative.
 */
export function lrSensitivity(points: readonly LearningRatePoint[], initialLoss: number, { windows = [[0, Infinity]] }: LrSensitivityOptions = {}): number {
  if (!Number.isFinite(initialLoss)) throw new ConfigError(`lrSensitivity: initialLoss must be a finite number, got ${initialLoss}`);
  if (windows.length === 0) throw new ConfigError('lrSensitivity: windows must have at least one range, got none');
  points.forEach(({ learningRate, loss }, i) => {
    checkPositive('lrSensitivity', `points[${i}].learningRate`, learningRate);
    if (typeof loss !== 'number' || loss === -Infinity) throw new ConfigError(`lrSensitivity: points[${i}].loss must be a number, NaN or Infinity, got ${String(loss)}`);
  });
  return Math.min(...windows.map(([from, to]) => {
    const losses = points
      .filter(({ learningRate }) => learningRate >= from && learningRate <= to)
      .map(({ loss }) => (Number.isNaN(loss) ? initialLoss : Math.min(loss, initialLoss)));
    if (losses.length === 0) throw new ConfigError(`lrSensitivity: points must have a learning rate between ${from} and ${to}, got ${points.length} elsewhere`);
    return losses.reduce((sum, loss) => sum + loss, 0) / losses.length - Math.min(...losses);
  }));
}
