import type { RunResult } from './runResult.ts';
import type { SweepPlan } from './sweepPlan.ts';
import { summarise, type SweepGroup, type SweepSummary } from './summary.ts';

/** SweepResult — what `sweep` prints with `--json` and keeps as `results.json`: everything that was measured. */
export type SweepResult = {
  readonly command: 'sweep';
  /** The directory of the sweep. */
  readonly out: string;
  readonly device: string;
  /** Absolute path of the text, or null for the default corpus. */
  readonly data: string | null;
  readonly steps: number;
  readonly tokensPerStep: number;
  readonly seed: number;
  readonly planned: number;
  readonly finished: number;
  readonly techniques: SweepPlan['techniques'];
  readonly sizes: SweepSummary['sizes'];
  readonly learningRates: readonly number[];
  readonly groups: readonly Omit<SweepGroup, 'runs'>[];
  readonly runs: readonly RunResult[];
};

/** sweepResult — everything about a sweep, as far as it has come. */
export function sweepResult(plan: SweepPlan, results: readonly RunResult[], { out, device }: { out: string; device: string }): SweepResult {
  const { sizes, techniques, learningRates, groups } = summarise(plan, results);
  const { data, steps, batchSize, context, seed } = plan.runs[0].settings;
  const runs = groups.flatMap((group) => group.runs);
  return {
    command: 'sweep', out, device, data, steps, tokensPerStep: batchSize * context, seed, planned: plan.runs.length, finished: runs.length,
    techniques, sizes, learningRates, groups: groups.map(({ runs: _, ...group }) => group), runs,
  };
}
