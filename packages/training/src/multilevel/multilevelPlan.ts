import { checkInteger, ConfigError, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { countParams } from '../countParams.ts';
import { FLOPS_PER_PARAM } from '../planOneEpoch.ts';

/**
 * Stage — one of the 2K − 1 runs of a cycle over K levels: `down` from the first level on, until the next one is made of it; `bottom` in the
 * last; `up` again in each, after what was learned below has been brought back.
 */
export type Stage = {
  /** From 0, in the order in which they run. */
  readonly index: number;
  /** Which model: 0 is the large one. */
  readonly level: number;
  readonly phase: 'down' | 'bottom' | 'up';
  readonly steps: number;
  /** Steps of all stages before. */
  readonly firstStep: number;
  /** Parameters of its model. */
  readonly parameters: number;
  /** Floating-point operations of all its steps: 6 · parameters · tokens. */
  readonly flops: number;
};

export type MultilevelPlan = { readonly stages: readonly Stage[]; readonly flops: number };

export type PlanOptions = {
  /** The models, from large to small; only their specs are read. */
  readonly levels: readonly { readonly specs: Tree<ParamSpec> }[];
  /** Steps of each level but the last before the next is made of it; one number for all. About a twentieth of the baseline's. */
  readonly initSteps: number | readonly number[];
  /** Steps of each level on the way up, by level; the last is that of the smallest model. About half of the baseline's each. */
  readonly steps: readonly number[];
  readonly tokensPerStep: number;
};

/**
 * multilevelPlan — the stages of a cycle with their cost, before anything is run.
 *
 *     flops = Σ over stages of 6 · parameters · tokensPerStep · steps
 *
 * Every parameter counts, embeddings included, and attention's products of activations do not: the usual estimate of forward and backward.
 *
 * @throws ConfigError  if there is no level, or the numbers of steps are no positive integers or not as many as they must be.
 *
 * Source: Zou et al. 2024, arXiv:2404.07999, algorithm 1; Kaplan et al. 2020, arXiv:2001.08361, §2.1, for 6·N·D.
 */
export function multilevelPlan({ levels, initSteps, steps, tokensPerStep }: PlanOptions): MultilevelPlan {
  if (levels.length === 0) throw new ConfigError('multilevelPlan: levels must have at least one model, got none');
  const last = levels.length - 1;
  const down = typeof initSteps === 'number' ? Array<number>(last).fill(initSteps) : initSteps;
  checkSteps('initSteps', down, last);
  checkSteps('steps', steps, levels.length);
  checkInteger('multilevelPlan', 'tokensPerStep', tokensPerStep);
  const runs = [
    ...down.map((count, level) => ({ level, phase: 'down' as const, steps: count })),
    ...steps.map((count, level) => ({ level, phase: level === last ? 'bottom' as const : 'up' as const, steps: count })).reverse(),
  ];
  let firstStep = 0;
  const stages = runs.map((run, index): Stage => {
    const parameters = countParams(levels[run.level]?.specs ?? []);
    const stage = { index, ...run, firstStep, parameters, flops: FLOPS_PER_PARAM * parameters * tokensPerStep * run.steps };
    firstStep += run.steps;
    return stage;
  });
  return { stages, flops: stages.reduce((sum, { flops }) => sum + flops, 0) };
}

function checkSteps(name: string, steps: readonly number[], count: number): void {
  if (steps.length !== count) throw new ConfigError(`multilevelPlan: ${name} must have ${count} numbers, one for each level${name === 'steps' ? '' : ' but the last'}, got ${steps.length}`);
  steps.forEach((each, i) => checkInteger('multilevelPlan', `${name}[${i}]`, each));
}
