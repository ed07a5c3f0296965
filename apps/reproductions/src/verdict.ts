import type { Check, Measurement, Numbers, Reproduction } from './reproduction.ts';

/** Verdict — what a reproduction found. */
export type Verdict = {
  readonly slug: string;
  readonly claim: string;
  readonly criterion: string;
  /** Means over the seeds. */
  readonly baseline: Numbers;
  readonly technique: Numbers;
  readonly seeds: readonly number[];
  readonly holds: boolean;
  readonly seconds: number;
  readonly quick: boolean;
  readonly device: string;
  /** Each part of the criterion: for the means, and with how many of the seeds by themselves. */
  readonly checks: readonly { readonly says: string; readonly holds: boolean; readonly inSeeds: number }[];
  readonly measurements: readonly Measurement[];
};

/** verdictOf — the means over the seeds, held against the criterion. */
export function verdictOf(
  reproduction: Reproduction, measurements: readonly Measurement[], about: Pick<Verdict, 'seeds' | 'seconds' | 'quick' | 'device'>,
): Verdict {
  const { slug, claim, quickCriterion, criterion } = reproduction;
  const wanted: readonly Check[] = about.quick ? quickCriterion ?? criterion : criterion;
  const means = { baseline: meanOf(measurements.map(({ baseline }) => baseline)), technique: meanOf(measurements.map(({ technique }) => technique)) };
  const checks = wanted.map(({ says, holds }) => ({ says, holds: holds(means), inSeeds: measurements.filter(holds).length }));
  return { slug, claim, criterion: checks.map(({ says }) => says).join('; '), ...means, holds: checks.every(({ holds }) => holds), ...about, checks, measurements };
}

function meanOf(all: readonly Numbers[]): Numbers {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(names.map((name) => [name, all.reduce((sum, numbers) => sum + (numbers[name] as number), 0) / all.length]));
}
