import { lrSensitivity } from '@evenkeel/diagnostics';
import { sizeName, type Size } from './names.ts';
import type { RunResult } from './runResult.ts';
import type { SweepPlan } from './sweepPlan.ts';

/** SweepGroup — what a sweep says of a technique at one size. */
export type SweepGroup = Size & {
  readonly technique: string;
  /** Number of trained parameters; null as long as no run is finished. */
  readonly params: number | null;
  /** Validation loss before training; null likewise. */
  readonly initialLoss: number | null;
  /** The learning rate with the lowest loss, and that loss; null if all runs diverged. */
  readonly best: { readonly learningRate: number; readonly loss: number } | null;
  /** `lrSensitivity` over the learning rates; null as long as runs are missing, or where there is one learning rate only. */
  readonly sensitivity: number | null;
  readonly diverged: number;
  /** Finished runs, by rising learning rate. */
  readonly runs: readonly RunResult[];
  /** How many there are to be. */
  readonly planned: number;
};

/** SweepSummary — the results of a sweep by size and technique, in the order of the plan. */
export type SweepSummary = { readonly sizes: readonly Size[]; readonly techniques: SweepPlan['techniques']; readonly learningRates: readonly number[]; readonly groups: readonly SweepGroup[] };

/** ratesDiffer — whether sensitivities are those of different learning rates, and so do not compare. */
export function ratesDiffer(groups: readonly SweepGroup[]): boolean {
  return new Set(groups.flatMap(({ sensitivity, runs }) => (sensitivity === null ? [] : [runs.map(({ learningRate }) => learningRate).join()]))).size > 1;
}

/** summarise — of the runs that are planned, those that are finished. */
export function summarise({ techniques, runs }: SweepPlan, results: readonly RunResult[]): SweepSummary {
  const sizes = [...new Map(runs.map(({ settings: { dim, depth } }) => [sizeName({ dim, depth }), { dim, depth }])).values()];
  const learningRates = [...new Set(runs.map(({ settings }) => settings.learningRate))].sort((a, b) => a - b);
  const byId = new Map(results.map((each) => [each.id, each]));
  const groups = sizes.flatMap((size) => techniques.map(({ name }) => {
    const planned = runs.filter(({ technique, settings }) => technique === name && settings.dim === size.dim && settings.depth === size.depth);
    return groupOf(name, size, planned.flatMap(({ id }) => byId.get(id) ?? []), planned.length);
  }));
  return { sizes, techniques, learningRates, groups };
}

function groupOf(technique: string, size: Size, runs: readonly RunResult[], planned: number): SweepGroup {
  const [first] = runs;
  const measured = runs.flatMap(({ learningRate, loss }) => (loss === null ? [] : [{ learningRate, loss }]));
  const best = measured.reduce<SweepGroup['best']>((least, each) => (least === null || each.loss < least.loss ? each : least), null);
  const points = runs.map(({ learningRate, loss }) => ({ learningRate, loss: loss ?? NaN }));
  return {
    technique, ...size, params: first?.params ?? null, initialLoss: first?.initialLoss ?? null, best,
    sensitivity: first === undefined || planned < 2 || runs.length < planned ? null : lrSensitivity(points, first.initialLoss),
    diverged: runs.length - measured.length, runs, planned,
  };
}
