import { checkInteger, checkOneOf, ConfigError } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Point } from '../fitting/point.ts';
import { sequencesOf } from './sequences.ts';
import { largestOf, lowerMedian } from './topAndMedian.ts';

export type MassiveActivationTrackerOptions = {
  /** How many of the largest activations to record. Default 1. */
  readonly topK?: number;
  /** `ratioOfMeans` (default): mean of the largest over mean of the medians; `meanOfRatios`: mean over sequences of the ratio. */
  readonly average?: 'ratioOfMeans' | 'meanOfRatios';
};

/** MassiveActivationReading — of one layer in one step: the k-th entry of `tops` and `ratios` is of the k-th largest |h|; means over sequences. */
export type MassiveActivationReading = {
  readonly step: number;
  /** 0 for the stream before the first block, l for that after block l. */
  readonly layer: number;
  readonly tops: readonly number[];
  readonly median: number;
  readonly ratios: readonly number[];
};

export type MassiveActivationTracker = {
  /** Reads the hidden states of the same few sequences after `step` training steps: `… t c` each, as `collectHidden` gives them. Borrows them. */
  record(step: number, hidden: readonly Tensor[]): Promise<readonly MassiveActivationReading[]>;
  /** Ratios of the k-th largest (default the largest) of a layer over steps, for `fitMassiveActivationCurve`. */
  series(layer: number, k?: number): Point[];
  /** All that was recorded, for JSON. */
  readonly readings: readonly MassiveActivationReading[];
};

/**
 * massiveActivationTracker — follows the largest activation of each layer, over its median, through training.
 *
 *     top = max |h| of a sequence,   med = lower median of |h| of the same,   ratio = mean(top)/mean(med)
 *
 * Values are read back whole and the median is taken on the CPU: for a few fixed sequences, every now and then.
 *
 * @param options  see MassiveActivationTrackerOptions.
 * @throws ConfigError  if `topK` is no positive integer, or steps are recorded out of order.
 *
 * Source: arXiv:2508.03616, §3; the lower median as in the code of Sun et al. 2024, arXiv:2402.17762.
 */
export function massiveActivationTracker({ topK = 1, average = 'ratioOfMeans' }: MassiveActivationTrackerOptions = {}): MassiveActivationTracker {
  checkInteger('massiveActivationTracker', 'topK', topK);
  checkOneOf('massiveActivationTracker', 'average', average, ['ratioOfMeans', 'meanOfRatios']);
  const readings: MassiveActivationReading[] = [];
  return {
    readings,
    record: async (step, hidden) => {
      checkInteger('massiveActivationTracker', 'step', step, 0);
      const last = readings.at(-1)?.step ?? -1;
      if (step <= last) throw new ConfigError(`massiveActivationTracker: step must be later than ${last}, got ${step}`);
      const made = await Promise.all(hidden.map(async (h, layer) => {
        const sequences = (await sequencesOf('massiveActivationTracker', h)).map((sequence) => ({ tops: largestOf(sequence, topK), median: lowerMedian(sequence.slice()) }));
        return { step, layer, ...averaged(sequences, average) };
      }));
      readings.push(...made);
      return made;
    },
    series: (layer, k = 1) => {
      checkInteger('massiveActivationTracker', 'layer', layer, 0);
      checkInteger('massiveActivationTracker', 'k', k);
      if (k > topK) throw new ConfigError(`massiveActivationTracker: k must be at most topK, ${topK}, got ${k}`);
      return readings.filter((reading) => reading.layer === layer).map(({ step, ratios }) => ({ x: step, y: ratios[k - 1] as number }));
    },
  };
}

type Sequence = { readonly tops: readonly number[]; readonly median: number };

function averaged(sequences: readonly Sequence[], average: 'ratioOfMeans' | 'meanOfRatios'): Pick<MassiveActivationReading, 'tops' | 'median' | 'ratios'> {
  const mean = (of: (sequence: Sequence) => number): number => sequences.reduce((sum, sequence) => sum + of(sequence), 0) / sequences.length;
  const count = sequences[0]?.tops.length ?? 0;
  const each = <T>(of: (k: number) => T): T[] => Array.from({ length: count }, (_, k) => of(k));
  const tops = each((k) => mean((sequence) => sequence.tops[k] as number));
  const median = mean((sequence) => sequence.median);
  const ratios = average === 'ratioOfMeans' ? tops.map((top) => top / median) : each((k) => mean((sequence) => (sequence.tops[k] as number) / sequence.median));
  return { tops, median, ratios };
}
