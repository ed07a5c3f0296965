import type { LineChart, Picture } from '@evenkeel/training';
import type { Lab } from './lab.ts';

/** Numbers — what was measured of one arm, by name: `valLoss`, `largestStableRate`. */
export type Numbers = Readonly<Record<string, number>>;

/** Chart — what one seed shows at a glance. */
export type Chart = LineChart;

/** Album — images of the data, to see what was trained on. */
export type Album = { readonly heading: string; readonly pictures: readonly Picture[] };

/** Measurement — both arms with one seed. */
export type Measurement = { readonly baseline: Numbers; readonly technique: Numbers; readonly charts: readonly Chart[]; readonly albums?: readonly Album[] };

/** Check — one part of a criterion: its words, and whether some numbers meet it. */
export type Check = { readonly says: string; readonly holds: (measured: Pick<Measurement, 'baseline' | 'technique'>) => boolean };

/**
 * Reproduction — a claim of a paper, at a size that two CPU cores train in minutes: the same seed and budget with and without the technique.
 *
 * Thresholds are set with other seeds than those that are reported (`CALIBRATION_SEEDS`), and then left alone.
 */
export type Reproduction = {
  readonly slug: string;
  readonly paper: { readonly title: string; readonly arxiv: string };
  /** What the paper says, in a sentence. */
  readonly claim: string;
  /** What the two arms are: `pre-norm` against `Peri-LN`. */
  readonly arms: { readonly baseline: string; readonly technique: string };
  /** All of them must hold for the numbers averaged over the seeds. */
  readonly criterion: readonly Check[];
  /** Instead of it with `--quick`: the direction only. Default: the same. */
  readonly quickCriterion?: readonly Check[];
  /** What the numbers mean, for the report: `valLoss` → `validation loss (nats)`. */
  readonly meanings: Readonly<Record<string, string>>;
  /** What a reader should know of the set-up, and of what does not hold at this size. */
  readonly notes?: readonly string[];
  measure(lab: Lab, seed: number): Promise<Measurement>;
};

/** CALIBRATION_SEEDS — used to choose sizes and thresholds, and never reported. Reported are 1, 2, 3, … */
export const CALIBRATION_SEEDS = [101, 102, 103] as const;
